# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab remembers of a guest it made: the content of its disks, and what it does."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .config import LabError, guests_dir
from .load import Load
from .seed import Seed


@dataclass
class GuestRecord:
    """Checksums by which `guest verify` judges."""

    uuid: str
    disks: dict[str, Seed] = field(default_factory=dict)  # by target in the guest
    config_drive_sha256: str | None = None
    load: Load | None = None


def _path(name: str) -> Path:
    return guests_dir() / f"{name}.json"


def reserve(name: str) -> None:
    """Take the name; of two at the same time one is refused."""
    if not guests_dir().is_dir():
        raise LabError("the lab is down: run `lab up` first")
    try:
        with _path(name).open("x"):
            pass
    except FileExistsError as error:
        raise LabError(f"there is a guest {name!r} already") from error


def save(name: str, record: GuestRecord) -> None:
    """Write the record, whole or not at all."""
    part = guests_dir() / f".{name}.part"
    part.write_text(json.dumps(asdict(record), indent=2))
    part.rename(_path(name))


def load(name: str) -> GuestRecord | None:
    """The record, None for a guest the lab did not make."""
    try:
        data = json.loads(_path(name).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return GuestRecord(
        uuid=data["uuid"],
        disks={target: Seed(**seed) for target, seed in data["disks"].items()},
        config_drive_sha256=data["config_drive_sha256"],
        load=Load(**data["load"]) if data.get("load") else None,
    )


def forget(name: str) -> None:
    """Give the name free."""
    _path(name).unlink(missing_ok=True)
