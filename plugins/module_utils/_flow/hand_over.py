# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Step hand over: the guest stops here for good, and cannot be started here again until somebody takes it back.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._disk import directory
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError, Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._flow import mirror
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.domain import Domain
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.power import OnTimeout, Stopper, StopPolicy
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.watch import Watch, watching
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import journal
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Event, Phase, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Migration, Stop
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect, Plan
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer import tunnel
from ansible_collections.kvmops.mobility.plugins.module_utils._unit import transient


def plan(context: Context) -> Plan:
    """Autostart off, stop, fence. What is done already is not done again.

    The fence is the rename of the guest's directory: a start then fails, whoever tries (Nova relies on the same).
    """
    migration = context.record().migration
    parked = migration.parked if context.phase is Phase.MOVE else migration.reverted
    if context.hypervisor.find(migration.uuid) is None and _handed_over(context):
        # A revert that goes on where its last step, which undefines the guest here, was interrupted.
        return Plan(result={"parked": parked})
    domain = context.hypervisor.domain(migration.uuid)
    mirrored = bool(context.params.get("mirrored")) and not domain.is_off()
    if mirrored:
        _check_mirror(domain, migration)
    effects = [*_autostart_off(domain), *_stop(context, domain, migration, mirrored)]
    result: dict[str, Any] = {"parked": parked, "mirrored": False}
    if os.path.isdir(parked) and not os.path.lexists(migration.directory):
        result.update(_inventory(parked))
    else:
        effects.append(_fence(context, domain, migration, parked))
    if context.params.get("mirrored"):
        effects.append(_carry(context, migration, parked))
    return Plan(
        tuple(effects),
        result=result,
        before={"state": domain.state(), "directory": migration.directory},
        after={"state": "shut off", "directory": parked},
    )


def _handed_over(context: Context) -> bool:
    wanted = (context.phase, Step.HAND_OVER, Event.END, "")
    entries = journal.read(context.store, context.params["migration"])
    return any((e.phase, e.step, e.event, e.effect) == wanted for e in entries)


def _autostart_off(domain: Domain) -> tuple[Effect, ...]:
    if not domain.autostart():
        return ()
    return (
        Effect(
            "autostart_off",
            f"switch autostart of {domain.name} off",
            lambda: domain.set_autostart(False),
            undo={"kind": "autostart", "uuid": domain.uuid, "value": True},
        ),
    )


def policy(stop: Stop, phase: Phase) -> StopPolicy:
    """How the guest is stopped. A revert throws its data away, so there the plug may be pulled in the end."""
    on_timeout = OnTimeout(stop.on_timeout) if phase is Phase.MOVE else OnTimeout.FORCE
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


def _stop(context: Context, domain: Domain, migration: Migration, mirrored: bool) -> tuple[Effect, ...]:
    if domain.is_off():
        return ()
    stopping = policy(migration.stop, context.phase)

    def stop() -> Mapping[str, Any]:
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
        }

    return (Effect("stop", f"shut {domain.name} down", stop, undo={"kind": "start", "uuid": domain.uuid}),)


def _fence(context: Context, domain: Domain, migration: Migration, parked: str) -> Effect:
    paths = [disk.path for disk in migration.disks]

    def fence() -> Mapping[str, Any]:
        _wait_released(context, domain, lambda: directory.holders(paths))
        directory.rename(migration.directory, parked)
        return {"fenced_at": context.clock(), **_inventory(parked)}

    return Effect(
        "fence",
        f"rename {migration.directory} to {parked}",
        fence,
        undo={"kind": "rename", "from": parked, "to": migration.directory},
    )


def _carry(context: Context, migration: Migration, parked: str) -> Effect:
    """What the guest's console or its neighbours wrote beside its disks, through the tunnel that is still open.

    When that fails the disks are copied as if they had never been mirrored: the guest is off, and it is too late to
    give up for a log file.
    """

    def carry() -> Mapping[str, Any]:
        made: dict[str, Any] = {}
        try:
            if _was_mirrored(context):
                made = mirror.carry(context, migration, parked, context.params["files"])
        except MobilityError as error:
            context.warn(str(error))
            made = {"mirrored": False}
        transient.stop_soon(tunnel.unit_name(migration.id))
        tunnel.forget_control(str(context.store.migration(migration.id)))
        return made

    return Effect("carry", "send what else changed, and close the tunnel", carry)


def _was_mirrored(context: Context) -> bool:
    """What the effect stop of this call wrote into the journal."""
    entries = journal.read(context.store, context.params["migration"])
    wanted = (context.phase, Step.HAND_OVER, Event.END, "stop")
    stops = [e for e in entries if (e.phase, e.step, e.event, e.effect) == wanted]
    return bool(stops) and bool(stops[-1].result.get("mirrored"))


def _inventory(parked: str) -> Mapping[str, Any]:
    """Owner and mode of what was parked, for the other side to give to its copy; read when the guest is off,
    because libvirt changes them while it runs."""
    return {
        "entries": [asdict(one) for one in directory.entries(parked)],
        "directory_owner": directory.owner(parked),
    }


def _wait_released(context: Context, domain: Domain, holders: Callable[[], tuple[str, ...]]) -> None:
    """Off is libvirt's word and that no process has a disk open; a backup may still read it."""
    Stopper(domain, context.monotonic, context.sleep).wait_released(holders)
