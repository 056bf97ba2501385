# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files under the state directory of one hypervisor: where records, journals and locks are kept.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._file.durable import sync_directory, write_durably

STATE_DIRECTORY = "/var/lib/kvmops"


class Store:
    """The layout of the state directory; it makes the directories it needs, readable by root only."""

    def __init__(self, root: str = STATE_DIRECTORY) -> None:
        self.root = Path(root)

    def migration(self, migration_id: str) -> Path:
        """The directory of one migration, wherever that is."""
        archived = self.archive / migration_id
        return archived if migration_id and archived.is_dir() else self.root / "migrations" / migration_id

    @property
    def archive(self) -> Path:
        """Where the directories of migrations go that have been closed for long."""
        return self.root / "archive"

    def reopen(self, migration_id: str) -> None:
        """Somebody works on it: it belongs where a survey looks, durably. Not archived is no error."""
        if (self.archive / migration_id).is_dir():
            os.rename(self.archive / migration_id, self.root / "migrations" / migration_id)
            sync_directory(self.root / "migrations")
            sync_directory(self.archive)

    def lock(self, uuid: str) -> Path:
        """The lock file of one guest."""
        return self.root / "locks" / f"{uuid}.json"

    def make(self, directory: Path) -> Path:
        """Make *directory* and what is above it, durably."""
        missing = [one for one in (directory, *directory.parents) if not one.exists()]
        for one in reversed(missing):
            one.mkdir(mode=0o700, exist_ok=True)  # another claim may make it at the same time
            sync_directory(one.parent)
        return directory

    def migrations(self) -> list[str]:
        """Ids of the migrations this hypervisor has a directory of, by name, without archived ones."""
        return _directories(self.root / "migrations")

    def archived(self) -> list[str]:
        """Ids of those in the archive."""
        return _directories(self.archive)

    def write_json(self, path: Path, data: Mapping[str, Any]) -> None:
        """Write *data* durably, making the directory when it is not there."""
        self.make(path.parent)
        write_durably(path, json.dumps(data, indent=1, sort_keys=True).encode() + b"\n")

    def read_json(self, path: Path) -> dict[str, Any] | None:
        """What is in *path*, None when it is not there. Raises ValueError when it is not JSON."""
        try:
            data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return data


def _directories(where: Path) -> list[str]:
    try:
        with os.scandir(where) as found:
            return sorted(one.name for one in found if one.is_dir())
    except FileNotFoundError:
        return []
