# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the destination of a live migration makes, sees and takes back; and what the source gives up."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._disk import image
from ansible_collections.kvmops.mobility.plugins.module_utils._flow import arrive, depart, prepare
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import DiskPlan, Layout, Link
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.state import Status, derive_alone
from ansible_collections.kvmops.mobility.tests.unit.bed import Bed
from ansible_collections.kvmops.mobility.tests.unit.builders import MIB, UUID
from ansible_collections.kvmops.mobility.tests.unit.lively import BROKEN, MIGRATING, Side
from ansible_collections.kvmops.mobility.tests.unit.units import Units


def disks(bed: Bed) -> tuple[DiskPlan, ...]:
    """One with a backing file, one raw elsewhere, one that both hosts see."""
    return (
        DiskPlan(
            "vda",
            f"{bed.directory}/disk",
            "qcow2",
            "disk",
            MIB,
            MIB,
            MIB,
            cluster_bytes=4096,
            backing=(Link(f"{bed.root}/images/_base/b", "qcow2"),),
        ),
        DiskPlan("vdb", f"{bed.root}/images/deep/er/raw", "raw", "disk", 2 * MIB, 2 * MIB, MIB),
        DiskPlan("vdc", f"{bed.root}/images/shared", "qcow2", "disk", MIB, MIB, MIB),
    )


@pytest.fixture
def there(bed: Bed, units: Units) -> Side:
    """A destination that has nothing."""
    return Side(bed, units, "destination", copied=("vda", "vdb"), disks=disks(bed))


def make(side: Side) -> dict[str, Any]:
    return side.carry_out(Step.PREPARE, prepare.plan)


def left(bed: Bed) -> list[str]:
    return sorted(str(one.relative_to(bed.root / "images")) for one in (bed.root / "images").rglob("*"))


def test_each_image_that_is_copied_is_made_at_its_place(there: Side) -> None:
    found = make(there)
    assert found["made"] == [disk.path for disk in disks(there.bed)[:2]]
    assert left(there.bed) == ["deep", "deep/er", "deep/er/raw", "web1", "web1/disk"]
    first = image.inspect(f"{there.bed.directory}/disk", "qcow2")
    assert (first.virtual_bytes, first.cluster_bytes, first.backing_path) == (MIB, 4096, "")
    assert image.inspect(f"{there.bed.root}/images/deep/er/raw", "raw").virtual_bytes == 2 * MIB
    assert os.stat(there.bed.directory).st_mode & 0o777 == 0o711


def test_a_second_run_changes_nothing(there: Side) -> None:
    make(there)
    assert make(there)["effects"] == []


def test_undo_removes_what_was_made_and_nothing_else(there: Side) -> None:
    make(there)
    (there.bed.root / "images" / "other").touch()
    there.undo()
    assert left(there.bed) == ["other"]
    assert derive_alone(there.bed.journal(), "destination") is Status.FAILED


def test_undo_of_what_was_announced_and_never_happened(there: Side) -> None:
    plan = prepare.plan(there.bed.context())
    for effect in plan.effects:
        there.bed.note(Step.PREPARE, effect.name, effect.undo)
    there.undo()
    assert left(there.bed) == []


@pytest.mark.parametrize("killed_after", range(1, 7))
def test_undo_of_a_step_that_was_killed(there: Side, killed_after: int) -> None:
    for effect in prepare.plan(there.bed.context()).effects[:killed_after]:
        there.bed.note(Step.PREPARE, effect.name, effect.undo)
        effect.do()
    there.undo()
    assert left(there.bed) == []


def test_a_path_that_exists_is_refused_and_stays(there: Side) -> None:
    Path(there.bed.directory).mkdir()
    path = Path(there.bed.directory) / "disk"
    path.write_text("precious", encoding="ascii")
    there.fails("LEFTOVER_PATHS", lambda: make(there))
    assert there.undo() == []
    assert path.read_text(encoding="ascii") == "precious"


def test_an_image_that_comes_out_smaller_is_not_used(there: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    inspect = image.inspect
    monkeypatch.setattr(image, "inspect", lambda *what: replace(inspect(*what), virtual_bytes=512))
    there.fails("PREPARE_FAILED", lambda: make(there))
    assert there.undo()
    assert left(there.bed) == []


def test_a_directory_that_holds_more_by_now_stays(there: Side) -> None:
    make(there)
    path = Path(there.bed.directory) / "notes"
    path.write_text("precious", encoding="ascii")
    there.undo()
    assert path.read_text(encoding="ascii") == "precious"
    assert left(there.bed) == ["web1", "web1/notes"]
    (warning,) = there.bed.warnings
    assert warning.startswith("LIVE_DIRECTORY_KEPT")
    assert "notes" in warning


def test_a_log_that_qemu_has_opened_for_a_guest_that_never_ran_here_goes(there: Side) -> None:
    make(there)
    (Path(there.bed.directory) / "console.log").touch()
    there.undo()
    assert left(there.bed) == []


def test_images_that_the_guest_uses_here_are_not_taken_back(there: Side) -> None:
    make(there)
    there.bed.hypervisor.define(there.bed.xml()).start()
    there.fails("GUEST_RUNS_HERE", there.undo)
    assert (Path(there.bed.directory) / "disk").exists()
    there.fails("GUEST_RUNS_HERE", lambda: make(there))


def test_a_libvirt_that_takes_its_part_away_a_moment_later_is_waited_for(there: Side) -> None:
    make(there)
    there.bed.hypervisor.define(there.bed.xml()).start()
    sleep = there.bed.clock.sleep

    def slept(seconds: float) -> None:
        sleep(seconds)
        there.bed.connection.lookupByName("web1").destroy()
        there.bed.connection.lookupByName("web1").undefine()

    there.bed.clock.sleep = slept  # type: ignore[method-assign]
    there.undo()
    assert left(there.bed) == []


def test_images_of_another_guest_are_not_taken_back(there: Side) -> None:
    make(there)
    there.bed.hypervisor.define(there.bed.xml(name="web2", uuid=UUID[:-1] + "9"))
    error = there.fails("DISK_IN_USE", there.undo)
    assert "web2" in error.message


def test_only_what_carries_the_id_is_unlinked(there: Side) -> None:
    there.bed.note(Step.PREPARE, "image_vda", {"kind": "unlink", "path": "/etc/hostname"})
    there.fails("PATH_NOT_OURS", there.undo)


# --- arrive --------------------------------------------------------------------------------------------------------


def see(side: Side) -> dict[str, Any]:
    return side.carry_out(Step.ARRIVE, arrive.plan)


@pytest.fixture
def landed(bed: Bed, units: Units) -> Side:
    """A destination where the guest runs."""
    bed.guest(autostart=False)
    return Side(bed, units, "destination", copied=())


def test_a_guest_that_runs_here_has_arrived(landed: Side) -> None:
    landed.bed.connection.answers["time"] = []
    landed.travel.completed = {"type": 3, "downtime": 35}
    found = see(landed)
    assert found["effects"] == ["autostart", "clock", "seen"]
    assert (found["arrived"], found["guest_state"], found["clock_set"]) == (True, "running", True)
    assert found["definition_matches"] is True
    assert found["statistics"] == {"type": 3, "downtime": 35}
    assert landed.bed.domain().autostart() is True
    assert landed.bed.connection.answers["time"] == [1_700_000_000]
    assert see(landed)["effects"] == ["clock", "seen"]
    assert derive_alone(landed.bed.journal(), "destination") is Status.POST_MIGRATING


def test_without_an_agent_the_clock_stays(landed: Side) -> None:
    assert see(landed)["clock_set"] is False


@pytest.mark.parametrize("defined", [True, False])
def test_one_that_is_not_active_here_has_not(bed: Bed, units: Units, defined: bool) -> None:
    if defined:
        bed.guest(running=False)
    side = Side(bed, units, "destination", copied=())
    side.fails("LIVE_NOT_ARRIVED", lambda: see(side))
    assert side.bed.journal() == ()


@pytest.mark.parametrize(("state", "code"), [(MIGRATING, "LIVE_NOT_ARRIVED"), (BROKEN, "LIVE_LINK_BROKEN")])
def test_one_that_waits_for_the_source_has_not(landed: Side, state: tuple[int, int], code: str) -> None:
    landed.travel.state = state
    landed.fails(code, lambda: see(landed))


def test_it_is_waited_for_until_libvirt_lets_it_run(landed: Side) -> None:
    landed.travel.state = MIGRATING
    sleep = landed.bed.clock.sleep

    def slept(seconds: float) -> None:
        sleep(seconds)
        landed.travel.state = None

    landed.bed.clock.sleep = slept  # type: ignore[method-assign]
    assert see(landed)["arrived"] is True


def test_one_that_was_paused_stays_paused(bed: Bed, units: Units) -> None:
    bed.guest()
    bed.connection.lookupByName("web1").suspend()
    side = Side(bed, units, "destination", was_paused=True)
    found = see(side)
    assert (found["guest_state"], "clock_set" in found) == ("paused", False)


def test_a_definition_that_is_written_otherwise_is_a_warning(landed: Side) -> None:
    landed.bed.hypervisor.define(landed.bed.xml(extra={"domain": "<title>x</title>"}))
    assert see(landed)["definition_matches"] is False
    assert "LIVE_DEFINITION_DIFFERS" in landed.bed.warnings[0]


def test_a_guest_without_a_stored_definition_gets_one(bed: Bed, units: Units) -> None:
    bed.guest(autostart=True)
    side = Side(bed, units, "destination", copied=())
    handle = bed.connection.lookupByName("web1")
    bed.domain().set_autostart(False)
    handle.undefine()
    assert not bed.domain().is_persistent()
    assert see(side)["effects"] == ["define", "autostart", "clock", "seen"]
    assert bed.domain().is_persistent()


@pytest.mark.parametrize("answers", [True, False])
def test_it_is_announced_when_that_was_asked_for(bed: Bed, units: Units, answers: bool) -> None:
    bed.guest()
    asked: list[dict[str, int]] = []

    def announce(**how: int) -> dict[str, Any]:
        asked.append(how)
        return {}

    if answers:
        bed.connection.answers["announce-self"] = announce
    side = Side(bed, units, "destination", announce=True)
    assert see(side)["announced"] is answers
    assert [one["rounds"] for one in asked] == [5] * answers
    assert [one.partition(":")[0] for one in bed.warnings] == ([] if answers else ["LIVE_NOT_ANNOUNCED"])


# --- depart --------------------------------------------------------------------------------------------------------


def give_up(side: Side, **values: Any) -> dict[str, Any]:
    return side.carry_out(Step.DEPART, depart.plan, **values)


@pytest.fixture
def source(bed: Bed, units: Units) -> Side:
    """A source that the guest has left, with its disks."""
    bed.guest()
    side = Side(bed, units, "source", copied=("vda", "vdb"), disks=disks(bed))
    side.leave()
    os.makedirs(f"{bed.root}/images/deep/er")
    os.makedirs(f"{bed.root}/images/_base")
    for path in ("deep/er/raw", "shared", "_base/b"):
        (bed.root / "images" / path).touch()
    return side


def test_what_was_copied_is_removed_and_nothing_else(source: Side) -> None:
    found = give_up(source)
    assert found["removed"] == [f"{source.bed.directory}/disk", f"{source.bed.root}/images/deep/er/raw"]
    assert found["kept"] == [f"{source.bed.root}/images/_base/b"]
    assert left(source.bed) == ["_base", "_base/b", "deep", "deep/er", "shared"]
    assert derive_alone(source.bed.journal(), "source") is Status.COMPLETED
    assert give_up(source)["removed"] == []


def test_a_directory_that_holds_more_is_kept(source: Side) -> None:
    log = Path(source.bed.directory) / "console.log"
    log.touch()
    assert str(log) in give_up(source)["kept"]
    assert log.exists()


def test_a_directory_that_others_use_is_kept(bed: Bed, units: Units) -> None:
    bed.guest()
    side = Side(bed, units, "source", layout=Layout.FILES)
    side.leave()
    assert "tidy" not in give_up(side)["effects"]
    assert Path(bed.directory).is_dir()


def test_nothing_is_removed_of_a_guest_that_was_not_seen_there(source: Side) -> None:
    source.fails("LIVE_NOT_ARRIVED", lambda: give_up(source, arrived=False))
    assert (Path(source.bed.directory) / "disk").exists()


def test_nothing_is_removed_of_a_guest_that_is_active_here(bed: Bed, units: Units) -> None:
    bed.guest()
    side = Side(bed, units, "source")
    side.fails("GUEST_RUNS_HERE", lambda: give_up(side))
    assert (Path(bed.directory) / "disk").exists()


def test_a_definition_that_was_left_goes(bed: Bed, units: Units) -> None:
    bed.guest(running=False)
    side = Side(bed, units, "source")
    assert give_up(side)["effects"] == ["undefine", "settle", "remove_vda", "tidy", "unit"]
    assert bed.find() is None


def test_an_image_that_somebody_has_open_is_kept(source: Side) -> None:
    with open(f"{source.bed.directory}/disk", "rb"):
        source.fails("DISK_IN_USE", lambda: give_up(source))
    assert (Path(source.bed.directory) / "disk").exists()


def test_an_image_that_another_guest_has_is_kept(source: Side) -> None:
    source.bed.hypervisor.define(source.bed.xml(name="web2", uuid=UUID[:-1] + "9"))
    error = source.fails("DISK_IN_USE", lambda: give_up(source))
    assert "web2" in error.message
