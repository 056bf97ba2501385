# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the guest as a whole: its state, and what is attached to its life cycle.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.kvmops.mobility.plugins.module_utils._checks.codes import found
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.context import Move
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.finding import Finding

MOVABLE_STATES = ("running", "blocked", "shut off")
"""Xen says blocked of a running guest that waits; the other states are neither on nor off."""
BOOT_S = 20
"""A guest that began less than this many seconds ago may still be booting and not hear a shutdown request."""


def state(move: Move) -> Iterator[Finding]:
    """A guest must be on or off; what is between cannot be stopped gracefully nor taken for stopped."""
    if move.guest.state not in MOVABLE_STATES:
        message = f"the guest is {move.guest.state} on {move.source}; it must be running or shut off."
        yield found("WRONG_STATE", move.name, message)


def uptime(move: Move) -> Iterator[Finding]:
    """A booting guest ignores the shutdown request, which then costs the whole stop timeout."""
    if move.guest.uptime_s is not None and move.guest.uptime_s < BOOT_S:
        message = f"the guest was started {move.guest.uptime_s} s ago and may not hear a shutdown request yet."
        yield found("JUST_STARTED", move.name, message)


def transient(move: Move) -> Iterator[Finding]:
    """A transient domain vanishes with its definition when it stops."""
    if not move.guest.persistent:
        message = f"the domain is transient on {move.source}: it would vanish when it stops."
        yield found("TRANSIENT_DOMAIN", move.name, message)


def live_definition(move: Move) -> Iterator[Finding]:
    """The stored definition is what moves; a guest that runs with another would come back changed."""
    if move.guest.live_differs:
        message = f"the running definition differs from the stored one: {move.guest.live_differs}."
        yield found("LIVE_DIFFERS", move.name, message)


def managed_save(move: Move) -> Iterator[Finding]:
    """A managed save image holds the guest's memory and fits neither another size nor another place."""
    if move.guest.managed_save:
        yield found("MANAGED_SAVE", move.name, f"the guest has a managed save image on {move.source}.")


def snapshots(move: Move) -> Iterator[Finding]:
    """Snapshot metadata lives in libvirt of the source and is not carried yet."""
    if move.guest.snapshots:
        yield found(
            "SNAPSHOTS_UNSUPPORTED", move.name, f"the guest has {move.guest.snapshots} snapshot(s), 0 are allowed."
        )


def checkpoints(move: Move) -> Iterator[Finding]:
    """Checkpoint metadata lives in libvirt of the source and is not carried yet."""
    if move.guest.checkpoints:
        message = f"the guest has {move.guest.checkpoints} checkpoint(s), 0 are allowed."
        yield found("CHECKPOINTS_UNSUPPORTED", move.name, message)


def block_jobs(move: Move) -> Iterator[Finding]:
    """A block job changes which file a disk is in, or is somebody's backup."""
    if move.guest.block_jobs:
        message = f"a block job is active on disk(s) {', '.join(move.guest.block_jobs)}."
        yield found("BLOCK_JOB_ACTIVE", move.name, message)


def on_poweroff(move: Move) -> Iterator[Finding]:
    """With restart or preserve, the guest would not stay off when it is asked to stop."""
    action = move.definition.on_poweroff
    if action != "destroy":
        yield found("ON_POWEROFF_UNSUPPORTED", move.name, f"on_poweroff is '{action}', only 'destroy' is allowed.")


def manager(move: Move) -> Iterator[Finding]:
    """A manager that is not told would start the guest again, or delete what it no longer knows."""
    who = move.definition.managed_by
    if who and move.request.allow_managed:
        yield found(
            "MANAGED_ALLOWED", move.name, f"the guest is managed by {who}, which will not know that it changed."
        )
    elif who:
        yield found("MANAGED_ELSEWHERE", move.name, f"the guest carries metadata of {who}, which manages it.")


CHECKS = (
    state,
    uptime,
    transient,
    live_definition,
    managed_save,
    snapshots,
    checkpoints,
    block_jobs,
    on_poweroff,
    manager,
)
