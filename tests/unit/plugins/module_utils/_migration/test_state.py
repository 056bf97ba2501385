# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import (
    CLOSE,
    Entry,
    Event,
    Phase,
    Step,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.state import (
    CLOSED,
    LEGAL,
    NOVA_STATUS,
    Status,
    derive,
    derive_alone,
)
from ansible_collections.kvmops.mobility.tests.unit.flows import (
    CONFIRM,
    DESTINATION,
    LIVE,
    MOVE,
    REVERT,
    SOURCE,
    journals,
    line,
    whole,
)

Journals = tuple[tuple[Entry, ...], tuple[Entry, ...]]
MOVED = journals(MOVE)
CLAIM = whole(Step.CLAIM)
HANDED = (*CLAIM, *whole(Step.HAND_OVER))


def begun(step: Step, phase: Phase = Phase.MOVE) -> tuple[Entry, ...]:
    return (line(step, Event.BEGIN, phase),)


def failed(step: Step, phase: Phase = Phase.MOVE) -> tuple[Entry, ...]:
    return (*begun(step, phase), line(step, Event.FAIL, phase))


def after(start: Journals, source: Sequence[Entry] = (), destination: Sequence[Entry] = ()) -> Journals:
    return (*start[0], *source), (*start[1], *destination)


STOPPED = whole(Step.HAND_OVER, Phase.REVERT, "stop", "fence")
UNDO = whole(Step.UNDO)
UNDO_REVERT = whole(Step.UNDO, Phase.REVERT)
RECEIPT = line(Step.RELEASE, Event.END, result={"status": "completed"})
ARRIVED = Status.POST_MIGRATING
HALF_UNDONE = (
    *begun(Step.UNDO, Phase.REVERT),
    line(Step.UNDO, Event.BEGIN, Phase.REVERT, "fence"),
    line(Step.UNDO, Event.END, Phase.REVERT, "fence", result={"step": "hand_over"}),
)
MIRROR_TAKEN_BACK = (
    line(Step.UNDO, Event.BEGIN, result={"effects": ["tunnel"]}),
    line(Step.UNDO, Event.BEGIN, effect="tunnel"),
    line(Step.UNDO, Event.END, effect="tunnel", result={"step": "mirror"}),
    line(Step.UNDO),
)
"""An undo of single steps, which does not close the book."""
UNDO_OF_ALL = line(Step.UNDO, Event.BEGIN, result={"effects": ["fence", "stop", CLOSE]})
CASES: list[tuple[str, Journals, Status]] = [
    ("no journal at all", ((), ()), Status.UNKNOWN),
    ("one claim has begun", (begun(Step.CLAIM), ()), Status.PRE_MIGRATING),
    ("both claims", (CLAIM, CLAIM), Status.PRE_MIGRATING),
    ("a claim has failed", (failed(Step.CLAIM), ()), Status.PRE_MIGRATING),
    ("the first pass goes on", ((*CLAIM, *begun(Step.PRESYNC)), CLAIM), Status.PRE_MIGRATING),
    ("the first pass was broken off", ((*CLAIM, *failed(Step.PRESYNC)), CLAIM), Status.PRE_MIGRATING),
    ("the hand-over has begun", ((*CLAIM, *begun(Step.HAND_OVER)), CLAIM), Status.MIGRATING),
    ("handed over", (HANDED, CLAIM), Status.MIGRATING),
    ("copied", ((*HANDED, *whole(Step.COPY)), CLAIM), Status.MIGRATING),
    ("the take-over has begun", (HANDED, (*CLAIM, *begun(Step.TAKE_OVER))), Status.POST_MIGRATING),
    ("the take-over has failed", (HANDED, (*CLAIM, *failed(Step.TAKE_OVER))), Status.POST_MIGRATING),
    ("taken over", MOVED, Status.FINISHED),
    ("undone on both", ((*HANDED, *UNDO), (*CLAIM, *UNDO)), Status.FAILED),
    ("undone where it was claimed", ((*CLAIM, *UNDO), ()), Status.FAILED),
    ("undone where the take-over was", (HANDED, (*CLAIM, *begun(Step.TAKE_OVER), *UNDO)), Status.ERROR),
    ("an undo goes on", ((*HANDED, *begun(Step.UNDO)), (*CLAIM, *UNDO)), Status.ERROR),
    ("an undo has failed", ((*HANDED, *failed(Step.UNDO)), (*CLAIM, *UNDO)), Status.ERROR),
    (
        "a failed undo that was repeated",
        ((*HANDED, *failed(Step.UNDO), *UNDO), (*CLAIM, *UNDO)),
        Status.FAILED,
    ),
    ("only the answer of the take-over was lost", after(MOVED, failed(Step.UNDO)), Status.FINISHED),
    (
        "an undo that took nothing but the copy back",
        ((*HANDED, *begun(Step.UNDO), line(Step.UNDO)), CLAIM),
        Status.ERROR,
    ),
    (
        "the mirror was taken back, and the guest runs on",
        ((*CLAIM, *MIRROR_TAKEN_BACK), (*CLAIM, *MIRROR_TAKEN_BACK)),
        Status.PRE_MIGRATING,
    ),
    (
        "the mirror was taken back, and the disks are copied",
        ((*HANDED, *MIRROR_TAKEN_BACK, *whole(Step.COPY)), (*CLAIM, *MIRROR_TAKEN_BACK)),
        Status.MIGRATING,
    ),
    (
        "taken over after the mirror was taken back",
        ((*HANDED, *MIRROR_TAKEN_BACK), (*CLAIM, *MIRROR_TAKEN_BACK, *whole(Step.TAKE_OVER))),
        Status.FINISHED,
    ),
    (
        "taking the mirror back has failed",
        ((*CLAIM, MIRROR_TAKEN_BACK[0], line(Step.UNDO, Event.FAIL)), CLAIM),
        Status.PRE_MIGRATING,
    ),
    (
        "undone after the mirror was taken back",
        ((*HANDED, *MIRROR_TAKEN_BACK, *UNDO), (*CLAIM, *MIRROR_TAKEN_BACK, *UNDO)),
        Status.FAILED,
    ),
    (
        "an undo of all after the mirror was taken back",
        ((*HANDED, *MIRROR_TAKEN_BACK, UNDO_OF_ALL), (*CLAIM, *MIRROR_TAKEN_BACK, *UNDO)),
        Status.ERROR,
    ),
    ("undone after it had finished", after(MOVED, UNDO, UNDO), Status.FAILED),
    ("live: prepared", journals(LIVE[:3]), Status.PRE_MIGRATING),
    ("live: on its way", (journals(LIVE[:3])[0] + begun(Step.LIVE), journals(LIVE[:3])[1]), Status.MIGRATING),
    ("live: given up", (journals(LIVE[:3])[0] + failed(Step.LIVE), journals(LIVE[:3])[1]), Status.MIGRATING),
    ("live: there", journals(LIVE[:4]), Status.MIGRATING),
    ("live: seen there", journals(LIVE[:5]), Status.POST_MIGRATING),
    ("live: given up on the source", journals(LIVE), Status.COMPLETED),
    ("live: only the source answers", (journals(LIVE)[0], ()), Status.COMPLETED),
    ("live: only the destination answers", ((), journals(LIVE)[1]), Status.POST_MIGRATING),
    ("live: the destination has the receipt", ((), (*journals(LIVE)[1], RECEIPT)), Status.COMPLETED),
    ("live: undone", after(journals(LIVE[:4]), UNDO, UNDO), Status.FAILED),
    ("live: half undone", after(journals(LIVE[:4]), UNDO), Status.ERROR),
    ("live: it had arrived when the source was to undo", after(journals(LIVE[:5]), failed(Step.UNDO)), ARRIVED),
    ("confirm: locked", after(MOVED, whole(Step.CLAIM, Phase.CONFIRM)), Status.FINISHED),
    ("confirm: evidence", after(MOVED, (), whole(Step.EVIDENCE, Phase.CONFIRM)), Status.FINISHED),
    ("confirm: no evidence", after(MOVED, (), failed(Step.EVIDENCE, Phase.CONFIRM)), Status.FINISHED),
    ("confirm: the removal has begun", after(MOVED, begun(Step.DISCARD, Phase.CONFIRM)), Status.CONFIRMING),
    ("confirm: the removal has failed", after(MOVED, failed(Step.DISCARD, Phase.CONFIRM)), Status.CONFIRMING),
    ("confirm: removed", after(MOVED, whole(Step.DISCARD, Phase.CONFIRM)), Status.CONFIRMED),
    ("confirm: both books closed", journals(MOVE, CONFIRM), Status.CONFIRMED),
    ("revert: locked", after(MOVED, (), whole(Step.CLAIM, Phase.REVERT)), Status.FINISHED),
    ("revert: asked to stop", after(MOVED, (), begun(Step.HAND_OVER, Phase.REVERT)), Status.REVERTING),
    ("revert: stopped", after(MOVED, (), STOPPED), Status.REVERTING),
    ("revert: back on the source", after(MOVED, whole(Step.TAKE_OVER, Phase.REVERT), STOPPED), Status.REVERTING),
    ("revert: removed", after(MOVED, (), whole(Step.DISCARD, Phase.REVERT)), Status.REVERTED),
    ("revert: both books closed", journals(MOVE, REVERT), Status.REVERTED),
    ("revert: undone on the destination only", after(MOVED, (), (*STOPPED, *UNDO_REVERT)), Status.FINISHED),
    (
        "revert: undone on both",
        after(MOVED, (*begun(Step.TAKE_OVER, Phase.REVERT), *UNDO_REVERT), (*STOPPED, *UNDO_REVERT)),
        Status.FINISHED,
    ),
    (
        "revert: not undone on the source",
        after(MOVED, begun(Step.TAKE_OVER, Phase.REVERT), (*STOPPED, *UNDO_REVERT)),
        Status.REVERTING,
    ),
    ("revert: the undo has failed", after(MOVED, (), (*STOPPED, *failed(Step.UNDO, Phase.REVERT))), Status.REVERTING),
    ("revert: half of the undo", after(MOVED, (), (*STOPPED, *HALF_UNDONE)), Status.REVERTING),
    (
        "revert: again after an undo",
        after(MOVED, (), (*STOPPED, *UNDO_REVERT, *begun(Step.HAND_OVER, Phase.REVERT))),
        Status.REVERTING,
    ),
    (
        "revert: an undo of the move is not one of the revert",
        after(MOVED, (), (*STOPPED, *UNDO)),
        Status.REVERTING,
    ),
    (
        "confirmed after a revert that was undone",
        after(
            MOVED,
            (*begun(Step.TAKE_OVER, Phase.REVERT), *UNDO_REVERT, *whole(Step.DISCARD, Phase.CONFIRM)),
            (*STOPPED, *UNDO_REVERT),
        ),
        Status.CONFIRMED,
    ),
    # one journal is out of reach
    ("moved, only the destination answers", ((), MOVED[1]), Status.FINISHED),
    ("moved, only the source answers", (MOVED[0], ()), Status.MIGRATING),
    ("confirmed, only the source answers", (journals(MOVE, CONFIRM)[0], ()), Status.CONFIRMED),
    ("confirmed, only the destination answers", ((), journals(MOVE, CONFIRM)[1]), Status.CONFIRMED),
    ("reverted, only the source answers", (journals(MOVE, REVERT)[0], ()), Status.REVERTED),
    ("reverted, only the destination answers", ((), journals(MOVE, REVERT)[1]), Status.REVERTED),
]


@pytest.mark.parametrize(("both", "status"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_the_status_that_the_journals_prove(both: Journals, status: Status) -> None:
    assert derive(*both) is status


def test_every_status_is_derived_from_some_journals() -> None:
    assert {case[2] for case in CASES} == set(Status)


def test_a_release_says_nothing_of_the_guest() -> None:
    released = after(MOVED, whole(Step.RELEASE, Phase.REVERT), whole(Step.RELEASE, Phase.CONFIRM))
    assert derive(*released) is Status.FINISHED


@pytest.mark.parametrize("phase", [Phase.CONFIRM, Phase.REVERT])
@pytest.mark.parametrize("status", Status)
def test_from_where_a_phase_may_begin(phase: Phase, status: Status) -> None:
    own = {
        Phase.CONFIRM: {Status.FINISHED, Status.CONFIRMING, Status.CONFIRMED},
        Phase.REVERT: {Status.FINISHED, Status.REVERTING, Status.REVERTED},
    }
    assert (status in LEGAL[phase]) is (status in own[phase])


def test_what_is_closed_holds_no_capacity() -> None:
    assert {Status.CONFIRMED, Status.REVERTED, Status.COMPLETED, Status.FAILED} == CLOSED


def test_nova_users_know_it_as() -> None:
    assert NOVA_STATUS == {Status.FINISHED: "VERIFY_RESIZE"}


def test_one_hypervisor_alone() -> None:
    assert derive_alone(MOVED[0], "source") is Status.MIGRATING
    assert derive_alone(MOVED[1], "destination") is Status.FINISHED


# --- it never runs back ------------------------------------------------------------------------------------------

RANK = {
    Status.UNKNOWN: 0,
    Status.PRE_MIGRATING: 1,
    Status.MIGRATING: 2,
    Status.POST_MIGRATING: 3,
    Status.FINISHED: 4,
    Status.CONFIRMING: 5,
    Status.REVERTING: 5,
    Status.CONFIRMED: 6,
    Status.REVERTED: 6,
}
FLOWS = [(MOVE,), (MOVE, CONFIRM), (MOVE, REVERT)]
Line = tuple[int, Entry]


@st.composite
def lines(draw: st.DrawFn) -> list[Line]:
    """A flow as it is written, line after line, where each step may be killed or fail before it goes well."""
    found: list[Line] = []
    for flow in draw(st.sampled_from(FLOWS)):
        for host, step, phase in flow:
            for attempt in draw(st.lists(st.sampled_from((begun, failed)), max_size=2)):
                found += [(host, one) for one in attempt(step, phase)]
            found += [(host, one) for one in whole(step, phase, "one")]
    return found


def replay(written: Sequence[Line]) -> list[Status]:
    """The status after each line."""

    def status(upto: int) -> Status:
        source = [one for host, one in written[:upto] if host == SOURCE]
        destination = [one for host, one in written[:upto] if host == DESTINATION]
        return derive(source, destination)

    return [status(upto) for upto in range(len(written) + 1)]


@settings(max_examples=50)
@given(lines())
def test_more_lines_of_a_flow_never_make_it_go_back(written: list[Line]) -> None:
    ranks = [RANK[status] for status in replay(written)]
    assert ranks == list(accumulate(ranks, max))
    assert ranks[-1] in (RANK[Status.FINISHED], RANK[Status.CONFIRMED])


@settings(max_examples=50)
@given(lines(), st.data())
def test_only_a_complete_undo_on_both_closes_a_move_that_did_not_go_through(
    written: list[Line], data: st.DataObject
) -> None:
    moving = [one for one in written if one[1].phase is Phase.MOVE and one[1].step is not Step.RELEASE]
    cut = moving[: data.draw(st.integers(1, len(moving)))]
    hosts = sorted({host for host, _entry in cut}, reverse=True)
    undone = [(host, one) for host in hosts for one in whole(Step.UNDO, Phase.MOVE, "one")]
    statuses = replay([*cut, *undone])[len(cut) + 1 :]
    assert statuses == [*[Status.ERROR] * (len(undone) - 2), Status.FAILED, Status.FAILED]


@settings(max_examples=50)
@given(lines(), st.data())
def test_a_revert_is_open_until_its_undo_is_complete(written: list[Line], data: st.DataObject) -> None:
    first = [one for one in written if one[1].phase is Phase.MOVE]
    reverting = [(host, one) for host, step, phase in REVERT[:4] for one in whole(step, phase, "one")]
    cut = reverting[: data.draw(st.integers(1, len(reverting)))]
    begun_there = any(host == DESTINATION and one.step is Step.HAND_OVER for host, one in cut)
    back = [(host, one) for host in (SOURCE, DESTINATION) for one in whole(Step.UNDO, Phase.REVERT, "one")]
    statuses = replay([*first, *cut, *back])[len(first) + len(cut) :]
    # The last two lines are the end of what closes the book, and of the undo itself.
    assert statuses[-2:] == [Status.FINISHED, Status.FINISHED]
    if begun_there:
        assert set(statuses[:-2]) == {Status.REVERTING}
