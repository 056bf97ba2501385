# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said before a live migration begins: against guests that were measured, and against simulated ones."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.kvmops.mobility.plugins.module_utils._live import forecast, pacing
from ansible_collections.kvmops.mobility.plugins.module_utils._live.curve import Curve
from ansible_collections.kvmops.mobility.plugins.module_utils._live.forecast import (
    MIB,
    STARTING_S,
    need_s,
    outlook,
    ways_out,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._live.model import History
from ansible_collections.kvmops.mobility.plugins.module_utils._live.monitor import Bounds, Monitor, Report, Told, Tools
from ansible_collections.kvmops.mobility.plugins.module_utils._live.options import Compression, Options
from ansible_collections.kvmops.mobility.plugins.module_utils._live.outlook import (
    GRAIN_BYTES,
    Measured,
    Outlook,
    Past,
    Verdict,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._live.pacing import DEVICES_MS, IN_FLIGHT_BYTES, first_ms
from ansible_collections.kvmops.mobility.plugins.module_utils._live.policy import (
    BALANCED,
    FAST,
    GENTLE,
    MUST_FINISH,
    NOVA,
    OnTimeout,
    Policy,
)
from ansible_collections.kvmops.mobility.tests.unit import precopy
from ansible_collections.kvmops.mobility.tests.unit.dirtied import BYTES, WINDOWS
from ansible_collections.kvmops.mobility.tests.unit.precopy import Precopy, always, hot

PLAIN = Options(copy_disks=False)
LINK = 117 * MIB
"""A gigabit, of which ssh and QEMU get as much."""
MEAN_DEVICES_MS = 30
LEAST_MS = MEAN_DEVICES_MS + 13
"""Of any pause on such a link."""


def wrote(first: float, second: float, **values: Any) -> Measured:
    """MiB that were new in a window of one and of two seconds, on a guest of 1 GiB."""
    windows = ((1.0, int(first * MIB)), (2.0, int(second * MIB)))
    return replace(Measured(windows, 1024 * MIB, LINK), **values)


IDLE = wrote(0, 0)
LIGHT = wrote(19, 28)
HOT = wrote(68, 102)
HOTTER = wrote(116, 140)
SWEEP = wrote(158, 306)


def say(measured: Measured, policy: Policy = BALANCED, gib: float = 2.0, **options: Any) -> Outlook:
    return outlook(measured, policy, gib, replace(PLAIN, **options))


# --- the four guests of the table ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("measured", "need_ms", "within"),
    [
        pytest.param(LIGHT, 70, 40, id="S1"),
        pytest.param(HOT, 410, 5, id="S2"),
        pytest.param(wrote(74, 106), 494, 5, id="S2, looked at closely"),
        pytest.param(HOTTER, 990, 5, id="S3"),
        pytest.param(wrote(122, 136), 1049, 5, id="S3, looked at closely"),
    ],
)
def test_the_pause_that_is_needed(measured: Measured, need_ms: float, within: float) -> None:
    found = need_s(measured, PLAIN)
    assert found is not None
    assert 1000 * found == pytest.approx(need_ms, abs=within)


def test_one_that_writes_faster_than_the_link_needs_as_long_as_its_memory() -> None:
    assert need_s(SWEEP, PLAIN) == pytest.approx(1024 / 117)
    assert Curve.through(SWEEP.dirtied).need_s(LINK) is None


@pytest.mark.parametrize(
    ("measured", "verdict", "total_s", "pause_ms"),
    [
        pytest.param(LIGHT, Verdict.CONVERGES, 10.2, 63, id="S1"),
        pytest.param(HOT, Verdict.CONVERGES, 13.8, 428, id="S2"),
        pytest.param(HOTTER, Verdict.DOES_NOT, None, None, id="S3"),
        pytest.param(SWEEP, Verdict.DOES_NOT, None, None, id="S4"),
    ],
)
def test_what_was_seen_of_them(
    measured: Measured, verdict: Verdict, total_s: float | None, pause_ms: int | None
) -> None:
    found = say(measured)
    assert found.verdict is verdict
    if total_s is None or pause_ms is None:
        assert (found.total_s, found.pause_ms) == (None, None)
    else:
        assert found.total_s == pytest.approx(total_s, rel=0.15)
        assert found.pause_ms == pytest.approx(pause_ms, rel=0.2, abs=95)


@pytest.mark.parametrize(("measured", "total_s"), [(HOTTER, 18.0), (SWEEP, 23.0)])
def test_slowed_down_from_the_start(measured: Measured, total_s: float) -> None:
    found = say(measured, auto_converge=True)
    assert found.verdict is Verdict.CONVERGES
    assert found.total_s == pytest.approx(total_s, rel=0.45)
    assert 60 <= found.throttle_percent <= 90
    assert "slowed down, by" in found.why


def test_a_sweep_is_slowed_down_by_what_it_takes() -> None:
    """1 - 0.35 * 117 / 148, as was tried."""
    assert say(SWEEP, auto_converge=True).throttle_percent == 72


@pytest.mark.parametrize(("measured", "total_s"), [(HOTTER, 13.1), (SWEEP, 25.8)])
def test_by_post_copy(measured: Measured, total_s: float) -> None:
    found = say(measured, post_copy=True)
    assert (found.verdict, found.pause_ms) == (Verdict.CONVERGES, LEAST_MS)
    assert found.total_s == pytest.approx(total_s, rel=0.25)
    assert "by post-copy" in found.why


def test_nothing_is_slowed_down_and_nothing_goes_by_post_copy_where_plain_pre_copy_will_do() -> None:
    assert say(HOT, auto_converge=True) == say(HOT)
    assert say(HOT, post_copy=True) == say(HOT)


def test_novas_schedule_takes_its_time() -> None:
    """Measured on a schedule whose time was scaled: 1050 to 1350 s."""
    assert say(LIGHT, NOVA).total_s == pytest.approx(160, abs=10)
    found = say(HOT, NOVA)
    assert found.verdict is Verdict.CONVERGES
    assert found.total_s == pytest.approx(1200, abs=151)
    assert say(HOT, FAST).total_s == pytest.approx(18, abs=4)
    assert say(HOTTER, NOVA).verdict is Verdict.DOES_NOT


def test_a_schedule_that_has_not_the_time_it_takes() -> None:
    short = replace(NOVA, completion_timeout_s=300)
    found = say(HOT, short)
    assert found.verdict is Verdict.DOES_NOT
    assert "600 s are allowed" in found.why
    assert say(HOT, replace(NOVA, completion_timeout_s=500)).verdict is Verdict.UNSURE
    assert say(HOT, replace(short, completion_timeout_s=0)).verdict is Verdict.CONVERGES


# --- what makes it finish --------------------------------------------------------------------------------------------


def test_must_finish_pauses_when_it_came_no_closer() -> None:
    found = say(HOTTER, MUST_FINISH)
    assert found.verdict is Verdict.CONVERGES
    assert found.total_s is not None
    assert 15 + 8.75 < found.total_s < 15 + 20
    assert found.pause_ms == pytest.approx(1000, abs=200)
    assert "made to finish by a pause" in found.why
    assert say(HOTTER, MUST_FINISH, post_copy=True).pause_ms == LEAST_MS


def test_a_policy_by_the_clock_finishes_when_its_time_is_up() -> None:
    forcing = replace(FAST, on_timeout=OnTimeout.FORCE_COMPLETE)
    found = say(SWEEP, forcing)
    assert (found.verdict, found.throttle_percent) == (Verdict.CONVERGES, 0)
    assert found.total_s == pytest.approx(300 + 8.75, abs=1)
    never = replace(forcing, completion_timeout_s=0)
    assert say(SWEEP, never).verdict is Verdict.DOES_NOT


def test_what_would_do() -> None:
    found = dict(ways_out(HOTTER, BALANCED, 2.0, PLAIN))
    assert list(found) == [
        "live.max_downtime_ms=1300",
        "live.auto_converge=true",
        "live.post_copy=true",
        "policy=must_finish",
    ]
    assert all(one.verdict is Verdict.CONVERGES for one in found.values())
    assert "live.max_downtime_ms=10600" not in dict(ways_out(SWEEP, BALANCED, 2.0, PLAIN))


def test_a_policy_by_the_clock_is_offered_the_other_kind() -> None:
    hasty = replace(NOVA, completion_timeout_s=30)
    found = dict(ways_out(HOT, hasty, 2.0, PLAIN))
    assert next(iter(found)) == "policy=balanced"
    assert "policy=balanced with live.post_copy=true" in found


# --- what is not certain ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("measured", "options"),
    [
        pytest.param(wrote(80, 112), {}, id="a little more than is allowed"),
        pytest.param(wrote(70, 190), {}, id="as fast as the link, but hardly hot"),
        pytest.param(HOTTER, {"compression": Compression.XBZRLE}, id="nobody knows what it shrinks to"),
        pytest.param(wrote(90, 90), {}, id="nobody has looked at less than a second, and rounds may get shorter"),
        pytest.param(replace(wrote(3, 3), link_bytes_s=3 * MIB), {}, id="two pages were found written"),
    ],
)
def test_what_is_not_clear_is_not_refused(measured: Measured, options: dict[str, Any]) -> None:
    found = say(measured, **options)
    assert found.verdict in (Verdict.UNSURE, Verdict.CONVERGES)
    assert not found.throttle_percent


def test_a_closer_look_makes_it_clear() -> None:
    """Which of a sweep and a set that is always hot it is, shows below a second."""
    flat = replace(IDLE, dirtied=tuple((one, 110 * MIB) for one in (0.1, 0.5, 1.0, 2.0)))
    swept = replace(IDLE, dirtied=tuple((one, int(110 * MIB * min(one, 1.0))) for one in (0.1, 0.5, 1.0, 2.0)))
    assert say(flat).verdict is Verdict.DOES_NOT
    found = say(swept)
    assert found.verdict is Verdict.CONVERGES
    assert found.pause_ms is not None
    assert found.pause_ms <= 500 + LEAST_MS


@pytest.mark.parametrize(
    ("measured", "why"),
    [
        (wrote(68, 102, link_bytes_s=None, unknown="no link"), "no link"),
        (wrote(0, 0, dirtied=(), unknown="too old"), "too old"),
    ],
)
def test_what_was_not_measured_is_not_known(measured: Measured, why: str) -> None:
    found = say(measured)
    assert (found.verdict, found.total_s, found.pause_ms, found.why) == (Verdict.UNKNOWN, None, None, why)
    assert found.short() == "unknown"
    assert need_s(measured, PLAIN) is None


def test_a_limit_of_the_bandwidth_is_a_slower_link() -> None:
    assert say(HOT, bandwidth_mib_s=117) == say(HOT, bandwidth_mib_s=0)
    limited, narrow = say(LIGHT, bandwidth_mib_s=60), say(replace(LIGHT, link_bytes_s=60 * MIB))
    assert (limited.verdict, limited.total_s) == (narrow.verdict, narrow.total_s)
    assert limited.pause_ms is not None
    assert narrow.pause_ms is not None
    assert limited.pause_ms < narrow.pause_ms, "what sockets hold goes as fast as the link does"
    assert say(HOT, bandwidth_mib_s=60).verdict is Verdict.DOES_NOT


def test_disks_go_first() -> None:
    found = say(replace(IDLE, disk_bytes=1170 * MIB), copy_disks=True)
    assert found.total_s == pytest.approx(STARTING_S + 10 + 1024 / 117, abs=0.1)
    assert say(replace(IDLE, disk_bytes=1170 * MIB)).total_s == say(IDLE).total_s


# --- the past --------------------------------------------------------------------------------------------------------


def test_the_past_corrects_what_is_said() -> None:
    plain = say(HOT)
    past = tuple(Past(10.0 * one, 10.0, 300, 200) for one in (9, 1.2, 1.2, 1.3, 1.1, 0.2))
    found = say(replace(HOT, past=past))
    assert plain.total_s is not None
    assert plain.pause_ms is not None
    assert found.total_s == pytest.approx(1.15 * plain.total_s, abs=0.1)
    assert found.pause_ms == round(1.5 * plain.pause_ms)
    assert (found.model_total_s, found.model_pause_ms) == (plain.total_s, plain.pause_ms)


@pytest.mark.parametrize(("was", "ratio"), [(100.0, 2.0), (0.1, 0.5)])
def test_the_past_is_not_believed_beyond_reason(was: float, ratio: float) -> None:
    plain, found = say(HOT), say(replace(HOT, past=(Past(was, 10.0, None, None),)))
    assert plain.total_s is not None
    assert found.total_s == pytest.approx(ratio * plain.total_s, abs=0.1)
    assert found.pause_ms == plain.pause_ms


def test_the_past_knows_the_link() -> None:
    past = tuple(Past(bytes_s=one * MIB) for one in (1, 117, 110, 130))
    assert replace(HOT, link_bytes_s=None, past=past).link == int(113.5 * MIB)
    assert replace(HOT, past=past).link == LINK


# --- in words, and over the wire -------------------------------------------------------------------------------------


def test_in_words() -> None:
    assert say(HOT).words() == "15 s, pause 478 ms: dirtied 68 MiB/s, link 117 MiB/s"
    assert say(HOTTER).words() == (
        "it does not converge: dirtied 116 MiB/s, link 117 MiB/s, so it needs a pause of 989 ms, and 500 ms are allowed"
    )
    assert say(wrote(80, 112)).short() == "it may not converge"
    assert "as long a pause as all of its memory takes, 8.8 s" in say(SWEEP).why


@pytest.mark.parametrize("one", [HOT, replace(HOTTER, past=(Past(1.0, 2.0, 3, 4, 5), Past())), wrote(1, 2, dirtied=())])
def test_as_plain_data(one: Measured) -> None:
    assert Measured.from_result(json.loads(json.dumps(one.as_result()))) == one
    assert Outlook.from_result(json.loads(json.dumps(say(one).as_result()))) == say(one)


# --- whatever is measured --------------------------------------------------------------------------------------------

LINKS = st.integers(1, 4000).map(lambda one: one * MIB // 4)
POLICIES = st.sampled_from((BALANCED, MUST_FINISH, NOVA, FAST, GENTLE))
OPTIONS = st.builds(
    Options,
    copy_disks=st.just(False),
    auto_converge=st.booleans(),
    post_copy=st.booleans(),
    bandwidth_mib_s=st.sampled_from((0, 5, 80)),
)
ANY = st.builds(
    Measured,
    dirtied=WINDOWS.map(tuple),
    resident_bytes=st.integers(0, 8192).map(lambda one: one * MIB),
    link_bytes_s=LINKS,
    past=st.just(()),
    grain_bytes=st.sampled_from((0, MIB // 8, 2 * MIB)),
    disk_bytes=BYTES,
)
RANK = {Verdict.DOES_NOT: 0, Verdict.UNSURE: 1, Verdict.CONVERGES: 2}


@given(ANY, POLICIES, st.floats(2, 100), OPTIONS)
def test_it_ends_and_nothing_is_below_nothing(one: Measured, policy: Policy, gib: float, options: Options) -> None:
    found = outlook(one, policy, gib, options)
    assert found.verdict in RANK
    assert found.why
    assert (found.total_s is None) is (found.pause_ms is None) is (found.verdict is not Verdict.CONVERGES)
    if found.total_s is not None and found.pause_ms is not None:
        assert found.total_s >= 0
        assert found.pause_ms >= MEAN_DEVICES_MS
    assert found.throttle_percent == 0 or 20 <= found.throttle_percent <= 90
    assert (need_s(one, options) or 0) >= 0


@given(ANY, POLICIES)
def test_without_help_the_pause_is_what_is_allowed(one: Measured, policy: Policy) -> None:
    plain = replace(policy, on_timeout=OnTimeout.ABORT)
    found = outlook(one, plain, 2.0, PLAIN)
    if found.pause_ms is not None and found.total_s is not None and one.link is not None:
        in_flight_ms = 1000 * IN_FLIGHT_BYTES / one.link
        assert found.pause_ms <= policy.max_downtime_ms + DEVICES_MS + in_flight_ms + 1
        assert found.total_s >= round(one.resident_bytes / one.link, 1) - 0.1


UNTIMED = [replace(one, completion_timeout_s=0, stall_s=0) for one in (BALANCED, NOVA, FAST)]


@given(ANY, st.sampled_from(UNTIMED), st.floats(1.0, 8.0))
def test_a_faster_link_never_makes_it_worse(one: Measured, policy: Policy, faster: float) -> None:
    better = replace(one, link_bytes_s=int((one.link_bytes_s or 0) * faster))
    assert RANK[outlook(better, policy, 2.0, PLAIN).verdict] >= RANK[outlook(one, policy, 2.0, PLAIN).verdict]
    assert (need_s(better, PLAIN) or 0) <= (need_s(one, PLAIN) or 0)


@given(ANY, st.sampled_from(UNTIMED), st.integers(0, 5000))
@example(
    Measured(dirtied=((0.1, 0), (0.2, 16 * MIB), (0.5, 0)), resident_bytes=18 * MIB, link_bytes_s=90701824),
    UNTIMED[0],
    220,
)
@example(
    Measured(dirtied=((0.1, 0), (0.2, 58458112), (0.5, 0)), resident_bytes=56 * MIB, link_bytes_s=292552704),
    UNTIMED[0],
    60,
)
def test_a_higher_ceiling_never_makes_it_worse(one: Measured, policy: Policy, more_ms: int) -> None:
    wider = replace(policy, max_downtime_ms=policy.max_downtime_ms + more_ms)
    assert RANK[outlook(one, wider, 2.0, PLAIN).verdict] >= RANK[outlook(one, policy, 2.0, PLAIN).verdict]


@given(ANY, st.sampled_from(UNTIMED), st.floats(1.0, 8.0))
def test_a_guest_that_writes_more_is_never_better_off(one: Measured, policy: Policy, more: float) -> None:
    busier = replace(one, dirtied=tuple((seconds, int(amount * more)) for seconds, amount in one.dirtied))
    assert RANK[outlook(busier, policy, 2.0, PLAIN).verdict] <= RANK[outlook(one, policy, 2.0, PLAIN).verdict]
    assert (need_s(busier, PLAIN) or 0) >= (need_s(one, PLAIN) or 0) - 1e-9


# --- beside the rule that is followed --------------------------------------------------------------------------------


@pytest.mark.parametrize("ceiling_ms", [100, 299, 300, 500, 5000])
def test_the_limit_begins_where_the_rule_begins(ceiling_ms: int) -> None:
    assert first_ms(ceiling_ms) == pacing.limit_ms(History(gib=2.0), ceiling_ms)


class Clock:
    """Time passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def migrated(job: Precopy, policy: Policy) -> Precopy:
    """The simulated job, watched as a real one."""
    clock = Clock()
    tools = Tools(clock, clock.sleep, lambda: Told(policy), lambda _report: None, lambda: None)
    bounds = Bounds(2.0, post_copy=False, was_paused=False, patience_s=60)
    Monitor(job, None, bounds, tools, Report(0.0)).watch()
    return job


def seen_of(guest: precopy.Guest, **values: Any) -> Measured:
    """What would be measured of a simulated guest."""
    windows = []
    for seconds in (0.1, 0.2, 0.5, 1.0, 2.0):
        blocks: set[int] = set()
        for _step in range(round(seconds / precopy.STEP_S)):
            blocks.update(guest.run(precopy.STEP_S))
        windows.append((seconds, len(blocks) * precopy.BLOCK))
    return replace(Measured(tuple(windows), 1024 * MIB, LINK, grain_bytes=MIB // 8), **values)


@pytest.mark.parametrize(
    "writes",
    [
        pytest.param((hot(8, 400), hot(300, 10, 100)), id="S1"),
        pytest.param((hot(34, 2000), hot(500, 30, 100)), id="S2"),
        pytest.param((hot(30, 30), hot(500, 5, 100)), id="a sweep that takes a second"),
        pytest.param((hot(600, 60, 100),), id="a sweep at half of the link"),
        pytest.param((), id="idle"),
    ],
)
def test_a_simulated_guest_gets_there_as_was_said(writes: tuple[precopy.Writes, ...]) -> None:
    said = say(seen_of(precopy.Guest(always(*writes))))
    done = migrated(Precopy(always(*writes)), BALANCED)
    assert said.verdict is Verdict.CONVERGES
    assert done.arrived
    assert done.ended_s is not None
    assert done.pause_s is not None
    assert said.total_s == pytest.approx(STARTING_S + done.ended_s, rel=0.2)
    assert said.pause_ms == pytest.approx(1000 * done.pause_s + LEAST_MS, rel=0.2, abs=80)


@pytest.mark.parametrize(
    "writes",
    [
        pytest.param((hot(110, 4000), hot(500, 14, 200)), id="S3"),
        pytest.param((hot(700, 160),), id="S4"),
        pytest.param((hot(200, 4000),), id="a set as large as the link in two seconds"),
    ],
)
def test_a_simulated_guest_that_is_refused_would_not_have_got_there(writes: tuple[precopy.Writes, ...]) -> None:
    said = say(seen_of(precopy.Guest(always(*writes))))
    assert said.verdict is Verdict.DOES_NOT
    assert migrated(Precopy(always(*writes)), BALANCED).given_up


def test_margins_are_what_is_documented() -> None:
    assert (forecast.NEED_MARGIN, forecast.LINK_MARGIN, GRAIN_BYTES) == (1.5, 1.15, 2 * MIB)
