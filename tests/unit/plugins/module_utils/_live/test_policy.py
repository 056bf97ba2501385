# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies as operators write them, and what they decide."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._live.model import (
    Abort,
    Action,
    ForceComplete,
    History,
    Sample,
    SetDowntime,
    Stage,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._live.policy import (
    BALANCED,
    FAST,
    GENTLE,
    MUST_FINISH,
    NOVA,
    OnTimeout,
    Policy,
    decide,
    parse,
)


def at(elapsed_s: float, stage: Stage = Stage.MEMORY, **values: Any) -> History:
    return History(gib=2, samples=(Sample(elapsed_s, stage),), **values)


def kinds(actions: Iterable[Action]) -> list[type]:
    return [type(one) for one in actions]


def test_nova_is_what_nova_does_when_it_is_told_nothing() -> None:
    assert Policy("nova", 500, 10, 75, 800, OnTimeout.ABORT) == NOVA


@pytest.mark.parametrize(
    ("elapsed_s", "downtime_ms", "expected"),
    [
        (0, None, ()),
        (0.5, None, (SetDowntime(50),)),
        (1, 50, ()),
        (150, 50, ()),
        (150.5, 50, (SetDowntime(95),)),
        (1000, 50, (SetDowntime(320),)),
        (1501, 455, (SetDowntime(500),)),
        (1600, 500, ()),
    ],
)
def test_the_limit_rises_as_in_novas_log(
    elapsed_s: float, downtime_ms: int | None, expected: tuple[Action, ...]
) -> None:
    assert decide(at(elapsed_s, downtime_ms=downtime_ms), NOVA) == expected


def test_a_limit_that_libvirt_did_not_take_is_not_asked_for_again() -> None:
    first = decide(at(1), NOVA)
    assert first == (SetDowntime(50),)
    assert decide(at(2, downtime_ms=50), NOVA) == ()


def test_when_the_time_is_up() -> None:
    assert kinds(decide(at(1600.5, downtime_ms=500), NOVA)) == [Abort]
    forcing = replace(NOVA, on_timeout=OnTimeout.FORCE_COMPLETE)
    (action,) = decide(at(1600.5, downtime_ms=500), forcing)
    assert isinstance(action, ForceComplete)
    assert "1600 s (800 s for each GiB)" in action.reason
    assert decide(at(1601, downtime_ms=500, forced=True), forcing) == ()
    assert decide(at(1e9, downtime_ms=500), replace(NOVA, completion_timeout_s=0)) == ()


@pytest.mark.parametrize(
    ("lefts", "acts"),
    [
        ([400] * 12, False),
        ([*[400] * 11, 399], True),
        ([*[900] * 8, *[400] * 4], True),
        ([400, 400], True),
        ([0] * 12, True),
    ],
)
@pytest.mark.parametrize("on_timeout", list(OnTimeout))
def test_a_link_that_is_silent_is_not_asked_to_carry_a_guest(
    lefts: list[int], acts: bool, on_timeout: OnTimeout
) -> None:
    """A look each half second. The one that is given up goes on where it is, so that it need not wait."""
    samples = tuple(Sample(5.5 + i / 2, Stage.MEMORY, 2, memory_remaining=left) for i, left in enumerate(lefts))
    policy = replace(NOVA, completion_timeout_s=2, on_timeout=on_timeout)
    wanted = Abort if on_timeout is OnTimeout.ABORT else ForceComplete
    found = kinds(decide(History(gib=2, samples=samples, downtime_ms=50), policy))
    assert found == ([wanted] if acts or on_timeout is OnTimeout.ABORT else [])


@pytest.mark.parametrize("stage", [Stage.POST_COPY, Stage.POST_COPY_PAUSED])
def test_a_guest_that_runs_there_is_left_alone(stage: Stage) -> None:
    assert decide(at(1e9, stage), NOVA) == ()


def test_who_goes_by_what_is_seen_either_ends_it_or_sets_a_limit() -> None:
    late = at(1e9)
    assert kinds(decide(late, BALANCED)) == [Abort]
    assert kinds(decide(late, NOVA)) == [Abort, SetDowntime]
    assert kinds(decide(at(0.1), BALANCED)) == [SetDowntime]


def test_before_anything_was_seen_nothing_is_done() -> None:
    assert decide(History(gib=2), NOVA) == ()


policies = st.builds(
    Policy,
    max_downtime_ms=st.integers(100, 60000),
    downtime_steps=st.integers(3, 100),
    downtime_delay_s=st.integers(3, 1000),
    completion_timeout_s=st.integers(0, 5000),
    on_timeout=st.sampled_from(OnTimeout),
)


@settings(max_examples=50, deadline=None)
@given(policies, st.floats(2, 500), st.lists(st.floats(0, 1e6), min_size=1, max_size=40))
def test_any_policy_stays_below_its_ceiling_and_never_goes_back(
    policy: Policy, gib: float, moments: list[float]
) -> None:
    limit, ended = None, False
    for elapsed in sorted(moments):
        history = History(gib, (Sample(elapsed, Stage.MEMORY),), downtime_ms=limit, forced=ended)
        for action in decide(history, policy):
            if isinstance(action, SetDowntime):
                assert limit is None or limit < action.downtime_ms
                assert action.downtime_ms <= policy.max_downtime_ms
                limit = action.downtime_ms
            else:
                ended = True
    late = decide(History(gib, (Sample(1e9, Stage.MEMORY),), downtime_ms=policy.max_downtime_ms), policy)
    assert bool(late) is bool(policy.completion_timeout_s)


@pytest.mark.parametrize(
    ("given_", "policy"),
    [
        ("nova", NOVA),
        ("fast", FAST),
        ({"name": "gentle"}, GENTLE),
        ("must_finish", MUST_FINISH),
        ({}, BALANCED),
        ({"max_downtime_ms": 300, "stall_s": 0}, replace(BALANCED, max_downtime_ms=300, stall_s=0)),
        ({"name": "fast", "on_timeout": "force_complete"}, replace(FAST, on_timeout=OnTimeout.FORCE_COMPLETE)),
        (
            {"name": "nova", "downtime_steps": "4", "completion_timeout_s": "0"},
            replace(NOVA, downtime_steps=4, completion_timeout_s=0),
        ),
    ],
)
def test_what_an_operator_may_write(given_: object, policy: Policy) -> None:
    assert parse(given_) == policy
    assert Policy.from_result(policy.as_result()) == policy


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        ("quick", "quick: is no policy. There are balanced, must_finish, nova, fast, gentle."),
        (7, "7: is neither a name (balanced, must_finish, nova, fast, gentle) nor a mapping."),
        ({"name": "slow"}, "slow: is no policy"),
        (
            {"downtime": 5},
            "downtime: is not part of a policy like balanced. These have, besides name, balanced, must_finish:",
        ),
        (
            {"downtime_steps": 5},
            "nova, fast, gentle: max_downtime_ms, completion_timeout_s, on_timeout, downtime_steps",
        ),
        ({"name": "fast", "stall_s": 5}, "stall_s: is not part of a policy like fast."),
        ({"stall_s": "5 s"}, "stall_s=5 s: has to be a whole number of at least 0"),
        ({"max_downtime_ms": 99}, "max_downtime_ms=99: has to be a whole number of at least 100"),
        ({"name": "nova", "downtime_steps": True}, "downtime_steps=True: has to be a whole number of at least 3"),
        ({"name": "nova", "downtime_delay_s": "3 s"}, "downtime_delay_s=3 s: has to be a whole number"),
        ({"completion_timeout_s": -1}, "completion_timeout_s=-1: has to be a whole number of at least 0"),
        ({"on_timeout": "retry"}, "on_timeout=retry: has to be abort or force_complete."),
    ],
)
def test_what_is_refused_names_what_is_allowed(given_: object, words: str) -> None:
    with pytest.raises(Refused) as refusal:
        parse(given_)
    assert refusal.value.code == "POLICY_INVALID"
    assert words in str(refusal.value)


def test_fast_and_gentle_are_on_either_side_of_nova() -> None:
    assert FAST.downtime_steps < NOVA.downtime_steps < GENTLE.downtime_steps
    assert FAST.downtime_delay_s < NOVA.downtime_delay_s <= GENTLE.downtime_delay_s
    assert FAST.completion_timeout_s < NOVA.completion_timeout_s < GENTLE.completion_timeout_s


@pytest.mark.parametrize("policy", [BALANCED, MUST_FINISH, NOVA, replace(FAST, on_timeout=OnTimeout.FORCE_COMPLETE)])
def test_a_policy_can_be_typed_again(policy: Policy) -> None:
    assert parse(policy.typed()) == policy
    assert Policy.from_result(policy.as_result()) == policy


def test_what_was_recorded_before_there_were_paces_goes_by_steps() -> None:
    known = {name: value for name, value in FAST.as_result().items() if name not in ("pace", "stall_s")}
    assert Policy.from_result(known) == FAST
