# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records and journals that this version cannot read: a finding about that migration alone.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError
from ansible_collections.kvmops.mobility.plugins.module_utils._version import VERSION

SCHEMA = 1
"""Of records, journals and what is kept beside them. It goes up when what an older version does not know changes what
the rest means, such as a new step; what may be ignored needs no new one. Files of before there was one count as 1."""


MALFORMED = (ValueError, TypeError, KeyError, AttributeError)
"""What reading JSON of other words into our types ends with."""


class Unreadable(MobilityError):
    """What is on the disk of one migration cannot be read, or was written by a newer version."""


def check_schema(data: Any, path: Path) -> None:
    """Raises Unreadable: RECORD_NEWER, or RECORD_UNREADABLE for what is no JSON object or has no number there."""
    if not isinstance(data, Mapping):
        raise unreadable(path, "it is not what we write")
    schema = data.get("schema", SCHEMA)
    if not isinstance(schema, int):
        raise unreadable(path, f"its schema is {schema!r}")
    if schema > SCHEMA:
        writer = data.get("written_by")
        raise Unreadable(
            "RECORD_NEWER",
            path.parent.name,
            f"{path} has schema {schema}, written by kvmops.mobility {writer or 'newer than this'}; "
            f"this is {VERSION}, which knows up to {SCHEMA}.",
            f"Use {f'kvmops.mobility >= {writer}' if writer else 'the version that began it'} for this migration.",
        )


def told(error: Exception) -> str:
    """An error in words: what libraries say of a missing key is no sentence."""
    return f"it has no {error}" if isinstance(error, KeyError) else str(error).rstrip(".")


def unreadable(path: Path, why: str) -> Unreadable:
    """RECORD_UNREADABLE of the file *path* of a migration."""
    directory = path.parent
    return Unreadable(
        "RECORD_UNREADABLE",
        directory.name,
        f"{path} cannot be read: {why}.",
        "Put it back from a backup. Without one, look with virsh on both hypervisors which has the guest; once nothing "
        f"is left to do, take the record away: mv {directory} {directory.parent.parent}/unreadable-{directory.name}.",
    )
