# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError, Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._flow import hand_over, release, undo
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import lock, record
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import START, Event, Phase, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.state import Status, derive
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Plan
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer import tunnel
from ansible_collections.kvmops.mobility.plugins.module_utils._unit import transient
from ansible_collections.kvmops.mobility.tests.unit.bed import ID, RUN, Bed, names
from ansible_collections.kvmops.mobility.tests.unit.builders import UUID


def carry_out(bed: Bed, phase: Phase = Phase.MOVE) -> list[str]:
    found: list[str] = bed.carry_out(Step.UNDO, undo.plan, phase)["undone"]
    return found


def parked(bed: Bed) -> Path:
    return Path(f"{bed.directory}_resize")


def staging(bed: Bed) -> Path:
    return Path(f"{bed.directory}.{ID}.staging")


Make = Callable[[Bed], object]
Look = Callable[[Bed], Any]


def held(bed: Bed) -> Any:
    found = lock.held(bed.store, UUID)
    return found and found.migration


def take_lock(bed: Bed, migration: str = ID) -> None:
    lock.take(bed.store, lock.Lock(UUID, migration, "root@control", "resize web1", 5.0, RUN))


KINDS: list[Any] = [
    pytest.param(
        {"kind": "rename"},
        lambda bed: parked(bed).mkdir(),
        lambda bed: (parked(bed).exists(), Path(bed.directory).exists()),
        (False, True),
        id="rename",
    ),
    pytest.param(
        {"kind": "remove"}, lambda bed: staging(bed).mkdir(), lambda bed: staging(bed).exists(), False, id="remove"
    ),
    pytest.param(
        {"kind": "start"},
        lambda bed: bed.guest(running=False),
        lambda bed: bed.domain().state(),
        "running",
        id="start",
    ),
    pytest.param(
        {"kind": "destroy"}, lambda bed: bed.guest(), lambda bed: bed.domain().state(), "shut off", id="destroy"
    ),
    pytest.param(
        {"kind": "undefine"}, lambda bed: bed.guest(running=False), lambda bed: bed.find(), None, id="undefine"
    ),
    pytest.param(
        {"kind": "autostart", "value": True},
        lambda bed: bed.guest(autostart=False),
        lambda bed: bed.domain().autostart(),
        True,
        id="autostart on",
    ),
    pytest.param(
        {"kind": "autostart", "value": False},
        lambda bed: bed.guest(autostart=True),
        lambda bed: bed.domain().autostart(),
        False,
        id="autostart off",
    ),
    pytest.param({"kind": "unlock"}, take_lock, held, None, id="unlock"),
]


def how(bed: Bed, kind: dict[str, Any]) -> dict[str, Any]:
    paths = {
        "rename": {"from": str(parked(bed)), "to": bed.directory},
        "remove": {"path": str(staging(bed))},
    }
    return {**kind, **paths.get(kind["kind"], {"uuid": UUID})}


@pytest.mark.parametrize(("kind", "make", "look", "after"), KINDS)
def test_each_kind(bed: Bed, kind: dict[str, Any], make: Make, look: Look, after: Any) -> None:
    make(bed)
    assert look(bed) != after
    bed.note(Step.HAND_OVER, "an-effect", how(bed, kind))
    assert carry_out(bed) == ["an-effect"]
    assert look(bed) == after


@pytest.mark.parametrize(("kind", "make", "look", "after"), KINDS)
def test_each_kind_again_after_it_was_killed_before_its_line(
    bed: Bed, kind: dict[str, Any], make: Make, look: Look, after: Any
) -> None:
    make(bed)
    bed.note(Step.HAND_OVER, "an-effect", how(bed, kind))
    next(one for one in undo.plan(bed.context()).effects if one.name == "an-effect").do()
    assert look(bed) == after
    assert carry_out(bed) == ["an-effect"]
    assert look(bed) == after
    assert carry_out(bed) == []


ANNOUNCED: list[Any] = [
    pytest.param({"kind": "rename"}, lambda bed: Path(bed.directory).mkdir(), id="rename"),
    pytest.param({"kind": "remove"}, lambda bed: None, id="remove"),
    pytest.param({"kind": "start"}, lambda bed: bed.guest(), id="start"),
    pytest.param({"kind": "destroy"}, lambda bed: bed.guest(running=False), id="destroy"),
    pytest.param({"kind": "destroy"}, lambda bed: None, id="destroy without a guest"),
    pytest.param({"kind": "undefine"}, lambda bed: None, id="undefine"),
    pytest.param({"kind": "autostart", "value": True}, lambda bed: bed.guest(), id="autostart"),
    pytest.param({"kind": "autostart", "value": True}, lambda bed: None, id="autostart without a guest"),
    pytest.param({"kind": "unlock"}, lambda bed: None, id="unlock"),
]


def everything(bed: Bed) -> Any:
    guest = bed.find()
    state = guest and (guest.state(), guest.autostart())
    return state, sorted(str(one) for one in (bed.root / "images").rglob("*")), held(bed)


@pytest.mark.parametrize(("kind", "make"), ANNOUNCED)
def test_an_effect_that_was_announced_and_never_happened(bed: Bed, kind: dict[str, Any], make: Make) -> None:
    make(bed)
    before = everything(bed)
    bed.note(Step.HAND_OVER, "an-effect", how(bed, kind))
    assert carry_out(bed) == ["an-effect"]
    assert everything(bed) == before


def test_of_a_mirror_whose_tunnel_was_killed_no_socket_stays(
    bed: Bed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bed.guest(running=False)
    bed.keep_record("source")
    left = [tmp_path / "kvmops-vda.sock", Path(tunnel.control_path(str(bed.store.migration(ID))))]
    for one in left:
        one.touch()
    ended: list[str] = []
    monkeypatch.setattr(transient, "forget", ended.append)
    how = {"kind": "end_mirror", "uuid": UUID, "unit": "the-tunnel", "targets": ["vda"], "directory": str(tmp_path)}
    bed.note(Step.MIRROR, "tunnel", how)
    assert carry_out(bed) == ["tunnel"]
    assert ended == ["the-tunnel"]
    assert not any(os.path.lexists(one) for one in left)


@pytest.mark.parametrize("path", ["images/web1", "images/web1_resize", "images/web1.feedbeef.staging"])
def test_a_path_without_the_migrations_id_is_never_removed(bed: Bed, path: str) -> None:
    precious = bed.root / path
    precious.mkdir()
    bed.note(Step.CLAIM, "stage", {"kind": "remove", "path": str(precious)})
    with pytest.raises(Refused) as refusal:
        carry_out(bed)
    assert (refusal.value.code, refusal.value.subject) == ("PATH_NOT_OURS", str(precious))
    assert precious.is_dir()


def test_an_id_above_the_path_is_not_one_in_its_name(bed: Bed) -> None:
    precious = bed.root / ID / "precious"
    precious.mkdir(parents=True)
    bed.note(Step.CLAIM, "stage", {"kind": "remove", "path": str(precious)})
    with pytest.raises(Refused):
        carry_out(bed)
    assert precious.is_dir()


def test_a_guest_that_runs_is_not_undefined(bed: Bed) -> None:
    bed.guest()
    bed.note(Step.TAKE_OVER, "define", {"kind": "undefine", "uuid": UUID})
    with pytest.raises(MobilityError, match="running") as error:
        carry_out(bed)
    assert error.value.code == "GUEST_RUNS_HERE"
    assert bed.domain().state() == "running"


def test_a_snapshot_made_meanwhile_keeps_no_guest_defined(bed: Bed) -> None:
    bed.guest(running=False)
    bed.snapshot()
    bed.note(Step.TAKE_OVER, "define", {"kind": "undefine", "uuid": UUID})
    carry_out(bed)
    assert bed.find() is None


def test_another_migrations_lock_stays(bed: Bed) -> None:
    take_lock(bed, "others")
    bed.note(Step.CLAIM, "lock", {"kind": "unlock", "uuid": UUID})
    carry_out(bed)
    assert held(bed) == "others"


# --- a hand-over, whole ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("done", range(4))
@pytest.mark.parametrize(("running", "autostart"), [(True, True), (True, False), (False, True), (False, False)])
def test_after_a_hand_over_that_was_killed_anywhere_the_guest_is_as_before(
    bed: Bed, done: int, running: bool, autostart: bool
) -> None:
    bed.guest(running=running, autostart=autostart)
    migration = bed.keep_record("source", was_running=running)
    before = everything(bed)
    for effect in hand_over.plan(bed.context()).effects[:done]:
        bed.note(Step.HAND_OVER, effect.name, effect.undo)
        effect.do()
    carry_out(bed)
    assert everything(bed) == before
    assert not os.path.lexists(migration.parked)
    assert names(undo.plan(bed.context())) == []


def test_last_first_with_the_step_that_each_belongs_to(bed: Bed) -> None:
    bed.guest()
    bed.keep_record("source")
    bed.carry_out(Step.HAND_OVER, hand_over.plan)
    assert carry_out(bed) == ["fence", "stop", "autostart_off"]
    lines = [one for one in bed.journal() if one.step is Step.UNDO and one.event is Event.END]
    assert [(one.effect, one.result.get("step")) for one in lines[:-1]] == [
        ("fence", "hand_over"),
        ("stop", "hand_over"),
        ("autostart_off", "hand_over"),
        ("close", "undo"),
    ]
    assert derive(bed.journal(), ()) is Status.FAILED


def test_another_phase_is_left_alone(bed: Bed) -> None:
    bed.guest()
    bed.keep_record("destination")
    bed.carry_out(Step.HAND_OVER, hand_over.plan, Phase.REVERT)
    assert carry_out(bed, Phase.MOVE) == []
    assert bed.domain().is_off()
    assert carry_out(bed, Phase.REVERT) == ["fence", "stop", "autostart_off"]
    assert bed.domain().state() == "running"


@pytest.mark.parametrize(("phase", "left"), [(Phase.MOVE, False), (Phase.REVERT, True)])
def test_passwords_are_forgotten_with_a_move_but_a_revert_that_was_undone_needs_them(
    bed: Bed, phase: Phase, left: bool
) -> None:
    bed.guest()
    bed.keep_record("destination")
    record.keep_definition(bed.store, ID, record.OLD_DEFINITION, bed.xml())
    bed.carry_out(Step.HAND_OVER, hand_over.plan, phase)
    carry_out(bed, phase)
    assert (record.definitions_directory(bed.store, ID) / record.OLD_DEFINITION).exists() is left


@pytest.mark.parametrize(
    ("step", "work"),
    [
        pytest.param(Step.TAKE_OVER, lambda _context: Plan(), id="the destination has taken it over"),
        pytest.param(Step.RELEASE, release.plan, id="the source was given the receipt"),
    ],
)
def test_a_move_that_is_finished_is_reverted_and_never_undone(bed: Bed, step: Step, work: Any) -> None:
    bed.guest()
    bed.keep_record("source")
    bed.carry_out(Step.HAND_OVER, hand_over.plan)
    bed.carry_out(step, work, receipt={"status": "finished"})
    before = everything(bed)
    with pytest.raises(Refused, match="revert") as refusal:
        carry_out(bed)
    assert (refusal.value.code, refusal.value.subject) == ("ILLEGAL_MOVE", ID)
    assert everything(bed) == before


@pytest.mark.parametrize("phase", [Phase.MOVE, Phase.REVERT])
def test_what_may_have_started_the_guest_is_not_taken_back_unless_told(bed: Bed, phase: Phase) -> None:
    bed.guest()
    bed.keep_record("destination")
    bed.note(Step.TAKE_OVER, START, {"kind": "destroy", "uuid": UUID}, phase)
    before = everything(bed)
    with pytest.raises(Refused, match="recover") as refusal:
        carry_out(bed, phase)
    assert (refusal.value.code, refusal.value.subject) == ("GUEST_MAY_HAVE_RUN", ID)
    assert everything(bed) == before
    bed.carry_out(Step.UNDO, undo.plan, phase, only=["export"])
    with pytest.raises(Refused, match="GUEST_MAY_HAVE_RUN"):
        bed.carry_out(Step.UNDO, undo.plan, phase, only=["take_over"])
    assert bed.domain().state() == "running"
    bed.carry_out(Step.UNDO, undo.plan, phase, despite_start=True)
    assert bed.domain().is_off()


def test_a_move_whose_receipt_tells_of_a_failure_can_be_undone_again(bed: Bed) -> None:
    bed.guest()
    bed.keep_record("source")
    bed.carry_out(Step.HAND_OVER, hand_over.plan)
    bed.carry_out(Step.RELEASE, release.plan, receipt={"status": "error"})
    assert carry_out(bed) == ["fence", "stop", "autostart_off"]


def test_where_nothing_happened_nothing_is_written(bed: Bed) -> None:
    assert carry_out(bed) == []
    assert bed.journal() == ()


def test_where_nothing_was_changed_the_book_is_closed_all_the_same(bed: Bed) -> None:
    bed.carry_out(Step.CLAIM, lambda _context: Plan())
    assert carry_out(bed) == []
    assert derive((), bed.journal()) is Status.FAILED


def test_only_what_was_asked_for_is_taken_back_and_the_book_stays_open(bed: Bed) -> None:
    bed.guest()
    bed.keep_record("source")
    bed.carry_out(Step.HAND_OVER, hand_over.plan)
    bed.note(Step.COPY, "copy", {"kind": "remove", "path": str(staging(bed))})
    staging(bed).mkdir()
    assert bed.carry_out(Step.UNDO, undo.plan, only=["copy"])["undone"] == ["copy"]
    assert (staging(bed).exists(), parked(bed).exists(), bed.domain().is_off()) == (False, True, True)
    assert derive(bed.journal(), ()) is Status.MIGRATING  # a move may go on after it in another way
    assert carry_out(bed) == ["fence", "stop", "autostart_off"]
    assert derive(bed.journal(), ()) is Status.FAILED


def test_a_guest_that_went_off_without_us_is_started(bed: Bed) -> None:
    """Its host lost power after its autostart was off, before the line of its stop was written."""
    bed.guest(running=False, autostart=False)
    bed.keep_record("source")
    bed.note(Step.HAND_OVER, "autostart_off", {"kind": "autostart", "uuid": UUID, "value": True})
    made = bed.carry_out(Step.UNDO, undo.plan)
    assert made["effects"] == ["autostart_off", "start", "close"]
    assert (bed.domain().state(), bed.domain().autostart()) == ("running", True)


def test_planning_changes_nothing(bed: Bed) -> None:
    bed.guest()
    bed.keep_record("source")
    bed.carry_out(Step.HAND_OVER, hand_over.plan)
    before = everything(bed)
    plan = undo.plan(bed.context(check=True))
    assert names(plan) == ["fence", "stop", "autostart_off", "close"]
    assert plan.result == {"undone": ["fence", "stop", "autostart_off"]}
    assert "rename" in plan.effects[0].describe
    assert everything(bed) == before
