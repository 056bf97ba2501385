# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plots as SVG. Pure."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence

COLOURS = ("#b3261e", "#e08214", "#7b6888", "#5a7d3a", "#2166ac", "#053061", "#888888")
_WIDTH, _HEIGHT = 860, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 230, 40, 50
_ROW = 22
_LEAST_TICKS = 4


def _text(x: float, y: float, words: str, anchor: str = "start", size: int = 12) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}">{html.escape(words)}</text>'


def _frame(width: int, height: int, title: str, parts: Sequence[str]) -> str:
    size = f'viewBox="0 0 {width} {height}" width="{width}" font-family="sans-serif"'
    return "\n".join(
        [f'<svg xmlns="http://www.w3.org/2000/svg" {size}>', _text(10, 20, title, size=15), *parts, "</svg>"]
    )


def decades(values: Sequence[float]) -> list[float]:
    """The powers of ten around positive *values*, at least two."""
    low = math.floor(math.log10(min(values)))
    high = math.ceil(math.log10(max(values)))
    return [10.0**power for power in range(low, max(high, low + 1) + 1)]


def lines(title: str, x_name: str, y_name: str, series: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Points joined by lines, both axes logarithmic; a value that is not positive is left out."""
    shown = {name: [(x, y) for x, y in points if x > 0 and y > 0] for name, points in series.items()}
    every = [point for points in shown.values() for point in points]
    if not every:
        return ""
    xs, ys = sorted({x for x, _y in every}), decades([y for _x, y in every])
    across, down = _scale(xs, _LEFT + 20, _WIDTH - _RIGHT), _scale(ys, _HEIGHT - _BOTTOM, _TOP)
    parts = []
    for tick in ys:
        y = down(tick)
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT + 20}" stroke="#ddd"/>')
        parts.append(_text(_LEFT - 6, y + 4, f"{tick:g}", "end"))
    parts += [_text(across(x), _HEIGHT - _BOTTOM + 18, f"{x:.3g}", "middle") for x in xs]
    parts += [_text(_LEFT, _TOP - 8, y_name), _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 10, x_name, "middle")]
    for at, (name, points) in enumerate(shown.items()):
        colour = COLOURS[at % len(COLOURS)]
        places = [(across(x), down(y)) for x, y in sorted(points)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>' for x, y in places]
        y = _TOP + 10 + at * _ROW
        parts.append(f'<rect x="{_WIDTH - _RIGHT + 40}" y="{y - 10}" width="12" height="12" fill="{colour}"/>')
        parts.append(_text(_WIDTH - _RIGHT + 58, y, name))
    return _frame(_WIDTH, _HEIGHT, title, parts)


def curves(title: str, x_name: str, y_name: str, series: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Values over time, both axes from 0 and even."""
    shown = {name: points for name, points in series.items() if points}
    every = [point for points in shown.values() for point in points]
    if not every:
        return ""
    most_x, most_y = (max(value) or 1.0 for value in zip(*every))
    wide, high = _WIDTH - _RIGHT - _LEFT, _HEIGHT - _BOTTOM - _TOP
    parts = []
    for tick in evenly(most_y):
        y = _HEIGHT - _BOTTOM - high * tick / most_y
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="#ddd"/>')
        parts.append(_text(_LEFT - 6, y + 4, f"{tick:g}", "end"))
    for tick in evenly(most_x):
        parts.append(_text(_LEFT + wide * tick / most_x, _HEIGHT - _BOTTOM + 18, f"{tick:g}", "middle"))
    parts += [_text(_LEFT, _TOP - 8, y_name), _text(_LEFT + wide / 2, _HEIGHT - 10, x_name, "middle")]
    for at, (name, points) in enumerate(shown.items()):
        places = [(_LEFT + wide * x / most_x, _HEIGHT - _BOTTOM - high * y / most_y) for x, y in points]
        parts += _drawn(at, name, places)
    return _frame(_WIDTH, max(_HEIGHT, _TOP + _ROW * (len(shown) + 1)), title, parts)


def _drawn(at: int, name: str, places: Sequence[tuple[float, float]]) -> list[str]:
    """The line of one series, the second time round through the colours a broken one, and what it is called."""
    colour = COLOURS[at % len(COLOURS)]
    broken = ' stroke-dasharray="5 3"' if at >= len(COLOURS) else ""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    x, y = _WIDTH - _RIGHT + 14, _TOP + 10 + at * _ROW
    return [
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"{broken}/>',
        f'<path d="M{x} {y - 4}h18" stroke="{colour}" stroke-width="3"{broken}/>',
        _text(x + 24, y, name),
    ]


def evenly(most: float) -> list[float]:
    """Round numbers from 0 up to *most*, which is positive: four to ten of them."""
    power = 10.0 ** math.floor(math.log10(most))
    step = next(power / part for part in (1, 2, 5) if most * part / power >= _LEAST_TICKS)
    return [step * number for number in range(int(most / step + 1e-9) + 1)]


def bars(title: str, unit: str, values: Mapping[str, float]) -> str:
    """One bar for each positive value, its length logarithmic, the value behind it."""
    shown = {name: value for name, value in values.items() if value > 0}
    if not shown:
        return ""
    ticks = decades(list(shown.values()))
    along = _scale(ticks, 240, _WIDTH - 110)
    height = _TOP + _ROW * len(shown) + 30
    parts = [f'<path d="M{along(tick):.1f} {_TOP - 6}V{height - 24}" stroke="#ddd"/>' for tick in ticks]
    parts += [_text(along(tick), height - 10, f"{tick:g} {unit}", "middle") for tick in ticks]
    for at, (name, value) in enumerate(shown.items()):
        y, end = _TOP + at * _ROW, along(value)
        parts.append(_text(234, y + 13, name, "end"))
        parts.append(
            f'<rect x="240" y="{y}" width="{max(end - 240, 1):.1f}" height="16" fill="{COLOURS[at % len(COLOURS)]}"/>'
        )
        parts.append(_text(end + 6, y + 13, f"{value:.3g} {unit}"))
    return _frame(_WIDTH, height, title, parts)


def _scale(values: Sequence[float], first: float, last: float) -> Callable[[float], float]:
    """Where a positive value is on an axis from the first pixel to the last."""
    low, high = math.log(min(values)), math.log(max(values))

    def place(value: float) -> float:
        share = (math.log(value) - low) / (high - low) if high > low else 0.5
        return first + share * (last - first)

    return place
