# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Orders from another terminal: what each does to libvirt's job, and when it is refused."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._flow import control
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.job import NO_LIMIT_MIB_S
from ansible_collections.kvmops.mobility.plugins.module_utils._live.options import Options
from ansible_collections.kvmops.mobility.plugins.module_utils._live.policy import FAST, GENTLE, NOVA
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Step
from ansible_collections.kvmops.mobility.tests.unit.bed import Bed
from ansible_collections.kvmops.mobility.tests.unit.lively import BROKEN, POST_COPY, Side
from ansible_collections.kvmops.mobility.tests.unit.units import Units


@pytest.fixture
def here(bed: Bed, units: Units) -> Side:
    bed.guest()
    return Side(bed, units, "source")


def order(side: Side, what: str, **values: Any) -> dict[str, Any]:
    """As the frame does it for a module that has no step."""
    plan = control.plan(side.bed.context(**side.params(order=what, **values)))
    found = dict(plan.result)
    for effect in plan.effects:
        found.update(effect.do() or {})
    return found


# --- abort ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["memory", "disks"])
def test_abort_ends_the_job_at_once(here: Side, stage: str) -> None:
    getattr(here.travel, stage)()
    here.travel.on["abortJob"] = here.travel.end
    found = order(here, "abort")
    assert (found["stage"], found["takes_effect"]) == (stage, "at once")
    assert found["gone_after_s"] < 2
    assert here.travel.methods == ["abortJob"]
    assert here.book.aborted()
    assert here.bed.domain().state() == "running"


@pytest.mark.parametrize("asked", [False, True])
def test_abort_before_there_is_a_job(here: Side, asked: bool) -> None:
    if asked:
        here.bed.note(Step.LIVE, "start", {"kind": "end_live"})
    found = order(here, "abort")
    assert found["stage"] == "preparing"
    assert ("within a second" if asked else "when the destination is prepared") in found["takes_effect"]
    assert here.book.aborted()
    assert here.travel.asked == []


@pytest.mark.parametrize("state", [POST_COPY, BROKEN])
def test_abort_is_too_late_in_post_copy(here: Side, state: tuple[int, int]) -> None:
    here.travel.memory()
    here.travel.state = state
    error = here.fails("ABORT_TOO_LATE", lambda: order(here, "abort"))
    assert "neither side has all of it" in error.message
    assert not here.book.aborted()


def test_abort_that_libvirt_does_not_heed(here: Side) -> None:
    here.travel.memory()
    here.fails("LIVE_STUCK", lambda: order(here, "abort"))


def test_abort_when_it_has_left(here: Side) -> None:
    here.leave()
    here.fails("LIVE_OVER", lambda: order(here, "abort"))


def test_abort_when_its_end_was_told(here: Side) -> None:
    here.tell(ended=True)
    here.fails("LIVE_OVER", lambda: order(here, "abort"))


# --- force_complete ------------------------------------------------------------------------------------------------


def test_force_pauses_where_post_copy_is_not_allowed(here: Side) -> None:
    here.travel.memory()
    assert order(here, "force_complete")["by"] == "pause"
    assert here.bed.domain().state() == "paused"
    assert here.book.forced()
    assert here.book.paused()


def test_force_switches_to_post_copy_where_it_is(bed: Bed, units: Units) -> None:
    bed.guest()
    here = Side(bed, units, "source", options=Options(post_copy=True))
    here.travel.memory()
    assert order(here, "force_complete")["by"] == "post-copy"
    assert here.travel.methods == ["migrateStartPostCopy"]
    assert bed.domain().state() == "running"
    assert not here.book.paused()
    assert here.book.switched()


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        ("", "has not begun to send its memory"),
        ("disks", "still copies its disks"),
        ("post-copy", "in post-copy already"),
    ],
)
def test_force_is_refused_outside_the_memory_stage(here: Side, stage: str, words: str) -> None:
    if stage == "disks":
        here.travel.disks()
    if stage == "post-copy":
        here.travel.memory()
        here.travel.state = POST_COPY
    error = here.fails("LIVE_WRONG_STAGE", lambda: order(here, "force_complete"))
    assert words in error.message
    assert not here.book.forced()


def test_force_has_nothing_to_do_for_a_guest_that_is_paused(bed: Bed, units: Units) -> None:
    bed.guest()
    here = Side(bed, units, "source", was_paused=True)
    here.travel.memory()
    here.fails("LIVE_WRONG_STAGE", lambda: order(here, "force_complete"))


def test_force_when_it_is_over(here: Side) -> None:
    here.leave()
    here.fails("LIVE_OVER", lambda: order(here, "force_complete"))


# --- retune --------------------------------------------------------------------------------------------------------


def test_retune_is_told_and_done(here: Side) -> None:
    here.travel.memory()
    found = order(here, "retune", policy="fast", bandwidth_mib_s=40)
    assert found["policy"]["name"] == "fast"
    assert here.travel.asked == [("migrateSetMaxSpeed", 40)]
    assert here.book.told(NOVA).policy == FAST
    assert here.book.bandwidth_mib_s(0) == 40


def test_retune_takes_no_more_than_its_turn_allows(here: Side) -> None:
    here.travel.memory()
    here.book.tell_turn({"at": here.bed.clock(), "share_mib_s": 2, "leaving": {}})
    order(here, "retune", bandwidth_mib_s=40)
    here.book.forget_turn()
    order(here, "retune", bandwidth_mib_s=0)
    assert here.travel.asked == [("migrateSetMaxSpeed", 2), ("migrateSetMaxSpeed", NO_LIMIT_MIB_S)]
    assert here.book.bandwidth_mib_s(9) == 0


def test_retune_keeps_what_it_is_not_told(here: Side) -> None:
    order(here, "retune", policy="gentle")
    order(here, "retune", bandwidth_mib_s=5)
    assert here.travel.asked == []  # no job yet: the unit begins with it
    assert here.book.told(NOVA).policy == GENTLE
    assert here.book.bandwidth_mib_s(0) == 5


@pytest.mark.parametrize("values", [{}, {"policy": "haste"}, {"policy": {"downtime_steps": 1}}])
def test_retune_needs_something_that_can_be_done(here: Side, values: dict[str, Any]) -> None:
    here.fails("POLICY_INVALID", lambda: order(here, "retune", **values))


def test_retune_when_it_is_over(here: Side) -> None:
    here.leave()
    here.fails("LIVE_OVER", lambda: order(here, "retune", policy="fast"))


def test_the_destination_carries_nothing(bed: Bed, units: Units) -> None:
    bed.guest()
    side = Side(bed, units, "destination")
    assert "Ask c1" in side.fails("WRONG_HYPERVISOR", lambda: order(side, "abort")).remedy
