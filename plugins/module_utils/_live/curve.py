# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of its memory a guest writes in how long, as a line through what was measured. Pure.

What was written twice in a window is sent once: the longer the window, the less is new in it. The line is concave
therefore. Beyond the longest window it goes on as it went last, h + w t: a hot set of h bytes that every window has in
it, and w bytes a second that are new in each. The same holds below the shortest one, where nothing was seen: the true
line is not above it.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Point = tuple[float, float]
"""A window, seconds, and the bytes that were written in it."""


@dataclass(frozen=True)
class Curve:
    """Unique bytes written in a time, as the least of several straight lines."""

    lines: tuple[Point, ...]
    """Each as the bytes that it begins with and the bytes a second that it rises by."""
    first: Point
    """The shortest window that bears on it."""

    @classmethod
    def through(cls, measured: Iterable[Point], *, from_nothing: bool = False) -> Curve:
        """The lowest concave line that nothing *measured* is above; of equal windows the mean counts.

        It never falls. Below the shortest window it goes on as between the two shortest, or, *from_nothing*, down to
        nothing in no time.
        """
        points = _rising(_means(measured))
        corners = _hull(points)
        if not corners:
            return cls(((0.0, 0.0),), (0.0, 0.0))
        first = corners[0]
        if from_nothing or len(corners) == 1 or first != points[0]:
            corners = [(0.0, 0.0), *corners]
        return cls(tuple(_line(one, other) for one, other in zip(corners, corners[1:])), first)

    def bytes_in(self, seconds: float) -> float:
        """What is written in a window of so many seconds."""
        return max(0.0, min(begins + rises * seconds for begins, rises in self.lines))

    def slope_at(self, seconds: float) -> float:
        """What is new in each further second then, bytes a second."""
        return min((begins + rises * seconds, rises) for begins, rises in self.lines)[1]

    def seconds_for(self, amount: float) -> float:
        """How long the guest takes to write so many bytes; infinite when it never does."""
        return max(0.0, *(_reaches(one, amount) for one in self.lines))

    def need_s(self, link_bytes_s: float) -> float | None:
        """The time in which the link carries just what the guest writes in it: no round gets shorter.

        None where the guest writes faster than the link carries, however long it takes.
        """
        crossings = [begins / (link_bytes_s - rises) for begins, rises in self.lines if rises < link_bytes_s]
        return min(crossings) if crossings else None

    @property
    def lasting(self) -> float:
        """w: what is new in every further second, bytes a second."""
        return self.lines[-1][1]

    def slowed(self) -> Curve:
        """The same with a guess of what is below the shortest window, where a guest comes that is slowed down a lot.

        A set that is hot enough is all written there, one that is swept over is not: halfway between them, and nothing
        in no time.
        """
        window, amount = self.first
        if not window:
            return self
        tenth = (self.bytes_in(window / 10) + amount / 10) / 2
        known = [(window * many, self.bytes_in(window * many)) for many in (1, 2, 5, 10, 20, 50, 100)]
        return Curve.through([(window / 10, tenth), *known], from_nothing=True)


def _means(measured: Iterable[Point]) -> list[Point]:
    found: dict[float, list[float]] = {}
    for seconds, amount in measured:
        if seconds > 0:
            found.setdefault(round(seconds, 3), []).append(max(0.0, amount))
    return [(seconds, sum(amounts) / len(amounts)) for seconds, amounts in sorted(found.items())]


def _rising(points: Sequence[Point]) -> list[Point]:
    """A longer window has in it what a shorter one has."""
    found: list[Point] = []
    for seconds, amount in points:
        found.append((seconds, max(amount, found[-1][1] if found else 0.0)))
    return found


def _hull(points: Sequence[Point]) -> list[Point]:
    """The corners of the lowest concave line above *points* and nothing in no time."""
    corners: list[Point] = [(0.0, 0.0)]
    for point in points:
        while len(corners) > 1 and _slope(corners[-2], corners[-1]) <= _slope(corners[-1], point):
            corners.pop()
        corners.append(point)
    return corners[1:]


def _slope(one: Point, other: Point) -> float:
    return (other[1] - one[1]) / (other[0] - one[0])


def _line(one: Point, other: Point) -> Point:
    rises = _slope(one, other)
    return max(0.0, one[1] - rises * one[0]), rises


def _reaches(line: Point, amount: float) -> float:
    begins, rises = line
    if amount <= begins:
        return 0.0
    return (amount - begins) / rises if rises > 0 else float("inf")
