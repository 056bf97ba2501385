# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._checks.codes import CODES
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._live.options import Options
from ansible_collections.kvmops.mobility.plugins.module_utils._live.policy import NOVA
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import Data, Operation
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.closing import (
    DONE,
    known_migrations,
    parse_options,
    plan,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import START, Entry, Event, Phase, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Live, Migration
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.plan import GuestPlan, Outcome
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.plan import plan as plan_move
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.state import LEGAL, Status
from ansible_collections.kvmops.mobility.tests.unit.builders import OTHER_UUID, UUID, request, site
from ansible_collections.kvmops.mobility.tests.unit.flows import CONFIRM, LIVE, MOVE, REVERT, journals, line, whole

Journals = tuple[tuple[Entry, ...], tuple[Entry, ...]]
Answers = dict[str, list[dict[str, Any]]]
OPERATIONS = {Phase.CONFIRM: Operation.CONFIRM, Phase.REVERT: Operation.REVERT}
MOVED = journals(MOVE)


def a_migration(**values: Any) -> Migration:
    (only,) = plan_move(request(), site(), lambda: "id-0").guests
    assert only.migration is not None
    return replace(only.migration, **values)


def answer(one: Migration, role: str, entries: Sequence[Entry], at: float = 5.0, **values: Any) -> dict[str, Any]:
    """What migration_info returns of one migration."""
    return {
        "id": one.id,
        "role": role,
        "record": {"role": role, "migration": one.as_result(), "owner": "o", "command": "c", "at": at},
        "journal": [entry.as_result() for entry in entries],
        "lock": None,
        **values,
    }


def both(one: Migration, entries: Journals, **values: Any) -> Answers:
    source, destination = (answer(one, role, entries[n], **values) for n, role in enumerate(("source", "destination")))
    return {one.source: [source], one.destination: [destination]}


def close(
    phase: Phase,
    answers: Mapping[str, Sequence[Mapping[str, Any]]],
    guest: str = "web1",
    unreachable: Mapping[str, str] | None = None,
    data: Data = Data.DISCARD,
) -> GuestPlan:
    asked = request(OPERATIONS[phase], (guest,), destination=None)
    (only,) = plan(asked, phase, known_migrations(answers), unreachable or {}, data).guests
    return only


def begun(step: Step, phase: Phase = Phase.MOVE) -> tuple[Entry, ...]:
    return (line(step, Event.BEGIN, phase),)


STATUSES: dict[Status, Journals] = {
    Status.UNKNOWN: ((), ()),
    Status.PRE_MIGRATING: (whole(Step.CLAIM), whole(Step.CLAIM)),
    Status.MIGRATING: ((*whole(Step.CLAIM), *begun(Step.HAND_OVER)), whole(Step.CLAIM)),
    Status.POST_MIGRATING: (whole(Step.HAND_OVER), begun(Step.TAKE_OVER)),
    Status.FINISHED: MOVED,
    Status.CONFIRMING: ((*MOVED[0], *begun(Step.DISCARD, Phase.CONFIRM)), MOVED[1]),
    Status.CONFIRMED: journals(MOVE, CONFIRM),
    Status.REVERTING: (MOVED[0], (*MOVED[1], *begun(Step.HAND_OVER, Phase.REVERT))),
    Status.REVERTED: journals(MOVE, REVERT),
    Status.COMPLETED: journals(LIVE),
    Status.FAILED: (whole(Step.UNDO), whole(Step.UNDO)),
    Status.ERROR: (begun(Step.UNDO), whole(Step.UNDO)),
}


@pytest.mark.parametrize("phase", [Phase.CONFIRM, Phase.REVERT])
@pytest.mark.parametrize("status", Status)
def test_what_each_state_allows(phase: Phase, status: Status) -> None:
    found = close(phase, both(a_migration(), STATUSES[status]))
    if status is DONE[phase]:
        assert found.outcome is Outcome.ALREADY
        assert f"id-0 is {status.value} already. Nothing was changed." in found.note
    elif status in LEGAL[phase]:
        assert found.outcome is Outcome.PLANNED
        assert found.migration == a_migration()
    else:
        (finding,) = found.findings
        assert found.outcome is Outcome.REFUSED
        assert (finding.code, finding.subject, finding.severity) == (
            "ILLEGAL_MOVE",
            "web1",
            CODES["ILLEGAL_MOVE"].severity,
        )
        assert f"web1 is {status.value}; {phase.value} needs it to be" in finding.message
        assert "finished" in finding.message
        assert DONE[phase].value not in finding.message.split(" or ") or status is DONE[phase]


def test_the_statuses_above_are_all_derived() -> None:
    for status, entries in STATUSES.items():
        (only,) = known_migrations(both(a_migration(), entries))
        assert only.status is status


@pytest.mark.parametrize("subject", ["web1", UUID])
def test_a_guest_is_found_by_name_and_by_uuid(subject: str) -> None:
    assert close(Phase.CONFIRM, both(a_migration(), MOVED), subject).migration == a_migration()


def test_a_confirm_in_words() -> None:
    found = close(Phase.CONFIRM, both(a_migration(), MOVED))
    assert found.heading == ("web1: confirm the resize from c1 to c2", "  it stays on      c2")
    assert [one.where for one in found.steps] == ["c2", "c1"]
    assert a_migration().parked in found.steps[1].what


@pytest.mark.parametrize(("was_running", "words"), [(True, "gets its name back, start it"), (False, "its name back")])
def test_a_revert_in_words(was_running: bool, words: str) -> None:
    found = close(Phase.REVERT, both(a_migration(was_running=was_running), MOVED))
    assert [one.where for one in found.steps] == ["c2", "c1", "c2"]
    assert found.steps[1].what.endswith(words)
    assert any("thrown away" in text and "c2" in text for text in found.heading)


@pytest.mark.parametrize("phase", [Phase.CONFIRM, Phase.REVERT])
@pytest.mark.parametrize("status", [Status.MIGRATING, Status.COMPLETED, Status.FAILED])
def test_a_live_migration_waits_for_no_verdict(phase: Phase, status: Status) -> None:
    live = Live(Options(), NOVA, 2.0, ("vda",), was_paused=False)
    found = close(phase, both(a_migration(live=live), STATUSES[status]))
    (finding,) = found.findings
    assert (found.outcome, finding.code) == (Outcome.REFUSED, "LIVE_NOTHING_TO_CONFIRM")
    assert f"{status.value}: there is nothing to {phase.value}." in finding.message


# --- what stands in the way --------------------------------------------------------------------------------------


def test_a_guest_nobody_knows_is_answered_with_those_that_wait() -> None:
    waiting = both(a_migration(), MOVED)
    (finding,) = close(Phase.CONFIRM, waiting, "web2", {"c9": "no route to host"}).findings
    assert (finding.code, finding.subject) == ("MIGRATION_NOT_FOUND", "web2")
    for words in ("web2 to confirm", "these wait for it: web1", "No answer from: c9"):
        assert words in finding.message


def test_where_nothing_waits_nothing_is_listed() -> None:
    (finding,) = close(Phase.REVERT, both(a_migration(), journals(MOVE, CONFIRM)), "web2").findings
    assert finding.message == "no hypervisor that answered knows of a migration of web2 to revert."


@pytest.mark.parametrize("silent", ["c1", "c2"])
def test_both_hypervisors_are_needed(silent: str) -> None:
    answers = both(a_migration(), MOVED)
    del answers[silent]
    (finding,) = close(Phase.CONFIRM, answers, unreachable={silent: "timed out"}).findings
    assert (finding.code, finding.subject) == ("HYPERVISOR_UNREACHABLE", silent)
    assert "confirm of web1 needs both" in finding.message
    assert "timed out" in finding.message


@pytest.mark.parametrize(("host", "role"), [("c1", "source"), ("c2", "destination")])
def test_a_hypervisor_that_answered_has_lost_its_record(host: str, role: str) -> None:
    answers = both(a_migration(), MOVED)
    answers[host] = []
    (finding,) = close(Phase.REVERT, answers).findings
    assert finding.code == "RECORD_LOST"
    for words in (f"{host} has no record of migration id-0 of web1", f"it is its {role}"):
        assert words in finding.message


# --- two hypervisors, many migrations ----------------------------------------------------------------------------


def test_two_answers_become_one_migration() -> None:
    answers = both(a_migration(), MOVED)
    answers["c1"][0]["record"]["at"] = 3.0
    (only,) = known_migrations(answers)
    assert (only.source, only.destination) == MOVED
    assert only.told_by == {"source", "destination"}
    assert (only.at, only.holder) == (3.0, None)
    assert only.migration == a_migration()


@pytest.mark.parametrize("host", ["c1", "c2"])
def test_its_own_lock_on_either_hypervisor_is_told(host: str) -> None:
    lock = {"uuid": UUID, "migration": "id-0", "owner": "ann", "command": "confirm web1", "since": 1.0}
    answers = both(a_migration(), MOVED)
    answers[host][0]["lock"] = lock
    (only,) = known_migrations(answers)
    assert only.holder == lock


def test_another_migrations_lock_is_not_its_own() -> None:
    answers = both(a_migration(), MOVED, lock={"uuid": UUID, "migration": "id-9"})
    (only,) = known_migrations(answers)
    assert only.holder is None


def several(*migrations: tuple[Migration, Journals, float]) -> Answers:
    found: Answers = {"c1": [], "c2": []}
    for one, entries, at in migrations:
        for host, parts in both(one, entries, at=at).items():
            found[host] += parts
    return found


OLD = (a_migration(id="id-old"), journals(MOVE, CONFIRM), 1.0)
NEW = (a_migration(id="id-new"), MOVED, 9.0)


def test_the_newest_comes_first() -> None:
    assert [one.migration.id for one in known_migrations(several(OLD, NEW))] == ["id-new", "id-old"]


def test_the_open_migration_is_meant_and_not_an_older_one() -> None:
    found = close(Phase.CONFIRM, several(OLD, NEW))
    assert found.migration is not None
    assert found.migration.id == "id-new"


def test_the_open_migration_is_meant_even_when_a_closed_one_is_newer() -> None:
    failed = (a_migration(id="id-failed"), STATUSES[Status.FAILED], 20.0)
    found = close(Phase.CONFIRM, several(NEW, failed))
    assert found.migration is not None
    assert found.migration.id == "id-new"


def test_without_an_open_one_the_newest_answers() -> None:
    reverted = (a_migration(id="id-reverted"), journals(MOVE, REVERT), 9.0)
    assert close(Phase.REVERT, several(OLD, reverted)).outcome is Outcome.ALREADY
    (finding,) = close(Phase.CONFIRM, several(OLD, reverted)).findings
    assert "web1 is reverted" in finding.message


def test_each_guest_of_a_request_has_its_own_plan() -> None:
    other = a_migration(id="id-1", uuid=OTHER_UUID, name="db1")
    known = known_migrations(several(NEW, (other, journals(MOVE, CONFIRM), 2.0)))
    asked = request(Operation.CONFIRM, ("web1", "db1", "nope"), destination=None)
    found = plan(asked, Phase.CONFIRM, known, {})
    assert [one.outcome for one in found.guests] == [Outcome.PLANNED, Outcome.ALREADY, Outcome.REFUSED]


# --- a revert that takes the newer data along ---------------------------------------------------------------------


def copy_back(answers: Answers, **more: Any) -> GuestPlan:
    return close(Phase.REVERT, answers, data=Data.COPY_BACK, **more)


def test_what_is_taken_along_is_in_the_plan() -> None:
    found = copy_back(both(a_migration(), MOVED))
    assert found.outcome is Outcome.PLANNED
    assert found.heading[-1] == "  taken along      what it wrote since it runs on c2, and the size of its disks"
    assert [(one.where, one.what.partition(":")[0].split()[0]) for one in found.steps] == [
        ("c1", "export"),
        ("c2 -> c1", "mirror"),
        ("c2", "hand"),
        ("c1", "take"),
        ("c2", "discard"),
        ("c1", "discard"),
    ]


def test_what_is_on_a_host_that_does_not_answer_cannot_be_copied_back() -> None:
    found = copy_back({"c1": both(a_migration(), MOVED)["c1"]}, unreachable={"c2": "no route"})
    assert [one.code for one in found.findings] == ["COPY_BACK_UNREACHABLE"]
    assert "data=discard" in found.findings[0].remedy


def test_nothing_is_confirmed_while_a_revert_has_left_something() -> None:
    made = line(Step.EXPORT, Event.BEGIN, Phase.REVERT, "stage", undo={"kind": "remove", "path": "/x"})
    left = both(a_migration(), ((*MOVED[0], made), MOVED[1]))
    assert [one.code for one in close(Phase.CONFIRM, left).findings] == ["REVERT_LEFT_OVER"]
    assert copy_back(left).outcome is Outcome.PLANNED
    assert close(Phase.REVERT, left).outcome is Outcome.PLANNED


def test_a_record_that_does_not_say_where_the_source_is() -> None:
    old = a_migration(source_address="")
    assert [one.code for one in copy_back(both(old, MOVED)).findings] == ["COPY_BACK_NO_ADDRESS"]
    assert close(Phase.REVERT, both(old, MOVED)).outcome is Outcome.PLANNED


@pytest.mark.parametrize("asked", list(Data))
@pytest.mark.parametrize("begun_with", list(Data))
def test_a_revert_that_has_started_the_guest_is_not_turned_into_another(asked: Data, begun_with: Data) -> None:
    claimed = line(Step.CLAIM, phase=Phase.REVERT, result={"data": begun_with.value})
    source = (*MOVED[0], claimed, *begun(Step.TAKE_OVER, Phase.REVERT))
    running = (*source, line(Step.TAKE_OVER, Event.BEGIN, Phase.REVERT, START))
    destination = (*MOVED[1], claimed, *whole(Step.HAND_OVER, Phase.REVERT))
    assert close(Phase.REVERT, both(a_migration(), (source, destination)), data=asked).outcome is Outcome.PLANNED
    found = close(Phase.REVERT, both(a_migration(), (running, destination)), data=asked)
    assert [one.code for one in found.findings] == ([] if asked is begun_with else ["REVERT_OTHER_DATA"])


# --- what a confirm or revert is told besides --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "raw", "options"),
    [
        (Operation.RESIZE, {"force": "nonsense", "data": "discard"}, {}),
        (Operation.MIGRATE, {}, {}),
        (Operation.REVERT, {"data": "discard"}, {"data": "discard"}),
        (Operation.REVERT, {"data": "copy_back"}, {"data": "copy_back"}),
        (Operation.CONFIRM, {}, {"force": False}),
        (Operation.CONFIRM, {"force": None, "probe": ""}, {"force": False}),
        (Operation.CONFIRM, {"force": "yes"}, {"force": True}),
        (Operation.CONFIRM, {"force": "false", "probe": "192.0.2.1:22"}, {"force": False, "probe": "192.0.2.1:22"}),
    ],
)
def test_options(operation: Operation, raw: dict[str, Any], options: dict[str, Any]) -> None:
    assert parse_options(operation, raw) == options


@pytest.mark.parametrize(
    ("operation", "raw", "code", "words"),
    [
        (Operation.REVERT, {"vm": "web1"}, "DATA_REQUIRED", "data was not given"),
        (Operation.REVERT, {"vm": "web1", "data": None}, "DATA_REQUIRED", "data was not given"),
        (Operation.REVERT, {"vm": "web1", "data": "keep"}, "DATA_REQUIRED", "data=keep is not known"),
        (Operation.CONFIRM, {"vm": "web1", "force": "perhaps"}, "VALUE_INVALID", "perhaps"),
    ],
)
def test_options_that_are_refused(operation: Operation, raw: dict[str, Any], code: str, words: str) -> None:
    with pytest.raises(Refused, match=words) as refusal:
        parse_options(operation, raw)
    assert refusal.value.code == code
    assert refusal.value.subject == ("force" if code == "VALUE_INVALID" else "web1")
    assert refusal.value.remedy


UNREAD = {"id": "id-0", "name": "", "problem": {"code": "RECORD_UNREADABLE", "message": "torn.", "remedy": "Mend it."}}


@pytest.mark.parametrize("phase", [Phase.CONFIRM, Phase.REVERT])
def test_of_a_side_that_cannot_be_read_nothing_is_concluded(phase: Phase) -> None:
    answers = both(a_migration(), MOVED)
    found = close(phase, {**answers, "c1": [UNREAD]})
    assert found.outcome is Outcome.REFUSED
    (finding,) = found.findings
    assert (finding.code, finding.remedy) == ("RECORD_UNREADABLE", "Mend it.")
    assert finding.subject == "migration id-0 (web1) on c1"
    other = {**UNREAD, "id": "id-9"}
    assert close(phase, {**answers, "c1": [*answers["c1"], other]}).outcome is Outcome.PLANNED
