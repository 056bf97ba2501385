# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every check of a move, in the order an operator reads what they find.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ansible_collections.kvmops.mobility.plugins.module_utils._checks import (
    converging,
    devices,
    disks,
    guest,
    host,
    live,
    placement,
    size,
    transfers,
    trust,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.code import CodeDoc
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.codes import CODES
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.context import Move
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.finding import Finding

__all__ = [
    "CHECKS",
    "CODES",
    "DESTINATION_CHECKS",
    "GUEST_CHECKS",
    "LIVE_CHECKS",
    "LIVE_DESTINATION_CHECKS",
    "LIVE_GUEST_CHECKS",
    "Check",
    "CodeDoc",
    "run",
]

Check = Callable[[Move], Iterator[Finding]]

GUEST_CHECKS: tuple[Check, ...] = (
    *guest.CHECKS,
    *devices.CHECKS,
    *disks.CHECKS,
    *size.CHECKS,
    *placement.GUEST_CHECKS,
)
"""True or false of the guest wherever it goes."""

DESTINATION_CHECKS: tuple[Check, ...] = (
    *trust.CHECKS,
    *placement.CHECKS,
    *host.CHECKS,
    *transfers.CHECKS,
)
"""About one destination; each says nothing where it lacks the facts, and C(placement.known) says that they lack."""

CHECKS: tuple[Check, ...] = (*GUEST_CHECKS, *DESTINATION_CHECKS)

LIVE_GUEST_CHECKS: tuple[Check, ...] = (
    *live.GUEST_CHECKS,
    guest.transient,
    guest.live_definition,
    guest.managed_save,
    guest.snapshots,
    guest.checkpoints,
    guest.block_jobs,
    guest.manager,
    *devices.CHECKS,
    disks.plain_files,
    disks.readable,
    disks.startup_policy,
    disks.formats,
    disks.has_images,
    size.pins,
    size.hugepages,
)
"""As C(GUEST_CHECKS), of a live migration: nothing is stopped, fenced or resized in it."""

LIVE_DESTINATION_CHECKS: tuple[Check, ...] = (
    *trust.CHECKS,
    placement.known,
    placement.not_source,
    placement.capacity,
    placement.memory_now,
    placement.identity,
    placement.groups,
    *host.CHECKS,
    *live.CHECKS,
    *converging.CHECKS,
)
"""As C(DESTINATION_CHECKS); which disks are copied depends on the destination, so what is asked of them is here."""

LIVE_CHECKS: tuple[Check, ...] = (*LIVE_GUEST_CHECKS, *LIVE_DESTINATION_CHECKS)


def run(move: Move, checks: Iterable[Check] = CHECKS) -> tuple[Finding, ...]:
    """What *checks* find about *move*, in their order. Nothing found means nothing is in the way."""
    return tuple(finding for check in checks for finding in check(move))
