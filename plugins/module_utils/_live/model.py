# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is seen of a live migration while it goes on, and what can be done about it: plain frozen data.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from statistics import median
from typing import Any, Union


class Stage(enum.Enum):
    """How far it is."""

    PREPARING = "preparing"
    """Nothing is copied yet."""
    DISKS = "disks"
    """The disks are mirrored for the first time; the memory comes after them."""
    MEMORY = "memory"
    """Memory is copied while the guest runs here."""
    ENDING = "ending"
    """libvirt clears up after one that failed, was given up or is there; it may wait for a link that is silent."""
    POST_COPY = "post-copy"
    """The guest runs there, and fetches the memory that it has not: there is no way back."""
    POST_COPY_PAUSED = "post-copy-paused"
    """The link broke meanwhile: neither side has all of it, and both wait."""


@dataclass(frozen=True)
class Sample:
    """What libvirt says of the job at one moment."""

    elapsed_s: float
    """Since the migration was asked for."""
    stage: Stage
    iteration: int = 0
    """Rounds over the memory, the first included."""
    memory_total: int = 0
    """Bytes."""
    memory_remaining: int = 0
    """Bytes. What was processed may exceed the total, for pages that were written are sent again."""
    memory_bytes_s: int = 0
    dirty_bytes_s: int = 0
    """What the guest wrote, in the last round."""
    throttle_percent: int = 0
    """Of the guest's time, taken by auto-converge."""
    downtime_limit_ms: int = 0
    """QEMU's at this moment."""
    disk_total: int = 0
    disk_remaining: int = 0

    def as_result(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**asdict(self), "stage": self.stage.value}

    @classmethod
    def from_result(cls, data: Mapping[str, Any]) -> Sample:
        """The inverse of C(as_result())."""
        return cls(**{**data, "stage": Stage(data["stage"])})


@dataclass(frozen=True)
class Round:
    """One pass over what of the memory was not there, or was written since."""

    iteration: int
    began_s: float
    """When it was seen first, since the migration was asked for."""
    left_bytes: int
    """What it began with."""
    bytes_s: int
    """How fast memory goes, as it was known then."""

    @property
    def pause_s(self) -> float:
        """How long the guest would have stood still, had it been stopped for what was left then."""
        return self.left_bytes / self.bytes_s if self.bytes_s else float("inf")


@dataclass(frozen=True)
class History:
    """All that a decision may depend on. Without the clock: the last sample says how late it is."""

    gib: float
    """What is moved, see C(schedule.data_gib())."""
    samples: tuple[Sample, ...] = ()
    """The oldest first; only the last ones are kept."""
    rounds: tuple[Round, ...] = ()
    """Those of the memory, the first one with all of it left out; the oldest first, and only the last ones."""
    downtime_ms: int | None = None
    """The limit that was asked for last, whether libvirt took it or not."""
    asked_s: float = 0.0
    """When that was."""
    forced: bool = False
    """It was made to finish: by post-copy, or by pausing the guest."""
    post_copy: bool = False
    """It may be made to finish by it."""
    throttling: bool = False
    """The guest is slowed down, more and more, until it fits."""
    waiting: bool = False
    """It has but a trickle of the link, for another migration has its turn."""

    @property
    def now(self) -> Sample | None:
        """The last sample."""
        return self.samples[-1] if self.samples else None

    def with_sample(self, seen: Sample, *, waiting: bool = False) -> History:
        """What is known after one more look. What was seen of a trickle says nothing about the link."""
        if waiting:
            return replace(self, samples=(seen,), rounds=(), waiting=True)
        known = replace(self, samples=(*self.samples, seen)[-_SAMPLES:], waiting=False)
        return replace(known, rounds=_rounds(self, known, seen)[-_ROUNDS:])

    @property
    def bytes_s(self) -> int:
        """How fast memory goes: the median of what libvirt told of late, 0 when it told nothing."""
        told = [one.memory_bytes_s for one in self.samples[-_RATES:] if one.stage is Stage.MEMORY]
        return int(median([one for one in told if one] or [0]))


_SAMPLES = 240
_ROUNDS = 512
"""As many as the shortest ones of about a minute."""
_RATES = 20
"""QEMU tells its rate anew about once a second."""


def _rounds(before: History, known: History, seen: Sample) -> tuple[Round, ...]:
    """The rounds after *seen*. Its beginning falls between two looks: half of what goes meanwhile was left, too."""
    if seen.stage is not Stage.MEMORY or seen.iteration <= 1:
        return known.rounds
    rounds, last = known.rounds, known.rounds[-1] if known.rounds else None
    if last is not None and last.iteration == seen.iteration:
        if seen.memory_remaining <= last.left_bytes:
            return rounds
        return (*rounds[:-1], replace(last, left_bytes=seen.memory_remaining))
    earlier = before.now
    if earlier is None or earlier.iteration in (0, seen.iteration) or not known.bytes_s:
        return rounds  # its beginning was not seen, or it cannot be judged
    missed = known.bytes_s * (seen.elapsed_s - earlier.elapsed_s) / 2
    left = int(min(seen.memory_remaining + missed, seen.memory_total or seen.memory_remaining))
    return (*rounds, Round(seen.iteration, seen.elapsed_s, left, known.bytes_s))


@dataclass(frozen=True)
class SetDowntime:
    """Let libvirt stop the guest for so long, ms."""

    downtime_ms: int
    reason: str = field(default="", compare=False)
    """In words, where it is not the clock's."""


@dataclass(frozen=True)
class Abort:
    """Give it up: the guest goes on here."""

    reason: str


@dataclass(frozen=True)
class ForceComplete:
    """Make it finish: by post-copy where that is allowed, else by pausing the guest."""

    reason: str


Action = Union[SetDowntime, Abort, ForceComplete]
"""What a policy can ask for."""
