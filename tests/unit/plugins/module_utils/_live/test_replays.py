# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the policies make of what libvirt said of real migrations, recorded ten times a second on the lab.

Both are of a guest that rewrites 22 MiB in about a second: over 320 Mbit/s, where it fits, and over 160 Mbit/s, where
it does not. A line is seconds, iteration, total and remaining bytes, bytes sent a second, bytes dirtied a second, and
the limit that QEMU had.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._live import pacing
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
    MUST_FINISH,
    NOVA,
    Policy,
    decide,
)
from ansible_collections.kvmops.mobility.tests.unit.repository import ROOT

RECORDED = ROOT / "tests/unit/data/live"
MIB = 2**20


def samples(name: str) -> Iterator[Sample]:
    for seconds, iteration, total, left, speed, dirty, limit in json.loads(Path(RECORDED / f"{name}.json").read_text()):
        stage = Stage.MEMORY if total else Stage.PREPARING
        yield Sample(seconds, stage, iteration, total, left, speed, dirty, downtime_limit_ms=limit)


def replay(
    name: str, policy: Policy, *, post_copy: bool = False, throttling: bool = False
) -> tuple[History, list[tuple[float, Action]]]:
    """What was known in the end, and what was done when; nothing is done any more once it was ended."""
    known, done = History(gib=4.0, post_copy=post_copy, throttling=throttling), []
    for seen in samples(name):
        known = known.with_sample(seen)
        for action in decide(known, policy):
            done.append((seen.elapsed_s, action))
            if not isinstance(action, SetDowntime):
                return known, done
            known = replace(known, downtime_ms=action.downtime_ms, asked_s=seen.elapsed_s)
    return known, done


def limits(done: list[tuple[float, Action]]) -> list[int]:
    return [action.downtime_ms for _at, action in done if isinstance(action, SetDowntime)]


def test_one_that_fits_is_never_ended_and_never_gets_more_than_it_needs() -> None:
    known, done = replay("fits", BALANCED)
    assert {type(action) for _at, action in done} == {SetDowntime}
    assert limits(done)[0] == 50
    assert max(limits(done)) <= 300
    assert 20 <= known.bytes_s / MIB <= 40
    pauses = [one.pause_s for one in known.rounds]
    assert pauses == sorted(pauses, reverse=True), "each round was shorter than the one before"
    assert pauses[-1] < 0.3


def test_nova_waits_with_its_first_limit() -> None:
    assert limits(replay("fits", NOVA)[1]) == [50]
    assert limits(replay("borderline", NOVA)[1]) == [50]


def test_one_that_does_not_fit_is_given_up_when_it_came_no_closer() -> None:
    known, done = replay("borderline", BALANCED)
    at, action = done[-1]
    assert isinstance(action, Abort)
    assert 30 <= at <= 45
    assert "ms are allowed; it came no closer to that for 30 s" in action.reason
    assert max(limits(done)) <= pacing.highest_ms(500, 20 * MIB)
    assert len(limits(done)) <= 3, "what is known of the link is never quite the same twice"
    assert min(one.pause_s for one in known.rounds) > 0.6


def test_the_same_with_post_copy_is_soon_over() -> None:
    at, action = replay("borderline", BALANCED, post_copy=True)[1][-1]
    assert isinstance(action, ForceComplete)
    assert at < 12


@pytest.mark.parametrize("throttling", [False, True])
def test_who_must_finish_is_made_to_unless_throttling_still_has_its_time(throttling: bool) -> None:
    done = replay("borderline", MUST_FINISH, throttling=throttling)[1]
    assert isinstance(done[-1][1], ForceComplete) is not throttling


def test_the_hasty_one_of_novas_kind_has_its_steps_only() -> None:
    assert limits(replay("borderline", FAST)[1]) == [166, 277, 388, 500]
