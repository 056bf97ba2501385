# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is seen of a live migration while it goes on, and what can be done about it: plain frozen data.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import asdict, dataclass
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
class History:
    """All that a decision may depend on. Without the clock: the last sample says how late it is."""

    gib: float
    """What is moved, see C(schedule.data_gib())."""
    samples: tuple[Sample, ...] = ()
    """The oldest first; only the last ones are kept."""
    downtime_ms: int | None = None
    """The limit that was asked for last, whether libvirt took it or not."""
    forced: bool = False
    """It was made to finish: by post-copy, or by pausing the guest."""
    waiting: bool = False
    """Another one that leaves this hypervisor has the link, and this one sends a trickle, whatever the link carries."""

    @property
    def now(self) -> Sample | None:
        """The last sample."""
        return self.samples[-1] if self.samples else None


@dataclass(frozen=True)
class SetDowntime:
    """Let libvirt stop the guest for so long, ms."""

    downtime_ms: int


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
