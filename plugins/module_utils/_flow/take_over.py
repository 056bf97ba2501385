# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Step take over: the guest becomes this hypervisor's, at its new size, and runs if it ran before.

In a revert it is the source that takes its own guest back.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._disk import digest, directory, image
from ansible_collections.kvmops.mobility.plugins.module_utils._domain.edit import digest as definition_digest
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError, Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._flow.claim import sha256
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.power import wait_running
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import record
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import EntryFacts
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import START, Phase
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import DiskPlan, Migration, Verify
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect, Plan

_RUNNING_S = 60
_ROOTS_OWN = {"uid": 0, "gid": 0, "mode": 0o711}
_RIDING = "definitions"
"""Where in the staging directory the two definitions arrive; a guest's directory has no sub-directories."""


def plan(context: Context) -> Plan:
    """The effects of a take-over on this hypervisor, in the phase's direction."""
    migration = context.record().migration
    bringing = _bring_back if context.phase is Phase.REVERT else _bring_in
    effects = [*bringing(context, migration), *_define(context, migration), *_run(context, migration)]
    return Plan(
        tuple(effects),
        result={"directory": migration.directory},
        before={"defined": context.hypervisor.find(migration.uuid) is not None},
        after={"defined": True, "running": migration.was_running, "directory": migration.directory},
    )


def _bring_back(_context: Context, migration: Migration) -> tuple[Effect, ...]:
    """Source, revert: the parked directory gets its name back, untouched since the guest went."""
    if os.path.isdir(migration.directory) and not os.path.lexists(migration.parked):
        return ()
    return (_place(migration.parked, migration.directory),)


def _bring_in(context: Context, migration: Migration) -> tuple[Effect, ...]:
    """Destination: check, own, grow the staged copy; then give it its name."""
    if os.path.isdir(migration.directory) and not os.path.lexists(migration.staging):
        return ()
    if not os.path.isdir(migration.staging):
        raise MobilityError(
            "PATH_LOST", migration.staging, "the staged copy is not there.", "See kvmops.mobility.status; undo is safe."
        )
    growing = tuple(_grow(migration, disk) for disk in migration.disks if disk.new_bytes > disk.old_bytes)
    return (
        Effect("own", "give the images their owner and mode", lambda: _own(context, migration)),
        Effect("definitions", "keep the definitions that came with the copy", lambda: _keep(context, migration)),
        Effect("check", "compare the copy with the source and check the images", lambda: _check(context, migration)),
        *growing,
        _place(migration.staging, migration.directory),
    )


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
    own = context.params["directory_owner"] or _ROOTS_OWN
    directory.take_ownership(migration.staging, wanted, own["uid"], own["gid"], own["mode"])


def _staged(migration: Migration, disk: DiskPlan) -> str:
    return str(Path(migration.staging) / Path(disk.path).name)


def _check(context: Context, migration: Migration) -> Mapping[str, Any]:
    _compare(migration, context.params["digests"])
    contents = _compare_contents(migration, context.params["contents"], context.params["contents_here"])
    checked = {}
    for disk in migration.disks:
        path = _staged(migration, disk)
        found = image.inspect(path, disk.format)
        if found.virtual_bytes not in (disk.old_bytes, disk.new_bytes):
            raise MobilityError(
                "IMAGE_SIZE_DIFFERS",
                path,
                f"has {found.virtual_bytes} bytes, its source has {disk.old_bytes}.",
                "The copy is not complete; nothing was started from it.",
            )
        checked[disk.target] = image.check(path, disk.format)
    return {"image_checks": checked, **contents}


def _compare_contents(
    migration: Migration, expected: Mapping[str, str], found: Mapping[str, str]
) -> Mapping[str, Mapping[str, str]]:
    """With verify=full each disk holds what the source's does. Raises MobilityError(COPY_DIFFERS)."""
    if migration.verify is not Verify.FULL:
        return {}
    targets = [disk.target for disk in migration.disks]
    _same(migration, targets, expected, found)
    return {"contents": {target: found[target] for target in targets}}


def _compare(migration: Migration, expected: Mapping[str, str] | None) -> None:
    """The staged files are what the source had, byte by byte. Raises MobilityError(COPY_DIFFERS)."""
    if expected is not None:
        found = digest.digests(migration.staging, migration.vouched_for - set(expected))
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


def _grow(migration: Migration, disk: DiskPlan) -> Effect:
    path = _staged(migration, disk)

    def grow() -> None:
        if image.plan_growth(path, disk.format, disk.new_bytes):
            image.grow(path, disk.format, disk.new_bytes)

    return Effect(f"grow_{disk.target}", f"grow {disk.target} to {disk.new_bytes} bytes", grow)


def _place(origin: str, target: str) -> Effect:
    return Effect(
        "place",
        f"rename {origin} to {target}",
        lambda: directory.rename(origin, target),
        undo={"kind": "rename", "from": target, "to": origin},
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
