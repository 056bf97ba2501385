# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When the downtime limit of a live migration rises, and when its time is up: Nova's arithmetic. Pure.

Nova's libvirt driver, migration.py: downtime_steps, update_downtime, should_trigger_timeout_action.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_LEAST_GIB = 2.0
"""Memory and each disk count for as much at least."""


@dataclass(frozen=True)
class DowntimeStep:
    """From a moment on, libvirt may stop the guest for so long."""

    after_s: int
    """Seconds since the migration began; it counts once more than these have passed."""
    downtime_ms: int


def data_gib(memory_mib: int, disks_bytes: Iterable[int]) -> float:
    """How much is to be moved, GiB: the guest's memory, and each disk that is copied.

    Nova's C(_live_migration_data_gb): it is what every delay and timeout is scaled with.
    """
    memory = max(_LEAST_GIB, memory_mib / 1024)
    return memory + sum(max(_LEAST_GIB, one / 2**30) for one in disks_bytes)


def downtime_steps(downtime_ms: int, steps: int, delay_s_per_gib: float, gib: float) -> tuple[DowntimeStep, ...]:
    """Nova's schedule: C(steps) + 1 limits that rise in a line from a C(steps)-th of *downtime_ms* to all of it.

    In whole numbers. Nova adds up fractions and cuts them off, so that for some values its last limit is 1 ms below
    what was asked for (100 ms in 22 steps: 99).
    """
    delay = int(delay_s_per_gib * gib)
    first, last = downtime_ms * steps, downtime_ms * (steps - 1)
    return tuple(DowntimeStep(delay * i, (first + last * i) // steps**2) for i in range(steps + 1))


def downtime_at(elapsed_s: float, schedule: Sequence[DowntimeStep]) -> int | None:
    """The limit that counts *elapsed_s* after the begin, ms; None before the first. Nova's C(update_downtime)."""
    due = [one.downtime_ms for one in schedule if elapsed_s > one.after_s]
    return due[-1] if due else None


def timeout_s(seconds_per_gib: int, gib: float) -> int:
    """When a migration is given up or forced, seconds after its begin; 0: never."""
    return int(seconds_per_gib * gib)
