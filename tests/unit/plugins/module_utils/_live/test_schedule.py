# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nova's arithmetic, by the vectors of its documentation and of a log of its own."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.kvmops.mobility.plugins.module_utils._live.schedule import (
    data_gib,
    downtime_at,
    downtime_steps,
    timeout_s,
)

GIB = 2**30
OF_THE_LOG = [
    (0, 50),
    (150, 95),
    (300, 140),
    (450, 185),
    (600, 230),
    (750, 275),
    (900, 320),
    (1050, 365),
    (1200, 410),
    (1350, 455),
    (1500, 500),
]
"""What Nova wrote into its log of a guest of 1 GiB without disks to copy."""
OF_THE_DOCUMENTATION = [(0, 40), (90, 76), (180, 112), (270, 148), (360, 184), (450, 220)]
"""The first six of the example in Nova's documentation."""


def pairs(downtime_ms: int, steps: int, delay_s: float, gib: float) -> list[tuple[int, int]]:
    return [(one.after_s, one.downtime_ms) for one in downtime_steps(downtime_ms, steps, delay_s, gib)]


def test_the_log() -> None:
    assert pairs(500, 10, 75, data_gib(1024, ())) == OF_THE_LOG


def test_the_documentation() -> None:
    found = pairs(400, 10, 30, 3)
    assert found[:6] == OF_THE_DOCUMENTATION
    assert found[-1] == (900, 400)


def test_the_last_limit_is_what_was_asked_for_where_nova_is_short_of_it() -> None:
    assert pairs(100, 22, 75, 2)[-1][1] == 100


@pytest.mark.parametrize(
    ("memory_mib", "disks", "gib"),
    [
        (1024, (), 2),
        (8192, (), 8),
        (1024, (1 * GIB, 10 * GIB), 14),
        (16384, (40 * GIB,), 56),
        (2560, (0,), 4.5),
    ],
)
def test_how_much_is_moved(memory_mib: int, disks: tuple[int, ...], gib: float) -> None:
    assert data_gib(memory_mib, disks) == gib


@pytest.mark.parametrize(
    ("elapsed_s", "limit"), [(0, None), (0.01, 50), (150, 50), (150.1, 95), (1499, 455), (1501, 500), (9e9, 500)]
)
def test_a_limit_counts_when_its_moment_has_passed(elapsed_s: float, limit: int | None) -> None:
    assert downtime_at(elapsed_s, downtime_steps(500, 10, 75, 2)) == limit


@pytest.mark.parametrize(("seconds", "gib", "limit"), [(800, 8, 6400), (800, 2, 1600), (800, 56, 44800), (0, 8, 0)])
def test_when_its_time_is_up(seconds: int, gib: float, limit: int) -> None:
    assert timeout_s(seconds, gib) == limit


@settings(max_examples=50, deadline=None)
@given(st.integers(100, 60000), st.integers(3, 300), st.integers(3, 3000), st.floats(2, 4096))
def test_it_never_falls_never_exceeds_and_ends_at_the_ceiling(ms: int, steps: int, delay: int, gib: float) -> None:
    found = downtime_steps(ms, steps, delay, gib)
    limits, moments = [one.downtime_ms for one in found], [one.after_s for one in found]
    assert len(found) == steps + 1
    assert limits == sorted(limits)
    assert moments == sorted(moments)
    assert (limits[0], limits[-1]) == (ms // steps, ms)
