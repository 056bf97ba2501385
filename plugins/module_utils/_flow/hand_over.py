# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Step hand over: the guest stops here for good, and cannot be started here again until somebody takes it back.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._disk import directory
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.domain import Domain
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.power import OnTimeout, Stopper, StopPolicy
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import journal
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Event, Phase, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Migration, Stop
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect, Plan


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
    effects = [*_autostart_off(domain), *_stop(context, domain, migration)]
    result: dict[str, Any] = {"parked": parked}
    if os.path.isdir(parked) and not os.path.lexists(migration.directory):
        result.update(_inventory(parked))
    else:
        effects.append(_fence(context, domain, migration, parked))
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


def _stop(context: Context, domain: Domain, migration: Migration) -> tuple[Effect, ...]:
    if domain.is_off():
        return ()
    stopping = policy(migration.stop, context.phase)

    def stop() -> Mapping[str, Any]:
        began = context.clock()
        stopped = Stopper(domain, context.monotonic, context.sleep).stop(stopping)
        return {
            "stop_requested_at": began,
            "off_at": context.clock(),
            "stop_forced": stopped.forced,
            "stop_requests": stopped.requests,
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
