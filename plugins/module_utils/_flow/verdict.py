# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Step claim of a confirm or revert: the lock; and when data is to be copied back, whether that can be done at all.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._disk import directory, image
from ansible_collections.kvmops.mobility.plugins.module_utils._domain.definition import GuestDefinition
from ansible_collections.kvmops.mobility.plugins.module_utils._domain.size import human_bytes
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._flow import parked
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.domain import Domain
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import journal, reverting
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import Data
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.claim import needed_bytes
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Entry, Phase, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Layout, Migration, Parking
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.record import Record
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.starting import may_have_run
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.state import (
    CLOSED,
    LEGAL,
    Status,
    derive_alone,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.way import Way
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect, Plan

_OF_AN_ATTEMPT = {
    "source": (Step.EXPORT, Step.TAKE_OVER),
    "destination": (Step.MIRROR, Step.COPY),
}
"""What an interrupted attempt may have left that the next one must not find."""


def plan(context: Context, locking: tuple[Effect, ...]) -> Plan:
    """The effects of *locking*, and for a revert what its next steps need to know.

    The plan was made before anybody held the lock: what became of the migration since is read again here.
    """
    kept = context.record()
    entries = journal.read(context.store, kept.migration.id)
    _check_still_open(kept, entries, context.phase)
    if context.phase is not Phase.REVERT:
        return Plan(locking)
    data = Data(context.params.get("data") or Data.DISCARD.value)
    started = kept.role == "source" and may_have_run(entries, Phase.REVERT)
    told: dict[str, Any] = {
        "data": data.value,
        "started": started,
        "left_over": not started and reverting.left_over(entries, _OF_AN_ATTEMPT[kept.role]),
    }
    if kept.role == "source" and not started:
        parked.check_free([one for one in kept.migration.parkings if not _is_ours(context, one)], "LEFTOVER_PATHS")
    if data is Data.COPY_BACK and not started:
        asking = _to_send if kept.role == "destination" else _to_take
        told.update(asking(context, kept.migration))
    return Plan(locking, result=told)


_VERDICTS = (LEGAL[Phase.CONFIRM] | LEGAL[Phase.REVERT] | {Status.FAILED}) - {Status.FINISHED}
_CLOSES_LAST = {Phase.CONFIRM: "destination", Phase.REVERT: "source"}


def _check_still_open(kept: Record, entries: Sequence[Entry], phase: Phase) -> None:
    """Raises Refused(ILLEGAL_MOVE) when a verdict was given since the plan was made, by this hypervisor's journal."""
    status = derive_alone(entries, kept.role)
    verdict_given = status in _VERDICTS
    ended = status in CLOSED and kept.role == _CLOSES_LAST[phase]
    if verdict_given and (status not in LEGAL[phase] or ended):
        raise Refused(
            "ILLEGAL_MOVE",
            kept.migration.name,
            f"is {status.value} by now: another run has decided since this one was planned.",
            "See kvmops.mobility.status.",
        )


def _to_send(context: Context, migration: Migration) -> Mapping[str, Any]:
    """Destination: size and weight of what would be copied back, and whether the guest runs.

    Raises Refused(COPY_BACK_DISKS_CHANGED) when the old definition would not find the guest's data in that.
    """
    domain = context.hypervisor.find(migration.uuid)
    if domain is None:
        return {"sizes": {}, "weights": {}, "running": False}  # given up already, the source has the guest
    changed = _changed(domain, migration)
    way = Way(migration, back=True)
    sizes: dict[str, int] = {}
    for disk in migration.carried if not changed else ():
        found = image.inspect(disk.path if os.path.lexists(disk.path) else way.left(disk), disk.format)
        sizes[disk.target] = found.virtual_bytes
        changed += f", {disk.target} is based on {found.backing_path}" if found.backing_path else ""
    if changed:
        raise Refused(
            "COPY_BACK_DISKS_CHANGED",
            migration.name,
            f"has other disks than when it was moved: {changed.lstrip(', ')}. Its old definition knows only those.",
            "Merge or detach them first, or revert with data=discard.",
        )
    weights = {one.place: _weight(migration, way, one) for one in migration.parkings}
    return {"sizes": sizes, "weights": weights, "running": not domain.is_off()}


def _changed(domain: Domain, migration: Migration) -> str:
    """How the disks that it can write to differ from those that were moved; empty when they do not."""
    definitions = [domain.xml()] if domain.is_off() else [domain.xml(), domain.xml(inactive=False)]
    moved = {disk.target: disk.path for disk in migration.disks if not disk.readonly}
    for xml in definitions:
        disks = [one for one in GuestDefinition.from_xml(xml).disks if one.source_type and not one.readonly]
        now = {one.target: one.path for one in disks}
        differing = sorted(one for one in {*moved, *now} if moved.get(one) != now.get(one))
        if differing:
            return ", ".join(f"{one} is {now.get(one) or 'gone'}" for one in differing)
    return ""


def _weight(migration: Migration, way: Way, parking: Parking) -> int:
    """Allocated bytes of what is renamed as one, where it is now."""
    now = parking.place if os.path.lexists(parking.place) else way.aside(parking)
    if migration.layout is Layout.DIRECTORY:
        return sum(one.allocated_bytes for one in directory.entries(now))
    found = directory.entry(now)
    return found.allocated_bytes if found is not None else 0


def _is_ours(context: Context, parking: Parking) -> bool:
    """Whether an attempt that is to be ended yet has put it there."""
    pending = journal.pending_undo(journal.read(context.store, context.params["migration"]), Phase.REVERT)
    return any(one.undo and one.undo.get("from") == parking.place for one in pending)


def _to_take(context: Context, migration: Migration) -> Mapping[str, Any]:
    """Source: what the destination said, if there is room for it beside the old disks.

    Raises Refused: LEFTOVER_PATHS, COPY_BACK_NO_SPACE.
    """
    for one in migration.parkings:
        if os.path.lexists(one.place) and not _is_ours(context, one):
            raise Refused("LEFTOVER_PATHS", one.place, "exists on the source.", "Look what it is and move it away.")
    back: Mapping[str, Any] = context.params.get("back") or {}
    by_device: dict[int, tuple[str, list[int]]] = {}
    for place, weight in back.get("weights", {}).items():
        parent = str(Path(place).parent)
        by_device.setdefault(os.stat(parent).st_dev, (parent, []))[1].append(int(weight))
    for parent, weights in by_device.values():
        space = os.statvfs(parent)
        needed, free = needed_bytes(weights), space.f_bfree * space.f_frsize
        if needed > free:
            raise Refused(
                "COPY_BACK_NO_SPACE",
                parent,
                f"the disks of {migration.name} need {human_bytes(needed)} there beside the old ones, with a "
                f"margin, and {human_bytes(free)} are free.",
                "Free space there, or revert with data=discard.",
            )
    return {"sizes": back.get("sizes", {})}
