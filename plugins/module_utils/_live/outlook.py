# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of a live migration before it begins, and what that is said from: the words of a forecast. Pure.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._fields import known

GRAIN_BYTES = 2 * 2**20
"""What one page stands for that QEMU looks at: 512 of each GiB."""
PAST_MOST = 5
"""So many earlier migrations of a guest count, the newest."""


class Verdict(enum.Enum):
    """Whether it will end as its policy wants it to."""

    CONVERGES = "converges"
    DOES_NOT = "does_not"
    """Clearly, in spite of what is uncertain in what was measured."""
    UNSURE = "unsure"
    UNKNOWN = "unknown"
    """Something could not be measured."""


@dataclass(frozen=True)
class Past:
    """An earlier live migration of the same guest: what was said of it, and what became of it. None: not known."""

    total_s: float | None = None
    said_total_s: float | None = None
    """By the model alone, without what the past made of it."""
    pause_ms: int | None = None
    said_pause_ms: int | None = None
    bytes_s: int | None = None
    """What its link carried; None where it was not let to."""

    @classmethod
    def from_result(cls, data: Mapping[str, Any]) -> Past:
        """The inverse of C(asdict())."""
        return cls(**known(cls, data))


@dataclass(frozen=True)
class Measured:
    """What was found out about one guest and its way."""

    dirtied: tuple[tuple[float, int], ...]
    """Windows, seconds, and the unique bytes that the guest wrote in each. None: not known."""
    resident_bytes: int
    """What of its memory is not empty."""
    link_bytes_s: int | None
    """None: not known."""
    past: tuple[Past, ...] = ()
    """The newest last."""
    grain_bytes: int = GRAIN_BYTES
    """What one page stands for that was looked at: the less, the more exact is what was measured."""
    disk_bytes: int = 0
    """What is copied of its disks, before its memory."""
    unknown: str = ""
    """Why something is not known."""

    def as_result(self) -> dict[str, Any]:
        """Plain JSON."""
        data = asdict(self)
        return {**data, "dirtied": [list(one) for one in self.dirtied], "past": [asdict(one) for one in self.past]}

    @classmethod
    def from_result(cls, data: Mapping[str, Any]) -> Measured:
        """The inverse of C(as_result())."""
        dirtied = tuple((float(seconds), int(amount)) for seconds, amount in data["dirtied"])
        past = tuple(Past.from_result(one) for one in data.get("past", ()))
        return cls(**{**known(cls, data), "dirtied": dirtied, "past": past})

    @property
    def link(self) -> int | None:
        """What was measured, else what earlier migrations saw."""
        if self.link_bytes_s is not None:
            return self.link_bytes_s
        seen = [one.bytes_s for one in self.past if one.bytes_s]
        return int(median(seen[-PAST_MOST:])) if seen else None


@dataclass(frozen=True)
class Outlook:
    """What it will come to."""

    verdict: Verdict
    total_s: float | None
    """From the call to the guest's arrival; None where it does not arrive, or nobody knows."""
    pause_ms: int | None
    why: str
    throttle_percent: int = 0
    """So much the guest is to be slowed down from the start; 0: not, or it may not be."""
    model_total_s: float | None = None
    """Without what the past made of it."""
    model_pause_ms: int | None = None

    def as_result(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**asdict(self), "verdict": self.verdict.value}

    @classmethod
    def from_result(cls, data: Mapping[str, Any]) -> Outlook:
        """The inverse of C(as_result())."""
        return cls(**{**known(cls, data), "verdict": Verdict(data["verdict"])})

    def words(self) -> str:
        """In one line, for an operator."""
        return f"{self.short()}: {self.why}"

    def short(self) -> str:
        """The verdict and its figures."""
        if self.verdict is Verdict.UNKNOWN:
            return "unknown"
        if self.total_s is None or self.pause_ms is None:
            return "it does not converge" if self.verdict is Verdict.DOES_NOT else "it may not converge"
        doubt = "" if self.verdict is Verdict.CONVERGES else ", if it converges"
        return f"{seconds_words(self.total_s)}, pause {pause_words(self.pause_ms)}{doubt}"


def seconds_words(seconds: float) -> str:
    """A time for the eyes of an operator."""
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def pause_words(milliseconds: float) -> str:
    """The same, of a pause."""
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"
