# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Step claim: the lock, the record, and on the destination capacity and a place for the copy.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pwd
import stat
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._domain.edit import (
    DefinitionChange,
    apply_changes,
    digest,
    verify_only,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._file import planted
from ansible_collections.kvmops.mobility.plugins.module_utils._flow import verdict
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.domain import Domain
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import closed, lock, record, waiting
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.authority import LOCK_EFFECT
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.claim import shortage
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Phase
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Migration
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect, Plan, numbered
from ansible_collections.kvmops.mobility.plugins.module_utils._survey import hypervisor as hypervisors

_OTHERS_S = 120
"""A claim looks at libvirt, storage and rsync: some seconds; that many may be before it."""
_POLL_S = 0.1


def plan(context: Context) -> Plan:
    """What this hypervisor's part of the claim needs; for a confirm or revert that is only the lock, and a look."""
    if context.phase is not Phase.MOVE:
        return verdict.plan(context, _lock(context, context.record().migration))
    migration = Migration.from_result(context.params["record"])
    _hold_host_lock(context)
    _check_slots(context, migration)
    if not context.check:
        waiting.end(context.store, migration.id)
    found = (_plan_source if context.params["role"] == "source" else _plan_destination)(context, migration)
    return replace(found, effects=(*found.effects, *_tidy(context)))


def _tidy(context: Context) -> tuple[Effect, ...]:
    """Who claims has the lock of this hypervisor's claims, so nobody counts meanwhile."""
    days = context.params.get("archive_days")
    wanted = closed.tidying(context.store, closed.ARCHIVE_DAYS if days is None else days, context.clock())

    def tidy() -> None:
        try:
            closed.tidy(context.store, wanted)
        except OSError as error:  # the guest can be moved all the same
            context.warn(f"closed migrations could not be archived: {error}")

    return (Effect("tidy", wanted.words(), tidy),) if wanted else ()


def _hold_host_lock(context: Context) -> None:
    """Claims on one hypervisor are counted one at a time; the lock ends with this process. Raises Refused(BUSY)."""
    if context.check:
        return
    context.store.make(context.store.root)
    path = context.store.root / "claims.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    began = context.monotonic()
    while not _locked(descriptor):
        if context.monotonic() - began >= _OTHERS_S:
            raise Refused(
                "BUSY",
                context.params["record"]["name"],
                f"another claim is at work on this hypervisor, and was not done after {_OTHERS_S} s.",
                f"See what it waits for there (fuser -v {path}), such as storage that is silent; then run it again.",
            )
        context.sleep(_POLL_S)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _check_slots(context: Context, migration: Migration) -> None:
    """Moves that leave and moves that arrive are counted by themselves: one that waits for a place to arrive at never
    keeps another from arriving where it leaves. One whose record cannot be read would keep its place for good: it has
    none. Raises Refused(SLOTS_FULL), naming who is at work here."""
    slots, role = context.params.get("slots") or 0, context.params["role"]
    holders = [one for one in lock.all_held(context.store) if one.migration != migration.id]
    records = [record.readable(context.store, one.migration) for one in holders]
    busy = [one.migration for one in records if one is not None and one.role == role]
    if slots and len(busy) >= slots:
        if not context.check:
            waiting.note(context.store, migration.id, context.clock())
        names = ", ".join(f"{one.name} ({one.id})" for one in busy)
        way = "leave" if role == "source" else "arrive at"
        raise Refused(
            "SLOTS_FULL",
            migration.name,
            f"{len(busy)} guests {way} this hypervisor at this moment, and {slots} may: {names}.",
            "Wait until one of them is done. Of a run that died, kvmops.mobility.recover gives the slot back.",
        )


def _lock(context: Context, migration: Migration) -> tuple[Effect, ...]:
    """The lock effect, none when this run holds it. Raises Refused(BUSY) while another does."""
    wanted = wanted_lock(context, migration)
    holder = lock.held(context.store, migration.uuid)
    if holder is not None and not holder.is_of(wanted.migration, wanted.token):
        raise lock.busy(migration.uuid, holder)
    if holder is not None:
        return ()
    return (
        Effect(
            LOCK_EFFECT,
            f"lock {migration.name} for migration {migration.id}",
            lambda: lock.take(context.store, wanted),
            undo={"kind": "unlock", "uuid": wanted.uuid},
        ),
    )


def wanted_lock(context: Context, migration: Migration) -> lock.Lock:
    """The lock that the run of this call wants. Raises Refused(LOST_THE_LOCK) for a call that shows no run."""
    if not context.params["run"]:
        raise Refused(
            "LOST_THE_LOCK",
            migration.name,
            "the call shows no run, and a lock belongs to one.",
            "Give a text of your own with run, the same in all calls that belong together; the playbooks do.",
        )
    return lock.Lock(
        uuid=migration.uuid,
        migration=migration.id,
        owner=context.params["owner"],
        command=context.params["command"],
        since=context.clock(),
        token=context.params["run"],
    )


def _record(context: Context, migration: Migration) -> tuple[Effect, ...]:
    """The record comes before the lock: a lock whose record was never written could not be explained to anybody."""
    kept = record.Record(
        role=context.params["role"],
        migration=migration,
        owner=context.params["owner"],
        command=context.params["command"],
        at=context.clock(),
    )
    there = record.read(context.store, migration.id)
    if there is not None and there.migration == migration:
        return ()
    return (Effect("record", f"write the record of {migration.id}", lambda: record.write(context.store, kept)),)


def _plan_source(context: Context, migration: Migration) -> Plan:
    domain = context.hypervisor.domain(migration.uuid)
    now = digest(domain.xml(inactive=True))
    if now != migration.definition_digest:
        raise Refused(
            "DEFINITION_CHANGED",
            migration.name,
            "its stored definition was changed since the plan was made.",
            "Run this again: the plan is made from what is there now.",
        )
    if _has_changed(domain, migration):
        raise Refused(
            "STATE_CHANGED",
            migration.name,
            f"is {domain.state()} now, which is not what the plan was made for.",
            "Run this again: the plan is made from what is there now.",
        )
    if migration.live is not None:  # libvirt carries the definitions by itself
        return Plan((*_record(context, migration), *_lock(context, migration)))
    old = domain.xml(inactive=True, secure=True)
    change = DefinitionChange(vcpus=migration.new.vcpus, memory_mib=migration.new.memory_mib, paths={}, listen={})
    new = apply_changes(old, change)
    verify_only(old, new, change)

    def keep() -> Mapping[str, Any]:
        record.keep_definition(context.store, migration.id, record.OLD_DEFINITION, old)
        record.keep_definition(context.store, migration.id, record.NEW_DEFINITION, new)
        return {"definition_digests": {record.OLD_DEFINITION: sha256(old), record.NEW_DEFINITION: sha256(new)}}

    keeping = Effect("definitions", "keep the old and the new definition in the record", keep)
    where = str(record.definitions_directory(context.store, migration.id))
    effects = (*_record(context, migration), *_lock(context, migration), keeping)
    return Plan(effects, result={"definitions_directory": where})


def _has_changed(domain: Domain, migration: Migration) -> bool:
    """Whether it was started, stopped or, where that counts, paused or let run since the plan was made."""
    if migration.live is None:
        return domain.is_off() == migration.was_running
    return domain.is_off() or (domain.pause() is not None) != migration.live.was_paused


def sha256(text: str) -> str:
    """Hexadecimal SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def _plan_destination(context: Context, migration: Migration) -> Plan:
    locking = _lock(context, migration)
    _check_capacity(context, migration)
    for path in _places(migration):
        if os.path.lexists(path):
            raise Refused("LEFTOVER_PATHS", path, "exists on the destination.", "Look what it is and move it away.")
    if migration.live is not None:  # the images are made by a step of their own
        return Plan((*_record(context, migration), *locking))
    return Plan((*_record(context, migration), *locking, *stage(migration.staged_in, context.params["migration_user"])))


def _places(migration: Migration) -> list[str]:
    """What must not be there: whatever arrives. On storage that both see, a live migration's disks are there."""
    if migration.live is not None:
        return [disk.path for disk in migration.disks if disk.target in migration.live.copied]
    return [path for one in migration.parkings for path in (one.place, one.reverted)]


def _check_capacity(context: Context, migration: Migration) -> None:
    """Once more under the host's lock: another controller may have claimed since the plan was made."""
    where = next((Path(one.place).parent for one in migration.parkings), Path(migration.directory))
    facts = hypervisors.survey(context.hypervisor, context.store, str(where), context.clock)
    short = shortage(facts, migration)
    if short is not None:
        raise short


def stage(directories: Sequence[str], migration_user: str) -> tuple[Effect, ...]:
    """The copy grows in directories that no definition names, so nobody can start from it."""
    user = _user(migration_user)
    missing = [one for one in directories if not (stat.S_ISDIR(_mode(one)) and os.lstat(one).st_uid == user.pw_uid)]
    return tuple(_make_staging(one, user, index) for index, one in enumerate(missing))


def _mode(path: str) -> int:
    """Of what is there itself, 0 for nothing."""
    try:
        return os.lstat(path).st_mode
    except FileNotFoundError:
        return 0


def _make_staging(staging: str, user: pwd.struct_passwd, index: int) -> Effect:
    def stage() -> None:
        path = Path(staging)
        path.mkdir(mode=0o700, exist_ok=True)
        planted.give_directory(staging, user.pw_uid, user.pw_gid)

    return Effect(
        numbered("stage", index), f"make {staging} for {user.pw_name}", stage, undo={"kind": "remove", "path": staging}
    )


def _user(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise Refused(
            "MIGRATION_USER_MISSING",
            name,
            "the migration user does not exist on the hypervisor that the disks go to.",
            "Create it there and let root of the source log in as it, or name another with cold_resize_migration_user.",
        ) from None
