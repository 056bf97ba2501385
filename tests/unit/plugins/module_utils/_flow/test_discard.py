# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._flow import discard, hand_over
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import record
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Phase, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Migration
from ansible_collections.kvmops.mobility.tests.unit.bed import ID, Bed, names

LOSING = [(Phase.CONFIRM, "source", Phase.MOVE), (Phase.REVERT, "destination", Phase.REVERT)]
"""Who loses the guest in a phase, and in which phase it was handed over there."""
WINNING = [(Phase.CONFIRM, "destination"), (Phase.REVERT, "source")]


def hand(bed: Bed, role: str, phase: Phase) -> tuple[Migration, str]:
    """A hypervisor that has handed its guest over in *phase*, and where it was parked."""
    bed.guest()
    migration = bed.keep_record(role)
    for name in (record.OLD_DEFINITION, record.NEW_DEFINITION):
        record.keep_definition(bed.store, ID, name, bed.xml())
    bed.carry_out(Step.HAND_OVER, hand_over.plan, phase)
    return migration, migration.parked if phase is Phase.MOVE else migration.reverted


def carry_out(bed: Bed, phase: Phase) -> list[str]:
    found: list[str] = bed.carry_out(Step.DISCARD, discard.plan, phase)["effects"]
    return found


@pytest.mark.parametrize(("phase", "role", "handed"), LOSING)
def test_the_loser_gives_everything_up(bed: Bed, phase: Phase, role: str, handed: Phase) -> None:
    _migration, parked = hand(bed, role, handed)
    assert carry_out(bed, phase) == ["undefine", "remove", "forget"]
    assert bed.find() is None
    assert not os.path.lexists(parked)
    assert os.listdir(bed.root / "images") == []
    assert list(record.definitions_directory(bed.store, ID).iterdir()) == []
    assert record.required(bed.store, ID).role == role


@pytest.mark.parametrize(("phase", "role", "handed"), LOSING)
def test_a_snapshot_that_was_made_meanwhile_goes_too(bed: Bed, phase: Phase, role: str, handed: Phase) -> None:
    hand(bed, role, handed)
    bed.snapshot()
    assert carry_out(bed, phase) == ["undefine", "remove", "forget"]
    assert bed.find() is None


@pytest.mark.parametrize(("phase", "role"), WINNING)
def test_the_winner_only_closes_its_book(bed: Bed, phase: Phase, role: str) -> None:
    bed.guest()
    bed.keep_record(role)
    record.keep_definition(bed.store, ID, record.NEW_DEFINITION, bed.xml())
    assert carry_out(bed, phase) == ["forget"]
    assert bed.domain().state() == "running"
    assert os.listdir(bed.directory) == ["disk"]
    assert list(record.definitions_directory(bed.store, ID).iterdir()) == []


@pytest.mark.parametrize(("phase", "role", "handed"), LOSING)
def test_done_already_is_nothing(bed: Bed, phase: Phase, role: str, handed: Phase) -> None:
    _migration, parked = hand(bed, role, handed)
    carry_out(bed, phase)
    Path(parked).mkdir()
    (Path(parked) / "precious").touch()
    assert carry_out(bed, phase) == []
    assert os.listdir(parked) == ["precious"]


def test_it_goes_on_where_it_was_killed(bed: Bed) -> None:
    _migration, parked = hand(bed, "source", Phase.MOVE)
    undefine, remove, _forget = discard.plan(bed.context(Phase.CONFIRM)).effects
    undefine.do()
    assert carry_out(bed, Phase.CONFIRM)[-2:] == ["remove", "forget"]
    assert not os.path.lexists(parked)
    assert remove.do() is None


@pytest.mark.parametrize(("phase", "role", "handed"), LOSING)
def test_a_parked_directory_of_unknown_origin_is_never_removed(
    bed: Bed, phase: Phase, role: str, handed: Phase
) -> None:
    bed.guest(running=False)
    migration = bed.keep_record(role)
    parked = Path(migration.parked if handed is Phase.MOVE else migration.reverted)
    parked.mkdir()
    (parked / "precious").touch()
    with pytest.raises(Refused) as refusal:
        carry_out(bed, phase)
    assert (refusal.value.code, refusal.value.subject) == ("PATH_NOT_OURS", str(parked))
    assert os.listdir(parked) == ["precious"]
    assert bed.find() is not None


def test_a_fence_of_the_other_phase_is_not_proof(bed: Bed) -> None:
    """What the move parked on the source says nothing of what lies under the name that a revert uses."""
    migration, _parked = hand(bed, "destination", Phase.MOVE)
    Path(migration.reverted).mkdir()
    with pytest.raises(Refused) as refusal:
        carry_out(bed, Phase.REVERT)
    assert refusal.value.code == "PATH_NOT_OURS"
    assert os.path.isdir(migration.reverted)


def test_a_fence_that_parked_something_else_is_not_proof(bed: Bed) -> None:
    migration = bed.keep_record("source")
    bed.note(Step.HAND_OVER, "fence", {"kind": "rename", "from": "/elsewhere_resize", "to": "/elsewhere"})
    Path(migration.parked).mkdir()
    with pytest.raises(Refused) as refusal:
        carry_out(bed, Phase.CONFIRM)
    assert refusal.value.code == "PATH_NOT_OURS"
    assert os.path.isdir(migration.parked)


def test_where_nothing_was_parked_there_is_nothing_to_refuse(bed: Bed) -> None:
    bed.keep_record("source")
    assert carry_out(bed, Phase.CONFIRM) == ["remove", "forget"]


@pytest.mark.parametrize(("phase", "role", "handed"), LOSING)
def test_a_guest_that_runs_on_the_losing_side_stops_everything(
    bed: Bed, phase: Phase, role: str, handed: Phase
) -> None:
    _migration, parked = hand(bed, role, handed)
    bed.domain().start()
    with pytest.raises(Refused, match="running") as refusal:
        carry_out(bed, phase)
    assert refusal.value.code == "GUEST_RUNS_HERE"
    assert bed.domain().state() == "running"
    assert os.listdir(parked) == ["disk"]


def test_planning_changes_nothing(bed: Bed) -> None:
    _migration, parked = hand(bed, "source", Phase.MOVE)
    plan = discard.plan(bed.context(Phase.CONFIRM, check=True))
    assert names(plan) == ["undefine", "remove", "forget"]
    assert plan.before == {"directory": parked}
    assert os.listdir(parked) == ["disk"]
    assert bed.find() is not None


@pytest.mark.parametrize(("phase", "role", "handed"), LOSING)
@pytest.mark.parametrize("kind", ["file", "directory", "link"])
def test_what_came_since_is_kept_with_a_warning(bed: Bed, phase: Phase, role: str, handed: Phase, kind: str) -> None:
    _migration, parked = hand(bed, role, handed)
    bed.carry_out(Step.HAND_OVER, hand_over.plan, handed)
    stranger = Path(parked) / "stranger"
    if kind == "link":
        stranger.symlink_to(bed.root)
    elif kind == "directory":
        stranger.mkdir()
    else:
        stranger.touch()
    bed.carry_out(Step.HAND_OVER, hand_over.plan, handed)
    assert carry_out(bed, phase) == ["undefine", "remove", "forget"]
    assert os.listdir(parked) == ["stranger"]
    (warning,) = bed.warnings
    assert "PATH_NOT_OURS" in warning
    assert str(stranger) in warning
    assert bed.root.is_dir()
    assert carry_out(bed, phase) == []


@pytest.mark.parametrize("stranger", [True, False])
def test_without_an_inventory_nothing_but_the_disks_goes(bed: Bed, stranger: bool) -> None:
    migration = bed.keep_record("source")
    bed.note(Step.HAND_OVER, "fence", {"kind": "rename", "from": migration.parked, "to": migration.directory})
    parked = Path(migration.parked)
    parked.mkdir(parents=True)
    (parked / "disk").touch()
    if stranger:
        (parked / "db1.qcow2").touch()
    assert carry_out(bed, Phase.CONFIRM) == ["remove", "forget"]
    left = sorted(one.name for one in parked.iterdir()) if parked.exists() else None
    assert left == (["db1.qcow2"] if stranger else None)
    assert ["PATH_NOT_OURS" in one for one in bed.warnings] == ([True] if stranger else [])


def test_a_directory_under_the_name_of_a_file_is_kept(bed: Bed) -> None:
    migration = bed.keep_record("source")
    bed.note(Step.HAND_OVER, "fence", {"kind": "rename", "from": migration.parked, "to": migration.directory})
    (Path(migration.parked) / "disk").mkdir(parents=True)
    assert carry_out(bed, Phase.CONFIRM) == ["remove", "forget"]
    assert (Path(migration.parked) / "disk").is_dir()
    assert "PATH_NOT_OURS" in bed.warnings[0]
