# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each check of a move finds its own, and its finding names what it is about."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._checks.catalogue import CODES, run
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.context import Move, Site
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import (
    Capacity,
    ClaimRule,
    Flavor,
    Group,
    Operation,
    Request,
    Together,
    Transfer,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import LinkFacts
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import GIB, Migration
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.plan import plan
from ansible_collections.kvmops.mobility.tests.unit.builders import (
    DIRECTORY,
    OTHER_UUID,
    UUID,
    claim,
    config_drive,
    disk,
    domain_xml,
    entry,
    fit,
    guest,
    hypervisor,
    move,
    request,
    site,
    summary,
)

PATH = f"{DIRECTORY}/disk"
MIGRATE = request(Operation.MIGRATE)
NUMA = "<cpu><numa><cell id='0' cpus='0-1' memory='2097152'/></numa></cpu>"
PINS = "<cputune><vcpupin vcpu='0' cpuset='3'/></cputune>"
HUGE = "<memoryBacking><hugepages/></memoryBacking>"
NOVA = "<metadata><nova:instance xmlns:nova='http://openstack.org/xmlns/libvirt/nova/1.1'/></metadata>"
HOSTDEV = "<hostdev mode='subsystem' type='pci'/>"
MDEV = "<hostdev mode='subsystem' type='mdev'><source><address uuid='m-1'/></source></hostdev>"
VIRTIOFS = "<filesystem type='mount'><source dir='/srv/share'/><target dir='share'/></filesystem>"


def with_xml(element: str, under: str = "domain", **values: Any) -> Any:
    return guest(xml=domain_xml(extra={under: element}, **values))


def with_disk(**values: Any) -> Any:
    return guest(disks=(disk(**values),))


def there(**values: Any) -> Site:
    """The usual site with an odd c2."""
    return site(hypervisors={**site().hypervisors, "c2": hypervisor("c2", **values)})


def says(**values: Any) -> Site:
    """The usual site with a c2 that says something odd of the guest."""
    return site(fits={"c2": {UUID: fit(**values)}})


def a_migration(**values: Any) -> Migration:
    (only,) = plan(request(), site(), lambda: "id-0").guests
    assert only.migration is not None
    return replace(only.migration, **values)


def grouped(policy: str, *others: str) -> Request:
    """web1 and web2 are a group of two; *others* move with web1."""
    return request(guests=("web1", *others), groups=(Group("pair", Together(policy), ("web1", "web2")),))


MATE = there(domains=(summary("web2", OTHER_UUID),))
MATE_STAYS = site(
    hypervisors={**site().hypervisors, "c1": hypervisor("c1", domains=(summary(), summary("web2", OTHER_UUID)))}
)


@dataclass(frozen=True)
class Case:
    """One odd thing, the code it must give and the words that name it."""

    code: str
    words: tuple[str, ...]
    one: Any = None
    asked: Any = None
    where: Any = None
    values: dict[str, Any] = field(default_factory=dict)


BASE = LinkFacts("/b/base", "qcow2", GIB, "")
BACKED: dict[str, Any] = {"backing_path": "/b/base", "backing": (BASE,)}
IN_DISK = ("web1", "vda", PATH)
CASES = [
    # the guest
    *(
        Case("WRONG_STATE", ("web1", state, "c1"), guest(state=state))
        for state in ("paused", "in shutdown", "crashed", "pmsuspended")
    ),
    Case("JUST_STARTED", ("web1", "3 s"), guest(uptime_s=3)),
    Case("TRANSIENT_DOMAIN", ("web1", "c1"), guest(persistent=False)),
    Case("LIVE_DIFFERS", ("web1", "vcpu: 2 != 4"), guest(live_differs="vcpu: 2 != 4")),
    Case("MANAGED_SAVE", ("web1", "c1"), guest(managed_save=True, state="shut off")),
    Case("SNAPSHOTS_UNSUPPORTED", ("web1", "2 snapshot"), guest(snapshots=2)),
    Case("CHECKPOINTS_UNSUPPORTED", ("web1", "1 checkpoint"), guest(checkpoints=1)),
    Case("BLOCK_JOB_ACTIVE", ("web1", "vda"), guest(block_jobs=("vda",))),
    Case("ON_POWEROFF_UNSUPPORTED", ("web1", "'restart'"), guest(xml=domain_xml(on_poweroff="restart"))),
    Case("MANAGED_ELSEWHERE", ("web1", "Nova"), with_xml(NOVA)),
    Case("MANAGED_ALLOWED", ("web1", "Nova"), with_xml(NOVA), request(allow_managed=True)),
    # devices
    Case("NVRAM_UNSUPPORTED", ("web1", "/nv/web1.fd"), with_xml("<nvram>/nv/web1.fd</nvram>", "os")),
    Case("TPM_UNSUPPORTED", ("web1", "c1"), with_xml("<tpm model='tpm-crb'/>", "devices")),
    Case("HOST_DEVICE", ("web1", "pci"), with_xml(HOSTDEV, "devices")),
    Case("MEDIATED_DEVICE", ("web1", "m-1"), with_xml(MDEV, "devices")),
    Case("FILESYSTEM_PASSTHROUGH", ("web1", "/srv/share"), with_xml(VIRTIOFS, "devices")),
    # disks
    Case("DISK_NOT_A_FILE", (*IN_DISK, "'block'"), with_disk(source_type="block")),
    Case("DISK_NOT_A_FILE", (*IN_DISK, "c1"), with_disk(regular_file=False)),
    Case("DISK_MISSING", (*IN_DISK, "c1"), with_disk(exists=False, regular_file=False)),
    Case("DISK_UNREADABLE", (*IN_DISK, "Input/output error"), with_disk(error="Input/output error")),
    Case("DISK_SHAREABLE", IN_DISK, with_disk(shareable=True)),
    Case("DISK_STARTUP_POLICY", (*IN_DISK, "'optional'"), with_disk(startup_policy="optional")),
    Case("DISK_USED_BY_OTHERS", (*IN_DISK, "db1"), with_disk(users=("db1",))),
    Case("BACKING_CHAIN", (*IN_DISK, "/b/base"), with_disk(**BACKED)),
    Case("DATA_FILE", (*IN_DISK, "/b/data"), with_disk(data_file="/b/data")),
    Case("FORMAT_UNSUPPORTED", (*IN_DISK, "vmdk", "raw and qcow2"), with_disk(format="vmdk", probed_format="vmdk")),
    Case("FORMAT_UNSUPPORTED", (*IN_DISK, "no format"), with_disk(format="")),
    Case("FORMAT_MISMATCH", (*IN_DISK, "qcow2"), with_disk(format="raw", probed_format="qcow2")),
    Case("FORMAT_MISMATCH", (*IN_DISK, "raw"), with_disk(format="qcow2", probed_format="raw")),
    Case("QCOW2_V2_SNAPSHOTS", (*IN_DISK, "0.10"), with_disk(qcow2_compat="0.10", internal_snapshots=1)),
    Case("LAYOUT_NO_DIRECTORY", ("web1", "no writable disk"), with_disk(readonly=True)),
    *(
        Case("LAYOUT_ENTRY_UNSUPPORTED", ("web1", f"x ({kind})"), guest(directory_entries=(entry(), entry("x", kind))))
        for kind in ("symlink", "directory", "other")
    ),
    Case(
        "LAYOUT_MEDIUM_ELSEWHERE",
        ("sda", "/iso/x", "c2"),
        guest(disks=(disk(), config_drive(path="/iso/x"))),
        where=says(media_missing=("/iso/x",)),
    ),
    Case("STORAGE_SHARED", ("web1", "c1", "c2"), where=says(storage_shared="yes", existing_paths=(DIRECTORY,))),
    Case("STORAGE_UNKNOWN", ("web1", "c1", "c2"), where=says(storage_shared="unknown")),
    Case(
        "RSYNC_NO_ZSTD",
        ("web1", "c2"),
        guest(directory_entries=(entry(apparent_bytes=20 * GIB),)),
        where=there(rsync_zstd=False),
    ),
    Case("TRANSFER_IMPOSSIBLE", ("web1", "is off"), guest(state="shut off"), request(transfer=Transfer.MIRROR)),
    Case("TRANSFER_IMPOSSIBLE", ("c2",), asked=request(transfer=Transfer.MIRROR), where=there(qemu_nbd=False)),
    # size
    Case("SAME_FLAVOR", ("web1", "20 GiB"), asked=request(vcpus=2, memory_mib=2048, root_gib=20)),
    Case(
        "SAME_FLAVOR",
        ("web1", "m1.own"),
        asked=request(flavor=Flavor("m1.own", 2, 2048, 20), vcpus=None, memory_mib=None, root_gib=20),
    ),
    Case("ROOT_TO_ZERO", (*IN_DISK, "20 GiB"), asked=request(root_gib=0)),
    Case("DISK_SHRINK", (*IN_DISK, "20 GiB", "10 GiB"), asked=request(root_gib=10)),
    Case("DISK_SHRINK", (*IN_DISK, "80 GiB", "40 GiB"), with_disk(virtual_bytes=80 * GIB), request(root_gib=40)),
    Case("NUMA_RESIZE", ("web1", "from 2 vCPUs"), with_xml(NUMA)),
    Case("PINNED_RESIZE", ("web1", "to 4"), with_xml(PINS)),
    Case("PINNED_MOVE", ("web1", "c1"), with_xml(PINS), MIGRATE),
    Case("MAX_MEMORY_RESIZE", ("web1", "4096 MiB"), with_xml("<maxMemory slots='4' unit='MiB'>9999</maxMemory>")),
    Case("HUGEPAGES_RESIZE", ("web1", "4096 MiB"), with_xml(HUGE)),
    Case("HUGEPAGES_MOVE", ("web1", "2048 MiB"), with_xml(HUGE), MIGRATE),
    Case("VCPU_CURRENT_RESIZE", ("web1", "1 of its 2"), guest(xml=domain_xml(vcpu="<vcpu current='1'>2</vcpu>"))),
    # the place
    Case("DEST_UNKNOWN", ("web1", "c22", "c1, c2", "Did you mean c2"), values={"destination": "c22"}),
    Case(
        "DEST_UNREACHABLE",
        ("web1", "c3", "timed out"),
        where=site(unreachable={"c3": "timed out"}),
        values={"destination": "c3"},
    ),
    Case("FACTS_MISSING", ("web1", "c2"), where=site(fits={})),
    Case("DEST_IS_SOURCE", ("web1", "c1"), values={"destination": "c1"}),
    Case("DEST_IS_SOURCE", ("web1", "c2", "c1"), where=there(host_uuid="host-uuid-of-c1")),
    Case("DEST_VCPUS_FULL", ("web1", "c2", "4 vCPUs", "0.5 x 4 - 0 used = 2"), where=there(vcpus_total=0.5)),
    Case(
        "DEST_MEMORY_FULL",
        ("web1", "c2", "4096 MiB", "(4607 - 512 reserved) x 1 - 0 used = 4095"),
        where=there(memory_mib_total=4607),
    ),
    Case("DEST_DISK_FULL", ("web1", "c2", "40 GiB", "39 x 1 - 0 used = 39"), where=there(disk_bytes_total=39 * GIB)),
    Case("DEST_DISK_FULL", ("web1", "c2", "1.1 GiB", "1 GiB are really free"), where=says(free_bytes=GIB)),
    Case("DEST_INODES_FULL", ("web1", "c2", "17"), where=says(free_inodes=3)),
    Case("DEST_MEMORY_LOW", ("web1", "c2", "1000 MiB"), where=there(memory_mib_free=1000)),
    Case("DEST_PARENT_MISSING", ("web1", "c2", DIRECTORY), where=says(parent_exists=False)),
    Case("GROUP_BROKEN", ("c2", "apart from web2", "anti-affinity"), asked=grouped("anti-affinity"), where=MATE),
    Case("GROUP_WISH", ("apart from web2",), asked=grouped("soft-anti-affinity"), where=MATE),
    Case("GROUP_BROKEN", ("together with web2", "pair"), asked=grouped("affinity"), where=MATE_STAYS),
    Case("GROUP_WISH", ("together with web2",), asked=grouped("soft-affinity"), where=MATE_STAYS),
    Case(
        "GROUP_BROKEN",
        ("apart from web2",),
        asked=grouped("anti-affinity"),
        where=there(claims=(claim(OTHER_UUID, name="web2", status="migrating"),)),
    ),
    Case("NAME_TAKEN", ("web1", "c2", OTHER_UUID), where=there(domains=(summary("web1", OTHER_UUID),))),
    Case("NAME_TAKEN", ("web1", "c2", "20261121-aaaa"), where=there(claims=(claim(OTHER_UUID, status="migrating"),))),
    Case("UUID_TAKEN", ("web1", "c2", UUID, "old1"), where=there(domains=(summary("old1"),))),
    Case(
        "LEFTOVER_PATHS", ("web1", "c2", f"{DIRECTORY}_reverted"), where=says(existing_paths=(f"{DIRECTORY}_reverted",))
    ),
    Case(
        "LEFTOVER_PATHS",
        ("web1", "c1", f"{DIRECTORY}_resize"),
        where=site(fits={"c1": {UUID: fit(existing_paths=(DIRECTORY, f"{DIRECTORY}_resize"))}, "c2": {UUID: fit()}}),
    ),
    Case("DIRECTORY_TAKEN", ("web1", "c2", "db1"), values={"planned": (a_migration(uuid=OTHER_UUID, name="db1"),)}),
    # what starts there
    Case("BRIDGE_MISSING", ("web1", "c2", "br0", "52:54:00:00:00:01", "br7"), where=there(bridges=("br7",))),
    Case(
        "NETWORK_MISSING",
        ("web1", "c2", "blue", "default"),
        guest(xml=domain_xml(interface="<interface type='network'><source network='blue'/></interface>")),
    ),
    Case(
        "INTERFACE_UNSUPPORTED",
        ("web1", "c2", "direct", "eth0"),
        guest(xml=domain_xml(interface="<interface type='direct'><source dev='eth0'/></interface>")),
    ),
    Case("ARCH_UNSUPPORTED", ("web1", "c2", "x86_64", "aarch64"), where=there(arch="aarch64")),
    Case("DOMAIN_TYPE_UNSUPPORTED", ("web1", "c2", "kvm"), where=says(domain_type_ok=False, machine_ok=False)),
    Case("EMULATOR_MISSING", ("web1", "c2", "/usr/bin/qemu"), where=says(emulator_ok=False, machine_ok=False)),
    Case(
        "MACHINE_UNSUPPORTED",
        ("web1", "c2", "pc-q35-7.2", "no such machine"),
        where=says(machine_ok=False, capabilities_error="no such machine"),
    ),
    Case("FIRMWARE_MISSING", ("web1", "c2", "/boot/vmlinuz"), where=says(firmware_missing=("/boot/vmlinuz",))),
    Case("CPU_INCOMPATIBLE", ("web1", "c2"), where=says(cpu="incompatible")),
    Case("CPU_NOT_COMPARED", ("web1", "c2", "9.0.0", "unsupported"), where=says(cpu="unsupported")),
    Case("VCPUS_OVER_MACHINE", ("web1", "c2", "4 vCPUs", "allows 3"), where=says(vcpus_max=3)),
]


def the_move(case: Case) -> Move:
    one = case.one or guest()
    where = case.where or site(one)
    return move(one, case.asked, replace(where, guests={"c1": (one,)}), **case.values)


@pytest.mark.parametrize("case", CASES, ids=[f"{case.code}-{number}" for number, case in enumerate(CASES)])
def test_each_check_finds_its_own_and_nothing_else(case: Case) -> None:
    findings = run(the_move(case))
    assert [finding.code for finding in findings] == [case.code]
    (finding,) = findings
    for word in case.words:
        assert word in finding.line()
    assert finding.subject
    assert finding.remedy
    assert finding.severity is CODES[case.code].severity


@pytest.mark.parametrize(
    "good",
    [
        pytest.param(move(), id="a plain resize"),
        pytest.param(move(asked=grouped("affinity"), where=MATE), id="a group that comes together"),
        pytest.param(move(asked=grouped("affinity", "web2"), where=MATE_STAYS), id="a group that moves together"),
        pytest.param(move(asked=grouped("anti-affinity"), where=MATE_STAYS), id="a group that goes apart"),
        pytest.param(
            move(asked=request(groups=(Group("x", Together.ANTI_AFFINITY, ("web2",)),)), where=MATE),
            id="a group of others",
        ),
        pytest.param(move(asked=MIGRATE), id="a plain migrate"),
        pytest.param(move(guest(state="shut off", uptime_s=None)), id="off"),
        pytest.param(move(guest(state="blocked")), id="blocked is running"),
        pytest.param(move(guest(disks=(disk(), config_drive()))), id="a config drive"),
        pytest.param(move(guest(disks=(disk(), config_drive(source_type="", path="")))), id="an empty drive"),
        pytest.param(move(with_disk(format="raw", probed_format="raw", qcow2_compat="")), id="raw"),
        pytest.param(
            move(with_disk(qcow2_compat="1.1", internal_snapshots=3)), id="qcow2 version 3 grows with snapshots"
        ),
        pytest.param(
            move(with_disk(qcow2_compat="0.10", internal_snapshots=3), MIGRATE), id="version 2 that does not grow"
        ),
        pytest.param(move(with_xml(NUMA), MIGRATE), id="NUMA cells move"),
        pytest.param(
            move(guest(xml=domain_xml(vcpu="<vcpu current='1'>2</vcpu>")), MIGRATE), id="unplugged vCPUs move"
        ),
        pytest.param(move(where=says(free_inodes=0)), id="a file system without an inode count"),
        pytest.param(move(where=says(vcpus_max=0)), id="no vCPU maximum known"),
        pytest.param(move(where=says(cpu="identical")), id="the same CPU"),
        pytest.param(
            move(where=site(fits={"c1": {UUID: fit(existing_paths=(DIRECTORY,))}, "c2": {UUID: fit()}})),
            id="the source has the guest's own directory",
        ),
        pytest.param(
            move(guest(xml=domain_xml(domain_type="qemu", arch="riscv64"))),
            id="emulation of another architecture",
        ),
        pytest.param(move(guest(xml=domain_xml(arch="i686"))), id="a 32-bit guest"),
        pytest.param(move(guest(xml=domain_xml(interface="<interface type='user'/>"))), id="user networking"),
        pytest.param(
            move(asked=request(capacity=Capacity(ClaimRule.KILO)), where=there(memory_mib_total=4096)),
            id="Kilo's rule reserves nothing",
        ),
        pytest.param(move(where=there(claims=(claim(OTHER_UUID, status="failed"),))), id="a closed claim of the name"),
    ],
)
def test_nothing_is_found_where_nothing_is_odd(good: Move) -> None:
    assert run(good) == ()


def test_a_hostname_is_answered_with_the_inventory_name() -> None:
    where = there(hostname="node-2.example.org")
    (finding,) = run(move(where=where, destination="node-2.example.org"))
    assert "is c2 in the inventory" in finding.message
