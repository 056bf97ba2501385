# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the migrations that one hypervisor knows of. Changes nothing.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._live.book import Book
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import journal, lock, record, state, waiting
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Entry, Event, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Migration
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.record import Record
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.store import Store
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Plan, numbered
from ansible_collections.kvmops.mobility.plugins.module_utils._unit import transient
from ansible_collections.kvmops.mobility.plugins.module_utils._unit.process import Identity, lives


def plan(context: Context) -> Plan:
    """The migrations that the module's filters let through."""
    ids = context.params["migrations"]
    found = [one for one in of_guests(context, context.params["guests"]) if ids is None or one["id"] in ids]
    closed = {status.value for status in state.CLOSED} if context.params["open_only"] else set()
    shown = [one for one in found if one["status_here"] not in closed]
    return Plan(result={"migrations": shown, "waiting": waiting.idle_s(context.store, context.clock())})


def of_guests(context: Context, guests: Sequence[str] | None) -> list[dict[str, Any]]:
    """What is known here of the migrations of *guests* (names or UUIDs), or of all, the oldest first."""
    kept = (record.read(context.store, one) for one in context.store.migrations())
    wanted = [one for one in kept if one is not None and _is_of(one, guests)]
    return [_survey(context.store, one, context.clock) for one in sorted(wanted, key=lambda one: one.at)]


def _is_of(kept: Record, guests: Sequence[str] | None) -> bool:
    return guests is None or kept.migration.name in guests or kept.migration.uuid in guests


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
    aside = (*migration.parked_in, *migration.reverted_in, *migration.returning_in)
    paths = (*places, *aside, *migration.staged_in, *migration.flat_in)
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
