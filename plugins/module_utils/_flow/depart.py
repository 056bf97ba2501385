# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Step depart: the source of a live migration gives up what is left of the guest, once it was seen on the other side.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import os

from ansible_collections.kvmops.mobility.plugins.module_utils._disk import directory
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._flow import stored
from ansible_collections.kvmops.mobility.plugins.module_utils._flow.live import here, unit_name
from ansible_collections.kvmops.mobility.plugins.module_utils._flow.prepare import copied, remove_file, users
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import DiskPlan, Layout, Migration
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect, Plan
from ansible_collections.kvmops.mobility.plugins.module_utils._unit import transient


def plan(context: Context) -> Plan:
    """Only what libvirt has copied is removed; backing files and what else is there stay, and are named."""
    migration = context.record().migration
    wanted = copied(migration)
    if not context.params["arrived"]:
        raise Refused(
            "LIVE_NOT_ARRIVED",
            migration.name,
            f"was not seen on {migration.destination}, so that nothing of it is removed here.",
            "Run kvmops.mobility.recover.",
        )
    leftover = _leftover(context, migration)
    there = [disk for disk in wanted if os.path.lexists(disk.path)]
    for disk in there:
        _check_unused(context, migration, disk)
    settle = Effect("settle", f"make sure that the definition of {migration.name} does not come back", stored.settle)
    effects = [*leftover, settle, *(_remove(disk) for disk in there), *_tidy(migration, wanted)]
    effects.append(Effect("unit", "forget its unit", lambda: _forget(migration)))
    return Plan(
        tuple(effects),
        result={"removed": [disk.path for disk in there], "kept": _kept(migration, wanted)},
        before={"disks": [disk.path for disk in there]},
        after={"disks": []},
    )


def _leftover(context: Context, migration: Migration) -> tuple[Effect, ...]:
    """libvirt undefines the guest here by itself; where it was killed before, it is off and defined.

    Raises Refused(GUEST_RUNS_HERE) when it has a process here.
    """
    now = here(context)
    if not now.defined:
        return ()
    if now.active:
        raise Refused(
            "GUEST_RUNS_HERE",
            migration.name,
            f"is {now.state} on the hypervisor that it has left.",
            "Stop here and look at both hypervisors: the guest must run on one only.",
        )

    def undefine() -> None:
        domain = context.hypervisor.find(migration.uuid)
        if domain is not None:
            domain.undefine(keep_nvram=True, keep_tpm=True, remove_managed_save=True, remove_metadata=True)

    return (Effect("undefine", f"undefine {migration.name} here", undefine),)


def _check_unused(context: Context, migration: Migration, disk: DiskPlan) -> None:
    """Raises Refused(DISK_IN_USE): whoever has it open or defined does not know that it moved."""
    holders = (*users(context, disk.path, migration.uuid), *directory.holders([disk.path]))
    if holders:
        raise Refused(
            "DISK_IN_USE",
            disk.path,
            f"is used by {', '.join(holders)}, though {migration.name} has left with its contents.",
            "Look who that is; nothing was removed.",
        )


def _remove(disk: DiskPlan) -> Effect:
    return Effect(f"remove_{disk.target}", f"remove {disk.path}", lambda: remove_file(disk.path))


def _tidy(migration: Migration, wanted: tuple[DiskPlan, ...]) -> tuple[Effect, ...]:
    """The guest's own directory, when nothing else is in it."""
    own = migration.directory
    if migration.layout is not Layout.DIRECTORY or not wanted or not os.path.isdir(own):
        return ()
    gone = {disk.path for disk in wanted}
    if any(os.path.join(own, name) not in gone for name in os.listdir(own)):
        return ()
    return (Effect("tidy", f"remove {own}, which is empty", lambda: directory.remove_room(own)),)


def _kept(migration: Migration, wanted: tuple[DiskPlan, ...]) -> list[str]:
    """What is left in the guest's own directory, and the images that its disks were based on."""
    gone = {disk.path for disk in wanted}
    own = migration.directory if migration.layout is Layout.DIRECTORY and wanted else ""
    inside = {os.path.join(own, name) for name in os.listdir(own)} if own and os.path.isdir(own) else set()
    below = {link.path for disk in wanted for link in disk.backing if os.path.lexists(link.path)}
    return sorted((inside | below) - gone)


def _forget(migration: Migration) -> None:
    transient.forget(unit_name(migration.id))
