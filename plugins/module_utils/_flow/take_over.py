# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Step take over: the guest becomes this hypervisor's, at its new size, and runs if it ran before.

In a revert it is the source that takes its own guest back: with its old disks, or with those that came back.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._disk import digest, directory, image
from ansible_collections.kvmops.mobility.plugins.module_utils._domain.edit import digest as definition_digest
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError, Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._file import planted
from ansible_collections.kvmops.mobility.plugins.module_utils._flow import parked, proof
from ansible_collections.kvmops.mobility.plugins.module_utils._flow.claim import sha256
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.domain import Domain
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.power import wait_running
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import journal, record, reverting
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import Data
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import EntryFacts
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import START, Phase
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import (
    DiskPlan,
    Layout,
    Migration,
    Parking,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.way import Way
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect, Plan, numbered

_RUNNING_S = 60
_ROOTS_OWN = {"uid": 0, "gid": 0, "mode": 0o711}
_RIDING = "definitions"
"""Where in the staging directory the two definitions arrive; a guest's directory has no sub-directories."""


def plan(context: Context) -> Plan:
    """The effects of a take-over on this hypervisor, in the phase's direction."""
    migration = context.record().migration
    way = Way.of(migration, context.phase)
    bringing = _unpark(migration) if _is_parked(context, way) else _bring_in(context, way)
    effects = [*bringing, *_define(context, migration), *_run(context, migration)]
    effects += _tidy(context, way)
    return Plan(
        tuple(effects),
        result={"directory": migration.directory},
        before={"defined": context.hypervisor.find(migration.uuid) is not None},
        after={"defined": True, "running": migration.was_running, "directory": migration.directory},
    )


def _is_parked(context: Context, way: Way) -> bool:
    """Whether the guest gets its old disks back, which never left this hypervisor."""
    entries = journal.read(context.store, context.params["migration"])
    return way.back and reverting.data(entries) is Data.DISCARD


def _unpark(migration: Migration) -> tuple[Effect, ...]:
    """Source, revert: what was parked gets its name back, untouched since the guest went.

    A name that is taken is seen before the rename is announced: an undo could not tell whose it is.
    """
    parked.check_free(migration.parkings, "PATH_TAKEN")
    return tuple(_place(one, one.parked) for one in migration.parkings if not _is_placed(one.place, one.parked))


def _is_placed(place: str, origin: str) -> bool:
    return os.path.lexists(place) and not os.path.lexists(origin)


def _bring_in(context: Context, way: Way) -> tuple[Effect, ...]:
    """Check and own the copy, in a move grow it; then give it its name."""
    migration = way.migration
    arriving = [one for one in migration.parkings if not _is_placed(one.place, way.arriving(one))]
    if not arriving:
        return ()
    for path in (*way.arrivals, *(way.arriving(one) for one in arriving)):
        if not os.path.lexists(path):
            raise MobilityError(
                "PATH_LOST", path, "the staged copy is not there.", "See kvmops.mobility.status; undo is safe."
            )
    for one in arriving:
        if os.path.lexists(one.place):  # once a rename to it is announced, an undo could not tell whose it is
            raise Refused("PATH_TAKEN", one.place, "exists; what is there is not ours.", "Look and move it away.")
    keeping = Effect("definitions", "keep the definitions that came with the copy", lambda: _keep(context, migration))
    growing = tuple(_grow(migration, disk) for disk in _staged(way) if disk.new_bytes > disk.old_bytes)
    return (
        *proof.plan(context, way),
        Effect("own", "give the images their owner and mode", lambda: _own(context, way)),
        *(() if way.back else (keeping,)),
        Effect("check", "compare the copy with its origin and check the images", lambda: _check(context, way)),
        *(() if way.back else growing),
        *(_place(one, way.arriving(one)) for one in arriving),
    )


def _staged(way: Way) -> tuple[DiskPlan, ...]:
    """The disks whose copy has not its name yet."""
    return tuple(disk for disk in way.migration.carried if not _is_placed(disk.path, way.grows(disk)))


def _keep(context: Context, migration: Migration) -> None:
    """The definitions came through the migration user's hands: only what the source vouched for is used."""
    riding = Path(migration.staging) / _RIDING
    if not riding.exists() and _kept(context, migration):
        return  # an earlier attempt came this far
    for name in (record.OLD_DEFINITION, record.NEW_DEFINITION):
        xml = _arrived(riding / name)
        if sha256(xml) != context.params["definition_digests"].get(name):
            raise Refused(
                "DEFINITION_TAMPERED",
                str(riding / name),
                "is not the definition the source wrote into its record.",
                "Look who can write into the staging directory; nothing was defined from it.",
            )
        record.keep_definition(context.store, migration.id, name, xml)
    directory.remove(str(riding))


def _kept(context: Context, migration: Migration) -> bool:
    """Whether the record has both definitions as the source wrote them."""
    expected = context.params["definition_digests"]
    names = (record.OLD_DEFINITION, record.NEW_DEFINITION)
    paths = [record.definition_path(context.store, migration.id, name) for name in names]
    return all(
        path.exists() and sha256(path.read_text(encoding="utf-8")) == expected.get(name)
        for name, path in zip(names, paths)
    )


def _arrived(path: Path) -> str:
    try:
        return planted.text_of(str(path))
    except (OSError, ValueError) as error:
        raise MobilityError("DEFINITION_LOST", str(path), f"cannot be read: {error}.", "Run the copy again.") from None


def _own(context: Context, way: Way) -> None:
    migration = way.migration
    wanted = [EntryFacts.from_result(one) for one in context.params["entries"]]
    if migration.layout is Layout.DIRECTORY:
        own = context.params["directory_owner"] or _ROOTS_OWN
        directory.take_ownership(way.arrival, wanted, own["uid"], own["gid"], own["mode"])
        return
    grows = {disk.path: way.grows(disk) for disk in migration.carried}
    for arrival in way.arrivals:
        mine = [one for one in wanted if os.path.dirname(grows.get(one.name, "")) == arrival]
        named = [replace(one, name=os.path.basename(one.name)) for one in mine]
        directory.take_ownership(arrival, named, 0, 0, 0o700)


def _check(context: Context, way: Way) -> Mapping[str, Any]:
    there = reverting.sizes(journal.read(context.store, context.params["migration"]))
    _compare(way, context.params["digests"], whole=not context.params.get("mirrored"))
    contents = _compare_contents(way, context.params["contents"], context.params["contents_here"])
    checked = {}
    for disk in _staged(way):
        path = way.grows(disk)
        found = image.inspect(path, disk.format)
        expected = (there.get(disk.target, disk.new_bytes),) if way.back else (disk.old_bytes, disk.new_bytes)
        if found.virtual_bytes not in expected:
            raise MobilityError(
                "IMAGE_SIZE_DIFFERS",
                path,
                f"has {found.virtual_bytes} bytes, its origin has {expected[0]}.",
                "The copy is not complete; nothing was started from it.",
            )
        if found.backing_path or found.data_file:
            raise Refused(
                "IMAGE_NOT_WHOLE",
                path,
                f"names another file: {found.backing_path or found.data_file}.",
                "The copy of an image never does. Find out who can write into the staging directory.",
            )
        checked[disk.target] = image.check(path, disk.format)
    return {"image_checks": checked, **contents}


def _compare_contents(
    way: Way, expected: Mapping[str, str], found: Mapping[str, str]
) -> Mapping[str, Mapping[str, str]]:
    """Where they are counted each disk holds what the other side's does. Raises MobilityError(COPY_DIFFERS)."""
    if not way.is_counted:
        return {}
    targets = [disk.target for disk in way.migration.carried]
    _same(way, targets, expected, found)
    return {"contents": {target: found[target] for target in targets}}


def _compare(way: Way, expected: Mapping[str, str] | None, *, whole: bool) -> None:
    """The files of the copy are what their origin had, byte by byte: all that nothing else vouches for, or those that
    are expected.

    Raises MobilityError(COPY_DIFFERS).
    """
    if expected is None:
        return
    if whole:
        found = _digests(way, way.vouched_for - set(expected))
    else:
        found = {name: digest.digest(os.path.join(way.arrival, name)) for name in expected}
    _same(way, {*expected, *found}, expected, found)


def _same(way: Way, names: Iterable[str], expected: Mapping[str, str], found: Mapping[str, str]) -> None:
    """What was not counted on either side counts as different."""
    differing = sorted(name for name in names if not expected.get(name) or expected.get(name) != found.get(name))
    if differing:
        raise MobilityError(
            "COPY_DIFFERS",
            way.arrival,
            f"these are not what the other side has: {', '.join(differing)}.",
            "Nothing was started from them. Look at the storage of both hypervisors, then run it again.",
        )


def _digests(way: Way, without: Collection[str]) -> Mapping[str, str]:
    """Of the copy, but for those called so; called as C(Way.told_as()) does."""
    found = dict(digest.digests(way.arrival, without))
    for arrival in way.arrivals[1:]:
        left = {os.path.basename(one) for one in without if os.path.dirname(one) == arrival}
        found.update({f"{arrival}/{name}": value for name, value in digest.digests(arrival, left).items()})
    return found


def _grow(migration: Migration, disk: DiskPlan) -> Effect:
    path = migration.staged(disk)

    def grow() -> None:
        if image.plan_growth(path, disk.format, disk.new_bytes):
            image.grow(path, disk.format, disk.new_bytes)

    return Effect(f"grow_{disk.target}", f"grow {disk.target} to {disk.new_bytes} bytes", grow)


def _place(parking: Parking, origin: str) -> Effect:
    return Effect(
        parking.effect("place"),
        f"rename {origin} to {parking.place}",
        lambda: directory.rename(origin, parking.place),
        undo={"kind": "rename", "from": parking.place, "to": origin},
    )


def _tidy(context: Context, way: Way) -> tuple[Effect, ...]:
    """The directories that single files came out of; last, so that the guest does not wait for it."""
    if way.migration.layout is Layout.DIRECTORY:
        return ()
    rooms = way.migration.parked_in if _is_parked(context, way) else way.arrivals
    return tuple(_remove_room(one, index) for index, one in enumerate(rooms) if os.path.isdir(one))


def _remove_room(path: str, index: int) -> Effect:
    return Effect(
        numbered("tidy", index),
        f"remove {path}, which is empty",
        lambda: directory.remove_room(path),
        undo={"kind": "make_room", "path": path},
    )


def _define(context: Context, migration: Migration) -> tuple[Effect, ...]:
    """The new definition on a destination, the old one on a source; nothing when it stands there already."""
    moving = context.phase is Phase.MOVE
    there = context.hypervisor.find(migration.uuid)
    if not moving and there is not None and definition_digest(there.xml(inactive=True)) == migration.definition_digest:
        return ()

    def define() -> None:
        name = record.NEW_DEFINITION if moving else record.OLD_DEFINITION
        context.hypervisor.define(record.definition(context.store, migration.id, name))

    undo = {"kind": "undefine", "uuid": migration.uuid} if there is None else None
    return (Effect("define", f"define {migration.name}", define, undo=undo),)


def _wait_running(context: Context, domain: Domain) -> float:
    """Seconds until it runs. From here on it may have written, so that no failure may look like a refused start."""
    try:
        return wait_running(domain, _RUNNING_S, context.monotonic, context.sleep)
    except MobilityError as error:
        if error.code != "LIBVIRT_FAILED":
            raise
        raise MobilityError(
            "GUEST_DID_NOT_START",
            domain.name,
            f"was started, and whether it runs could not be seen: {error.message}",
            "See its log in /var/log/libvirt/qemu on this hypervisor.",
        ) from None


def _run(context: Context, migration: Migration) -> tuple[Effect, ...]:
    def start() -> Mapping[str, Any]:
        domain = context.hypervisor.domain(migration.uuid)
        began = context.clock()
        if domain.is_off():
            domain.start()
        waited = _wait_running(context, domain)
        return {"start_requested_at": began, "running_at": context.clock(), "start_wait_s": round(waited, 3)}

    def autostart() -> None:
        context.hypervisor.domain(migration.uuid).set_autostart(True)

    effects = []
    undo: dict[str, Any]
    if migration.was_running:
        undo = {"kind": "destroy", "uuid": migration.uuid}
        effects.append(Effect(START, f"start {migration.name}", start, undo=undo))
    if migration.autostart:
        undo = {"kind": "autostart", "uuid": migration.uuid, "value": False}
        effects.append(Effect("autostart", f"switch autostart of {migration.name} on", autostart, undo=undo))
    return tuple(effects)
