# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a guest stood still, from what was seen of it outside.

A sighting is one line `TIME HOST KIND BOOT NUMBER`: TIME in Unix seconds of the machine outside, KIND what the guest
said (see `guest/ticks` and `guest/load`), BOOT which boot of it. KIND `late` is the watcher's own: NUMBER
milliseconds in which it did not look.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

TICK, BEGUN, DONE, REFUSED, LATE = "t", "w", "d", "e", "late"
_BOOT = re.compile(r"[0-9a-f]{8}")


@dataclass(frozen=True)
class Sighting:
    """One thing that was seen."""

    time: float
    host: str
    kind: str
    boot: str
    number: int

    def __str__(self) -> str:
        return f"{self.time:.3f} {self.host} {self.kind} {self.boot} {self.number}"


@dataclass
class Outage:
    """What an outside observer has of a guest: seconds, and Unix seconds for points in time."""

    longest_gap_s: float | None = None
    began: float | None = None
    began_on: str | None = None
    ended: float | None = None  # None while it lasts
    ended_on: str | None = None
    ticks: int = 0
    boots: int = 0
    longest_fsync_s: float | None = None  # one that has not come back counts as long as its boot ticks
    longest_fsync_at: float | None = None
    acknowledged: int | None = None
    rewritten: list[str] = field(default_factory=list)  # where the guest had not found what was acknowledged
    refused: int = 0
    watcher_late_s: float = 0
    problems: list[str] = field(default_factory=list)


def read(lines: Iterable[str]) -> Iterator[Sighting]:
    """The sightings of a log; a line that is being written is left out."""
    for text in lines:
        words = text.split()
        if len(words) == 5 and text.endswith("\n"):
            yield Sighting(float(words[0]), words[1], words[2], words[3], int(words[4]))


def parse_said(text: str) -> tuple[str, str, int] | None:
    """Kind, boot and number of a line of the console, None when it is about something else, or was torn.

    A guest that leaves while it runs leaves half a line behind, and the other half comes out elsewhere; where it
    comes back, the next one goes on there.
    """
    words = text.split()
    if len(words) != 4 or words[0] != "KVMLAB" or words[1] not in (TICK, BEGUN, DONE, REFUSED):
        return None
    if _BOOT.fullmatch(words[2]) is None:
        return None
    return (words[1], words[2], int(words[3])) if words[3].isdecimal() else None


def measure(sightings: Iterable[Sighting], now: float, since: float = 0) -> Outage:
    """Judge what was seen up to now; gaps and fsyncs that ended before *since* do not count."""
    outage = Outage()
    last: Sighting | None = None
    boots: dict[str, None] = {}
    writes = _Writes(outage, since)
    for seen in sightings:
        if seen.kind == LATE:
            if seen.time >= since:
                outage.watcher_late_s = max(outage.watcher_late_s, seen.number / 1000)
            continue
        boots[seen.boot] = None
        if seen.kind != TICK:
            writes.see(seen)
            continue
        if seen.time >= since:
            outage.ticks += 1
            if last is not None:
                _gap(outage, last, seen.time, seen.host)
        last = seen
    if last is not None:
        _gap(outage, last, now, None)
        writes.end(last)
    outage.boots = len(boots)
    return outage


def _gap(outage: Outage, last: Sighting, ended: float, host: str | None) -> None:
    gap = ended - last.time
    if outage.longest_gap_s is None or gap > outage.longest_gap_s:
        outage.longest_gap_s = gap
        outage.began, outage.began_on = last.time, last.host
        outage.ended, outage.ended_on = (ended, host) if host else (None, None)


class _Writes:
    """Pairs the beginning of each write with its end."""

    def __init__(self, outage: Outage, since: float) -> None:
        self._outage = outage
        self._since = since
        self._pending: Sighting | None = None

    def see(self, seen: Sighting) -> None:
        if seen.kind == BEGUN:
            newest = self._outage.acknowledged
            if newest is not None and seen.number <= newest:
                self._outage.rewritten.append(f"record {seen.number} was written anew on {seen.host} after {newest}")
                self._outage.acknowledged = seen.number - 1
            self._pending = seen
            return
        if seen.kind == REFUSED:
            # It is tried again until it succeeds, and takes as long as that.
            self._outage.refused += seen.time >= self._since
            return
        self._outage.acknowledged = seen.number
        if self._pending is not None and (self._pending.boot, self._pending.number) == (seen.boot, seen.number):
            self._took(self._pending, seen.time)
        self._pending = None

    def end(self, last: Sighting) -> None:
        if self._pending is not None and self._pending.boot == last.boot:
            self._took(self._pending, last.time)

    def _took(self, begun: Sighting, ended: float) -> None:
        longest = self._outage.longest_fsync_s
        if ended >= self._since and (longest is None or ended - begun.time > longest):
            self._outage.longest_fsync_s = max(0.0, ended - begun.time)
            self._outage.longest_fsync_at = begun.time
