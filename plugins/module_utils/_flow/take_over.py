# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Step take over: the guest becomes this hypervisor's, at its new size, and runs if it ran before.

In a revert it is the source that takes its own guest back.

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
from ansible_collections.kvmops.mobility.plugins.module_utils._flow import proof
from ansible_collections.kvmops.mobility.plugins.module_utils._flow.claim import sha256
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.power import wait_running
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import record
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import EntryFacts
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import START, Phase
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import (
    DiskPlan,
    Layout,
    Migration,
    Parking,
    Verify,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect, Plan, numbered

_RUNNING_S = 60
_ROOTS_OWN = {"uid": 0, "gid": 0, "mode": 0o711}
_RIDING = "definitions"
"""Where in the staging directory the two definitions arrive; a guest's directory has no sub-directories."""


def plan(context: Context) -> Plan:
    """The effects of a take-over on this hypervisor, in the phase's direction."""
    migration = context.record().migration
    bringing = _bring_back if context.phase is Phase.REVERT else _bring_in
    effects = [*bringing(context, migration), *_define(context, migration), *_run(context, migration)]
    effects += _tidy(context, migration)
    return Plan(
        tuple(effects),
        result={"directory": migration.directory},
        before={"defined": context.hypervisor.find(migration.uuid) is not None},
        after={"defined": True, "running": migration.was_running, "directory": migration.directory},
    )


def _bring_back(_context: Context, migration: Migration) -> tuple[Effect, ...]:
    """Source, revert: what was parked gets its name back, untouched since the guest went."""
    return tuple(_place(one, one.parked) for one in migration.parkings if not _is_placed(one.place, one.parked))


def _is_placed(place: str, origin: str) -> bool:
    return os.path.lexists(place) and not os.path.lexists(origin)


def _bring_in(context: Context, migration: Migration) -> tuple[Effect, ...]:
    """Destination: check, own, grow the staged copy; then give it its name."""
    arriving = [one for one in migration.parkings if not _is_placed(one.place, one.staged)]
    if not arriving:
        return ()
    for path in (*migration.staged_in, *(one.staged for one in arriving)):
        if not os.path.lexists(path):
            raise MobilityError(
                "PATH_LOST", path, "the staged copy is not there.", "See kvmops.mobility.status; undo is safe."
            )
    growing = tuple(_grow(migration, disk) for disk in _staged(migration) if disk.new_bytes > disk.old_bytes)
    return (
        *proof.plan(context, migration),
        Effect("own", "give the images their owner and mode", lambda: _own(context, migration)),
        Effect("definitions", "keep the definitions that came with the copy", lambda: _keep(context, migration)),
        Effect("check", "compare the copy with the source and check the images", lambda: _check(context, migration)),
        *growing,
        *(_place(one, one.staged) for one in arriving),
    )


def _staged(migration: Migration) -> tuple[DiskPlan, ...]:
    """The disks whose copy has not its name yet."""
    return tuple(disk for disk in migration.carried if not _is_placed(disk.path, migration.staged(disk)))


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
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise MobilityError("DEFINITION_LOST", str(path), f"cannot be read: {error}.", "Run the copy again.") from None


def _own(context: Context, migration: Migration) -> None:
    wanted = [EntryFacts.from_result(one) for one in context.params["entries"]]
    if migration.layout is Layout.DIRECTORY:
        own = context.params["directory_owner"] or _ROOTS_OWN
        directory.take_ownership(migration.staging, wanted, own["uid"], own["gid"], own["mode"])
        return
    staged = {disk.path: migration.staged(disk) for disk in migration.carried}
    for staging in migration.staged_in:
        mine = [one for one in wanted if os.path.dirname(staged.get(one.name, "")) == staging]
        named = [replace(one, name=os.path.basename(one.name)) for one in mine]
        directory.take_ownership(staging, named, 0, 0, 0o700)


def _check(context: Context, migration: Migration) -> Mapping[str, Any]:
    _compare(migration, context.params["digests"], whole=not context.params.get("mirrored"))
    contents = _compare_contents(migration, context.params["contents"], context.params["contents_here"])
    checked = {}
    for disk in _staged(migration):
        path = migration.staged(disk)
        found = image.inspect(path, disk.format)
        if found.virtual_bytes not in (disk.old_bytes, disk.new_bytes):
            raise MobilityError(
                "IMAGE_SIZE_DIFFERS",
                path,
                f"has {found.virtual_bytes} bytes, its source has {disk.old_bytes}.",
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
    migration: Migration, expected: Mapping[str, str], found: Mapping[str, str]
) -> Mapping[str, Mapping[str, str]]:
    """With verify=full each disk holds what the source's does. Raises MobilityError(COPY_DIFFERS)."""
    if migration.verify is not Verify.FULL:
        return {}
    targets = [disk.target for disk in migration.carried]
    _same(migration, targets, expected, found)
    return {"contents": {target: found[target] for target in targets}}


def _compare(migration: Migration, expected: Mapping[str, str] | None, *, whole: bool) -> None:
    """The staged files are what the source had, byte by byte: all that nothing else vouches for, or those that are
    expected.

    Raises MobilityError(COPY_DIFFERS).
    """
    if expected is None:
        return
    if whole:
        found = _digests(migration, migration.vouched_for - set(expected))
    else:
        found = {name: digest.digest(os.path.join(migration.staging, name)) for name in expected}
    _same(migration, {*expected, *found}, expected, found)


def _same(migration: Migration, names: Iterable[str], expected: Mapping[str, str], found: Mapping[str, str]) -> None:
    """What was not counted on either side counts as different."""
    differing = sorted(name for name in names if not expected.get(name) or expected.get(name) != found.get(name))
    if differing:
        raise MobilityError(
            "COPY_DIFFERS",
            migration.staging,
            f"these are not what the source has: {', '.join(differing)}.",
            "Nothing was started from them. Look at the storage of both hypervisors, then run it again.",
        )


def _digests(migration: Migration, without: Collection[str]) -> Mapping[str, str]:
    """Of what is staged, but for those called so; called as C(Migration.told_as()) does."""
    found = dict(digest.digests(migration.staging, without))
    for staging in migration.staged_in[1:]:
        left = {os.path.basename(one) for one in without if os.path.dirname(one) == staging}
        found.update({f"{staging}/{name}": value for name, value in digest.digests(staging, left).items()})
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


def _tidy(context: Context, migration: Migration) -> tuple[Effect, ...]:
    """The directories that single files came out of; last, so that the guest does not wait for it."""
    if migration.layout is Layout.DIRECTORY:
        return ()
    rooms = migration.parked_in if context.phase is Phase.REVERT else migration.staged_in
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


def _run(context: Context, migration: Migration) -> tuple[Effect, ...]:
    def start() -> Mapping[str, Any]:
        domain = context.hypervisor.domain(migration.uuid)
        began = context.clock()
        if domain.is_off():
            domain.start()
        waited = wait_running(domain, _RUNNING_S, context.monotonic, context.sleep)
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
