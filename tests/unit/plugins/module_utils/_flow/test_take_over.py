# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._disk import digest, directory, image
from ansible_collections.kvmops.mobility.plugins.module_utils._domain.definition import GuestDefinition
from ansible_collections.kvmops.mobility.plugins.module_utils._domain.edit import DefinitionChange, apply_changes
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError, Refused, TimedOut
from ansible_collections.kvmops.mobility.plugins.module_utils._flow import take_over, undo
from ansible_collections.kvmops.mobility.plugins.module_utils._flow.claim import sha256
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.domain import Domain
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import record
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import Verify
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Event, Phase, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.starting import may_have_run
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer.export import Export
from ansible_collections.kvmops.mobility.tests.unit.bed import ID, Bed, names
from ansible_collections.kvmops.mobility.tests.unit.builders import MIB, UUID
from ansible_collections.kvmops.mobility.tests.unit.units import RUNNING, Units

EFFECTS = ["own", "definitions", "check", "grow_vda", "place", "define", "start", "autostart"]


class Arrived:
    """A destination where the copy and the definitions have arrived."""

    def __init__(self, bed: Bed, **values: Any) -> None:
        self.bed = bed
        self.migration = bed.keep_record("destination", **values)
        self.staging = Path(self.migration.staging)
        self.old = bed.xml()
        self.new = apply_changes(self.old, DefinitionChange(vcpus=3, memory_mib=128))
        bed.images(self.migration.staging)
        riding = self.staging / "definitions"
        riding.mkdir()
        (riding / "old.xml").write_text(self.old, encoding="utf-8")
        (riding / "new.xml").write_text(self.new, encoding="utf-8")
        self.params: dict[str, Any] = {
            "definition_digests": {"old.xml": sha256(self.old), "new.xml": sha256(self.new)},
            "digests": dict(digest.digests(self.migration.staging)),
            "contents": {},
            "contents_here": {},
            "entries": [{**asdict(directory.entries(self.migration.staging)[1]), "mode": 0o640}],
            "directory_owner": {"uid": os.getuid(), "gid": os.getgid(), "mode": 0o711},
        }

    def carry_out(self, **values: Any) -> dict[str, Any]:
        return self.bed.carry_out(Step.TAKE_OVER, take_over.plan, **{**self.params, **values})

    def fails(self, code: str, **values: Any) -> MobilityError:
        """It fails with *code*, and no guest was defined from what arrived."""
        with pytest.raises(MobilityError) as error:
            self.carry_out(**values)
        assert error.value.code == code
        assert self.bed.find() is None
        assert not os.path.lexists(self.migration.directory)
        assert os.path.isdir(self.migration.staging)
        return error.value


@pytest.fixture
def arrived(bed: Bed) -> Arrived:
    return Arrived(bed)


def test_the_guest_runs_at_its_new_size(arrived: Arrived) -> None:
    bed = arrived.bed
    result = arrived.carry_out()
    assert result["effects"] == EFFECTS
    assert bed.domain().state() == "running"
    assert bed.domain().autostart()
    definition = GuestDefinition.from_xml(bed.domain().xml())
    assert (definition.vcpus, definition.memory_mib) == (3, 128)
    assert image.inspect(f"{bed.directory}/disk", "qcow2").virtual_bytes == 2 * MIB
    assert os.listdir(bed.directory) == ["disk"]
    assert not arrived.staging.exists()
    assert os.stat(f"{bed.directory}/disk").st_mode & 0o777 == 0o640
    assert os.stat(bed.directory).st_mode & 0o777 == 0o711
    assert result["image_checks"] == {"vda": "consistent"}
    assert result["running_at"] >= result["start_requested_at"]
    assert record.definition(bed.store, ID, record.OLD_DEFINITION) == arrived.old


def test_a_deadline_behind_the_start_leaves_the_guest_to_recover(
    arrived: Arrived, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guest runs, and the line that says so was never written."""

    def overdue(*_arguments: object) -> float:
        raise TimedOut("DEADLINE", "this step", "did not end.", "Run it again.")

    monkeypatch.setattr(take_over, "wait_running", overdue)
    with pytest.raises(TimedOut):
        arrived.carry_out()
    assert may_have_run(arrived.bed.journal(), Phase.MOVE)
    with pytest.raises(Refused) as error:
        arrived.bed.carry_out(Step.UNDO, undo.plan, only=[], despite_start=False, power_on=False)
    assert error.value.code == "GUEST_MAY_HAVE_RUN"
    assert arrived.bed.domain().state() == "running"


@pytest.mark.parametrize(("off", "ran"), [(True, False), (False, True)])
def test_only_a_start_that_libvirt_refused_did_not_happen(
    arrived: Arrived, monkeypatch: pytest.MonkeyPatch, off: bool, ran: bool
) -> None:
    """An error of libvirt that comes once the guest was started says nothing of the start."""

    def fails(*_arguments: object, **_more: object) -> float:
        raise MobilityError("LIBVIRT_FAILED", "web1", "libvirt could not.", "See its log.")

    owner: object = Domain if off else take_over
    monkeypatch.setattr(owner, "start" if off else "wait_running", fails)
    with pytest.raises(MobilityError) as error:
        arrived.carry_out()
    assert error.value.code == ("LIBVIRT_FAILED" if off else "GUEST_DID_NOT_START")
    assert may_have_run(arrived.bed.journal(), Phase.MOVE) is ran


def test_how_each_effect_is_taken_back_is_in_the_journal_before_it(arrived: Arrived) -> None:
    arrived.carry_out()
    begun = {one.effect: one.undo for one in arrived.bed.journal() if one.event is Event.BEGIN and one.undo}
    migration = arrived.migration
    assert begun == {
        "place": {"kind": "rename", "from": migration.directory, "to": migration.staging},
        "define": {"kind": "undefine", "uuid": UUID},
        "start": {"kind": "destroy", "uuid": UUID},
        "autostart": {"kind": "autostart", "uuid": UUID, "value": False},
    }


def test_a_guest_that_was_off_without_autostart_stays_so(bed: Bed) -> None:
    bed.keep_record("destination", was_running=False, autostart=False)
    arrived = Arrived.__new__(Arrived)
    Path(bed.directory).mkdir()
    record.keep_definition(bed.store, ID, record.NEW_DEFINITION, bed.xml())
    arrived.bed, arrived.params = bed, {}
    assert arrived.carry_out()["effects"] == ["define"]
    assert bed.domain().is_off()
    assert not bed.domain().autostart()


def test_planning_changes_nothing(arrived: Arrived) -> None:
    before = sorted(str(one) for one in arrived.bed.root.rglob("*"))
    assert names(take_over.plan(arrived.bed.context(check=True, **arrived.params))) == EFFECTS
    assert sorted(str(one) for one in arrived.bed.root.rglob("*")) == before
    assert arrived.bed.find() is None


@pytest.mark.parametrize("name", ["old.xml", "new.xml"])
def test_a_definition_that_was_tampered_with_is_never_defined(arrived: Arrived, name: str) -> None:
    path = arrived.staging / "definitions" / name
    path.write_text(path.read_text(encoding="utf-8").replace("/bin/true", "/tmp/evil"), encoding="utf-8")
    assert arrived.fails("DEFINITION_TAMPERED").subject == str(path)


def test_a_definition_nobody_vouched_for_is_never_defined(arrived: Arrived) -> None:
    arrived.fails("DEFINITION_TAMPERED", definition_digests={})


def test_a_definition_that_did_not_arrive(arrived: Arrived) -> None:
    (arrived.staging / "definitions" / "new.xml").unlink()
    assert "new.xml" in arrived.fails("DEFINITION_LOST").subject


@pytest.mark.parametrize("how", ["changed", "missing", "too many"])
def test_a_copy_that_is_not_what_the_source_has(arrived: Arrived, how: str) -> None:
    if how == "changed":
        with (arrived.staging / "disk").open("r+b") as disk:
            disk.seek(100_000)
            disk.write(b"x")
    elif how == "missing":
        arrived.params["digests"]["data"] = "0" * 64
    else:
        (arrived.staging / "data").write_bytes(b"x")
    assert ("disk" if how == "changed" else "data") in str(arrived.fails("COPY_DIFFERS"))


def test_what_qemu_checks_is_not_compared_byte_by_byte(arrived: Arrived) -> None:
    """The digests of the copy leave it out, and everything else is compared."""
    arrived.carry_out(digests={})
    assert arrived.bed.domain().state() == "running"


def test_a_file_that_nobody_vouched_for(arrived: Arrived) -> None:
    (arrived.staging / "data").write_bytes(b"x")
    assert "data" in str(arrived.fails("COPY_DIFFERS", digests={}))


@pytest.mark.parametrize(
    ("source", "here"), [({"vda": "1"}, {"vda": "2"}), ({}, {}), ({"vda": "1"}, {}), ({}, {"vda": "1"})]
)
def test_full_needs_the_same_contents_on_both_sides(bed: Bed, source: dict[str, str], here: dict[str, str]) -> None:
    arrived = Arrived(bed, verify=Verify.FULL)
    error = arrived.fails("COPY_DIFFERS", digests={}, contents=source, contents_here=here)
    assert "vda" in error.message


def test_full_keeps_what_was_compared(bed: Bed) -> None:
    found = {"vda": "1"}
    result = Arrived(bed, verify=Verify.FULL).carry_out(digests={}, contents=found, contents_here=found)
    assert result["contents"] == found
    assert any(one.effect == "check" and one.result.get("contents") == found for one in bed.journal())


def test_a_copy_of_another_size(arrived: Arrived) -> None:
    image.grow(str(arrived.staging / "disk"), "qcow2", 4 * MIB)
    error = arrived.fails("IMAGE_SIZE_DIFFERS", digests={})
    assert error.subject == str(arrived.staging / "disk")


def test_a_copy_that_qemu_img_finds_broken(arrived: Arrived) -> None:
    with (arrived.staging / "disk").open("r+b") as disk:
        disk.seek(65536 * 2)
        disk.write(bytes(64))  # the refcount block: used clusters count as free
    error = arrived.fails("IMAGE_CORRUPT", digests={})
    assert str(arrived.staging / "disk") in str(error)


def test_without_a_copy(arrived: Arrived) -> None:
    shutil.rmtree(arrived.staging)
    with pytest.raises(MobilityError) as error:
        arrived.carry_out()
    assert (error.value.code, error.value.subject) == ("PATH_LOST", arrived.migration.staging)
    assert arrived.bed.find() is None


@pytest.mark.parametrize("done", range(EFFECTS.index("place") + 1, len(EFFECTS) + 1))
def test_it_goes_on_where_it_was_killed(arrived: Arrived, done: int) -> None:
    for effect in take_over.plan(arrived.bed.context(**arrived.params)).effects[:done]:
        effect.do()
    result = arrived.carry_out()
    assert result["effects"] == ["define", "start", "autostart"]
    assert arrived.bed.domain().state() == "running"
    assert image.inspect(f"{arrived.bed.directory}/disk", "qcow2").virtual_bytes == 2 * MIB


# --- a revert ----------------------------------------------------------------------------------------------------


@pytest.fixture
def parked(bed: Bed) -> Bed:
    """A source that has handed its guest over."""
    bed.guest(running=False, autostart=False)
    migration = bed.keep_record("source")
    os.rename(bed.directory, migration.parked)
    record.keep_definition(bed.store, ID, record.OLD_DEFINITION, bed.domain().xml())
    return bed


def revert(bed: Bed) -> list[str]:
    found: list[str] = bed.carry_out(Step.TAKE_OVER, take_over.plan, Phase.REVERT)["effects"]
    return found


def test_the_source_takes_its_own_guest_back(parked: Bed) -> None:
    assert revert(parked) == ["place", "start", "autostart"]
    assert parked.domain().state() == "running"
    assert parked.domain().autostart()
    assert image.inspect(f"{parked.directory}/disk", "qcow2").virtual_bytes == MIB
    assert not os.path.lexists(parked.migration().parked)


def test_the_old_definition_is_put_back_when_it_is_not_there(parked: Bed) -> None:
    digest_then = parked.migration()
    assert digest_then.definition_digest
    parked.hypervisor.define(parked.xml(vcpu="<vcpu>4</vcpu>"))
    assert revert(parked) == ["place", "define", "start", "autostart"]
    assert GuestDefinition.from_xml(parked.domain().xml()).vcpus == 2


def test_a_revert_goes_on_where_it_was_killed(parked: Bed) -> None:
    take_over.plan(parked.context(Phase.REVERT)).effects[0].do()
    assert revert(parked) == ["start", "autostart"]
    assert parked.domain().state() == "running"


def test_a_parked_directory_that_is_gone(parked: Bed) -> None:
    shutil.rmtree(parked.migration().parked)
    with pytest.raises(MobilityError) as error:
        revert(parked)
    assert error.value.code == "PATH_LOST"
    assert parked.domain().is_off()


# --- a copy that was mirrored ------------------------------------------------------------------------------------

VDA = f"kvmops-{ID}-export-vda"
GOOD = {
    "requests": 9,
    "errors": 0,
    "unflushed": 0,
    "unanswered": 0,
    "said_goodbye": True,
    "gone": True,
    "not_understood": "",
    "stalled_s": 0.0,
}


class Exported(Arrived):
    """A destination whose export still runs, with its witness's word."""

    def __init__(self, bed: Bed, units: Units) -> None:
        super().__init__(bed)
        self.units = units
        self.params.update({"mirrored": True, "digests": {}})
        units.shown[VDA] = RUNNING
        (bed.root / "run" / VDA).mkdir(parents=True)
        units.on_stop = lambda name: shutil.rmtree(bed.root / "run" / name)
        self.says(GOOD)

    def says(self, *clients: dict[str, Any], exit_code: int | None = None) -> None:
        state = {"clients": clients, "exit_code": exit_code, "at": 1.0}
        (self.bed.root / "run" / VDA / "state.json").write_text(json.dumps(state), encoding="ascii")

    def refused(self) -> Refused:
        """Before anything was changed: the copy is made in another way then."""
        with pytest.raises(Refused) as refusal:
            self.carry_out()
        assert (refusal.value.code, refusal.value.subject) == ("MIRROR_NOT_PROVEN", "web1, vda")
        assert self.bed.find() is None
        assert self.bed.journal() == ()
        assert self.units.calls == []
        assert (self.staging / "definitions").is_dir()
        return refusal.value


@pytest.fixture
def exported(bed: Bed, units: Units, monkeypatch: pytest.MonkeyPatch) -> Exported:
    monkeypatch.setattr(Export, "directory", property(lambda self: f"{bed.root}/run/{self.unit}"))
    return Exported(bed, units)


def test_the_exports_word_is_taken_and_kept_and_nobody_writes_to_them_any_more(exported: Exported) -> None:
    result = exported.carry_out()
    assert result["effects"] == ["evidence", *EFFECTS]
    assert result["mirror_evidence"] == {"vda": GOOD}
    assert exported.units.calls == [("stop", VDA), ("reset-failed", VDA)]
    assert exported.bed.domain().state() == "running"
    kept = [one.result for one in exported.bed.journal() if (one.event, one.effect) == (Event.END, "evidence")]
    assert kept == [{"mirror_evidence": {"vda": GOOD}}]


@pytest.mark.parametrize(
    ("clients", "words"),
    [
        ((), "its export had 0 clients"),
        (({**GOOD, "said_goodbye": False},), "without a good-bye"),
        (({**GOOD, "unflushed": 1},), "1 writes were not flushed"),
        ((GOOD, GOOD), "2 clients"),
    ],
)
def test_what_is_not_proven_is_copied_again(exported: Exported, clients: Any, words: str) -> None:
    exported.says(*clients)
    assert words in exported.refused().message


def test_an_export_that_is_gone_proves_nothing(exported: Exported) -> None:
    shutil.rmtree(exported.bed.root / "run")
    assert "nothing is known of its export" in exported.refused().message


def test_one_disk_that_is_not_proven_is_enough(bed: Bed, units: Units, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Export, "directory", property(lambda self: f"{bed.root}/run/{self.unit}"))
    (vda,) = bed.migration().disks
    config = replace(vda, target="sda", path=f"{bed.directory}/config", readonly=True)
    migration = bed.keep_record("destination", disks=(vda, replace(vda, target="vdb"), config))
    Path(migration.staging).mkdir()
    (bed.root / "run" / VDA).mkdir(parents=True)
    (bed.root / "run" / VDA / "state.json").write_text(
        json.dumps({"clients": [GOOD], "exit_code": None}), encoding="ascii"
    )
    with pytest.raises(Refused) as refusal:
        take_over.plan(bed.context(mirrored=True))
    assert (refusal.value.code, refusal.value.subject) == ("MIRROR_NOT_PROVEN", "web1, vdb")
    assert units.calls == []


def test_a_client_that_is_about_to_go_is_waited_for(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    exported.says({**GOOD, "gone": False, "said_goodbye": False})
    clock = exported.bed.clock
    began = clock()
    sleep = clock.sleep

    def goes(seconds: float) -> None:
        sleep(seconds)
        if 1 < clock() - began < 2:
            exported.says(GOOD)

    monkeypatch.setattr(clock, "sleep", goes)
    assert exported.carry_out()["effects"][0] == "evidence"


def test_one_that_stays_is_not_waited_for_for_long(exported: Exported) -> None:
    exported.says({**GOOD, "gone": False, "said_goodbye": False})
    began = exported.bed.clock()
    exported.refused()
    assert 5 < exported.bed.clock() - began < 6


def test_a_second_attempt_does_not_ask_exports_that_it_has_closed(exported: Exported) -> None:
    exported.fails("DEFINITION_TAMPERED", definition_digests={})
    assert not (exported.bed.root / "run" / VDA).exists()
    result = exported.carry_out()
    assert result["effects"] == EFFECTS
    assert exported.units.calls == [("stop", VDA), ("reset-failed", VDA)]
    assert exported.bed.domain().state() == "running"


def test_only_what_was_carried_is_compared(exported: Exported) -> None:
    """The disks have their proof; a digest of them would cost an outage as long as a copy."""
    (exported.staging / "console.log").write_text("halted\n", encoding="utf-8")
    (exported.staging / "config").write_text("sent before\n", encoding="utf-8")
    exported.params["digests"] = {"console.log": digest.digest(str(exported.staging / "console.log"))}
    (exported.staging / "console.log").write_text("other\n", encoding="utf-8")
    assert "console.log" in exported.fails("COPY_DIFFERS").message
    (exported.staging / "console.log").write_text("halted\n", encoding="utf-8")
    assert exported.carry_out()["effects"] == EFFECTS


def test_a_size_that_differs_is_seen_in_a_mirrored_one_too(exported: Exported) -> None:
    image.grow(str(exported.staging / "disk"), "qcow2", 4 * MIB)
    exported.fails("IMAGE_SIZE_DIFFERS")
