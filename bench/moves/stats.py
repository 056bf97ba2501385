# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the numbers of several runs say: middle, noise, and a straight line with its confidence interval. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

_CONFIDENCE = 0.95
_TINY = 1e-12


def noise(values: Sequence[float]) -> float | None:
    """The median distance from the median, as a share of the median; None when there is nothing to compare."""
    if len(values) < 2:
        return None
    middle = median(values)
    return median([abs(one - middle) for one in values]) / middle if middle else None


def ratio(values: Sequence[float], unit: Sequence[float]) -> float | None:
    """How many times the median of *unit* the median of *values* is; None when one of them is not there."""
    return median(values) / median(unit) if values and unit and median(unit) > 0 else None


@dataclass(frozen=True)
class Line:
    """y = intercept + slope * x, by least squares."""

    slope: float
    intercept: float
    low: float
    """The slope's confidence interval, 95 %."""
    high: float
    points: int

    @property
    def level(self) -> bool:
        """Whether a slope of 0 agrees with what was measured."""
        return self.low <= 0 <= self.high


def fit(points: Sequence[tuple[float, float]]) -> Line | None:
    """The line through *points*; None for less than three of them, or when all have the same x."""
    middle_x = fmean([x for x, _y in points]) if points else 0.0
    spread = sum((x - middle_x) ** 2 for x, _y in points)
    if len(points) < 3 or spread == 0:
        return None
    middle_y = fmean([y for _x, y in points])
    slope = sum((x - middle_x) * (y - middle_y) for x, y in points) / spread
    intercept = middle_y - slope * middle_x
    rest = sum((y - intercept - slope * x) ** 2 for x, y in points)
    free = len(points) - 2
    reach = student_t(free) * math.sqrt(rest / free / spread)
    return Line(slope, intercept, slope - reach, slope + reach, len(points))


def student_t(free: int, confidence: float = _CONFIDENCE) -> float:
    """What Student's t with so many degrees of freedom stays within, on both sides, with that probability."""
    low, high = 0.0, 1.0
    while _within(high, free) < confidence:
        high *= 2
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, free) < confidence else (low, middle)
    return high


def _within(reach: float, free: int) -> float:
    """The probability that Student's t is between -reach and reach."""
    return 1 - _beta(free / (free + reach * reach), free / 2, 0.5)


def _beta(x: float, a: float, b: float) -> float:
    """The regularized incomplete beta function, 0 <= x <= 1."""
    if x <= 0 or x >= 1:
        return min(max(x, 0.0), 1.0)
    if x > (a + 1) / (a + b + 2):  # where the fraction converges slowly, its mirror image does not
        return 1 - _beta(1 - x, b, a)
    scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(scale) / (a * _fraction(x, a, b))


def _fraction(x: float, a: float, b: float) -> float:
    """The continued fraction 1 + d1/(1 + d2/(1 + ...)) of the incomplete beta function, from its end backwards."""
    value = 1.0
    for index in range(200, 0, -1):
        half = index // 2
        if index % 2:
            term = -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1))
        else:
            term = half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half))
        value = 1 + term / (value if abs(value) > _TINY else _TINY)
    return value
