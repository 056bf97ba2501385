# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is below an image, and who else uses it."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._command import run
from ansible_collections.kvmops.mobility.plugins.module_utils._disk import directory, image
from ansible_collections.kvmops.mobility.plugins.module_utils._domain.definition import DiskElement
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import layout
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import DiskFacts, DomainFacts
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Layout
from ansible_collections.kvmops.mobility.plugins.module_utils._survey import belonging
from ansible_collections.kvmops.mobility.plugins.module_utils._survey.domain import disk_paths, survey, survey_disk
from ansible_collections.kvmops.mobility.tests.unit.bed import Bed
from ansible_collections.kvmops.mobility.tests.unit.builders import MIB, OTHER_UUID, domain_xml

QCOW2 = ("-f", "qcow2")


def create(path: Path, *options: str) -> Path:
    run(("qemu-img", "create", "-q", *options, str(path), "1M"), timeout_s=20)
    return path


def look(path: Path, image_format: str = "qcow2") -> DiskFacts:
    return survey_disk(DiskElement("vda", "disk", "file", str(path), image_format, None, False, False, ""))


def test_the_whole_chain_with_what_each_link_is(tmp_path: Path) -> None:
    root = tmp_path / "root.raw"
    root.write_bytes(b"x" * 2**20)
    base = create(tmp_path / "base", *QCOW2, "-b", f"../{tmp_path.name}/root.raw", "-F", "raw")
    top = create(tmp_path / "disk", *QCOW2, "-o", "cluster_size=128k", "-b", str(base), "-F", "qcow2")
    found = look(top)
    assert [(one.path, one.format, one.error) for one in found.backing] == [
        (str(base), "qcow2", ""),
        (str(root), "raw", ""),
    ]
    assert (found.backing_path, found.cluster_bytes) == (str(base), 131072)
    assert found.copied_bytes == found.allocated_bytes + sum(one.allocated_bytes for one in found.backing)
    assert found.copied_bytes > 2**20
    assert DiskFacts.from_result(asdict(found)) == found


@pytest.mark.parametrize(
    ("below", "image_format", "says"),
    [
        ("/no/such/base", "raw", "not a file"),
        ("nbd://192.0.2.1/x", "raw", "not a file"),
        ("/etc/passwd", "qcow2", "qcow2"),
    ],
)
def test_what_a_copy_is_not_made_from(tmp_path: Path, below: str, image_format: str, says: str) -> None:
    (link,) = look(create(tmp_path / "disk", *QCOW2, "-u", "-b", below, "-F", image_format)).backing
    assert says in link.error


def test_the_format_of_a_base_is_never_guessed(tmp_path: Path) -> None:
    """qemu-img wants one today; older images record none."""
    base = create(tmp_path / "base", *QCOW2)
    top = create(tmp_path / "disk", *QCOW2, "-b", str(base), "-F", "qcow2")
    content = top.read_bytes()
    at = content.index(b"\xe2\x79\x2a\xca")  # the header extension that records it; type 0 ends the extensions
    top.write_bytes(content[:at] + bytes(8) + content[at + 8 :])
    (link,) = look(top).backing
    assert (link.path, link.format) == (str(base), "")
    assert "no format" in link.error


def test_a_raw_disk_has_no_chain_whatever_its_guest_wrote(tmp_path: Path) -> None:
    base = create(tmp_path / "base", *QCOW2)
    found = look(create(tmp_path / "disk", *QCOW2, "-b", str(base), "-F", "qcow2"), "raw")
    assert (found.backing, found.backing_path, found.probed_format) == ((), "", "qcow2")


@pytest.mark.parametrize(
    ("below", "expected"),
    [
        ("", ""),
        ("base", "{here}/base"),
        ("../x/base", "{above}/x/base"),
        ("/b/base", "/b/base"),
        ("nbd://192.0.2.1/x", ""),
    ],
)
def test_what_a_header_records(tmp_path: Path, below: str, expected: str) -> None:
    top = create(tmp_path / "disk", *QCOW2, *(("-u", "-b", below, "-F", "raw") if below else ()))
    assert image.recorded_backing(str(top)) == expected.format(here=tmp_path, above=tmp_path.parent)


def test_what_has_no_header(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"QFI\xfb")
    assert image.recorded_backing(str(tmp_path / "short")) == ""
    assert image.recorded_backing("/no/such/file") == ""


def test_who_else_uses_an_image(bed: Bed) -> None:
    """db1 is an overlay on web1's disk, and reaches it through a link."""
    web1 = bed.guest()
    other = bed.root / "db1"
    other.mkdir()
    (bed.root / "link").symlink_to(bed.directory)
    create(other / "disk", *QCOW2, "-b", f"{bed.root}/link/disk", "-F", "qcow2")
    xml = domain_xml("db1", OTHER_UUID, domain_type="test", emulator="/bin/true", directory=str(other), interface="")
    db1 = bed.hypervisor.define(xml)
    neighbours = disk_paths([web1, db1])
    assert neighbours["db1"][:2] == (f"{other}/disk", f"{bed.root}/link/disk")
    found = survey(web1, neighbours, bed.clock)
    assert found.disks[0].users == ("db1",)
    assert found.directories == (bed.directory,)
    assert survey(db1, neighbours, bed.clock).disks[0].users == ()


def test_a_loop_device_uses_a_disk_that_the_guest_writes_to(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found in the plan: behind the stop, the hand-over would wait for it in vain."""
    domain = bed.guest()
    monkeypatch.setattr(directory, "loops", lambda paths: ("/dev/loop3",) if f"{bed.directory}/disk" in paths else ())
    assert survey(domain, {}, bed.clock).disks[0].users == ("/dev/loop3",)


def test_a_pool_under_two_names_is_nobodys_own(bed: Bed) -> None:
    """web1 has its disk in the pool by its own name, db1 by a link."""
    web1 = bed.guest()
    pool = bed.root / "pool"
    pool.symlink_to(bed.directory)
    create(Path(bed.directory) / "db1", *QCOW2)
    xml = domain_xml("db1", OTHER_UUID, domain_type="test", emulator="/bin/true", directory=str(pool), interface="")
    db1 = bed.hypervisor.define(xml.replace(f"{pool}/disk", f"{pool}/db1"))
    neighbours = disk_paths([web1, db1])
    found = survey(web1, neighbours, bed.clock)
    assert (found.directory_users, found.directory_foreign) == (("db1",), ("db1",))
    assert layout.of(found) is Layout.FILES
    other = survey(db1, neighbours, bed.clock)
    assert other.directory_users == ("web1",)
    assert "symbolic link" in other.directory_special
    assert layout.of(other) is Layout.FILES


def test_a_neighbours_log_in_it_makes_a_directory_nobodys_own(bed: Bed) -> None:
    """Small, and no disk: with the directory it would be removed all the same."""
    web1 = bed.guest()
    (Path(bed.directory) / "db1.log").write_bytes(b"x")
    xml = domain_xml("db1", OTHER_UUID, domain_type="test", emulator="/bin/true", directory="/elsewhere", interface="")
    serial = f"<serial type='file'><source path='{bed.directory}/db1.log'/></serial></devices>"
    db1 = bed.hypervisor.define(xml.replace("</devices>", serial))
    found = survey(web1, disk_paths([web1, db1]), bed.clock)
    assert found.directory_users == ("db1",)
    assert layout.of(found) is Layout.FILES


def test_a_second_name_of_a_file_is_a_use_of_its_directory(bed: Bed) -> None:
    web1 = bed.guest()
    os.link(f"{bed.directory}/disk", bed.root / "hard")
    neighbours = {**disk_paths([web1]), "db1": (f"{bed.root}/hard",)}
    assert survey(web1, neighbours, bed.clock).directory_users == ("db1",)


def test_an_ordinary_directory_is_the_guests_own(bed: Bed) -> None:
    web1 = bed.guest()
    (Path(bed.directory) / "console.log").write_bytes(b"x" * 1000)
    found = survey(web1, disk_paths([web1]), bed.clock)
    assert (found.directory_users, found.directory_foreign, found.directory_special) == ((), (), "")
    assert layout.of(found) is Layout.DIRECTORY
    assert DomainFacts.from_result(found.as_result()) == found


def test_a_disks_data_file_is_its_own(bed: Bed) -> None:
    web1 = bed.guest()
    disk, data = f"{bed.directory}/disk", f"{bed.directory}/data"
    run(
        ("qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={data},data_file_raw=on", disk, str(4 * MIB)),
        timeout_s=20,
    )
    found = survey(web1, disk_paths([web1]), bed.clock)
    assert (found.disks[0].data_file, found.directory_foreign) == (data, ())


def test_a_pool_of_libvirt_is_nobodys_own(bed: Bed) -> None:
    web1 = bed.guest()
    (bed.root / "pool").symlink_to(bed.directory)
    found = survey(web1, {}, bed.clock, (f"{bed.root}/pool",))
    assert "storage pool" in found.directory_special
    assert layout.of(found) is Layout.FILES


def test_a_mount_point_is_nobodys_own() -> None:
    assert belonging.special("/proc", ()) == "it is a mount point"


@pytest.mark.parametrize(("name", "mib", "expected"), [("a.raw", 2, ("a.raw",)), ("note", 0, ()), ("named", 2, ())])
def test_what_may_be_somebodys_disk(tmp_path: Path, name: str, mib: int, expected: tuple[str, ...]) -> None:
    (tmp_path / name).write_bytes(b"x" * mib * 2**20)
    xml = f"<domain><devices><console><log file='{tmp_path}/named'/></console></devices></domain>"
    assert belonging.foreign(str(tmp_path), directory.entries(str(tmp_path)), belonging.named(xml)) == expected


def test_a_small_image_may_be_somebodys_disk(tmp_path: Path) -> None:
    create(tmp_path / "small", *QCOW2)
    assert belonging.foreign(str(tmp_path), directory.entries(str(tmp_path)), ()) == ("small",)


def test_the_pools_that_libvirt_has(bed: Bed) -> None:
    assert all(one.startswith("/") for one in bed.hypervisor.storage_pools())
