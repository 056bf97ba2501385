# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Step arrive: the destination of a live migration sees that the guest is its own, and gives it what libvirt does not.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._checks.finding import Finding, Severity
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError, Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._flow.prepare import live
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.domain import Domain, Pause
from ansible_collections.kvmops.mobility.plugins.module_utils._live import definitions
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Migration
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect, Plan

_ARRIVED_S = 30
"""libvirt lets the guest run here a moment after its last byte."""
_POLL_S = 0.2


def plan(context: Context) -> Plan:
    """Nothing is changed before the guest is seen here."""
    migration = context.record().migration
    domain = _arrived(context, migration)
    effects = [*_persistence(context, domain), *_autostart(domain, migration)]
    if not live(migration).was_paused:
        effects.append(
            Effect("clock", "set the guest's clock, where an agent answers", lambda: _clock(context, domain))
        )
    if live(migration).announce:
        effects.append(Effect("announce", f"announce {domain.name} once more", lambda: _announce(context, domain)))
    seen = Effect("seen", "see that its definition is the planned one", lambda: _definition(context, migration))
    return Plan(
        (*effects, seen),
        result={"arrived": True, "guest_state": domain.state(), "statistics": _statistics(context, migration)},
    )


def _statistics(context: Context, migration: Migration) -> Mapping[str, Any]:
    """libvirt's figures of the whole migration: the source forgets them with the domain."""
    job = context.hypervisor.job(migration.uuid)
    return job.last() if job is not None else {}


def _arrived(context: Context, migration: Migration) -> Domain:
    """The guest, which runs here, or is paused as it was. Raises Refused: LIVE_NOT_ARRIVED, LIVE_LINK_BROKEN."""
    began = context.monotonic()
    while True:
        domain = context.hypervisor.find(migration.uuid)
        if domain is None or domain.is_off():
            state = "off" if domain is not None else "not defined"
            raise _not_here(migration, f"is {state} on the destination.")
        paused = domain.pause()
        if paused is Pause.POST_COPY_BROKEN:
            raise Refused(
                "LIVE_LINK_BROKEN",
                migration.name,
                "waits here for memory that is on the source: the link broke in post-copy.",
                "Run kvmops.mobility.recover; until then start, resume and destroy it on neither side.",
            )
        if paused is None or (live(migration).was_paused and paused is not Pause.MIGRATION):
            return domain
        if context.monotonic() - began >= _ARRIVED_S:
            raise _not_here(migration, f"is paused on the destination ({paused.value}), where it was to run.")
        context.sleep(_POLL_S)


def _not_here(migration: Migration, state: str) -> Refused:
    return Refused(
        "LIVE_NOT_ARRIVED",
        migration.name,
        state,
        f"See whether it runs on {migration.source}; kvmops.mobility.recover sees to the rest.",
    )


def _persistence(context: Context, domain: Domain) -> tuple[Effect, ...]:
    """libvirt stores the definition by itself; a power cycle without it would be the guest's end here."""
    if domain.is_persistent():
        return ()

    def define() -> None:
        context.hypervisor.define(domain.xml(inactive=True, secure=True))

    return (Effect("define", f"store the definition of {domain.name}", define),)


def _autostart(domain: Domain, migration: Migration) -> tuple[Effect, ...]:
    """libvirt does not carry it. By now it may be that the definition is stored only by the effect before this one."""
    if domain.is_persistent() and domain.autostart() is migration.autostart:
        return ()
    if not migration.autostart and not domain.is_persistent():
        return ()
    words = f"switch autostart of {domain.name} {'on' if migration.autostart else 'off'}"
    return (Effect("autostart", words, lambda: domain.set_autostart(migration.autostart)),)


def _clock(context: Context, domain: Domain) -> Mapping[str, Any]:
    """What the guest missed while it was stopped is not much; a guest that was paused to make it finish missed more."""
    try:
        domain.set_time(int(context.clock()))
    except MobilityError:
        return {"clock_set": False}
    return {"clock_set": True}


def _announce(context: Context, domain: Domain) -> Mapping[str, Any]:
    try:
        domain.announce()
    except MobilityError as error:
        remedy = "Switches learn its place with its next packet."
        context.warn(Finding("LIVE_NOT_ANNOUNCED", domain.name, error.message, remedy, Severity.WARN).line())
        return {"announced": False}
    return {"announced": True}


def _definition(context: Context, migration: Migration) -> Mapping[str, Any]:
    """It is there either way, so that another libvirt's way of writing it is told, and no failure."""
    there = context.hypervisor.domain(migration.uuid).xml(inactive=True)
    same = definitions.is_as_planned(there, live(migration).listen, migration.definition_digest)
    if not same:
        message = f"its stored definition on {migration.destination} is not written as it was on {migration.source}."
        remedy = "Compare both (virsh dumpxml --inactive): another version of libvirt adds what it knows more."
        context.warn(Finding("LIVE_DEFINITION_DIFFERS", migration.name, message, remedy, Severity.WARN).line())
    return {"definition_matches": same}
