# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose turn it is, from reports alone."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kvmops.mobility.plugins.module_utils._live.model import Sample, Stage
from ansible_collections.kvmops.mobility.plugins.module_utils._live.turns import (
    STALE_S,
    STILL_S,
    Approach,
    Leaving,
    Turn,
    least,
    take_turns,
    trickle_mib_s,
)

MIB = 2**20


def one(name: str, left_mib: float, **values: Any) -> Leaving:
    return Leaving(name, name, values.pop("stage", Stage.MEMORY), int(left_mib * MIB), **values)


def rates(*leaving: Leaving) -> dict[str, int | None]:
    return {name: turn.mib_s for name, turn in take_turns(leaving).items()}


def leader(*leaving: Leaving) -> str:
    (found,) = [name for name, turn in take_turns(leaving).items() if turn.leads]
    return found


def test_one_alone_has_the_whole_budget() -> None:
    assert take_turns([one("a", 100, budget_mib_s=38)]) == {"a": Turn(True, 38, 38, "a")}


def test_one_alone_without_a_budget_has_no_limit() -> None:
    (turn,) = take_turns([one("a", 100)]).values()
    assert (turn.mib_s, turn.words, turn.waiting) == (0, "has the link: no limit", False)


def test_who_is_nearest_to_its_end_has_the_link_and_the_others_trickle() -> None:
    turns = take_turns([one("a", 300, budget_mib_s=38), one("b", 100), one("c", 200)])
    assert {name: turn.mib_s for name, turn in turns.items()} == {"a": 1, "b": 36, "c": 1}
    assert [turn.words for turn in turns.values()] == [
        "waits for its turn (with b): 1 MiB/s",
        "has the link: 36 MiB/s",
        "waits for its turn (with b): 1 MiB/s",
    ]
    assert [turn.waiting for turn in turns.values()] == [True, False, True]


def test_without_a_budget_nobody_limits_who_has_the_link() -> None:
    assert rates(one("a", 300), one("b", 100)) == {"a": 1, "b": 0}


def test_the_nearest_is_so_by_what_it_may_take_itself() -> None:
    slow = one("a", 100, own_mib_s=5, budget_mib_s=50)
    assert leader(slow, one("b", 300)) == "b"
    assert leader(replace(slow, own_mib_s=20), one("b", 300)) == "a"


def test_what_an_operator_holds_back_is_the_next_ones() -> None:
    held = one("a", 1, own_mib_s=20, budget_mib_s=100)
    assert rates(held, one("b", 200), one("c", 300)) == {"a": 20, "b": 78, "c": 2}
    assert rates(replace(held, budget_mib_s=0), one("b", 200), one("c", 300)) == {"a": 20, "b": 0, "c": 1}


def test_a_share_is_told_without_the_operators_own_limit() -> None:
    turns = take_turns([one("a", 10, own_mib_s=20, budget_mib_s=100), one("b", 200, own_mib_s=1)])
    assert [(turn.share_mib_s, turn.mib_s) for turn in turns.values()] == [(99, 20), (80, 1)]


def test_equally_near_is_decided_by_the_id() -> None:
    assert leader(one("b", 100), one("a", 100)) == "a"


@pytest.mark.parametrize(("left", "expected"), [(60, "a"), (49, "b")])
def test_who_has_the_link_keeps_it_for_a_while(left: int, expected: str) -> None:
    assert leader(one("a", 100, leads=True), one("b", left)) == expected


def test_two_that_believe_to_have_the_link_agree_again() -> None:
    assert leader(one("a", 100, leads=True), one("b", 90, leads=True), one("c", 80)) == "b"


def test_who_came_no_closer_waits_for_the_others_and_then_for_its_turn() -> None:
    still = one("a", 1, lost_at=50.0)
    assert leader(still, one("b", 1000)) == "b"
    assert leader(replace(still, leads=True), one("b", 1000)) == "b"
    assert leader(replace(still, leads=True), one("b", 1000, lost_at=40.0)) == "b"
    assert leader(still, one("b", 1000, lost_at=60.0, leads=True)) == "a"


@pytest.mark.parametrize("urgent", [{"urgent": True}, {"stage": Stage.POST_COPY}])
def test_a_guest_that_stands_still_goes_first(urgent: dict[str, Any]) -> None:
    waits = one("a", 1, leads=True, budget_mib_s=38)
    assert leader(waits, one("b", 1000, **urgent)) == "b"
    assert rates(waits, one("b", 1000, **urgent))["a"] == 1
    # That one is not interrupted itself.
    assert leader(one("a", 1, urgent=True), one("b", 1000, leads=True, **urgent)) == "b"


def test_post_copy_is_nothing_that_could_be_limited() -> None:
    turns = take_turns([one("a", 10, budget_mib_s=38), one("b", 10, stage=Stage.POST_COPY)])
    assert [turn.mib_s for turn in turns.values()] == [1, None]
    assert not turns["b"].waiting


def test_disks_count_and_do_not_take_turns() -> None:
    turns = take_turns([one("a", 10, budget_mib_s=38), one("b", 0, stage=Stage.DISKS)])
    assert turns["a"].mib_s == 37
    assert (turns["b"].leads, turns["b"].mib_s, turns["b"].waiting) == (False, None, False)
    assert take_turns([one("b", 0, stage=Stage.DISKS)])["b"].mib_s is None


@pytest.mark.parametrize("stage", [Stage.PREPARING, Stage.ENDING, Stage.POST_COPY_PAUSED])
def test_what_is_not_on_the_link_does_not_count(stage: Stage) -> None:
    assert rates(one("a", 10, budget_mib_s=38), one("b", 0, stage=stage)) == {"a": 38, "b": None}


def test_a_watcher_that_died_neither_leads_nor_counts() -> None:
    dead = one("b", 1, leads=True, age_s=STALE_S, budget_mib_s=7)
    assert rates(one("a", 100, budget_mib_s=38), dead) == {"a": 38, "b": None}
    assert leader(one("a", 100), replace(dead, age_s=STALE_S - 1)) == "b"


def test_the_smallest_budget_counts() -> None:
    assert rates(one("a", 10, budget_mib_s=38), one("b", 20, budget_mib_s=20)) == {"a": 19, "b": 1}


def test_more_than_a_small_budget_is_spent_rather_than_nothing() -> None:
    assert rates(*(one(name, 10, budget_mib_s=2) for name in "abc")) == {"a": 1, "b": 1, "c": 1}


def test_limits() -> None:
    assert [least(), least(0, 0), least(0, 3), least(5, 3)] == [0, 0, 3, 3]
    assert [trickle_mib_s(*given) for given in ((0, 3), (38, 1), (1000, 1), (1000, 5), (40, 0))] == [1, 1, 50, 10, 2]


STAGES = st.sampled_from([Stage.MEMORY] * 4 + list(Stage))


@st.composite
def leavings(draw: st.DrawFn) -> list[Leaving]:
    names = draw(st.lists(st.text("abcdef", min_size=1, max_size=3), unique=True, min_size=1, max_size=8))
    return [
        Leaving(
            id=name,
            name=name,
            stage=draw(STAGES),
            left_bytes=draw(st.integers(0, 2**36)),
            own_mib_s=draw(st.sampled_from((0, 0, 1, 7, 300))),
            budget_mib_s=draw(st.sampled_from((0, 8, 38, 1200))),
            urgent=draw(st.booleans()),
            leads=draw(st.booleans()),
            lost_at=draw(st.none() | st.floats(0, 1e9)),
            age_s=draw(st.sampled_from((0.0, 0.5, STALE_S, 600.0, -1.0))),
        )
        for name in names
    ]


@given(leavings(), st.randoms())
def test_the_turns_of_any(told: list[Leaving], chance: Any) -> None:
    turns = take_turns(told)
    assert set(turns) == {this.id for this in told}
    fresh = [this for this in told if this.age_s < STALE_S]
    able = [this for this in fresh if this.stage in (Stage.MEMORY, Stage.POST_COPY)]
    leads = [name for name, turn in turns.items() if turn.leads]
    assert len(leads) == (1 if able else 0)
    assert set(leads) <= {this.id for this in able}

    on_the_link = [this for this in fresh if this.stage in (Stage.DISKS, Stage.MEMORY, Stage.POST_COPY)]
    budget = least(*(this.budget_mib_s for this in on_the_link))
    sending = [this for this in fresh if this.stage is Stage.MEMORY]
    for this in sending:
        mib_s = turns[this.id].mib_s
        assert mib_s is not None
        assert not this.own_mib_s or 0 < mib_s <= this.own_mib_s
        assert not budget or mib_s >= 1
    if budget >= len(on_the_link) * trickle_mib_s(budget, len(on_the_link) - 1):
        assert sum(turns[this.id].mib_s or 0 for this in sending) <= max(budget, 0)
    # Who has no limit has to be the one that leads, or comes behind one that its operator holds back.
    if budget:
        assert all(turns[this.id].mib_s for this in sending)

    shuffled = list(told)
    chance.shuffle(shuffled)
    assert take_turns(shuffled) == turns


@given(leavings())
def test_who_leads_goes_on_leading_when_nothing_happens(told: list[Leaving]) -> None:
    """And somebody who stands still does not come first again before all others had it."""
    first = take_turns(told)
    again = take_turns([replace(this, leads=first[this.id].leads) for this in told])
    assert {name for name, turn in again.items() if turn.leads} == {name for name, turn in first.items() if turn.leads}


@given(leavings())
def test_what_was_told_is_what_is_heard(told: list[Leaving]) -> None:
    for this in told:
        words = json.loads(json.dumps({**this.as_result(), "of a newer version": 1}))
        assert Leaving.from_result(words, this.age_s) == this


# --- whether one comes closer to its end ---------------------------------------------------------------------------


def rounds(*began_with_mib: float, each_s: float = 10.0, looks: int = 5) -> list[Sample]:
    """Samples of rounds that begin with so much and end with nothing."""
    return [
        Sample(
            number * each_s + look * each_s / looks,
            Stage.MEMORY,
            iteration=number + 1,
            memory_remaining=int(mib * MIB * (looks - look) / looks),
        )
        for number, mib in enumerate(began_with_mib)
        for look in range(looks)
    ]


def still_at(samples: list[Sample]) -> float | None:
    approach = Approach(0.0)
    for seen in samples:
        approach.see(seen)
        if approach.stands_still(seen.elapsed_s):
            return seen.elapsed_s
    return None


def test_rounds_that_become_shorter_come_closer() -> None:
    assert still_at(rounds(100, 80, 60, 40, 30, 20, 10)) is None


def test_rounds_that_stay_as_they_are_do_not() -> None:
    assert still_at(rounds(100, 50, *[50] * 8)) == pytest.approx(50.0)  # three more than the first such round


def test_short_rounds_need_their_time() -> None:
    assert still_at(rounds(100, *[50] * 40, each_s=1.0)) == pytest.approx(2.0 + STILL_S)


def test_a_long_first_round_is_not_in_vain() -> None:
    assert still_at(rounds(1000, each_s=3600.0, looks=600)) is None


def test_a_link_that_is_silent_is_seen_in_any_round() -> None:
    silent = [Sample(at / 2, Stage.MEMORY, iteration=1, memory_remaining=7) for at in range(100)]
    assert still_at(silent) == pytest.approx(STILL_S)


def test_that_it_came_closer_and_what_was_least() -> None:
    approach = Approach(0.0)
    for seen in rounds(100, 90):
        approach.see(seen)
    assert not approach.came_closer  # nothing to compare the first one with
    for seen in rounds(100, 90, 80)[10:]:
        approach.see(seen)
    assert approach.came_closer
    assert approach.least_bytes == pytest.approx(80 * MIB / 5)
