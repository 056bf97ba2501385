# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ansible_collections.kvmops.mobility.plugins.module_utils._transfer.progress import (
    Sample,
    rate_bytes_s,
    stands_still,
)

GIB = 2**30


def history(*left_gib: float, every_s: float = 10.0) -> list[Sample]:
    """One sample every ten seconds, each with 1 GiB more that was copied."""
    return [
        Sample(100 + every_s * number, number * GIB, round((number + left) * GIB))
        for number, left in enumerate(left_gib)
    ]


@pytest.mark.parametrize(
    ("left_gib", "still"),
    [
        pytest.param((), False, id="nothing is known"),
        pytest.param((9, 9, 9), False, id="not for long"),
        pytest.param((9, 9, 9, 9), True, id="the guest writes what is copied"),
        pytest.param((9, 10, 11, 12), True, id="it goes away"),
        pytest.param((9, 8, 7, 6), False, id="it comes closer"),
        pytest.param((9, 8.99, 8.98, 8.97), True, id="too little to count"),
        pytest.param((9, 8.9, 8.8, 8.7), False, id="slowly"),
        pytest.param((9, 9, 5, 9), False, id="it was closer a moment ago"),
        pytest.param((9, 5, 9, 9, 9, 9), True, id="it was closer long ago"),
        pytest.param((9, 9, 9, 0), False, id="nothing is left"),
        pytest.param((9, 9, 9, 9, 4, 4, 4), False, id="it began to move again"),
    ],
)
def test_whether_it_stands_still(left_gib: tuple[float, ...], still: bool) -> None:
    assert stands_still(history(*left_gib), 30) is still


def test_bytes_each_second() -> None:
    assert rate_bytes_s(history(9, 8, 7)) == GIB / 10
    assert rate_bytes_s(history(9)) == rate_bytes_s([]) == 0
    assert rate_bytes_s(history(9, 8, every_s=0)) == 0


TIMES = st.floats(0, 1e9, allow_nan=False)


@settings(max_examples=50)
@given(st.lists(TIMES, min_size=1, max_size=5), st.floats(0.001, 1e6), st.integers(0, GIB))
@example([3.797075931033511, 123.7970759310335], 120.0, GIB)  # the difference of the two is 120, the other one is not
def test_any_times_give_an_answer(times: list[float], patience_s: float, left: int) -> None:
    """What is left never changes: it stands still from the moment on that the patience is over."""
    samples = [Sample(at, 0, left) for at in sorted(times)]
    waited = samples[-1].at_s - samples[0].at_s
    assert stands_still(samples, patience_s) is (waited >= patience_s and left > 0)
