# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may start the guest is never guessed: every branch of the decision."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._migration.closing import Known
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import (
    START,
    Entry,
    Event,
    Phase,
    Step,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.plan import plan
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.recovery import (
    Act,
    Case,
    Decision,
    Prefer,
    Side,
    decide,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.state import Status
from ansible_collections.kvmops.mobility.tests.unit.builders import request, site
from ansible_collections.kvmops.mobility.tests.unit.flows import CONFIRM, LIVE, MOVE, REVERT, journals, line, whole

Journals = tuple[tuple[Entry, ...], tuple[Entry, ...]]
SOURCE, DESTINATION = Prefer.SOURCE, Prefer.DESTINATION
HOLDER = {"owner": "root@control", "command": "resize web1"}
LONG_AGO = 3600.0


def begun(step: Step, phase: Phase = Phase.MOVE) -> tuple[Entry, ...]:
    return (line(step, Event.BEGIN, phase),)


CLAIM = whole(Step.CLAIM)
STOPPING = (*CLAIM, *begun(Step.HAND_OVER))
HANDED = (*CLAIM, *whole(Step.HAND_OVER))
MIRRORED = (*CLAIM, *begun(Step.HAND_OVER), line(Step.HAND_OVER, result={"mirrored": True}))
STOPPED_MIRRORED = (*STOPPING, line(Step.HAND_OVER, effect="stop", result={"mirrored": True}))
MIRROR_LOST = (*STOPPED_MIRRORED, line(Step.HAND_OVER, result={"mirrored": False}))
COPIED = (*HANDED, *whole(Step.COPY))
TAKING = (*CLAIM, *begun(Step.TAKE_OVER))
STARTING = (*TAKING, line(Step.TAKE_OVER, Event.BEGIN, effect=START))
START_FAILED = (*STARTING, line(Step.TAKE_OVER, Event.FAIL, result={"code": "LIBVIRT_FAILED"}))
START_OVERDUE = (*STARTING, line(Step.TAKE_OVER, Event.FAIL, result={"code": "DEADLINE"}))
UNDOING = (*COPIED, *begun(Step.UNDO))
MOVED = journals(MOVE)
CONFIRMED, REVERTED = journals(MOVE, CONFIRM), journals(MOVE, REVERT)
CONFIRMING = ((*MOVED[0], *begun(Step.DISCARD, Phase.CONFIRM)), MOVED[1])
REVERTING = (MOVED[0], (*MOVED[1], *begun(Step.HAND_OVER, Phase.REVERT)))
GOING_BACK = ((*MOVED[0], *begun(Step.TAKE_OVER, Phase.REVERT)), REVERTING[1])
BACK = {"data": "copy_back"}
CLAIMED_BACK = line(Step.CLAIM, phase=Phase.REVERT, result=BACK)
BACK_CLAIMED = ((*MOVED[0], CLAIMED_BACK), (*MOVED[1], CLAIMED_BACK))
EXPORT = line(Step.EXPORT, Event.BEGIN, Phase.REVERT, "stage", undo={"kind": "remove"})
MIRRORING = ((*BACK_CLAIMED[0], EXPORT), BACK_CLAIMED[1])
HANDED_BACK = (MIRRORING[0], (*MIRRORING[1], *whole(Step.HAND_OVER, Phase.REVERT)))
TAKING_BACK = ((*MIRRORING[0], *begun(Step.TAKE_OVER, Phase.REVERT)), HANDED_BACK[1])
CAME_BACK = ((*TAKING_BACK[0], line(Step.TAKE_OVER, Event.BEGIN, Phase.REVERT, START)), HANDED_BACK[1])
FAILED = ((*COPIED, *whole(Step.UNDO)), (*TAKING, *whole(Step.UNDO)))

OFF = Side(True, "shut off", idle_s=LONG_AGO)
RUNS = Side(True, "running", idle_s=LONG_AGO)
ABSENT = Side(True, "", idle_s=LONG_AGO)
SILENT = Side(False)
COPYING = Side(True, "shut off", copying=True, idle_s=LONG_AGO)


def known(entries: Journals, *, holder: bool = True, told_by: tuple[str, ...] = ("source", "destination")) -> Known:
    (only,) = plan(request(), site(), lambda: "id-0").guests
    assert only.migration is not None
    return Known(only.migration, 5.0, *entries, frozenset(told_by), HOLDER if holder else None)


def decided(entries: Journals, source: Side, destination: Side, *, holder: bool = True, **more: Any) -> Decision:
    return decide(Case(known(entries, holder=holder), source, destination, **more))


BOTH, ONE, OTHER, NEITHER = (True, True), (True, False), (False, True), (False, False)
CASES: list[tuple[str, Journals, Side, Side, Prefer | None, Act, tuple[bool, bool], str]] = [
    ("claimed", (CLAIM, CLAIM), RUNS, ABSENT, None, Act.UNDO, BOTH, "goes back to the source"),
    ("first pass", ((*CLAIM, *begun(Step.PRESYNC)), CLAIM), RUNS, ABSENT, None, Act.UNDO, BOTH, "goes back"),
    ("was stopping", (STOPPING, CLAIM), RUNS, ABSENT, None, Act.UNDO, BOTH, "goes back to the source"),
    ("was copying", (HANDED, CLAIM), OFF, ABSENT, None, Act.UNDO, BOTH, "goes back to the source"),
    ("still copying", (HANDED, CLAIM), COPYING, ABSENT, None, Act.RESUME_MOVE, BOTH, "the copy outlived"),
    ("still copying, source counts", (HANDED, CLAIM), COPYING, ABSENT, SOURCE, Act.UNDO, BOTH, "goes back"),
    ("copied", (COPIED, CLAIM), OFF, ABSENT, None, Act.UNDO, BOTH, "goes back"),
    ("not started", (COPIED, TAKING), OFF, OFF, None, Act.UNDO, BOTH, "goes back"),
    ("it runs there", (COPIED, TAKING), OFF, RUNS, None, Act.RESUME_MOVE, BOTH, "the destination has started"),
    ("it may have run there", (COPIED, STARTING), OFF, OFF, None, Act.RESUME_MOVE, BOTH, "has started"),
    ("its start failed", (COPIED, START_FAILED), OFF, OFF, None, Act.UNDO, BOTH, "goes back"),
    ("its start overdue", (COPIED, START_OVERDUE), OFF, OFF, None, Act.RESUME_MOVE, BOTH, "has started"),
    ("runs there, source counts", (COPIED, STARTING), OFF, RUNS, SOURCE, Act.UNDO, BOTH, "goes back"),
    ("runs there, it counts", (COPIED, STARTING), OFF, RUNS, DESTINATION, Act.RESUME_MOVE, BOTH, "has started"),
    ("was undoing", (UNDOING, STARTING), OFF, OFF, None, Act.UNDO, BOTH, "goes back"),
    ("undoing while copying", ((*HANDED, *begun(Step.UNDO)), CLAIM), COPYING, ABSENT, None, Act.UNDO, BOTH, "goes"),
    # the destination is silent
    ("silent, not copied", (HANDED, ()), OFF, SILENT, None, Act.UNDO, ONE, "was never asked to start"),
    ("silent, copying", (HANDED, ()), COPYING, SILENT, None, Act.UNDO, ONE, "was never asked to start"),
    ("silent, copied", (COPIED, ()), OFF, SILENT, None, Act.ASK, NEITHER, "prefer=source"),
    ("silent, copied, it counts", (COPIED, ()), OFF, SILENT, DESTINATION, Act.ASK, NEITHER, "prefer=source"),
    ("silent, copied, source counts", (COPIED, ()), OFF, SILENT, SOURCE, Act.UNDO, ONE, "counts as dead"),
    ("silent, mirrored", (MIRRORED, ()), OFF, SILENT, None, Act.ASK, NEITHER, "prefer=source"),
    ("silent, mirrored, source counts", (MIRRORED, ()), OFF, SILENT, SOURCE, Act.UNDO, ONE, "counts as dead"),
    ("silent, mirror lost", (MIRROR_LOST, ()), OFF, SILENT, None, Act.UNDO, ONE, "was never asked to start"),
    ("silent, handing over", (STOPPED_MIRRORED, ()), OFF, SILENT, None, Act.UNDO, ONE, "was never asked to start"),
    ("mirrored", (MIRRORED, CLAIM), OFF, ABSENT, None, Act.UNDO, BOTH, "goes back"),
    ("mirrored, runs there", (MIRRORED, STARTING), OFF, RUNS, None, Act.RESUME_MOVE, BOTH, "has started"),
    # the source is silent
    ("source silent", ((), CLAIM), SILENT, ABSENT, None, Act.ASK, NEITHER, "the guest is on the source"),
    ("source silent, asked", ((), TAKING), SILENT, OFF, None, Act.ASK, NEITHER, "the source does not answer"),
    ("source silent, started", ((), STARTING), SILENT, RUNS, None, Act.ASK, NEITHER, "the source does not answer"),
    ("source silent, it counts", ((), STARTING), SILENT, RUNS, DESTINATION, Act.ASK, NEITHER, "does not answer"),
    ("both silent", (COPIED, TAKING), SILENT, SILENT, SOURCE, Act.ASK, NEITHER, "does not answer"),
    # it runs twice
    ("twice", (COPIED, TAKING), RUNS, RUNS, None, Act.ASK, NEITHER, "active on both"),
    ("twice, source counts", (COPIED, TAKING), RUNS, RUNS, SOURCE, Act.UNDO, BOTH, "the source counts"),
    ("twice, destination counts", (COPIED, TAKING), RUNS, RUNS, DESTINATION, Act.ASK, NEITHER, "off on the source"),
    ("twice, finished", MOVED, RUNS, RUNS, SOURCE, Act.ASK, NEITHER, "active on both"),
    ("twice, confirming", CONFIRMING, RUNS, RUNS, SOURCE, Act.ASK, NEITHER, "active on both"),
    ("twice, reverting", REVERTING, RUNS, RUNS, SOURCE, Act.ASK, NEITHER, "active on both"),
    ("twice, closed", CONFIRMED, RUNS, RUNS, SOURCE, Act.ASK, NEITHER, "active on both"),
    # it waits for confirm or revert
    ("finished, locked", MOVED, OFF, RUNS, None, Act.RELEASE, BOTH, "a lock is left"),
    ("finished, shut off since", MOVED, OFF, OFF, None, Act.RELEASE, BOTH, "a lock is left"),
    ("finished, lost there", MOVED, OFF, ABSENT, None, Act.ASK, NEITHER, "not defined there: define it there again"),
    ("finished, runs on the source", MOVED, RUNS, OFF, None, Act.ASK, NEITHER, "active on the source"),
    ("finished, source silent", ((), MOVED[1]), SILENT, RUNS, None, Act.RELEASE, OTHER, "a lock is left"),
    # a confirm or a revert was interrupted
    ("confirming", CONFIRMING, OFF, RUNS, None, Act.RESUME_CONFIRM, BOTH, "carried through"),
    ("confirming, silent", CONFIRMING, OFF, SILENT, None, Act.RESUME_CONFIRM, ONE, "carried through"),
    ("reverting", REVERTING, OFF, OFF, None, Act.RESUME_REVERT, BOTH, "carried through"),
    ("reverting, silent", REVERTING, OFF, SILENT, None, Act.ASK, NEITHER, "prefer=source"),
    ("reverting, silent, it counts", REVERTING, OFF, SILENT, DESTINATION, Act.ASK, NEITHER, "prefer=source"),
    ("reverting, silent, source counts", REVERTING, OFF, SILENT, SOURCE, Act.RESUME_REVERT, ONE, "carried through"),
    ("reverting, silent, on its way", GOING_BACK, OFF, SILENT, None, Act.RESUME_REVERT, ONE, "carried through"),
    ("reverting, source silent", REVERTING, SILENT, OFF, SOURCE, Act.ASK, NEITHER, "has the old disks"),
    # data was being copied back
    ("claimed back", BACK_CLAIMED, OFF, RUNS, None, Act.RELEASE, BOTH, "a lock is left"),
    ("mirroring back", MIRRORING, OFF, RUNS, None, Act.UNDO_REVERT, BOTH, "stays where it is"),
    ("mirroring back, silent", MIRRORING, OFF, SILENT, None, Act.UNDO_REVERT, ONE, "stays where it is"),
    ("handed back", HANDED_BACK, OFF, OFF, None, Act.UNDO_REVERT, BOTH, "goes back to the destination"),
    ("handed back, silent", HANDED_BACK, OFF, SILENT, None, Act.ASK, NEITHER, "prefer=source"),
    ("handed back, source counts", HANDED_BACK, OFF, SILENT, SOURCE, Act.RESUME_REVERT, ONE, "gets its old disks"),
    ("handed back, source silent", HANDED_BACK, SILENT, OFF, SOURCE, Act.ASK, NEITHER, "may run the guest"),
    ("taking back", TAKING_BACK, OFF, OFF, None, Act.UNDO_REVERT, BOTH, "goes back to the destination"),
    ("came back", CAME_BACK, RUNS, OFF, None, Act.RESUME_REVERT, BOTH, "carried through"),
    ("came back, off since", CAME_BACK, OFF, OFF, None, Act.RESUME_REVERT, BOTH, "carried through"),
    ("came back, silent", CAME_BACK, RUNS, SILENT, None, Act.RESUME_REVERT, ONE, "carried through"),
    # closed
    ("confirmed, locked", CONFIRMED, ABSENT, RUNS, None, Act.RELEASE, BOTH, "confirmed, and a lock"),
    ("reverted, locked", REVERTED, RUNS, ABSENT, None, Act.RELEASE, BOTH, "reverted, and a lock"),
    ("failed, locked", FAILED, RUNS, ABSENT, None, Act.RELEASE, BOTH, "failed, and a lock"),
    ("nothing happened, locked", ((), ()), RUNS, ABSENT, None, Act.RELEASE, BOTH, "unknown, and a lock"),
    ("confirmed on one side", (CONFIRMED[0], MOVED[1]), ABSENT, RUNS, None, Act.CLOSE, BOTH, "has not heard"),
    ("reverted on one side", (MOVED[0], REVERTED[1]), RUNS, ABSENT, None, Act.CLOSE, BOTH, "has not heard"),
]


@pytest.mark.parametrize(
    ("entries", "source", "destination", "prefer", "act", "sides", "why"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_the_one_safe_thing(
    entries: Journals,
    source: Side,
    destination: Side,
    prefer: Prefer | None,
    act: Act,
    sides: tuple[bool, bool],
    why: str,
) -> None:
    found = decided(entries, source, destination, prefer=prefer)
    assert found.act is act
    assert why in found.why
    assert (found.on_source, found.on_destination) == sides
    assert bool(found.debt) is (sides in (ONE, OTHER))


def test_every_act_but_the_idle_ones_is_decided_above() -> None:
    of_live_migrations = {Act.RESUME_LIVE}  # see test_recovering_live
    assert {case[5] for case in CASES} == set(Act) - {Act.NOTHING, Act.WAIT} - of_live_migrations


def test_what_is_left_for_later_names_the_hypervisor() -> None:
    assert decided((HANDED, ()), OFF, SILENT).debt == "run recover again when c2 is back"
    assert decided(((), MOVED[1]), SILENT, RUNS).debt == "run recover again when c1 is back"


@pytest.mark.parametrize("entries", [MOVED, CONFIRMED, REVERTED, FAILED, ((), ())])
def test_nothing_is_done_where_nothing_is_open(entries: Journals) -> None:
    found = decided(entries, OFF, RUNS, holder=False)
    assert (found.act, found.on_source, found.on_destination) == (Act.NOTHING, False, False)


def test_old_disks_are_gone_back_to_only_where_the_newer_ones_are_lost() -> None:
    assert decided(HANDED_BACK, OFF, SILENT, prefer=SOURCE).discard
    assert not decided(CAME_BACK, RUNS, SILENT, prefer=SOURCE).discard
    assert not decided(REVERTING, OFF, SILENT, prefer=SOURCE).discard


# --- somebody may be at work -------------------------------------------------------------------------------------

AT_WORK = Side(True, "shut off", working=True, idle_s=LONG_AGO)
JUST_NOW = Side(True, "shut off", idle_s=5.0)


@pytest.mark.parametrize(
    ("source", "destination", "holder", "more", "act"),
    [
        (AT_WORK, ABSENT, True, {}, Act.WAIT),
        (OFF, AT_WORK, True, {}, Act.WAIT),
        (AT_WORK, ABSENT, False, {}, Act.WAIT),
        (AT_WORK, ABSENT, True, {"prefer": SOURCE}, Act.WAIT),
        (AT_WORK, ABSENT, True, {"takeover": True}, Act.UNDO),
        (JUST_NOW, ABSENT, True, {}, Act.WAIT),
        (OFF, JUST_NOW, True, {}, Act.WAIT),
        (JUST_NOW, SILENT, True, {}, Act.WAIT),
        (JUST_NOW, ABSENT, True, {"takeover": True}, Act.UNDO),
        (JUST_NOW, ABSENT, True, {"quiet_s": 5.0}, Act.UNDO),
        (JUST_NOW, ABSENT, False, {}, Act.UNDO),
        (OFF, ABSENT, True, {}, Act.UNDO),
        (SILENT, SILENT, True, {}, Act.ASK),
    ],
)
def test_nobody_is_disturbed(source: Side, destination: Side, holder: bool, more: dict[str, Any], act: Act) -> None:
    assert decided((HANDED, CLAIM), source, destination, holder=holder, **more).act is act


# --- whatever is found -------------------------------------------------------------------------------------------

STATUSES = (
    ((), ()),
    (CLAIM, CLAIM),
    (HANDED, CLAIM),
    (COPIED, TAKING),
    (COPIED, STARTING),
    (MIRRORED, CLAIM),
    (MIRRORED, TAKING),
    (UNDOING, STARTING),
    MOVED,
    CONFIRMING,
    CONFIRMED,
    REVERTING,
    GOING_BACK,
    MIRRORING,
    HANDED_BACK,
    TAKING_BACK,
    CAME_BACK,
    REVERTED,
    FAILED,
    journals(LIVE),
)
SIDES = (OFF, RUNS, ABSENT, SILENT, COPYING)


@pytest.mark.parametrize("entries", STATUSES)
def test_without_the_operators_word_no_side_is_started_while_the_other_may_run_it(entries: Journals) -> None:
    for source, destination, takeover in itertools.product(SIDES, SIDES, (False, True)):
        found = decided(entries, source, destination, takeover=takeover)
        assert not (found.on_source and not source.reachable)
        assert not (found.on_destination and not destination.reachable)
        if source.active and destination.active:
            assert found.act is Act.ASK
        if found.act is Act.UNDO and not destination.reachable:
            assert not any(one.step is Step.COPY and one.event is Event.END for one in entries[0])
            assert not any(one.result.get("mirrored") for one in entries[0])
        if found.act is Act.RESUME_REVERT and not destination.reachable:
            assert source.active or any(one.step is Step.TAKE_OVER and one.phase is Phase.REVERT for one in entries[0])
        if found.act is Act.UNDO_REVERT:
            assert not source.active
            assert entries is MIRRORING or (source.reachable and destination.reachable)
        if found.act is Act.RESUME_MOVE:
            assert found.on_source
            assert found.on_destination
        if found.act in (Act.ASK, Act.WAIT, Act.NOTHING):
            assert (found.on_source, found.on_destination) == NEITHER


def test_all_states_are_looked_at() -> None:
    assert {known(entries).status for entries in STATUSES} == set(Status)


def test_it_is_plain_data() -> None:
    assert decided((HANDED, ()), OFF, SILENT).as_result() == {
        "act": "undo",
        "why": "the destination was never asked to start the guest: it goes back to the source",
        "on_source": True,
        "on_destination": False,
        "debt": "run recover again when c2 is back",
        "discard": False,
    }
