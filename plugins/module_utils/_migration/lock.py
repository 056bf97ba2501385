# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One guest, one operation: a lock file on each hypervisor that says who works on it.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._fields import known
from ansible_collections.kvmops.mobility.plugins.module_utils._file.durable import sync_directory, write_durably
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.store import STATE_DIRECTORY, Store
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.unreadable import MALFORMED


@dataclass(frozen=True)
class Lock:
    """Who holds a guest on this hypervisor."""

    uuid: str
    migration: str
    owner: str
    command: str
    since: float
    """Unix time, seconds."""

    def same_hand(self, other: Lock) -> bool:
        """Whether it is the same operator's same command on the same migration: a run again after a crash."""
        return (self.migration, self.owner, self.command) == (other.migration, other.owner, other.command)


UNREADABLE = "a lock file that cannot be read"
"""The command of a lock of which nothing else is known."""


def held(store: Store, uuid: str) -> Lock | None:
    """Who holds the guest *uuid* here, None when nobody does. A file that cannot be read is a lock: never free."""
    path = store.lock(uuid)
    try:
        data = store.read_json(path)
        return Lock(**known(Lock, data)) if data is not None else None
    except (OSError, *MALFORMED):
        since = os.lstat(path).st_mtime if path.exists() else 0.0
        return Lock(uuid, "", "", UNREADABLE, since)


def all_held(store: Store) -> tuple[Lock, ...]:
    """Every lock on this hypervisor."""
    directory = store.root / "locks"
    names = sorted(one.name for one in directory.glob("*.json")) if directory.is_dir() else []
    found = (held(store, name[: -len(".json")]) for name in names)
    return tuple(lock for lock in found if lock is not None)


def take(store: Store, lock: Lock) -> None:
    """Take the guest's lock, or find that the same hand has it already.

    Raises Refused(BUSY), naming who and since when, while another holds it: another migration, or another command on
    the same one (a revert while it is being confirmed). The file appears complete
    or not at all, so that a reader never sees a half-written one.
    """
    path = store.lock(lock.uuid)
    store.make(path.parent)
    scratch = path.with_name(f".{path.name}.{lock.migration}.{os.getpid()}")
    write_durably(scratch, json.dumps(asdict(lock), sort_keys=True).encode() + b"\n")
    try:
        os.link(scratch, path)
        sync_directory(path.parent)
    except FileExistsError:
        holder = held(store, lock.uuid)
        if holder is None or not holder.same_hand(lock):
            raise busy(lock.uuid, holder) from None
    finally:
        scratch.unlink()


def busy(uuid: str, holder: Lock | None) -> Refused:
    """The refusal that names the holder."""
    if holder is not None and holder.command == UNREADABLE:
        return Refused(
            "LOCK_UNREADABLE",
            uuid,
            f"its lock file {STATE_DIRECTORY}/locks/{uuid}.json cannot be read: it may be worked on.",
            f"When kvmops.mobility.status shows that nobody does: rm {STATE_DIRECTORY}/locks/{uuid}.json",
            holder=asdict(holder),
        )
    who = (
        "another migration" if holder is None else f"migration {holder.migration} of {holder.owner} ({holder.command})"
    )
    return Refused(
        "BUSY",
        uuid,
        f"the guest is being worked on by {who}.",
        "Wait until it has ended; if its run died, kvmops.mobility.recover finds out and carries on or goes back.",
        holder=asdict(holder) if holder else None,
    )


def release(store: Store, mine: Lock) -> bool:
    """Release the lock when the hand of *mine* holds it; whether there was one to release. Another's is left alone."""
    holder = held(store, mine.uuid)
    if holder is None or not holder.same_hand(mine):
        return False
    store.lock(mine.uuid).unlink()
    sync_directory(store.lock(mine.uuid).parent)
    return True
