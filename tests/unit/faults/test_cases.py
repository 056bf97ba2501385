# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of the fault bench: what is in it, and that a name stands for one case."""

from __future__ import annotations

import pytest
from kvmfaults.case import BY_RSYNC, FORCED, LIVE, SPLIT, Case, Fault, Mirrored, Travelling
from kvmfaults.cases import SUBSET, drawn, named, parse, table
from kvmfaults.judge import Verdict, judge_watch
from kvmfaults.live_cases import BEFORE_POST_COPY, BY_POLICY, IN_POST_COPY
from kvmfaults.travel import WAYS

TABLE = table()


def landing(mirrored: Mirrored) -> set[Fault]:
    """What happens to a mirror that is so far."""
    return {one.fault for one in TABLE if one.mirrored is mirrored}


def test_each_name_stands_for_one_case() -> None:
    assert len({one.id for one in TABLE}) == len(TABLE)
    assert all(parse(one.id) == one for one in TABLE)


def test_what_is_drawn_by_lot_can_be_named() -> None:
    for one in drawn(7, 200):
        again = parse(one.id)
        assert (again.id, again.operation, again.trigger) == (one.id, one.operation, one.trigger)


def test_the_subset_is_of_the_table() -> None:
    assert [one.id for one in named(SUBSET)] == list(SUBSET)


@pytest.mark.parametrize("mirrored", list(Mirrored))
def test_a_mirror_meets_each_of_its_faults_before_and_after_it_is_ready(mirrored: Mirrored) -> None:
    wanted = {
        Fault.TUNNEL,
        Fault.EXPORT,
        Fault.EXPORT_HANGS,
        Fault.CANCEL,
        Fault.DEST_LINK,
        Fault.DEST_LINK_10S,
        Fault.DISK_FULL,
        Fault.LIBVIRTD,
        Fault.QEMU,
        Fault.REBOOT,
        Fault.CONTROLLER,
        Fault.MODULE,
        Fault.SOURCE_POWER,
        Fault.DEST_POWER,
    }
    assert wanted <= landing(mirrored)


@pytest.mark.parametrize("step", ["export", "mirror", "hand_over", "take_over"])
def test_controller_and_module_are_killed_at_both_ends_of_each_step(step: str) -> None:
    there = [one for one in TABLE if one.operation == "resize" and one.trigger.step == step and not one.trigger.effect]
    killed = {(one.trigger.event, one.fault) for one in there}
    assert {("begin", Fault.CONTROLLER), ("end", Fault.CONTROLLER)} <= killed
    assert {event for event, fault in killed if fault in (Fault.MODULE, Fault.SSH)} == {"begin", "end"}


def test_what_is_copied_while_the_guest_is_off_says_so() -> None:
    copies = [one for one in TABLE if one.trigger.step == "copy"]
    assert copies
    assert {one.operation for one in copies} == {BY_RSYNC}
    assert {one.playbook for one in copies} == {"resize"}


def test_a_guest_is_forced_only_where_it_does_not_listen() -> None:
    assert all(one.kind.ignores_acpi for one in TABLE if one.operation == FORCED)
    assert not any(
        one.kind.ignores_acpi for one in TABLE if one.operation in ("resize", "confirm") and one.fault.name != "ACPI"
    )


def test_a_guest_whose_data_is_given_up_writes_no_records() -> None:
    def loaded(identity: str) -> bool:
        return parse(identity).kind.loaded

    assert loaded("resize/mirror:end@source/tunnel-kill")
    assert not loaded("revert/discard:begin@source/controller-kill")
    assert loaded("resize/take_over.start:end@destination/module-kill")
    assert all(one.kind.loaded is (one.before.phase != "revert") for one in TABLE if one.before is not None)


def test_how_far_the_mirror_has_to_be() -> None:
    def mirrored(identity: str) -> Mirrored | None:
        return parse(identity).mirrored

    assert mirrored("resize/mirror.mirror:begin@source+0.5s/tunnel-kill") is Mirrored.COPYING
    assert mirrored("resize/mirror:end@source/tunnel-kill") is Mirrored.READY
    assert mirrored("resize/mirror.mirror:begin@source/controller-kill") is None
    assert mirrored("resize-by-rsync/hand_over.stop:end@source/controller-kill") is None


def test_a_case_that_is_spelt_is_the_case() -> None:
    assert isinstance(parse("resize/mirror:end@source+3s/tunnel-kill"), Case)
    with pytest.raises(ValueError, match="no-such-fault"):
        parse("resize/mirror:end@source/no-such-fault")


@pytest.mark.parametrize("stage", list(Travelling))
def test_a_guest_on_its_way_meets_each_of_its_faults_in_each_stage(stage: Travelling) -> None:
    wanted = IN_POST_COPY if stage is Travelling.POST_COPY else BY_POLICY.get(stage, BEFORE_POST_COPY)
    assert set(wanted) <= {one.fault for one in TABLE if one.travelling is stage}


def test_what_is_the_end_of_a_guest_is_not_done_to_one_whose_memory_is_on_two_hosts() -> None:
    ends = {Fault.SOURCE_POWER, Fault.DEST_POWER, Fault.QEMU}
    assert not ends & {one.fault for one in TABLE if one.travelling in SPLIT}


def test_who_acts_by_itself_is_hurt_before_and_after_it_does() -> None:
    for before, after in (
        (Travelling.SWITCHING, Travelling.SWITCHED),
        (Travelling.PAUSING, Travelling.PAUSED),
        (Travelling.GIVING_UP, Travelling.GIVEN_UP),
        (Travelling.RAISING, Travelling.RAISED),
    ):
        assert {Fault.MONITOR} <= {one.fault for one in TABLE if one.travelling is before}
        assert {Fault.MONITOR, Fault.CONTROLLER} <= {one.fault for one in TABLE if one.travelling is after}
        assert WAYS[before].told
    assert sum(one.travelling in BY_POLICY for one in TABLE) >= 15


def test_a_stage_has_its_way() -> None:
    assert set(WAYS) == set(Travelling)
    assert all(way.post_copy for stage, way in WAYS.items() if stage in SPLIT)
    assert {way.told["file"] for way in WAYS.values() if way.told and way.post_copy} == {"post-copy.json"}
    assert {stage for stage, way in WAYS.items() if way.lasting_mbit} == {Travelling.SWITCHED, Travelling.PAUSED}


@pytest.mark.parametrize(
    ("done", "downtime_ms", "lost"),
    [
        (["0.5 s: downtime limit 50 ms", "9.0 s: downtime limit 500 ms"], 500, ""),
        (["9.0 s: downtime limit 100 ms: the last rounds would have stopped it for 1679, 13801 ms"], 100, ""),
        (["0.5 s: downtime limit 501 ms"], 150, "above what was allowed"),
        (
            ["9.0 s: downtime limit 501 ms: the last rounds would have stopped it for 9, 8 ms"],
            150,
            "above what was allowed",
        ),
        (["0.5 s: downtime limit 400 ms"], 501, "above what was allowed"),
        (["1.0 s: post-copy: why: refused: no", "2.0 s: post-copy: why"], 50, ""),
        (["1.0 s: post-copy: why", "2.0 s: post-copy: why"], 50, "more than once"),
        (["1.0 s: guest paused: why", "2.0 s: guest paused: else"], 50, "more than once"),
        ([], None, ""),
    ],
)
def test_what_its_watchers_did_is_judged(done: list[str], downtime_ms: int | None, lost: str) -> None:
    verdict = Verdict()
    judge_watch({"done": done, "downtime_ms": downtime_ms}, verdict, 500, 500)
    assert [lost in one for one in verdict.lost] == ([True] if lost else [])


@pytest.mark.parametrize("step", ["claim", "prepare", "live", "arrive", "depart", "release"])
def test_controller_and_module_are_killed_in_each_step_of_a_live_migration(step: str) -> None:
    there = [one for one in TABLE if one.operation == LIVE and one.trigger.step == step]
    assert {Fault.CONTROLLER, Fault.MODULE} <= {one.fault for one in there}


def test_a_guest_that_is_moved_live_is_none_of_the_others() -> None:
    live = [one for one in TABLE if one.live]
    assert {one.operation for one in live} == {LIVE, "recover"}
    assert all(one.kind.travels is one.live for one in TABLE)
    assert {one.kind.dirties for one in live if one.travelling in (None, Travelling.DISKS)} == {0}
    assert all(one.kind.dirties > 0 for one in live if one.travelling not in (None, Travelling.DISKS))


def test_a_case_on_its_way_is_spelt_with_the_stage() -> None:
    one = parse("live_migrate/live.live:begin@source+post-copy/guest-reboot")
    assert (one.travelling, one.fault, one.later_s) == (Travelling.POST_COPY, Fault("guest-reboot"), 0)
