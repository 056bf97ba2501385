# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The line through what a guest was seen to write in windows of time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kvmops.mobility.plugins.module_utils._live.curve import Curve
from ansible_collections.kvmops.mobility.tests.unit.dirtied import WINDOWS


@given(st.integers(0, 2000), st.integers(0, 500), st.integers(0, 200), st.integers(0, 200), st.integers(1, 1000))
def test_a_larger_hot_set_and_a_faster_sweep_need_more(
    hot_mib: int, sweep_mib_s: int, hotter: int, faster: int, link: int
) -> None:
    less = Curve.through([(1.0, hot_mib + sweep_mib_s), (2.0, hot_mib + 2 * sweep_mib_s)])
    more_hot, more_sweep = hot_mib + hotter, sweep_mib_s + faster
    more = Curve.through([(1.0, more_hot + more_sweep), (2.0, more_hot + 2 * more_sweep)])
    needs = [float("inf") if one is None else one for one in (less.need_s(link), more.need_s(link))]
    assert needs[1] >= needs[0] * (1 - 1e-6) - 1e-6


@given(WINDOWS)
def test_the_line_is_above_all_that_was_measured_and_concave(windows: list[tuple[float, int]]) -> None:
    line = Curve.through(windows)
    known: dict[float, list[int]] = {}
    for seconds, amount in windows:
        known.setdefault(seconds, []).append(amount)
    for seconds, amounts in known.items():
        assert line.bytes_in(seconds) >= sum(amounts) / len(amounts) * (1 - 1e-9)
    times = [one / 10 for one in range(0, 80)]
    values = [line.bytes_in(one) for one in times]
    steps = [after - before for before, after in zip(values, values[1:])]
    assert all(one >= -1e-3 for one in steps)
    assert all(after <= before + 1e-3 for before, after in zip(steps, steps[1:]))


@given(WINDOWS, st.floats(0.001, 20))
def test_how_long_it_takes_to_write_so_much(windows: list[tuple[float, int]], seconds: float) -> None:
    line = Curve.through(windows)
    assert line.seconds_for(line.bytes_in(seconds)) <= seconds * (1 + 1e-6) + 1e-9


@given(WINDOWS)
def test_a_guest_without_time_writes_nothing(windows: list[tuple[float, int]]) -> None:
    line = Curve.through(windows)
    assert line.slowed().bytes_in(0.0) == 0.0
    assert line.slowed().bytes_in(5.0) <= line.bytes_in(5.0) * (1 + 1e-9) + 1e-6


def test_hot_sets_and_sweeps_are_told_apart() -> None:
    assert Curve.through(((1.0, 60), (2.0, 60))).lines == ((60.0, 0.0),)
    assert Curve.through(((1.0, 60), (2.0, 120))).lines == ((0.0, 60.0),)
    swept = Curve.through(((0.1, 6), (0.5, 30), (1.0, 60), (2.0, 60)))
    assert [swept.bytes_in(one) for one in (0.0, 0.25, 1.0, 4.0)] == [0, 15, 60, 60]
    assert Curve.through(((1.0, 60), (2.0, 50))).bytes_in(3.0) == 60
    assert Curve.through(()).bytes_in(9.0) == 0
