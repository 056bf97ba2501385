# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils import _command
from ansible_collections.kvmops.mobility.plugins.module_utils._command import Completed
from ansible_collections.kvmops.mobility.plugins.module_utils._disk import image
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import CommandFailed, MobilityError
from ansible_collections.kvmops.mobility.plugins.module_utils._flow import export, undo
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import journal
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Event, Phase, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import DiskPlan
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer import tls
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer.export import Export
from ansible_collections.kvmops.mobility.tests.unit.bed import ID, Bed, names
from ansible_collections.kvmops.mobility.tests.unit.builders import MIB
from ansible_collections.kvmops.mobility.tests.unit.units import FAILED, Units

VDA, VDB = f"kvmops-{ID}-export-vda", f"kvmops-{ID}-export-vdb"


class Destination:
    """A claimed hypervisor with an empty staging directory."""

    def __init__(self, bed: Bed, units: Units) -> None:
        self.bed = bed
        self.units = units
        self.migration = bed.migration()
        Path(self.migration.staging).mkdir()
        self.users: list[str] = []
        units.on_start = self.listens

    def plan(self, *disks: DiskPlan) -> None:
        self.migration = self.bed.migration(disks=disks)

    def listens(self, unit: str) -> None:
        path = self.bed.root / "run" / unit / "export.sock"
        path.parent.mkdir(parents=True)
        path.touch()

    def run(self, argv: Sequence[str], **options: Any) -> Completed:
        """Without the change of user, which only root can."""
        assert argv[:2] == ("runuser", "-u")
        assert argv[3] == "--"
        self.users.append(argv[2])
        return _command.run(argv[4:], **options)

    def carry_out(self) -> dict[str, Any]:
        self.bed.keep_record("destination", disks=self.migration.disks)
        return self.bed.carry_out(Step.EXPORT, export.plan, migration_user="kvmops", stall_s=7)

    def staged(self, name: str = "disk") -> str:
        return f"{self.migration.staging}/{name}"


@pytest.fixture
def there(bed: Bed, units: Units, monkeypatch: pytest.MonkeyPatch) -> Destination:
    found = Destination(bed, units)
    monkeypatch.setattr(export, "run", found.run)
    monkeypatch.setattr(Export, "directory", property(lambda self: f"{bed.root}/run/{self.unit}"))
    return found


def test_an_empty_image_as_large_as_the_sources_is_served(there: Destination) -> None:
    result = there.carry_out()
    assert result["effects"] == ["image_vda", "export_vda"]
    assert result["exports"] == [{"target": "vda", "socket": f"{there.bed.root}/run/{VDA}/export.sock"}]
    assert image.inspect(there.staged(), "qcow2").virtual_bytes == MIB
    assert there.users == ["kvmops"]
    assert "User=kvmops" in there.units.properties(VDA)
    command = there.units.command(VDA)
    assert command[-1] == there.staged()
    assert command[3] == "7"


@pytest.mark.parametrize(("form", "cluster"), [("qcow2", 65536), ("qcow2", 2 * MIB), ("raw", 65536)])
def test_format_and_cluster_size_are_the_sources(there: Destination, form: str, cluster: int) -> None:
    there.plan(replace(there.migration.disks[0], format=form, cluster_bytes=cluster, old_bytes=MIB + 512))
    there.carry_out()
    argv = ("qemu-img", "info", "-f", form, "--output=json", there.staged())
    found = json.loads(_command.run(argv, timeout_s=20).stdout)
    assert (found["virtual-size"], found.get("cluster-size", 65536)) == (MIB + 512, cluster)


def test_each_disk_that_the_guest_writes_to_has_its_own(there: Destination) -> None:
    (vda,) = there.migration.disks
    vdb = replace(vda, target="vdb", path=f"{there.bed.directory}/data", new_bytes=MIB)
    there.plan(vda, vdb, replace(vda, target="sda", path=f"{there.bed.directory}/config", readonly=True))
    assert there.carry_out()["effects"] == ["image_vda", "export_vda", "image_vdb", "export_vdb"]
    assert sorted(one.name for one in Path(there.migration.staging).iterdir()) == ["data", "disk"]
    assert set(there.units.started) == {VDA, VDB}


def test_how_it_is_taken_back_is_in_the_journal_before_it(there: Destination) -> None:
    there.carry_out()
    begun = {one.effect: one.undo for one in there.bed.journal() if one.event is Event.BEGIN and one.undo}
    assert begun == {"export_vda": {"kind": "stop_unit", "name": VDA}}
    assert there.bed.carry_out(Step.UNDO, undo.plan, only=["export"])["undone"] == ["export_vda"]
    assert there.units.shown == {}
    assert there.bed.carry_out(Step.UNDO, undo.plan, only=["export"])["undone"] == []


def test_what_is_served_already_is_left_alone(there: Destination) -> None:
    first = there.carry_out()
    second = there.carry_out()
    assert second["effects"] == []
    assert second["exports"] == first["exports"]
    assert there.units.calls == [("start", VDA)]


def test_one_that_has_ended_is_made_anew(there: Destination) -> None:
    there.carry_out()
    there.units.shown[VDA] = FAILED
    Path(there.bed.root / "run" / VDA / "export.sock").unlink()
    there.units.on_start = lambda unit: (there.bed.root / "run" / unit / "export.sock").touch()
    assert there.carry_out()["effects"] == ["image_vda", "export_vda"]
    assert there.units.calls == [("start", VDA), ("stop", VDA), ("reset-failed", VDA), ("start", VDA)]


def test_planning_changes_nothing(there: Destination) -> None:
    there.bed.keep_record("destination")
    assert names(export.plan(there.bed.context(check=True, migration_user="kvmops"))) == ["image_vda", "export_vda"]
    assert list(Path(there.migration.staging).iterdir()) == []
    assert there.units.started == {}


def fails(there: Destination) -> MobilityError:
    with pytest.raises(MobilityError) as error:
        there.carry_out()
    assert (error.value.code, error.value.subject) == ("EXPORT_FAILED", there.staged())
    return error.value


def test_an_export_that_ends_says_why(there: Destination) -> None:
    there.units.starts_as = FAILED
    logs = there.bed.store.migration(ID)
    there.units.on_start = lambda unit: (logs / f"{unit}.err").write_text("qemu-nbd: Permission\ndenied\n", "utf-8")
    assert "qemu-nbd: Permission denied" in fails(there).message


def test_one_that_does_not_listen_is_not_waited_for_for_ever(there: Destination) -> None:
    there.units.on_start = lambda _unit: None
    began = there.bed.clock()
    assert "it said nothing" in fails(there).message
    assert 30 < there.bed.clock() - began < 31


def test_an_image_of_another_size(there: Destination) -> None:
    """qemu-img rounds the size of an image up to whole sectors."""
    there.plan(replace(there.migration.disks[0], old_bytes=MIB + 1))
    assert f"was made with {MIB + 512} bytes, and {MIB + 1} are needed" in fails(there).message
    assert there.units.started == {}


def test_an_image_that_cannot_be_made(there: Destination) -> None:
    Path(there.migration.staging).rmdir()
    with pytest.raises(CommandFailed, match="No such file"):
        there.carry_out()
    assert there.units.started == {}


def test_through_tls_each_export_has_a_port_for_the_source_alone(
    there: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tls.Entrance] = []

    def open_entrance(entrance: tls.Entrance, *_time: object) -> dict[str, int]:
        opened.append(entrance)
        return {"vda": 4711}

    monkeypatch.setattr(tls, "open_entrance", open_entrance)
    there.bed.keep_record("destination", disks=there.migration.disks)
    options: dict[str, Any] = {"migration_user": "kvmops", "stall_s": 7, "tls": True, "tls_directory": "/pki"}
    result = there.bed.carry_out(Step.EXPORT, export.plan, **options)
    assert [(one["target"], one["port"]) for one in result["exports"]] == [("vda", 4711)]
    (entrance,) = opened
    way = (there.migration.destination_address, there.migration.source_address)
    assert (entrance.address, entrance.peer) == way
    assert (entrance.user, entrance.stall_s, entrance.certificates) == ("kvmops", 7, "/pki")
    assert journal.pending_undo(there.bed.journal(), Phase.MOVE)[0].undo == {
        "kind": "stop_unit",
        "name": f"kvmops-{ID}-entrance",
    }
