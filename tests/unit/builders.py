# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts, requests and sites for tests: every builder makes the plain good case, and a test says what is odd."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._checks.context import Move, Site
from ansible_collections.kvmops.mobility.plugins.module_utils._domain.definition import GuestDefinition
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import Capacity, Operation, Request, Stop
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import (
    ClaimFacts,
    DiskFacts,
    DomainFacts,
    DomainSummary,
    EntryFacts,
    FitFacts,
    ForecastFacts,
    HypervisorFacts,
    LoadFacts,
    LockFacts,
    SpeedFacts,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import GIB, Migration, Size

UUID = "6c8f0f0e-0000-4000-8000-000000000001"
OTHER_UUID = "6c8f0f0e-0000-4000-8000-000000000002"
THIRD_UUID = "6c8f0f0e-0000-4000-8000-000000000003"
DIRECTORY = "/var/lib/libvirt/images/web1"
MIB = 2**20


def domain_xml(name: str = "web1", uuid: str = UUID, extra: Mapping[str, str] | None = None, **values: Any) -> str:
    """A definition with one disk, vda, and one interface. *extra* adds XML below C(domain), C(os) or C(devices);
    *values* are domain_type, arch, machine, emulator, vcpu (XML), memory_mib, on_poweroff, directory, interface (XML).
    """
    more = dict(extra or {})
    interface = "<interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br0'/></interface>"
    return f"""<domain type='{values.get("domain_type", "kvm")}'>
  <name>{name}</name><uuid>{uuid}</uuid>
  <memory unit='MiB'>{values.get("memory_mib", 2048)}</memory>
  {values.get("vcpu", "<vcpu>2</vcpu>")}
  <os><type arch='{values.get("arch", "x86_64")}' machine='{values.get("machine", "pc-q35-7.2")}'>hvm</type>
    {more.get("os", "")}</os>
  <on_poweroff>{values.get("on_poweroff", "destroy")}</on_poweroff>
  {more.get("domain", "")}
  <devices>
    <emulator>{values.get("emulator", "/usr/bin/qemu-system-x86_64")}</emulator>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/>
      <source file='{values.get("directory", DIRECTORY)}/disk'/><target dev='vda' bus='virtio'/></disk>
    {values.get("interface", interface)}
    {more.get("devices", "")}
  </devices>
</domain>"""


def disk(**values: Any) -> DiskFacts:
    """vda: a qcow2 file of 20 GiB that has 1 GiB."""
    default = DiskFacts(
        target="vda",
        device="disk",
        source_type="file",
        path=f"{DIRECTORY}/disk",
        format="qcow2",
        boot_order=None,
        readonly=False,
        shareable=False,
        startup_policy="",
        exists=True,
        regular_file=True,
        virtual_bytes=20 * GIB,
        allocated_bytes=GIB,
        apparent_bytes=GIB,
        backing_path="",
        data_file="",
        qcow2_compat="1.1",
        internal_snapshots=0,
        probed_format="qcow2",
        uid=64055,
        gid=64055,
        mode=0o600,
        error="",
    )
    return replace(default, **values)


def config_drive(**values: Any) -> DiskFacts:
    """sda: a read-only ISO in the guest's directory."""
    default = disk(
        target="sda",
        device="cdrom",
        path=f"{DIRECTORY}/disk.config",
        format="raw",
        readonly=True,
        virtual_bytes=2**20,
        allocated_bytes=2**20,
        apparent_bytes=2**20,
        qcow2_compat="",
        probed_format="raw",
    )
    return replace(default, **values)


def entry(name: str = "disk", kind: str = "file", **values: Any) -> EntryFacts:
    """One entry of the guest's directory: a dense file of 1 GiB."""
    default = EntryFacts(name, kind, apparent_bytes=GIB, allocated_bytes=GIB, uid=64055, gid=64055, mode=0o600)
    return replace(default, **values)


def guest(name: str = "web1", uuid: str = UUID, xml: str | None = None, **values: Any) -> DomainFacts:
    """A running guest in a directory of its own."""
    directory = values.get("directory") or DIRECTORY
    stored = domain_xml(name, uuid, directory=directory) if xml is None else xml
    default = DomainFacts(
        uuid=uuid,
        name=name,
        state="running",
        persistent=True,
        autostart=True,
        xml=stored,
        live_xml=stored,
        live_differs="",
        managed_save=False,
        snapshots=0,
        checkpoints=0,
        block_jobs=(),
        disks=(disk(path=f"{directory}/disk"),),
        directory=directory,
        directory_entries=(entry(),),
        directory_users=(),
        uptime_s=86400,
    )
    return replace(default, **values)


def summary(name: str = "web1", uuid: str = UUID, **values: Any) -> DomainSummary:
    """A domain as its hypervisor counts it: 2 vCPUs, 2048 MiB, 20 GiB."""
    default = DomainSummary(uuid, name, "running", vcpus=2, memory_mib=2048, disk_bytes=20 * GIB)
    return replace(default, **values)


def claim(uuid: str = UUID, **values: Any) -> ClaimFacts:
    """What a migration of web1 from c1 holds on c2."""
    default = ClaimFacts(
        migration="20261121-aaaa",
        uuid=uuid,
        name="web1",
        role="destination",
        peer="c1",
        status="finished",
        operation="resize",
        vcpus=4,
        memory_mib=4096,
        disk_bytes=40 * GIB,
    )
    return replace(default, **values)


def lock(uuid: str = UUID, **values: Any) -> LockFacts:
    """The lock of a resize by root@control, begun 2026-01-01 00:00 UTC."""
    return replace(LockFacts(uuid, "20261121-aaaa", "root@control", "resize", 1767225600.0), **values)


def hypervisor(host: str = "c1", **values: Any) -> HypervisorFacts:
    """An empty hypervisor with 16 vCPUs, 64 GiB of memory and 1000 GiB of disk."""
    default = HypervisorFacts(
        hostname=host,
        host_uuid=f"host-uuid-of-{host}",
        arch="x86_64",
        libvirt_version=9_000_000,
        qemu_version=7_002_000,
        vcpus_total=16,
        memory_mib_total=65536,
        memory_mib_free=60000,
        disk_bytes_total=1000 * GIB,
        disk_bytes_free=900 * GIB,
        domains=(),
        claims=(),
        locks=(),
        networks=("default",),
        bridges=("br0",),
        rsync_zstd=True,
        clock=1767225600.0,
        qemu_nbd=True,
    )
    return replace(default, **values)


def fit(uuid: str = UUID, **values: Any) -> FitFacts:
    """A hypervisor that says yes to everything."""
    default = FitFacts(
        uuid=uuid,
        domain_type_ok=True,
        emulator_ok=True,
        machine_ok=True,
        firmware_missing=(),
        cpu="superset",
        vcpus_max=288,
        capabilities_error="",
        existing_paths=(),
        free_bytes=900 * GIB,
        total_bytes=0,
        free_inodes=1_000_000,
        parent_exists=True,
        storage_shared="no",
    )
    return replace(default, **values)


def measured(first: int = 0, second: int = 0, link: int | None = 117, **values: Any) -> ForecastFacts:
    """What c1 has measured for web1: MiB that were written in one and in two seconds, and MiB/s of the link to c2.

    *values* are fields of LoadFacts.
    """
    load = LoadFacts(((1.0, first * MIB), (2.0, second * MIB)), 1024 * MIB)
    speed = SpeedFacts(None, "no route to host") if link is None else SpeedFacts(link * MIB)
    return ForecastFacts({UUID: replace(load, **values)}, {"c2": speed})


def request(operation: Operation = Operation.RESIZE, guests: Sequence[str] = ("web1",), **values: Any) -> Request:
    """A resize of web1 to 4 vCPUs, 4096 MiB and 40 GiB on c2; a migrate has no size."""
    resize = operation is Operation.RESIZE
    default = Request(
        operation=operation,
        guests=tuple(guests),
        flavor=None,
        vcpus=4 if resize else None,
        memory_mib=4096 if resize else None,
        root_gib=40 if resize else None,
        destination="c2",
        root_disk=None,
        allow_managed=False,
        capacity=Capacity(),
        stop=Stop(),
    )
    return replace(default, **values)


def site(one: DomainFacts | None = None, **values: Any) -> Site:
    """c1 with the guest, and the empty c2."""
    found = one or guest()
    default = Site(
        hypervisors={"c1": hypervisor("c1", domains=(summary(found.name, found.uuid),)), "c2": hypervisor("c2")},
        guests={"c1": (found,)},
        fits={"c2": {found.uuid: fit(found.uuid)}},
        addresses={"c1": "192.0.2.1", "c2": "192.0.2.2"},
    )
    return replace(default, **values)


def move(
    one: DomainFacts | None = None,
    asked: Request | None = None,
    where: Site | None = None,
    planned: Sequence[Migration] = (),
    **values: Any,
) -> Move:
    """web1 from c1 to c2, growing in every part. *values* are fields of Move."""
    found = one or guest()
    wanted = asked or request()
    definition = GuestDefinition.from_xml(found.xml)
    old = Size(definition.vcpus, definition.memory_mib, found.disks[0].virtual_bytes)
    default = Move(
        request=wanted,
        site=where or site(found),
        source="c1",
        guest=found,
        definition=definition,
        root=found.disks[0],
        old=old,
        new=Size(
            wanted.vcpus or old.vcpus,
            wanted.memory_mib or old.memory_mib,
            old.root_bytes if wanted.root_gib is None else wanted.root_gib * GIB,
        ),
        destination="c2",
        planned=tuple(planned),
    )
    return replace(default, **values)
