# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest whose images are among those of others: every step touches exactly these, and can be taken back."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._command import run
from ansible_collections.kvmops.mobility.plugins.module_utils._disk import digest, directory, image
from ansible_collections.kvmops.mobility.plugins.module_utils._domain.edit import DefinitionChange, apply_changes
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError, Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._flow import claim, discard, hand_over, take_over, undo
from ansible_collections.kvmops.mobility.plugins.module_utils._flow.claim import sha256
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import record
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Phase, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import DiskPlan, Layout, Link, Migration
from ansible_collections.kvmops.mobility.tests.unit.bed import ID, Bed
from ansible_collections.kvmops.mobility.tests.unit.builders import MIB


class Flat:
    """web1.qcow2 among others in images/, and a second disk of the same name in more/."""

    def __init__(self, bed: Bed) -> None:
        self.bed = bed
        self.pool, self.more = bed.root / "images", bed.root / "more"
        self.more.mkdir(exist_ok=True)
        paths = [self.pool / "web1.qcow2", self.more / "web1.qcow2"]
        disks = [DiskPlan(f"vd{one}", str(path), "qcow2", "disk", MIB, MIB, MIB) for one, path in zip("ab", paths)]
        self.disks: tuple[DiskPlan, ...] = (replace(disks[0], new_bytes=2 * MIB), disks[1])
        (self.pool / "db1.qcow2").write_bytes(b"a neighbour")

    @property
    def values(self) -> dict[str, Any]:
        return {"layout": Layout.FILES, "directory": str(self.pool), "disks": self.disks}

    @property
    def migration(self) -> Migration:
        return self.bed.migration(**self.values)

    def xml(self) -> str:
        second = f"<disk type='file' device='disk'><source file='{self.more}/web1.qcow2'/><target dev='vdb'/></disk>"
        xml = self.bed.xml(extra={"devices": second})
        return xml.replace(f"{self.bed.directory}/disk", f"{self.pool}/web1.qcow2")

    def guest(self) -> None:
        for path in self.paths():
            image_of(path)
        domain = self.bed.hypervisor.define(self.xml())
        domain.set_autostart(True)
        domain.start()

    def paths(self) -> list[Path]:
        return [Path(disk.path) for disk in self.disks]

    def seen(self) -> list[str]:
        """Every path below the two directories."""
        found = (one for top in (self.pool, self.more) for one in top.rglob("*"))
        return sorted(str(one.relative_to(self.bed.root)) for one in found)

    def hand_over(self, phase: Phase = Phase.MOVE, role: str = "source") -> dict[str, Any]:
        self.guest()
        self.bed.keep_record(role, **self.values)
        return self.bed.carry_out(Step.HAND_OVER, hand_over.plan, phase)


def image_of(path: Path) -> None:
    run(("qemu-img", "create", "-q", "-f", "qcow2", str(path), str(MIB)), timeout_s=20)


@pytest.fixture
def flat(bed: Bed) -> Flat:
    return Flat(bed)


PARKED = [f"images/.{ID}.resize", f"images/.{ID}.resize/web1.qcow2", "images/db1.qcow2"]
PARKED += [f"more/.{ID}.resize", f"more/.{ID}.resize/web1.qcow2"]
AT_HOME = ["images/db1.qcow2", "images/web1.qcow2", "more/web1.qcow2"]


def test_each_image_is_parked_and_its_neighbour_is_not(flat: Flat) -> None:
    result = flat.hand_over()
    assert result["effects"] == ["autostart_off", "stop", "room", "room_2", "fence_vda", "fence_vdb"]
    assert flat.seen() == PARKED
    assert (flat.pool / f".{ID}.resize").stat().st_mode & 0o777 == 0o700
    assert [one["name"] for one in result["entries"]] == [str(path) for path in flat.paths()]
    definitions = str(record.definitions_directory(flat.bed.store, ID))
    assert result["copies"] == [
        {"src": [f"{flat.pool}/.{ID}.resize/", definitions], "dest": f"{flat.pool}/.{ID}.staging"},
        {"src": [f"{flat.more}/.{ID}.resize/"], "dest": f"{flat.more}/.{ID}.staging"},
    ]
    assert result["flatten"] == []


@pytest.mark.parametrize(
    ("image_format", "running", "passed", "resume"),
    [
        ("qcow2", True, True, True),
        ("qcow2", True, False, False),  # what a mirror may have left has its clusters in another order
        ("raw", True, False, True),
        ("raw", False, False, False),  # nothing can be there
    ],
)
def test_what_the_copy_may_go_on_from(flat: Flat, image_format: str, running: bool, passed: bool, resume: bool) -> None:
    first, second = (replace(one, format=image_format) for one in flat.disks)
    flat.disks = (first, second)
    flat.guest()
    flat.bed.keep_record("source", **flat.values, was_running=running)
    if passed:
        flat.bed.note(Step.PRESYNC, "presync", None)
    assert flat.bed.carry_out(Step.HAND_OVER, hand_over.plan)["resume"] is resume


@pytest.mark.parametrize("done", range(7))
def test_killed_anywhere_it_is_taken_back_or_goes_on(flat: Flat, done: int) -> None:
    flat.guest()
    flat.bed.keep_record("source", **flat.values)
    effects = hand_over.plan(flat.bed.context()).effects
    assert len(effects) == 6
    for one in effects[:done]:
        flat.bed.note(Step.HAND_OVER, one.name, one.undo)
        one.do()
    if done < len(effects):  # announced, and not done
        flat.bed.note(Step.HAND_OVER, effects[done].name, effects[done].undo)
    flat.bed.carry_out(Step.UNDO, undo.plan)
    assert flat.seen() == AT_HOME
    assert flat.bed.domain().state() == "running"
    assert flat.bed.domain().autostart()


def test_it_goes_on_between_two_renames_and_tells_of_all(flat: Flat) -> None:
    flat.guest()
    flat.bed.keep_record("source", **flat.values)
    *before, last = hand_over.plan(flat.bed.context()).effects
    for one in before:
        one.do()
    result = flat.bed.carry_out(Step.HAND_OVER, hand_over.plan)
    assert result["effects"] == [last.name]
    assert len(result["entries"]) == 2
    again = flat.bed.carry_out(Step.HAND_OVER, hand_over.plan)
    assert (again["effects"], again["entries"]) == ([], result["entries"])


@pytest.mark.parametrize(
    ("handed", "role", "closing"),
    [(Phase.MOVE, "source", Phase.CONFIRM), (Phase.REVERT, "destination", Phase.REVERT)],
)
def test_the_loser_gives_up_its_own_images_and_nothing_else(
    flat: Flat, handed: Phase, role: str, closing: Phase
) -> None:
    flat.hand_over(handed, role)
    found = flat.bed.carry_out(Step.DISCARD, discard.plan, closing)["effects"]
    assert found == ["undefine", "remove", "remove_2", "forget"]
    assert flat.seen() == ["images/db1.qcow2"]
    assert (flat.pool / "db1.qcow2").read_bytes() == b"a neighbour"


def test_a_directory_nobody_made_for_it_is_never_removed(flat: Flat) -> None:
    flat.guest()
    flat.bed.keep_record("source", **flat.values)
    (flat.pool / f".{ID}.resize").mkdir()
    with pytest.raises(Refused) as refusal:
        discard.plan(flat.bed.context(Phase.CONFIRM))
    assert refusal.value.code == "PATH_NOT_OURS"


def test_a_room_that_leads_elsewhere_is_refused(flat: Flat) -> None:
    flat.guest()
    flat.bed.keep_record("source", **flat.values)
    room = flat.pool / f".{ID}.resize"
    room.symlink_to(flat.bed.root / "nowhere")
    with pytest.raises(Refused) as refusal:
        flat.bed.carry_out(Step.HAND_OVER, hand_over.plan)
    assert refusal.value.code == "PATH_TAKEN"
    assert all(path.exists() for path in flat.paths())


def test_a_room_that_holds_more_is_not_removed(flat: Flat) -> None:
    flat.hand_over()
    (flat.pool / f".{ID}.resize" / "precious").touch()
    with pytest.raises(MobilityError) as error:
        flat.bed.carry_out(Step.UNDO, undo.plan)
    assert error.value.code == "REMOVAL_FAILED"
    assert (flat.pool / "web1.qcow2").exists()


def test_revert_brings_each_back_and_leaves_no_room(flat: Flat) -> None:
    flat.hand_over()
    record.keep_definition(flat.bed.store, ID, record.OLD_DEFINITION, flat.xml())
    found = flat.bed.carry_out(Step.TAKE_OVER, take_over.plan, Phase.REVERT, entries=[])["effects"]
    assert [one for one in found if one.startswith(("place", "tidy"))] == ["place_vda", "place_vdb", "tidy", "tidy_2"]
    assert found.index("start") < found.index("tidy")
    assert flat.seen() == AT_HOME
    assert flat.bed.domain().state() == "running"


def test_a_revert_that_is_undone_parks_them_again(flat: Flat) -> None:
    flat.hand_over()
    record.keep_definition(flat.bed.store, ID, record.OLD_DEFINITION, flat.xml())
    flat.bed.carry_out(Step.TAKE_OVER, take_over.plan, Phase.REVERT, entries=[])
    flat.bed.carry_out(Step.UNDO, undo.plan, Phase.REVERT, despite_start=True)
    assert flat.seen() == PARKED


class Staged(Flat):
    """A destination where both copies and the definitions have arrived."""

    def __init__(self, bed: Bed) -> None:
        super().__init__(bed)
        migration = bed.keep_record("destination", **self.values)
        new = apply_changes(self.xml(), DefinitionChange(vcpus=3, memory_mib=128))
        for one in migration.parkings:
            Path(one.staged).parent.mkdir()
            image_of(Path(one.staged))
        riding = Path(migration.staging) / "definitions"
        riding.mkdir()
        (riding / "old.xml").write_text(self.xml(), encoding="utf-8")
        (riding / "new.xml").write_text(new, encoding="utf-8")
        first, second = migration.staged_in
        found = {f"{second}/{name}": value for name, value in digest.digests(second).items()}
        entries = [directory.entry(one.staged) for one in migration.parkings]
        named = [{**vars(one), "name": place, "mode": 0o640} for one, place in zip(entries, map(str, self.paths()))]
        self.params: dict[str, Any] = {
            "definition_digests": {"old.xml": sha256(self.xml()), "new.xml": sha256(new)},
            "digests": {**digest.digests(first), **found},
            "contents": {},
            "contents_here": {},
            "entries": named,
            "directory_owner": {},
        }

    def take_over(self) -> dict[str, Any]:
        return self.bed.carry_out(Step.TAKE_OVER, take_over.plan, **self.params)


def test_each_copy_gets_its_place(bed: Bed) -> None:
    staged = Staged(bed)
    effects = ["own", "definitions", "check", "grow_vda", "place_vda", "place_vdb", "define", "start", "autostart"]
    assert staged.take_over()["effects"] == [*effects, "tidy", "tidy_2"]
    assert staged.seen() == AT_HOME
    assert image.inspect(str(staged.paths()[0]), "qcow2").virtual_bytes == 2 * MIB
    assert [path.stat().st_mode & 0o777 for path in staged.paths()] == [0o640, 0o640]
    assert (staged.pool / "db1.qcow2").read_bytes() == b"a neighbour"


def test_a_copy_that_differs_in_the_second_directory(bed: Bed) -> None:
    staged = Staged(bed)
    with open(staged.migration.parkings[1].staged, "ab") as copy:
        copy.write(b"x")
    with pytest.raises(MobilityError) as error:
        staged.take_over()
    assert error.value.code == "COPY_DIFFERS"
    assert f"{staged.more}/.{ID}.staging/web1.qcow2" in error.value.message


def test_an_image_that_names_another_file_is_not_started_from(bed: Bed) -> None:
    staged = Staged(bed)
    evil = staged.migration.parkings[1].staged
    Path(evil).unlink()
    run(
        ("qemu-img", "create", "-q", "-f", "qcow2", "-u", "-b", "/etc/shadow", "-F", "raw", evil, str(MIB)),
        timeout_s=20,
    )
    staged.params["digests"] = {}
    with pytest.raises(Refused) as refusal:
        staged.take_over()
    assert (refusal.value.code, refusal.value.subject) == ("IMAGE_NOT_WHOLE", evil)
    assert bed.find() is None


@pytest.mark.parametrize("done", range(12))
def test_a_take_over_killed_anywhere_is_taken_back(bed: Bed, done: int) -> None:
    staged = Staged(bed)
    for index, path in enumerate(staged.migration.staged_in):
        bed.note(Step.CLAIM, f"stage{index}", {"kind": "remove", "path": path})
    effects = take_over.plan(bed.context(**staged.params)).effects
    for one in effects[:done]:
        bed.note(Step.TAKE_OVER, one.name, one.undo)
        one.do()
    bed.carry_out(Step.UNDO, undo.plan, despite_start=True)
    assert staged.seen() == ["images/db1.qcow2"]
    assert bed.find() is None


def test_a_claim_stages_in_each_directory(flat: Flat) -> None:
    effects = claim.stage(flat.migration.staged_in, "root")
    assert [one.name for one in effects] == ["stage", "stage_2"]
    for one in effects:
        one.do()
    assert [os.stat(one).st_uid for one in flat.migration.staged_in] == [0, 0]
    assert claim.stage(flat.migration.staged_in, "root") == ()


def as_root(bed: Bed) -> Any:
    """Called with the user that the tests have."""
    return bed.context(role="destination", migration_user="root")


def test_an_image_that_is_there_already_is_in_the_way(flat: Flat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "_check_capacity", lambda *_: None)
    image_of(flat.paths()[1])
    with pytest.raises(Refused) as refusal:
        claim._plan_destination(as_root(flat.bed), flat.migration)
    assert (refusal.value.code, refusal.value.subject) == ("LEFTOVER_PATHS", str(flat.paths()[1]))


# --- chains ------------------------------------------------------------------------------------------------------


def chained(bed: Bed) -> tuple[DiskPlan, ...]:
    """web1 in its own directory: an overlay on a base beside it, on one elsewhere; and a disk that has none."""
    bed.images(bed.directory)
    outside, base, top = (f"{bed.root}/golden", f"{bed.directory}/base", f"{bed.directory}/disk")
    Path(top).rename(f"{bed.directory}/disk1")
    run(("qemu-img", "create", "-q", "-f", "raw", outside, str(MIB)), timeout_s=20)
    run(("qemu-img", "create", "-q", "-f", "qcow2", "-b", outside, "-F", "raw", base), timeout_s=20)
    run(("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", top), timeout_s=20)
    backing = (Link(base, "qcow2"), Link(outside, "raw"))
    plain = DiskPlan("vda", top, "qcow2", "disk", MIB, MIB, MIB, flatten=True, backing=backing)
    return plain, DiskPlan("vdb", f"{bed.directory}/disk1", "qcow2", "disk", MIB, MIB, MIB)


def test_of_a_chain_the_flattened_image_is_sent(bed: Bed) -> None:
    disks = chained(bed)
    bed.hypervisor.define(bed.xml())
    migration = bed.keep_record("source", disks=disks, was_running=False)
    result = bed.carry_out(Step.HAND_OVER, hand_over.plan)
    flat = f"{bed.directory}.{ID}.flat/disk"
    parked = migration.parked
    assert result["copies"][0]["src"][:-1] == [f"{parked}/disk1", flat]
    assert result["flatten"] == [
        {
            "target": "vda",
            "links": [
                {"path": f"{parked}/disk", "format": "qcow2"},
                {"path": f"{parked}/base", "format": "qcow2"},
                {"path": f"{bed.root}/golden", "format": "raw"},
            ],
            "to": flat,
            "cluster_bytes": 65536,
        }
    ]
