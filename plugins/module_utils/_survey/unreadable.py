# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be told of a migration whose record or journal cannot be read. Changes nothing.

Nobody knows whether it is open, so it counts as if it were: its guest is not moved, and what its record still says
that it takes is taken. What it does not say is told to be unknown: to count more would put the whole hypervisor out of
use for one file.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._migration import lock
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import UNREADABLE, ClaimFacts
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.record import RECORD
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.store import Store
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.unreadable import Unreadable


def claim(store: Store, migration_id: str, error: Unreadable) -> ClaimFacts:
    """What it holds here, as far as its record says; without a guest's UUID, its own id stands for that."""
    data = _raw(store, migration_id)
    migration = _mapping(data.get("migration"))
    role = _text(data.get("role"))
    sizes = [_mapping(migration.get(one)) for one in ("old", "new")]
    disks = migration.get("disks")
    held = [_mapping(one) for one in disks] if isinstance(disks, list) else []
    return ClaimFacts(
        migration=migration_id,
        uuid=_text(migration.get("uuid")) or _locked(store, migration_id) or migration_id,
        name=_text(migration.get("name")),
        role=role,
        peer=_text(migration.get("source" if role == "destination" else "destination")),
        status=UNREADABLE,
        operation=_text(migration.get("operation")),
        vcpus=_most(sizes, "vcpus"),
        memory_mib=_most(sizes, "memory_mib"),
        disk_bytes=sum(_most([one], "old_bytes", "new_bytes") for one in held),
        problem={"code": error.code, "message": error.message, "remedy": error.remedy},
    )


def _raw(store: Store, migration_id: str) -> Mapping[str, Any]:
    try:
        text = (store.migration(migration_id) / RECORD).read_text(encoding="utf-8")
        return _mapping(json.loads(text))
    except (OSError, ValueError):
        return {}


def _locked(store: Store, migration_id: str) -> str:
    """UUID of the guest that the migration has locked here, empty without a lock."""
    return next((one.uuid for one in lock.all_held(store) if one.migration == migration_id), "")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _most(several: list[Mapping[str, Any]], *names: str) -> int:
    """The largest of the numbers that are there under one of *names*."""
    found = (one.get(name) for one in several for name in names)
    return max((one for one in found if isinstance(one, int)), default=0)
