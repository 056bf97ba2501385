# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at some pages of a guest's memory several times a second: which have changed, and which are empty.

libvirt measures whole seconds, and what decides over a pause of half a second is what a guest writes in less. It is
done as QEMU does it for libvirt: pages that are chosen by chance are summed, and sums are compared. Nothing of them is
kept. Pages that the guest never used, and those that were swapped out, are not touched.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import errno
import os
import random
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

PAGE = 4096
WINDOWS_S = (0.1, 0.2, 0.5, 1.0, 2.0)
_SNAP = 0.15
"""A window that is off by less than that counts as the one that was wanted."""
_EMPTY = bytes(PAGE)
_ENTRY = struct.Struct("<Q")
_PRESENT, _SWAPPED = 1 << 63, 1 << 62


@dataclass(frozen=True)
class Seen:
    """What was found."""

    dirtied: tuple[tuple[float, int], ...]
    """Windows, seconds, and what of the memory was written in one, on the mean of all that were looked at."""
    resident_bytes: int
    """What is not empty."""
    grain_bytes: int
    """What one page stands for."""


def memory(process_id: int, size: int, proc: str = "/proc") -> tuple[int, int] | None:
    """Where the process has a guest's memory of *size* bytes, as begin and end; None where that is not plain to see.

    It is one stretch that can be written and not run, of that size, or the smallest that is larger: the kernel may have
    joined it with a neighbour. Guests with several nodes have several, and are left alone.
    """
    lines = Path(proc, str(process_id), "maps").read_text(encoding="utf-8", errors="replace").splitlines()
    found = [(end - begin, begin) for begin, end in _writable(lines) if end - begin >= size]
    return (min(found)[1], min(found)[1] + size) if found else None


def _writable(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    for line in lines:
        where, mode = line.split()[:2]
        if mode.startswith("rw-"):
            begin, _dash, end = where.partition("-")
            yield int(begin, 16), int(end, 16)


class Pages:
    """Some pages of one guest. Raises OSError when its memory cannot be read."""

    def __init__(self, process_id: int, where: tuple[int, int], count: int, proc: str = "/proc") -> None:
        begin, end = where
        self._pages = (end - begin) // PAGE
        count = max(1, min(count, self._pages))
        share = self._pages / count
        # One of each stretch: what is written in one piece is met by as many of them as it is long.
        chosen = (int(number * share + random.random() * share) for number in range(count))
        self._at = [begin + PAGE * min(one, self._pages - 1) for one in chosen]
        self._sums: list[int] = [0] * count
        self._changes: list[int] = [0] * count
        """A bit for each look: whether the page was another one than at the look before."""
        self._resident: list[bool] = [False] * count
        self._looks: list[float] = []
        self._memory = os.open(f"{proc}/{process_id}/mem", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._map = os.open(f"{proc}/{process_id}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            os.close(self._memory)
            raise

    def close(self) -> None:
        """It is looked at no more."""
        os.close(self._memory)
        os.close(self._map)

    def look(self, now: float) -> None:
        """One look at all of them; *now* in seconds of any clock."""
        bit = 1 << len(self._looks)
        first = not self._looks
        for number, address in enumerate(self._at):
            found = self._sum(number, address)
            if first:
                self._sums[number] = found
            elif found != self._sums[number]:
                self._sums[number] = found
                self._changes[number] |= bit
        self._looks.append(now)

    def _sum(self, number: int, address: int) -> int:
        """0 for a page that is empty, and for one that is not there."""
        if not self._resident[number]:
            (entry,) = _ENTRY.unpack(_all(self._map, _ENTRY.size, address // PAGE * _ENTRY.size))
            if entry & _SWAPPED and not entry & _PRESENT:
                return -1
            if not entry & _PRESENT:
                return 0
            self._resident[number] = True
        content = _all(self._memory, PAGE, address)
        return 0 if content == _EMPTY else zlib.crc32(content) + 1

    @property
    def looks(self) -> int:
        """How often they were looked at."""
        return len(self._looks)

    def seen(self) -> Seen:
        """What was found; it takes two looks at the least."""
        grain = self._pages * PAGE / len(self._at)
        full = sum(one != 0 for one in self._sums)
        return Seen(tuple(self._windows(grain)), int(full * grain), int(grain))

    def _windows(self, grain: float) -> Iterator[tuple[float, int]]:
        """The windows that were wanted, as far as so many looks have them."""
        gaps = len(self._looks) - 1
        if gaps < 1:
            return
        gap_s = (self._looks[-1] - self._looks[0]) / gaps
        written = [one >> 1 for one in self._changes if one]
        known: set[int] = set()
        for wanted in WINDOWS_S:
            length = max(1, round(wanted / gap_s)) if gap_s > 0 else 1
            if length > gaps or length in known:
                continue
            known.add(length)
            took = length * gap_s
            seconds = wanted if abs(took - wanted) <= _SNAP * wanted else round(took, 3)
            yield seconds, int(grain * _mean(written, length, gaps))


def _all(descriptor: int, count: int, offset: int) -> bytes:
    """The memory of a process that is gone ends at once."""
    found = os.pread(descriptor, count, offset)
    if len(found) != count:
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
    return found


def _mean(changes: Sequence[int], length: int, gaps: int) -> float:
    """How many pages changed in a window of so many gaps, on the mean of all such windows."""
    begins = gaps - length + 1
    mask = (1 << length) - 1
    return sum((one >> begin) & mask != 0 for one in changes for begin in range(begins)) / begins
