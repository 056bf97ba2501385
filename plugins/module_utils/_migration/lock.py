# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One guest, one run: a lock file on each hypervisor that says who works on it.

A run is known by its token, which is random, in the lock and in each of its calls: two equal commands of one operator
are two runs, and whoever lost the lock while it slept is told apart from who has it now. The lock's time is when its
run was heard of last.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._fields import known
from ansible_collections.kvmops.mobility.plugins.module_utils._file.durable import sync_directory, write_durably
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.store import STATE_DIRECTORY, Store
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.unreadable import MALFORMED

_GUARD = "locks.lock"
"""Beside claims.lock: among the locks themselves there is nothing but locks."""
_GUARD_S = 30
_POLL_S = 0.05


@dataclass(frozen=True)
class Lock:
    """Who holds a guest on this hypervisor."""

    uuid: str
    migration: str
    owner: str
    command: str
    since: float
    """Unix time, seconds."""
    token: str = ""
    """Of the run that holds it; a lock without one is nobody's who lives."""

    def is_of(self, migration: str, token: str) -> bool:
        """Whether the run *token* holds it for *migration*."""
        return bool(token) and (self.migration, self.token) == (migration, token)

    def as_result(self) -> dict[str, Any]:
        """Plain JSON for people: without the token, which is the run's own."""
        return {key: value for key, value in asdict(self).items() if key != "token"}


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
    """Take the guest's lock, or find that the same run has it already.

    Raises Refused(BUSY), naming who and since when, while another run holds it. The file appears complete or not at
    all, so that a reader never sees a half-written one.
    """
    with _alone(store, lock.uuid):
        holder = held(store, lock.uuid)
        if holder is None:
            _write(store, lock)
        elif not holder.is_of(lock.migration, lock.token):
            raise busy(lock.uuid, holder)


def replace(store: Store, lock: Lock) -> Lock | None:
    """Take the guest's lock away from whatever run holds it for the same migration; who held it.

    From then on that run is refused at its next effect. Raises Refused(BUSY) when another migration has the guest.
    """
    with _alone(store, lock.uuid):
        holder = held(store, lock.uuid)
        if holder is not None and holder.migration != lock.migration:
            raise busy(lock.uuid, holder)
        _write(store, lock)
        return holder


def _write(store: Store, lock: Lock) -> None:
    write_durably(store.lock(lock.uuid), json.dumps(asdict(lock), sort_keys=True).encode() + b"\n")


def busy(uuid: str, holder: Lock) -> Refused:
    """The refusal that names the holder."""
    if holder.command == UNREADABLE:
        return Refused(
            "LOCK_UNREADABLE",
            uuid,
            f"its lock file {STATE_DIRECTORY}/locks/{uuid}.json cannot be read: it may be worked on.",
            f"When kvmops.mobility.status shows that nobody does: rm {STATE_DIRECTORY}/locks/{uuid}.json",
            holder=holder.as_result(),
        )
    return Refused(
        "BUSY",
        uuid,
        f"the guest is being worked on by migration {holder.migration} of {holder.owner} ({holder.command}).",
        "Wait until it has ended; if its run died, kvmops.mobility.recover finds out and carries on or goes back.",
        holder=holder.as_result(),
    )


def release(store: Store, uuid: str, migration: str, token: str) -> bool:
    """Release the lock when the run *token* holds it; whether it did. Another's is left alone."""
    with _alone(store, uuid):
        holder = held(store, uuid)
        if holder is None or not holder.is_of(migration, token):
            return False
        store.lock(uuid).unlink()
        sync_directory(store.lock(uuid).parent)
        return True


def beat(store: Store, uuid: str, migration: str, token: str, now: float) -> bool:
    """Note in the lock's time that the run *token* lives, when it holds the lock; whether it does. Not durable."""
    holder = held(store, uuid)
    if holder is None or not holder.is_of(migration, token):
        return False
    try:
        os.utime(store.lock(uuid), (now, now))
    except FileNotFoundError:  # released meanwhile
        return False
    return True


def heard_at(store: Store, uuid: str) -> float:
    """When the run that holds the lock of *uuid* was heard of last, Unix time; 0 without a lock."""
    try:
        return store.lock(uuid).stat().st_mtime
    except FileNotFoundError:
        return 0.0


@contextmanager
def _alone(store: Store, uuid: str) -> Iterator[None]:
    """Whoever looks at a lock and then changes it does so alone, for a moment. Raises Refused(BUSY) after a while."""
    store.make(store.lock(uuid).parent)
    descriptor = os.open(store.root / _GUARD, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        wait_for(descriptor, _GUARD_S, time.monotonic, time.sleep, lambda: _guarded(uuid))
        yield
    finally:
        os.close(descriptor)


def _guarded(uuid: str) -> Refused:
    return Refused(
        "BUSY",
        uuid,
        f"another process has been changing a lock on this hypervisor for {_GUARD_S} s.",
        "Look at the hypervisor's load and storage, then run it again.",
    )


def wait_for(
    descriptor: int,
    timeout_s: float,
    monotonic: Callable[[], float],
    sleep: Callable[[float], None],
    overdue: Callable[[], Refused],
) -> None:
    """Lock the open file *descriptor* against all other processes. Raises what *overdue* gives after *timeout_s*."""
    began = monotonic()
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if monotonic() - began >= timeout_s:
                raise overdue() from None
            sleep(_POLL_S)
        else:
            return
