# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the migrations that one hypervisor knows of. Changes nothing.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._live.book import Book
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import (
    closed,
    journal,
    lock,
    record,
    state,
    waiting,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.closed import Closed
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import ClaimFacts
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Entry, Event, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Migration
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.record import Record
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.store import Store
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.unreadable import Unreadable
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Plan, numbered
from ansible_collections.kvmops.mobility.plugins.module_utils._survey import unreadable
from ansible_collections.kvmops.mobility.plugins.module_utils._unit import transient
from ansible_collections.kvmops.mobility.plugins.module_utils._unit.process import Identity, lives


def plan(context: Context) -> Plan:
    """The migrations that the module's filters let through."""
    ids = context.params["migrations"]
    found = of_guests(context, context.params["guests"], ids)
    closed = {status.value for status in state.CLOSED} if context.params["open_only"] else set()
    shown = [one for one in found["migrations"] if one["status_here"] not in closed]
    waits = waiting.idle_s(context.store, context.clock())
    return Plan(result={**found, "migrations": shown, "waiting": waits})


def of_guests(
    context: Context, guests: Sequence[str] | None, ids: Sequence[str] | None = None
) -> dict[str, list[dict[str, Any]]]:
    """What is known here of the migrations of *guests* (names or UUIDs), or of all, and of *ids* alone, when given.

    C(migrations), the oldest first, and C(unreadable) ones: of those nobody knows much, which keeps no other from being
    told. One that does not name its guest may be anybody's. C(closed) ones that are archived, and with the parameter
    C(brief) all that nobody holds, are told by their notes alone; not those that *ids* names.
    """
    store, found, failed = context.store, [], []
    notes = closed.read_all(store)
    brief = _brief(context, notes, guests) if ids is None else {}
    for one in _candidates(store, ids):
        if one in brief or (one in notes and not _is_of(notes[one], guests)):
            continue
        try:
            kept = record.read(store, one)
            if kept is not None and _is_of(kept.migration, guests):
                found.append((kept.at, _survey(store, kept, context.clock)))
        except Unreadable as error:
            failed.append(unreadable.claim(store, one, error))
    return {
        "migrations": [told for _at, told in sorted(found, key=lambda pair: pair[0])],
        "closed": [one.as_result() for one in brief.values()],
        "unreadable": [_unread(one) for one in failed if one.uuid == one.migration or _is_of(one, guests)],
    }


def _candidates(store: Store, ids: Sequence[str] | None) -> list[str]:
    if ids is None:
        return store.migrations()
    return [one for one in (*store.migrations(), *store.archived()) if one in ids]


def _brief(context: Context, notes: Mapping[str, Closed], guests: Sequence[str] | None) -> dict[str, Closed]:
    """The notes of those that are told by them."""
    held = {one.migration for one in lock.all_held(context.store)}
    near = [one for one in notes.values() if one.id not in held] if context.params.get("brief") else []
    found = (*near, *closed.read_all(context.store, archived=True).values())
    return {one.id: one for one in found if _is_of(one, guests)}


def _unread(claim: ClaimFacts) -> dict[str, Any]:
    told = {"id": claim.migration, "uuid": claim.uuid, "name": claim.name, "role": claim.role}
    return {**told, "problem": dict(claim.problem)}


def _is_of(one: Migration | ClaimFacts | Closed, guests: Sequence[str] | None) -> bool:
    return guests is None or one.name in guests or one.uuid in guests


def _working(entries: Sequence[Entry]) -> bool:
    """Whether the process of a step that began and did not end still lives."""
    begun: dict[Step, Entry] = {}
    for one in entries:
        if not one.effect:
            begun.pop(one.step, None)
            if one.event is Event.BEGIN and "process" in one.result:
                begun[one.step] = one
    return any(lives(Identity.from_result(one.result["process"])) for one in begun.values())


def _copying(migration: Migration, entries: Sequence[Entry]) -> bool:
    """Whether a unit of a copy that did not end is there; asked only then, because asking costs a process."""
    steps = [one for one in entries if not one.effect and one.step is not Step.LOCK]
    if migration.live is not None and steps and steps[-1].step is Step.LIVE:
        return transient.phase(transient.name_of(migration.id, "live")) is transient.Phase.RUNNING
    if not steps or (steps[-1].step, steps[-1].event) != (Step.COPY, Event.BEGIN):
        return False
    copies = (numbered("copy", index) for index, _directory in enumerate(migration.directories))
    units = (*copies, *(f"flatten_{disk.target}" for disk in migration.carried if disk.flatten))
    return any(transient.phase(transient.name_of(migration.id, one)) is not transient.Phase.ABSENT for one in units)


def _idle_s(store: Store, migration: Migration, entries: Sequence[Entry], now: float) -> float:
    """Since the journal's last line, or since the run that holds the guest was heard of after that."""
    holder = lock.held(store, migration.uuid)
    mine = holder is not None and holder.migration == migration.id
    heard = [entries[-1].at] if entries else []
    heard += [lock.heard_at(store, migration.uuid)] if mine else []
    return max(0.0, now - max(heard)) if heard else 0.0


def _survey(store: Store, kept: Record, clock: Callable[[], float]) -> dict[str, Any]:
    migration = kept.migration
    entries = journal.read(store, migration.id)
    holder = lock.held(store, migration.uuid)
    places = tuple(one.place for one in migration.parkings)
    paths = (*places, *migration.set_aside)
    return {
        "id": migration.id,
        "role": kept.role,
        "record": kept.as_result(),
        "journal": [one.as_result() for one in entries],
        "working": _working(entries),
        "copying": _copying(migration, entries),
        "idle_s": _idle_s(store, migration, entries, clock()),
        "status_here": state.derive_alone(entries, kept.role).value,
        "lock": holder.as_result() if holder is not None else None,
        "live": Book(store, migration.id).report() if migration.live is not None else None,
        "switched": migration.live is not None and Book(store, migration.id).switched(),
        "paths": {path: os.path.lexists(path) for path in paths},
    }
