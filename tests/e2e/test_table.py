# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resize, confirm and revert over every pair of what a guest can be: eight guests, one ansible-playbook call a step.

The fixtures are one story; each keeps what it saw, and the tests judge that.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from ansible_collections.kvmops.mobility.tests.e2e import lab, snapshot
from ansible_collections.kvmops.mobility.tests.e2e.lab import IMAGES, View
from ansible_collections.kvmops.mobility.tests.e2e.play import Run, play
from ansible_collections.kvmops.mobility.tests.e2e.snapshot import Snapshot

GIB = 2**30
OLD = (1, 256, GIB)
NEW = (2, 512, 2 * GIB)
SIZE = {"vcpus": 2, "memory_mib": 512, "root_gib": 2}
PASSWORD = "0pen5esm"  # of a lab guest's screen, to be looked for wherever it must not be
SCREEN = f"<graphics type='vnc' port='-1' passwd='{PASSWORD}'/>"


@dataclass(frozen=True)
class Row:
    """One guest of the table."""

    name: str
    power: str
    format: str
    disks: int
    drive: bool
    verdict: str
    autostart: bool = False
    screen: bool = False
    """Its definition holds a password."""

    def factors(self) -> dict[str, object]:
        """What the pairs are made of."""
        return {
            "power": self.power,
            "format": self.format,
            "disks": self.disks,
            "drive": self.drive,
            "verdict": self.verdict,
        }


TABLE = (
    Row("e2e-1", "running", "raw", 1, False, "confirm", autostart=True),
    Row("e2e-2", "running", "raw", 2, True, "revert", autostart=True),
    Row("e2e-3", "running", "qcow2", 2, True, "confirm"),
    Row("c2", "running", "qcow2", 1, False, "revert"),
    Row("e2e-5", "off", "raw", 2, False, "confirm", screen=True),
    Row("e2e-6", "off", "raw", 1, True, "revert", autostart=True),
    Row("e2e-7", "off", "qcow2", 1, True, "confirm", autostart=True),
    Row("e2e-8", "off", "qcow2", 2, False, "revert", screen=True),
)
"""One guest is called like the hypervisor it moves to."""
NAMES = [row.name for row in TABLE]
ROWS = pytest.mark.parametrize("row", TABLE, ids=NAMES)
CONFIRMED = [row.name for row in TABLE if row.verdict == "confirm"]
REVERTED = [row.name for row in TABLE if row.verdict == "revert"]


@dataclass(frozen=True)
class Stage:
    """What a step of the story left: the call, and the hosts and guests before and after."""

    run: Run
    before: Snapshot
    after: Snapshot
    views: Mapping[str, View]


@pytest.fixture(scope="module")
def guests() -> Iterator[Mapping[str, View]]:
    """The table's guests on c1, at their old size."""
    lab.destroy("c2")
    try:
        lab.parallel(_create, sorted(TABLE, key=lambda row: row.power, reverse=True))
        yield lab.verify_all(NAMES)
    finally:
        lab.destroy(*NAMES)


def _create(row: Row) -> None:
    options = ["--format", row.format, "--disks", str(row.disks)]
    options += ["--config-drive"] if row.drive else []
    options += ["--off"] if row.power == "off" else []
    lab.create(row.name, *options)
    if row.autostart:
        lab.shell("c1", f"virsh -q autostart {row.name}")
    if row.screen:
        lab.remote("c1", "add_device", {"name": row.name, "xml": SCREEN})


@pytest.fixture(scope="module")
def checked(guests: Mapping[str, View]) -> Stage:
    """The plan, by --check."""
    before = snapshot.take()
    run = play("resize", {"vm": NAMES, "dest": "c2", **SIZE}, "--check", "--diff")
    return Stage(run, before, snapshot.take(), guests)


@pytest.fixture(scope="module")
def moved(checked: Stage) -> Stage:
    """All of them on c2 at their new size."""
    run = play("resize", {"vm": NAMES, "dest": "c2", **SIZE})
    return Stage(run, checked.after, snapshot.take(), lab.verify_all(NAMES))


@pytest.fixture(scope="module")
def asked_again(moved: Stage) -> Stage:
    """The same resize, and a move to the old host, while they wait for a verdict."""
    before = snapshot.take()
    run = play("resize", {"vm": NAMES, "dest": "c1", **SIZE})
    return Stage(run, before, snapshot.take(), moved.views)


@pytest.fixture(scope="module")
def confirmed(asked_again: Stage) -> Stage:
    """Half of them confirmed."""
    run = play("confirm", {"vm": CONFIRMED})
    return Stage(run, asked_again.after, snapshot.take(), lab.verify_all(CONFIRMED))


@pytest.fixture(scope="module")
def reverted(confirmed: Stage) -> Stage:
    """The other half reverted."""
    run = play("revert", {"vm": REVERTED, "data": "discard"})
    return Stage(run, confirmed.after, snapshot.take(), lab.verify_all(REVERTED))


@pytest.fixture(scope="module")
def repeated(reverted: Stage) -> Mapping[str, Stage]:
    """Confirm and revert, each asked for once more."""
    before = snapshot.take()
    confirm = play("confirm", {"vm": CONFIRMED})
    between = snapshot.take()
    revert = play("revert", {"vm": REVERTED, "data": "discard"})
    return {
        "confirm": Stage(confirm, before, between, {}),
        "revert": Stage(revert, between, snapshot.take(), {}),
    }


def test_the_table_covers_every_pair() -> None:
    levels = {name: {row.factors()[name] for row in TABLE} for name in TABLE[0].factors()}
    for one, other in itertools.combinations(levels, 2):
        pairs = {(row.factors()[one], row.factors()[other]) for row in TABLE}
        assert pairs == set(itertools.product(levels[one], levels[other])), f"{one} x {other}"
    assert all(len(values) == 2 for values in levels.values())


class TestCheck:
    """--check."""

    def test_it_changes_nothing_on_either_host(self, checked: Stage) -> None:
        assert checked.run.code == 0, checked.run.output
        assert snapshot.difference(checked.before, checked.after) == []

    @ROWS
    def test_it_prints_the_plan(self, checked: Stage, row: Row) -> None:
        plan = checked.run.planned()[row.name]
        text = "\n".join(plan["lines"])
        assert text in checked.run.output
        assert f"{row.name}: resize from c1 to c2" in text
        assert "1 vCPUs, 256 MiB, root 1 GiB -> 2 vCPUs, 512 MiB, root 2 GiB" in text
        assert plan["migration"]["bytes_to_copy"] > 4 * 2**20
        assert "to copy" in text
        outage = "about 1" if row.power == "running" else "none, the guest is off"
        assert f"expected outage  {outage}" in text
        bringing = "mirror" if row.power == "running" else "copy"
        for step in ("claim", "hand over", bringing, "take over", "finish"):
            assert f"  {step}" in text

    @ROWS
    def test_the_run_follows_the_plan_of_the_check(self, checked: Stage, moved: Stage, row: Row) -> None:
        planned, real = (stage.run.planned()[row.name] for stage in (checked, moved))
        assert _without_id(planned["lines"], planned) == _without_id(real["lines"], real)


def _without_id(lines: list[str], plan: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The plan's lines, but for the migration's id and how long ago the guest was started."""
    identity = plan["migration"]["id"]
    return [line.replace(identity, "ID") for line in lines if "JUST_STARTED" not in line]


class TestMove:
    """The resize."""

    @ROWS
    def test_guest_is_on_the_destination_at_its_new_size_with_its_data(
        self, guests: Mapping[str, View], moved: Stage, row: Row
    ) -> None:
        assert moved.run.code == 0, moved.run.output
        view = moved.views[row.name]
        assert (view.host, view.size, view.problems) == ("c2", NEW, ())
        assert view.sums == guests[row.name].sums
        assert len(view.sums) == row.disks
        assert view.config_drive_ok is (True if row.drive else None)

    @ROWS
    def test_power_and_autostart_are_as_they_were(self, moved: Stage, row: Row) -> None:
        view = moved.views[row.name]
        assert view.state == ("running" if row.power == "running" else "shut off")
        state = moved.after[f"c2: domain {row.name} {view.uuid}"]
        assert f"autostart {row.autostart}" in state

    @ROWS
    def test_source_is_fenced_and_keeps_everything(self, guests: Mapping[str, View], moved: Stage, row: Row) -> None:
        own, parked = f"c1: path {IMAGES}/{row.name}", f"c1: path {IMAGES}/{row.name}_resize"
        assert own not in moved.after
        files = [f"{parked}/{'disk' if number == 0 else f'disk{number}'}" for number in range(row.disks)]
        assert all(one in moved.after for one in files)
        state = moved.after[f"c1: domain {row.name} {guests[row.name].uuid}"]
        assert "state 5," in state
        assert "autostart False" in state

    def test_no_lock_and_no_staging_is_left(self, moved: Stage) -> None:
        assert snapshot.mentioning(moved.after, ".staging") == []
        assert [key for name in NAMES for key in snapshot.locks(moved.after, name)] == []

    @ROWS
    def test_receipt(self, guests: Mapping[str, View], moved: Stage, row: Row) -> None:
        receipt = moved.run.receipt(row.name)
        assert receipt["nova_status"] == "VERIFY_RESIZE"
        assert receipt["where"] == "c2"
        assert receipt["migration"]["uuid"] == guests[row.name].uuid
        assert receipt["mirrored_bytes" if row.power == "running" else "bytes_sent"] > 4 * 2**20
        assert receipt["kept"] == [f"c1:{IMAGES}/{row.name}_resize and its definition, until confirm or revert"]
        assert receipt["next_commands"] == [
            f"ansible-playbook kvmops.mobility.confirm -e vm={row.name}",
            f"ansible-playbook kvmops.mobility.revert -e vm={row.name} -e data=discard",
        ]
        assert all(line in moved.run.output for line in receipt["lines"])
        assert moved.run.last_lines()[row.name] == f"{row.name}: VERIFY_RESIZE, on c2"

    @ROWS
    def test_outage_has_three_parts(self, moved: Stage, row: Row) -> None:
        outage = moved.run.receipt(row.name)["outage"]
        if row.power == "off":
            assert outage is None
            return
        parts = outage["guest_stop"] + outage["ours"] + outage["guest_start"]
        assert outage["total"] == pytest.approx(parts, abs=0.01)
        assert 0 < outage["total"] < 180  # eight guests share two processors

    def test_receipts_are_kept_beside_both_records(self, moved: Stage) -> None:
        for name in NAMES:
            migration = moved.run.receipt(name)["migration"]["id"]
            for host in lab.HOSTS:
                assert f"{host}: path {lab.RECORDS}/migrations/{migration}/receipt.json of {name}" in moved.after

    def test_guests_were_moved_at_the_same_time(self, moved: Stage) -> None:
        assert moved.run.code == 0
        journals = lab.remote("c1", "journals", NAMES)
        begun = [lines[0]["at"] for lines in journals.values()]
        ended = [max(line["at"] for line in lines if line["phase"] == "move") for lines in journals.values()]
        assert len(begun) == len(TABLE)
        assert max(begun) < min(ended)


class TestAgain:
    """Resize once more, before a verdict."""

    def test_it_changes_nothing(self, asked_again: Stage) -> None:
        assert asked_again.run.code == 0, asked_again.run.output
        assert snapshot.difference(asked_again.before, asked_again.after) == []

    @ROWS
    def test_it_says_so(self, asked_again: Stage, row: Row) -> None:
        line = asked_again.run.last_lines()[row.name]
        assert line.startswith(f"{row.name} is in VERIFY_RESIZE on c2: its resize from c1 ")
        assert f"kvmops.mobility.confirm -e vm={row.name}." in line


class TestConfirm:
    """Confirm."""

    @pytest.mark.parametrize("name", CONFIRMED)
    def test_guest_stays_as_it_is(self, moved: Stage, confirmed: Stage, name: str) -> None:
        assert confirmed.run.code == 0, confirmed.run.output
        assert confirmed.views[name] == _only_on(moved.views[name], "c2")
        assert confirmed.run.receipt(name)["status"] == "confirmed"
        assert confirmed.run.last_lines()[name] == f"{name}: confirmed, on c2"

    @pytest.mark.parametrize("name", CONFIRMED)
    def test_nothing_is_left_on_the_source(self, confirmed: Stage, name: str) -> None:
        assert snapshot.of_guest(confirmed.after, "c1", name) == []
        assert snapshot.locks(confirmed.after, name) == []

    def test_no_definition_with_a_secret_is_kept(self, confirmed: Stage, reverted: Stage) -> None:
        closed = [confirmed.run.receipt(name) for name in CONFIRMED] + [reverted.run.receipt(name) for name in REVERTED]
        kept = [f"/migrations/{receipt['migration']['id']}/definitions/" for receipt in closed]
        assert [key for key in reverted.after if any(one in key for one in kept)] == []

    def test_others_were_left_alone(self, confirmed: Stage) -> None:
        others = [name for name in REVERTED if name != "c2"]
        assert snapshot.difference(confirmed.before, confirmed.after, *others) == []


def _only_on(view: View, host: str) -> View:
    return View(**{**vars(view), "defined_on": (host,)})


class TestRevert:
    """Revert."""

    @pytest.mark.parametrize("name", REVERTED)
    def test_guest_is_back_at_its_old_size_with_its_old_data(
        self, guests: Mapping[str, View], reverted: Stage, name: str
    ) -> None:
        assert reverted.run.code == 0, reverted.run.output
        assert reverted.views[name] == guests[name]
        assert (reverted.views[name].host, reverted.views[name].size) == ("c1", OLD)
        assert reverted.run.receipt(name)["status"] == "reverted"
        assert reverted.run.last_lines()[name] == f"{name}: reverted, on c1"

    @pytest.mark.parametrize("name", REVERTED)
    def test_definition_power_autostart_and_files_are_as_before(
        self, checked: Stage, reverted: Stage, name: str
    ) -> None:
        was = {key: checked.before[key] for key in snapshot.of_guest(checked.before, "c1", name)}
        now = {key: reverted.after[key] for key in snapshot.of_guest(reverted.after, "c1", name)}
        assert [line for line in snapshot.difference(was, now) if not line.endswith(".xml")] == []

    @pytest.mark.parametrize("name", REVERTED)
    def test_nothing_is_left_on_the_destination(self, reverted: Stage, name: str) -> None:
        assert snapshot.of_guest(reverted.after, "c2", name) == []
        assert snapshot.locks(reverted.after, name) == []


@pytest.mark.parametrize(("verdict", "names"), [("confirm", CONFIRMED), ("revert", REVERTED)])
def test_a_verdict_twice_changes_nothing(repeated: Mapping[str, Stage], verdict: str, names: list[str]) -> None:
    stage = repeated[verdict]
    assert stage.run.code == 0, stage.run.output
    assert snapshot.difference(stage.before, stage.after) == []
    assert all(f"is {verdict}ed already. Nothing was changed." in stage.run.last_lines()[name] for name in names)


def test_no_run_showed_the_password(moved: Stage, confirmed: Stage, reverted: Stage) -> None:
    for stage in (moved, confirmed, reverted):
        assert PASSWORD not in stage.run.output
        assert PASSWORD not in repr(stage.run.results)
