# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest's memory on its way: QEMU's pre-copy block by block, and what a guest writes meanwhile.

It stands in for the job of a monitor. As in QEMU, what was written is looked up when what is left fits into the
downtime limit, that ends a round, and the guest is stopped when what is left then still fits. Time is simulated.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._live.model import Sample, Stage

MIB = 2**20
BLOCK = MIB // 4
STEP_S = 0.01
_PER_MIB = MIB // BLOCK
_THROTTLE_INITIAL, _THROTTLE_MORE, _THROTTLE_MOST = 20, 10, 99
_DEFAULT_LIMIT_MS = 300


@dataclass(frozen=True)
class Writes:
    """A part of memory that is written from its begin to its end, again and again."""

    first_mib: float
    mib: float
    mib_s: float
    """How fast; several times its size is a set that is always hot."""


@dataclass(frozen=True)
class Phase:
    """What a guest does for so many seconds of its own time; phases follow each other in a circle."""

    seconds: float
    writes: tuple[Writes, ...] = ()


def hot(mib: float, mib_s: float, first_mib: float = 0) -> Writes:
    """A set that is written many times a second, or as fast as it is told."""
    return Writes(first_mib, mib, mib_s)


def always(*writes: Writes) -> tuple[Phase, ...]:
    """A guest that does the same all the time."""
    return (Phase(3600.0, writes),)


class Guest:
    """What it has written in a piece of its own time."""

    def __init__(self, phases: Sequence[Phase]) -> None:
        self._phases = phases
        self._time_s = 0.0
        self._at: dict[Writes, float] = {}

    def run(self, seconds: float) -> Iterator[int]:
        """The blocks that are written in its next *seconds*."""
        for one in self._phase().writes:
            count = max(1, int(one.mib * _PER_MIB))
            begin = self._at.get(one, 0.0)
            end = begin + one.mib_s * _PER_MIB * seconds
            self._at[one] = end % count
            first = int(one.first_mib * _PER_MIB)
            for position in range(int(begin), min(int(end), int(begin) + count)):
                yield first + position % count
        self._time_s += seconds

    def _phase(self) -> Phase:
        at = self._time_s % sum(one.seconds for one in self._phases)
        for one in self._phases:
            if at < one.seconds:
                return one
            at -= one.seconds
        return self._phases[-1]


class Precopy:
    """The job. *link_mib_s* is what memory goes at, *throttled* that QEMU may slow the guest down."""

    def __init__(
        self,
        phases: Sequence[Phase],
        *,
        memory_mib: int = 1024,
        link_mib_s: float = 117.0,
        throttled: bool = False,
        throttle_initial: int = _THROTTLE_INITIAL,
    ) -> None:
        self.guest = Guest(phases)
        self.memory_bytes = memory_mib * MIB
        self.link_bytes_s = link_mib_s * MIB
        self.limits: list[int] = []
        self.ended_s: float | None = None
        self.pause_s: float | None = None
        """None when it did not arrive by being stopped here."""
        self.given_up = self.post_copied = self.paused = False
        self.throttle = 0
        self._throttled, self._initial, self._heavy = throttled, throttle_initial, 0
        self._limit_ms = _DEFAULT_LIMIT_MS
        self._left = set(range(memory_mib * _PER_MIB))
        self._order = sorted(self._left, reverse=True)
        self._position = -1
        self._written: set[int] = set()
        self._credit = 0.0
        self._iteration = 1
        self._now_s = 0.0
        self._round_s = 0.0
        self._sent = 0
        self._dirty_bytes_s = 0

    @property
    def arrived(self) -> bool:
        """The guest runs there."""
        return self.ended_s is not None and not self.given_up

    def look(self, elapsed_s: float) -> Sample | None:
        """As C(_libvirt/job.py) tells it."""
        while self.ended_s is None and self._now_s < elapsed_s:
            self._step()
        if self.ended_s is not None:
            return None
        return Sample(
            elapsed_s,
            Stage.MEMORY,
            iteration=self._iteration,
            memory_total=self.memory_bytes,
            memory_remaining=self._left_bytes,
            memory_bytes_s=int(self.link_bytes_s),
            dirty_bytes_s=self._dirty_bytes_s,
            throttle_percent=self.throttle,
            downtime_limit_ms=self._limit_ms,
        )

    @property
    def _left_bytes(self) -> int:
        return len(self._left) * BLOCK

    def _step(self) -> None:
        self._now_s += STEP_S
        if not self.paused:
            self._written.update(self.guest.run(STEP_S * (1 - self.throttle / 100)))
        self._credit += self.link_bytes_s * STEP_S
        while self._credit >= BLOCK and self._order:
            self._position = self._order.pop()
            self._left.discard(self._position)
            self._credit -= BLOCK
            self._sent += BLOCK
        if self._left_bytes <= self.link_bytes_s * self._limit_ms / 1000:
            self._end_round()

    def _end_round(self) -> None:
        took_s = self._now_s - self._round_s
        written = len(self._written) * BLOCK
        self._dirty_bytes_s = int(written / took_s) if took_s else 0
        self._slow_down(written)
        self._left |= self._written
        self._written = set()
        ordered = sorted(self._left)  # it goes on where it was, round and round
        at = bisect_right(ordered, self._position)
        self._order = [*ordered[at:], *ordered[:at]][::-1]
        self._iteration += 1
        self._round_s, self._sent = self._now_s, 0
        if self._left_bytes <= self.link_bytes_s * self._limit_ms / 1000:
            self.pause_s = self._left_bytes / self.link_bytes_s
            self.ended_s = self._now_s + self.pause_s

    def _slow_down(self, written: int) -> None:
        """QEMU's auto-converge: twice more than half of what was sent was written meanwhile."""
        self._heavy = self._heavy + 1 if self._throttled and written > self._sent / 2 else 0
        if self._heavy >= 2:
            self._heavy = 0
            self.throttle = min(_THROTTLE_MOST, self.throttle + _THROTTLE_MORE if self.throttle else self._initial)

    def last(self) -> Mapping[str, Any]:
        """libvirt's figures."""
        return {}

    def set_downtime(self, downtime_ms: int) -> None:
        """The limit from now on."""
        self.limits.append(downtime_ms)
        self._limit_ms = downtime_ms

    def set_bandwidth(self, mib_s: int) -> None:
        """What memory may take; 0: all that the link carries."""
        self.link_bytes_s = float(mib_s * MIB or self.link_bytes_s)

    def abort(self) -> None:
        """It is given up."""
        self.given_up, self.ended_s = True, self._now_s

    def start_post_copy(self) -> None:
        """The guest is there at once."""
        self.post_copied, self.ended_s, self.pause_s = True, self._now_s + self._left_bytes / self.link_bytes_s, 0.0

    def pause(self) -> None:
        """The guest writes no more."""
        self.paused = True
