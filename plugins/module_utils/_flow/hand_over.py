# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Step hand over: the guest stops here for good, and cannot be started here again until somebody takes it back.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, replace
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._disk import directory
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError, Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._flow import mirror, stored
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.domain import Domain
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.power import OnTimeout, Stopper, StopPolicy
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.watch import Watch, watching
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import journal, record, reverting
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import Data, Stop
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import EntryFacts
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Event, Phase, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import (
    DiskPlan,
    Layout,
    Migration,
    Parking,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.way import Way
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect, Plan, numbered


def plan(context: Context) -> Plan:
    """Autostart off, stop, fence. What is done already is not done again.

    The fence is the rename of the guest's directory: a start then fails, whoever tries (Nova relies on the same). In
    the layout C(files) it is that of its images one after the other: with the first that is away no start succeeds.
    """
    migration = context.record().migration
    way = Way.of(migration, context.phase)
    parked = way.asides[0]
    if context.hypervisor.find(migration.uuid) is None and _handed_over(context):
        # A revert that goes on where its last step, which undefines the guest here, was interrupted.
        return Plan(result={"parked": parked})
    domain = context.hypervisor.domain(migration.uuid)
    mirrored = bool(context.params.get("mirrored")) and not domain.is_off()
    if mirrored:
        _check_mirror(domain, migration)
        _check_link(context, way)
    _check_names(way)
    effects = [*stored.autostart_off(domain), *_stop(context, domain, migration, mirrored)]
    result: dict[str, Any] = {"parked": parked, "mirrored": False}
    fences = _fences(context, domain, way)
    if not fences:
        result.update(_inventory(context, way))
    carrying = (_carry(context, way),) if context.params.get("mirrored") else ()
    return Plan(
        (*effects, *fences, *carrying),
        result=result,
        before={"state": domain.state(), "directory": migration.directory},
        after={"state": "shut off", "directory": parked},
    )


def _handed_over(context: Context) -> bool:
    wanted = (context.phase, Step.HAND_OVER, Event.END, "")
    entries = journal.read(context.store, context.params["migration"])
    return any((e.phase, e.step, e.event, e.effect) == wanted for e in entries)


def policy(stop: Stop, phase: Phase, data: Data = Data.DISCARD) -> StopPolicy:
    """How the guest is stopped. A revert that throws its data away may pull the plug in the end."""
    thrown_away = phase is Phase.REVERT and data is Data.DISCARD
    on_timeout = OnTimeout.FORCE if thrown_away else OnTimeout(stop.on_timeout)
    return StopPolicy(stop.timeout_s, stop.retry_interval_s, on_timeout)


def _check_mirror(domain: Domain, migration: Migration) -> None:
    """Raises Refused(MIRROR_LOST), before anything stopped, when a disk is not the same on both sides now."""
    missing = mirror.disks_without(domain, migration.written)
    if missing:
        raise Refused(
            "MIRROR_LOST",
            migration.name,
            f"the mirror of {', '.join(missing)} is not ready any more, and the guest runs on.",
            "Run it again, or with transfer=rsync.",
        )


def _check_names(way: Way) -> None:
    """Raises Refused(PATH_TAKEN), before anything stopped, when something has come under the name of what is parked.

    The plan has looked; but a mirror may have taken hours since.
    """
    for one in way.migration.parkings:
        aside = way.aside(one)
        if os.path.lexists(one.place) and os.path.lexists(aside):
            raise Refused(
                "PATH_TAKEN",
                aside,
                f"exists, and {way.migration.name} needs that name for what it leaves; the guest was not touched.",
                "Look what it is and move it away, then run it again.",
            )


def _check_link(context: Context, way: Way) -> None:
    """Raises Refused(MIRROR_LOST) as well: a guest that is stopped over a silent link is stopped for a whole copy."""
    if not mirror.answers(context, way):
        raise Refused(
            "MIRROR_LOST",
            way.migration.name,
            f"{way.taker} does not answer through the tunnel of the mirror, and the guest runs on.",
            "Run it again when the link is well.",
        )


def _stop(context: Context, domain: Domain, migration: Migration, mirrored: bool) -> tuple[Effect, ...]:
    if domain.is_off():
        return ()
    stopping = policy(migration.stop, context.phase, _data(context))

    def stop() -> Mapping[str, Any]:
        moved = {"mirrored_bytes": mirror.done_bytes(domain, migration.written)} if mirrored else {}
        began = context.clock()
        with watching(domain) if mirrored else nullcontext(Watch()) as watch:
            if mirrored:
                # One that was given up before somebody listened is told by nobody: its export heard a good-bye.
                _check_mirror(domain, migration)
            stopped = Stopper(domain, context.monotonic, context.sleep).stop(stopping)
            off_at = context.clock()
        return {
            "stop_requested_at": began,
            "off_at": off_at,
            "stop_forced": stopped.forced,
            "stop_requests": stopped.requests,
            "mirrored": mirrored and not watch.lost,
            "mirror_lost": watch.lost,
            **moved,
        }

    return (Effect("stop", f"shut {domain.name} down", stop, undo={"kind": "start", "uuid": domain.uuid}),)


def _data(context: Context) -> Data:
    """What becomes of the guest's newer data in a revert, as the claim here was told."""
    return reverting.data(journal.read(context.store, context.params["migration"]))


def _fences(context: Context, domain: Domain, way: Way) -> tuple[Effect, ...]:
    """What is still to be renamed, none when all of it is aside already."""
    to_do = [one for one in way.migration.parkings if not _is_aside(one.place, way.aside(one))]
    if not to_do:
        return ()

    def wait() -> None:
        paths = _renamed(way.migration)
        _wait_released(context, domain, lambda: directory.holders(paths))

    def inventory() -> Mapping[str, Any]:
        return {"fenced_at": context.clock(), **_inventory(context, way)}

    fences = (
        _fence(way, one, wait if one is to_do[0] else None, inventory if one is to_do[-1] else None) for one in to_do
    )
    return (*_make_rooms(way), *fences)


def _renamed(migration: Migration) -> tuple[str, ...]:
    """The files that nobody may have open: with a directory go all in it, also what is none of the guest's disks."""
    disks = [disk.path for disk in migration.carried]
    if migration.layout is Layout.DIRECTORY:
        disks += [os.path.join(migration.directory, one.name) for one in directory.entries(migration.directory)]
    return tuple(dict.fromkeys(disks))


def _is_aside(place: str, aside: str) -> bool:
    return os.path.lexists(aside) and not os.path.lexists(place)


def _make_rooms(way: Way) -> tuple[Effect, ...]:
    """The directories that single files are parked in; a directory is only given another name."""
    if way.migration.layout is Layout.DIRECTORY:
        return ()
    rooms = [one for one in way.asides if not os.path.isdir(one)]
    return tuple(_make_room(one, index) for index, one in enumerate(rooms))


def _make_room(path: str, index: int) -> Effect:
    return Effect(
        numbered("room", index),
        f"make {path}",
        lambda: directory.make_room(path),
        undo={"kind": "rmdir", "path": path},
    )


def _fence(
    way: Way,
    parking: Parking,
    before: Callable[[], None] | None,
    after: Callable[[], Mapping[str, Any]] | None,
) -> Effect:
    aside = way.aside(parking)

    def fence() -> Mapping[str, Any]:
        if before is not None:
            before()
        directory.rename(parking.place, aside)
        return after() if after is not None else {}

    return Effect(
        parking.effect("fence"),
        f"rename {parking.place} to {aside}",
        fence,
        undo={"kind": "rename", "from": aside, "to": parking.place},
    )


def _carry(context: Context, way: Way) -> Effect:
    """What the guest's console or its neighbours wrote beside its disks, through the tunnel that is still open.

    When that fails the disks are copied as if they had never been mirrored: the guest is off, and it is too late to
    give up for a log file.
    """

    def carry() -> Mapping[str, Any]:
        made: dict[str, Any] = {}
        try:
            if _was_mirrored(context):
                made = mirror.carry(context, way, context.params["files"])
        except (MobilityError, OSError) as error:
            context.warn(str(error))
            made = {"mirrored": False}
        return made

    return Effect("carry", "send what else changed", carry)


def _was_mirrored(context: Context) -> bool:
    """What the effect stop of this call wrote into the journal."""
    entries = journal.read(context.store, context.params["migration"])
    wanted = (context.phase, Step.HAND_OVER, Event.END, "stop")
    stops = [e for e in entries if (e.phase, e.step, e.event, e.effect) == wanted]
    return bool(stops) and bool(stops[-1].result.get("mirrored"))


def _inventory(context: Context, way: Way) -> Mapping[str, Any]:
    """Owner and mode of what was parked, for the other side to give to its copy; read when the guest is off,
    because libvirt changes them while it runs. And what there is to send, and where to."""
    sending = _sending(context, way)
    migration = way.migration
    if migration.layout is Layout.DIRECTORY:
        (parking,) = migration.parkings
        where = way.aside(parking)
        entries = [asdict(one) for one in directory.entries(where)]
        return {"entries": entries, "directory_owner": directory.owner(where), **sending}
    return {"entries": [asdict(_entry(one.place, way.aside(one))) for one in migration.parkings], **sending}


def _sending(context: Context, way: Way) -> Mapping[str, Any]:
    """What disk_copy takes: the sources of each directory of the copy, and what is flattened before.

    On the way back that is all there is: a copy has no backing files, and the source has the definitions.
    """
    migration = way.migration
    if way.back:
        copies = [{"src": [f"{aside}/"], "dest": there} for aside, there in zip(way.asides, way.arrivals)]
        return {"copies": copies, "flatten": [], "resume": False} if _data(context) is Data.COPY_BACK else {}
    definitions = str(record.definitions_directory(context.store, migration.id))
    pairs = zip(migration.parked_in, migration.staged_in)
    copies = [{"src": sources(migration, parked), "dest": staged} for parked, staged in pairs]
    copies[0]["src"] = [*copies[0]["src"], definitions]
    flatten = [flattening(migration, disk) for disk in migration.carried if disk.flatten]
    return {"copies": copies, "flatten": flatten, "resume": _is_like_it(context, migration)}


def _is_like_it(context: Context, migration: Migration) -> bool:
    """Whether what may be staged already has the blocks of the source's files at their places.

    A first pass has put them there. What a mirror has filled, a raw image has where the guest does; a qcow2 image has
    its clusters in the order in which they came, and to look for them would take longer than to send it all.
    """
    if not migration.was_running:
        return False
    entries = journal.read(context.store, migration.id)
    passed = any((e.phase, e.step) == (Phase.MOVE, Step.PRESYNC) for e in entries)
    return passed or all(disk.format == "raw" for disk in migration.carried)


def sources(migration: Migration, parked: str) -> list[str]:
    """All that is in the directory *parked*; but of an image with backing files the flattened one.

    A backing file that is in the guest's own directory stays behind: nothing at the destination needs it.
    """
    at = {disk.target: posixpath.split(migration.chain(disk)[0].path) for disk in migration.carried}
    flat = [disk for disk in migration.carried if disk.flatten and at[disk.target][0] == parked]
    if not flat:
        return [f"{parked}/"]
    left = {at[disk.target][1] for disk in flat}
    left.update(posixpath.basename(one) for disk in flat for one in _below(migration, disk, parked))
    names = [one.name for one in directory.entries(parked) if one.kind == "file" and one.name not in left]
    return [*(f"{parked}/{name}" for name in names), *(migration.flat(disk) for disk in flat)]


def _below(migration: Migration, disk: DiskPlan, parked: str) -> list[str]:
    """Where the backing files of *disk* are now, those that are in *parked*."""
    return [one.path for one in migration.chain(disk)[1:] if posixpath.dirname(one.path) == parked]


def flattening(migration: Migration, disk: DiskPlan) -> dict[str, Any]:
    """How *disk* is flattened: the chain as it is now, the image itself first, and into what."""
    return {
        "target": disk.target,
        "links": [asdict(one) for one in migration.chain(disk)],
        "to": migration.flat(disk),
        "cluster_bytes": disk.cluster_bytes,
    }


def _entry(place: str, aside: str) -> EntryFacts:
    """A single file under the name that the definition has for it."""
    found = directory.entry(aside)
    if found is None:
        raise MobilityError("PATH_LOST", aside, "is gone since it was parked.", "Look for it before anything else.")
    return replace(found, name=place)


def _wait_released(context: Context, domain: Domain, holders: Callable[[], tuple[str, ...]]) -> None:
    """Off is libvirt's word and that no process has a disk open; a backup may still read it."""
    Stopper(domain, context.monotonic, context.sleep).wait_released(holders)
