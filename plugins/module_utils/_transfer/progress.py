# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a mirror will ever be ready. Pure.

With synchronous writes the guest's own writes take their part of the link first, and only the rest of it brings the
copy forward: a guest that writes as fast as the link never lets it end.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_LEAST_GAIN = 0.01
"""Of what was left: less than that within the patience is standing still."""


@dataclass(frozen=True)
class Sample:
    """All disks of a guest at one moment."""

    at_s: float
    done_bytes: int
    total_bytes: int
    """Grows with what the guest writes meanwhile."""

    @property
    def left_bytes(self) -> int:
        """What is still to be copied."""
        return self.total_bytes - self.done_bytes


def stands_still(history: Sequence[Sample], patience_s: float) -> bool:
    """Whether what is left became no less within the last *patience_s*, of samples in the order they were taken."""
    if not history:
        return False
    last = history[-1]
    before = [one.left_bytes for one in history if last.at_s - one.at_s >= patience_s]
    if not before or last.left_bytes <= 0:
        return False
    recent = min(one.left_bytes for one in history if last.at_s - one.at_s < patience_s)
    return recent > min(before) * (1 - _LEAST_GAIN)


def rate_bytes_s(history: Sequence[Sample]) -> float:
    """Bytes that were copied each second, the guest's own writes included; 0 with fewer than two samples."""
    if len(history) < 2 or history[-1].at_s <= history[0].at_s:
        return 0.0
    return (history[-1].done_bytes - history[0].done_bytes) / (history[-1].at_s - history[0].at_s)
