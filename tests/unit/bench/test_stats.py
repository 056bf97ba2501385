# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The statistics of measurements, against values from tables and by hand."""

from __future__ import annotations

import pytest

from ansible_collections.kvmops.mobility.bench.moves.stats import fit, noise, ratio, student_t


@pytest.mark.parametrize(
    ("free", "table"), [(1, 12.706), (2, 4.303), (7, 2.365), (10, 2.228), (30, 2.042), (200, 1.972)]
)
def test_student_t_is_that_of_the_tables(free: int, table: float) -> None:
    assert student_t(free) == pytest.approx(table, abs=0.0006)


def test_student_t_at_another_confidence() -> None:
    assert student_t(10, 0.99) == pytest.approx(3.169, abs=0.0006)


def test_noise_is_the_median_distance_by_the_median() -> None:
    assert noise([10.0, 11.0, 13.0]) == pytest.approx(1 / 11)


def test_one_value_has_no_noise() -> None:
    assert noise([4.0]) is None


def test_ratio_is_that_of_the_medians() -> None:
    assert ratio([30.0, 29.0, 90.0], [2.0, 1.0, 3.0]) == 15


@pytest.mark.parametrize(("values", "unit"), [([], [1.0]), ([1.0], []), ([1.0], [0.0])])
def test_no_ratio_without_both(values: list[float], unit: list[float]) -> None:
    assert ratio(values, unit) is None


def test_points_on_a_line_have_no_doubt() -> None:
    line = fit([(1.0, 5.0), (4.0, 11.0), (16.0, 35.0)])
    assert line is not None
    assert line.slope == pytest.approx(2)
    assert line.intercept == pytest.approx(3)
    assert line.high - line.low == pytest.approx(0, abs=1e-9)
    assert not line.level


def test_interval_of_a_slope() -> None:
    # By hand: slope 0.6, rest 2.4 with 3 degrees of freedom, spread 10, t 3.182
    line = fit([(1, 2), (2, 4), (3, 5), (4, 4), (5, 5)])
    assert line is not None
    assert line.slope == pytest.approx(0.6)
    assert line.high - line.slope == pytest.approx(3.182 * (2.4 / 3 / 10) ** 0.5, abs=0.001)
    assert line.level


def test_same_outage_at_every_size_agrees_with_level() -> None:
    line = fit([(1, 1.01), (1, 0.98), (4, 1.02), (4, 0.99), (16, 1.0), (16, 1.01)])
    assert line is not None
    assert line.level


@pytest.mark.parametrize("points", [[], [(1.0, 1.0), (2.0, 2.0)], [(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)]])
def test_no_line_through_too_little(points: list[tuple[float, float]]) -> None:
    assert fit(points) is None
