# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who waits for a slot on this hypervisor: nothing of it is in a journal yet, and its run is alive all the same.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import os
from pathlib import Path

from ansible_collections.kvmops.mobility.plugins.module_utils._migration.store import Store

_FORGOTTEN_S = 3600
"""One that was not heard of for so long waits no more."""


def note(store: Store, migration: str, now: float) -> None:
    """The run of *migration* was told at *now* (Unix time, seconds) that there is no slot, and will ask again."""
    directory = store.make(_directory(store))
    for one in directory.iterdir():
        if now - _heard_at(one) > _FORGOTTEN_S:
            one.unlink(missing_ok=True)
    path = directory / migration
    path.touch(mode=0o600)
    os.utime(path, (now, now))


def end(store: Store, migration: str) -> None:
    """It waits no more."""
    (_directory(store) / migration).unlink(missing_ok=True)


def idle_s(store: Store, now: float) -> dict[str, float]:
    """By migration, how long ago it has asked last, seconds."""
    directory = _directory(store)
    waiting = sorted(directory.iterdir()) if directory.is_dir() else []
    return {one.name: max(0.0, now - _heard_at(one)) for one in waiting}


def _directory(store: Store) -> Path:
    return store.root / "waiting"


def _heard_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
