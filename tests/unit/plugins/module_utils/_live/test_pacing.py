# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The paces, on guests whose memory is sent block by block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.kvmops.mobility.plugins.module_utils._live import pacing
from ansible_collections.kvmops.mobility.plugins.module_utils._live.model import History, Round, Sample, Stage
from ansible_collections.kvmops.mobility.plugins.module_utils._live.monitor import (
    Bounds,
    Monitor,
    Report,
    Told,
    Tools,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._live.policy import (
    BALANCED,
    MUST_FINISH,
    NOVA,
    Policy,
)
from ansible_collections.kvmops.mobility.tests.unit.clock import Clock
from ansible_collections.kvmops.mobility.tests.unit.precopy import Phase, Precopy, Writes, always, hot

MIB = 2**20
LIGHT = always(hot(8, 400), Writes(100, 600, 10))
WORKING = always(hot(34, 2000), Writes(100, 600, 30))
BUSY = always(hot(100, 5000), Writes(200, 600, 20))
SWEEPING = always(Writes(0, 700, 160))
"""The four of the measurements that the controller was tried with: what is hot, and what is written besides."""
SAW = (Phase(6.0, (hot(90, 900),)), Phase(4.0, (hot(20, 200),)))
"""Ten seconds from dip to dip."""


def moved(phases: Sequence[Phase], policy: Policy, *, post_copy: bool = False, **job: Any) -> Precopy:
    """A migration by *policy*, to its end. Bounded by the policy's own timeout, which is not to be waited for."""
    clock = Clock()
    precopy = Precopy(phases, **job)
    report = Report(clock())
    throttling = bool(job.get("throttled"))
    bounds = Bounds(2.0, post_copy=post_copy, was_paused=False, patience_s=120.0, throttling=throttling)
    tools = Tools(clock, clock.sleep, lambda: Told(policy), lambda _report: None, lambda: None)
    Monitor(precopy, None, bounds, tools, report).watch()
    assert precopy.ended_s is not None
    return precopy


@pytest.mark.parametrize(
    ("phases", "most_s", "most_ms"),
    [(always(), 10, 50), (LIGHT, 14, 120), (WORKING, 25, 500), (SAW, 30, 400)],
)
def test_a_guest_that_fits_is_there_soon(phases: Sequence[Phase], most_s: float, most_ms: float) -> None:
    job = moved(phases, BALANCED)
    assert job.arrived
    assert job.ended_s is not None
    assert job.ended_s <= most_s
    assert job.pause_s is not None
    assert job.pause_s * 1000 <= most_ms


@pytest.mark.parametrize("phases", [BUSY, SWEEPING])
def test_a_guest_that_does_not_fit_is_given_up_and_goes_on(phases: Sequence[Phase]) -> None:
    job = moved(phases, BALANCED)
    assert job.given_up
    assert not job.paused
    assert job.ended_s is not None
    assert job.ended_s < 90  # Nova would go on for 1600


@pytest.mark.parametrize("phases", [BUSY, SWEEPING])
def test_post_copy_is_taken_as_soon_as_it_is_needed(phases: Sequence[Phase]) -> None:
    job = moved(phases, BALANCED, post_copy=True)
    assert job.post_copied
    assert job.ended_s is not None
    assert job.ended_s < 35


@pytest.mark.parametrize("phases", [always(), LIGHT, WORKING])
def test_post_copy_is_not_taken_where_it_is_not_needed(phases: Sequence[Phase]) -> None:
    job = moved(phases, BALANCED, post_copy=True)
    assert job.arrived
    assert not job.post_copied


@pytest.mark.parametrize("phases", [BUSY, SWEEPING])
def test_throttling_has_its_time(phases: Sequence[Phase]) -> None:
    job = moved(phases, BALANCED, throttled=True)
    assert job.arrived
    assert job.throttle > 0
    assert job.pause_s is not None
    assert job.pause_s <= 0.5


@pytest.mark.parametrize("phases", [LIGHT, WORKING, BUSY, SWEEPING, SAW])
@pytest.mark.parametrize("post_copy", [False, True])
def test_what_must_finish_does(phases: Sequence[Phase], post_copy: bool) -> None:
    job = moved(phases, MUST_FINISH, post_copy=post_copy)
    assert job.arrived
    assert job.paused <= (phases in (BUSY, SWEEPING) and not post_copy)


def test_the_switch_is_at_a_dip_of_a_saw_tooth() -> None:
    assert (moved(SAW, BALANCED).pause_s or 0) < 0.3 < 90 / 117


_part = st.builds(Writes, first_mib=st.integers(0, 128), mib=st.integers(1, 120), mib_s=st.integers(0, 150))
_steady = st.lists(_part, max_size=3).map(lambda parts: always(*parts))
_phased = st.lists(st.builds(Phase, st.integers(1, 12), st.lists(_part, max_size=2).map(tuple)), min_size=1, max_size=3)
_guests = st.one_of(_steady, _phased)
_links = st.integers(10, 200)


@settings(max_examples=60)
@given(phases=_guests, link=_links, ceiling_ms=st.integers(100, 1500), base=st.sampled_from([BALANCED, MUST_FINISH]))
def test_never_above_the_ceiling_never_less_and_it_ends(
    phases: Sequence[Phase], link: int, ceiling_ms: int, base: Policy
) -> None:
    job = moved(
        phases, replace(base, max_downtime_ms=ceiling_ms, completion_timeout_s=150), memory_mib=256, link_mib_s=link
    )
    assert job.limits == sorted(job.limits)
    assert max(job.limits, default=0) <= ceiling_ms
    if job.arrived and not job.paused:
        assert (job.pause_s or 0) * 1000 <= ceiling_ms
    assert job.arrived or base is BALANCED


@settings(max_examples=40)
@given(phases=_steady, link=_links)
def test_never_a_tenth_worse_than_nova(phases: Sequence[Phase], link: int) -> None:
    """Nova's limit follows a clock of minutes: it is let run for five."""
    theirs = moved(phases, replace(NOVA, completion_timeout_s=150), memory_mib=256, link_mib_s=link)
    ours = moved(phases, BALANCED, memory_mib=256, link_mib_s=link)
    if not theirs.arrived:
        return
    assert ours.arrived
    assert ours.ended_s is not None
    assert theirs.ended_s is not None
    assert ours.ended_s <= 1.1 * theirs.ended_s + 0.5


def history(*pauses_ms: int, at_s: float = 10.0, **more: Any) -> History:
    """Rounds a second apart, the last one now, at 100 MiB/s."""
    speed = 100 * MIB
    first_s = at_s - len(pauses_ms) + 1
    rounds = tuple(Round(2 + i, first_s + i, speed * ms // 1000, speed) for i, ms in enumerate(pauses_ms))
    return History(gib=2.0, samples=(Sample(at_s, Stage.MEMORY),), rounds=rounds, **more)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (history(), 50),
        (history(900), 50),
        (history(900, 600), 50),
        (history(900, 600, 560), 460),
        (history(400, 300, 290), 329),
        (history(400, 300, 290, downtime_ms=329, asked_s=9.5), 329),
        (history(300, 290, 290, 290, 290, downtime_ms=329, asked_s=7.5), 379),
        (history(300, 290, 290, 290, 290, downtime_ms=430, asked_s=7.5), 460),
        (history(300, 290, 290, downtime_ms=900), 460),
    ],
)
def test_the_limit_by_what_was_seen(known: History, expected: int) -> None:
    assert pacing.limit_ms(known, 500) == expected


def test_the_first_limit_is_never_above_the_ceiling() -> None:
    assert pacing.limit_ms(history(), 100) == 30


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (history(2000, 1000), None),
        (history(*[1000] * 5), None),
        (history(*[1000] * 40, at_s=60.0), 1000),
        (history(*[1000] * 9, *[800] * 31, at_s=60.0), None),
        (history(*[400] * 40, at_s=60.0, downtime_ms=400), None),
        (history(*[400] * 40, at_s=60.0, downtime_ms=460), 400),
        (history(*[1000] * 40, at_s=60.0, throttling=True), None),
    ],
)
def test_who_is_stuck(known: History, expected: int | None) -> None:
    found = pacing.stuck(known, 500, 30)
    assert (found.pause_ms if found else None) == expected


def test_nobody_is_stuck_where_that_does_not_matter() -> None:
    assert pacing.stuck(history(*[1000] * 40, at_s=60.0), 500, 0) is None


def look(at_s: float, iteration: int, left: int, speed: int = 100) -> Sample:
    return Sample(
        at_s, Stage.MEMORY, iteration=iteration, memory_total=1024, memory_remaining=left, memory_bytes_s=speed
    )


def test_a_round_is_what_it_began_with() -> None:
    known = History(gib=2.0)
    for seen in (look(0, 1, 900), look(1, 1, 800), look(2, 2, 400), look(3, 2, 300), look(4, 4, 500), look(5, 4, 520)):
        known = known.with_sample(seen)
    assert [(one.iteration, one.left_bytes) for one in known.rounds] == [(2, 450), (4, 550)]


def test_a_round_whose_begin_was_not_seen_does_not_count() -> None:
    known = History(gib=2.0).with_sample(look(2, 5, 400)).with_sample(look(3, 5, 300))
    assert known.rounds == ()


def test_what_was_seen_of_a_trickle_does_not_count() -> None:
    known = History(gib=2.0)
    for seen in (look(0, 1, 900), look(1, 2, 400)):
        known = known.with_sample(seen)
    waiting = known.with_sample(look(2, 2, 390, speed=5), waiting=True)
    assert (waiting.rounds, waiting.waiting) == ((), True)
    again = waiting.with_sample(look(3, 2, 300)).with_sample(look(4, 3, 200))
    assert [one.iteration for one in again.rounds] == [3]
    assert not again.waiting


@pytest.mark.parametrize(
    ("mib_s", "ceiling_ms", "expected"),
    [(0, 500, 460), (117, 500, 442), (20, 500, 360), (10, 500, 260), (4, 500, 100), (10, 100, 20), (10, 3000, 2760)],
)
def test_what_is_on_its_way_is_a_part_of_the_pause(mib_s: int, ceiling_ms: int, expected: int) -> None:
    assert pacing.highest_ms(ceiling_ms, mib_s * MIB) == expected


def test_a_link_that_is_slower_for_a_moment_does_not_take_the_limit_down() -> None:
    slow = replace(history(300, 290, 290, downtime_ms=440), samples=(look(10.0, 4, 100, speed=4 * MIB),))
    assert pacing.limit_ms(slow, 500) == 440
    assert pacing.limit_ms(slow, 300) == 260
