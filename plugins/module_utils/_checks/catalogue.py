# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every check of a move, in the order an operator reads what they find.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ansible_collections.kvmops.mobility.plugins.module_utils._checks import (
    devices,
    disks,
    guest,
    host,
    placement,
    size,
    transfers,
    trust,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.codes import CODES, CodeDoc
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.context import Move
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.finding import Finding

__all__ = ["CHECKS", "CODES", "DESTINATION_CHECKS", "GUEST_CHECKS", "CodeDoc", "run"]

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


def run(move: Move, checks: Iterable[Check] = CHECKS) -> tuple[Finding, ...]:
    """What *checks* find about *move*, in their order. Nothing found means nothing is in the way."""
    return tuple(finding for check in checks for finding in check(move))
