# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read from a definition, on definitions as libvirt 9 to 11 writes them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._domain.definition import (
    DiskElement,
    GuestDefinition,
    Topology,
    scaled_bytes,
)
from ansible_collections.kvmops.mobility.tests.unit.builders import domain_xml

DOMAINS = Path(__file__).parents[3] / "data" / "domains"


def read(name: str) -> GuestDefinition:
    return GuestDefinition.from_xml((DOMAINS / f"{name}.xml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["debian-q35", "debian-q35.live"])
def test_a_plain_guest_reads_the_same_stored_and_running(name: str) -> None:
    guest = read(name)
    assert (guest.name, guest.domain_type, guest.arch) == ("web1", "kvm", "x86_64")
    assert (guest.machine, guest.emulator) == ("pc-q35-10.0", "/usr/bin/qemu-system-x86_64")
    assert (guest.vcpus, guest.vcpus_current, guest.memory_mib, guest.topology) == (1, 1, 1024, None)
    assert [(disk.target, disk.path) for disk in guest.disks] == [
        ("vda", "/var/lib/libvirt/images/web1/root.qcow2"),
        ("vdb", "/var/lib/libvirt/images/web1/data&logs.img"),
        ("sda", ""),
    ]
    assert [(one.kind, one.source, one.mac) for one in guest.interfaces] == [
        ("network", "default", "52:54:00:aa:bb:01")
    ]
    assert guest.agent_channel
    assert not any((guest.tpm, guest.nvram, guest.loader, guest.boot_files, guest.host_devices, guest.managed_by))
    assert not any((guest.max_memory, guest.numa_cells, guest.pinned, guest.hugepages, guest.filesystems))


def test_a_ballooned_guest_has_its_balloons_size() -> None:
    assert (read("debian-q35.live").memory_mib, read("debian-q35.live").current_memory_mib) == (1024, 768)


def test_a_drive_without_a_medium_has_neither_type_nor_path() -> None:
    drive = read("debian-q35").disks[2]
    assert (drive.device, drive.source_type, drive.path, drive.readonly, drive.boot_order) == ("cdrom", "", "", True, 2)


def test_startup_policy_is_read_with_and_without_its_medium() -> None:
    assert [(d.target, d.source_type, d.path, d.startup_policy) for d in read("rhel-uefi-tpm").disks[:2]] == [
        ("sda", "file", "/srv/iso/rescue.iso", "optional"),
        ("sdb", "", "", "optional"),
    ]


def test_firmware_chosen_by_libvirt_keeps_variables_somewhere() -> None:
    stored, running = read("rhel-uefi-tpm"), read("rhel-uefi-tpm.live")
    assert (stored.loader, stored.nvram, stored.boot_files) == ("", "(by libvirt)", ())
    assert running.nvram == "/var/lib/libvirt/qemu/nvram/vault_VARS.fd"
    assert stored.tpm
    assert (stored.memory_mib, stored.topology) == (4096, Topology(1, 1, 1, 2, 2))
    assert stored.topology is not None
    assert stored.topology.product == stored.vcpus


def test_what_is_bound_to_the_hypervisor_is_named() -> None:
    guest = read("host-bound")
    assert guest.host_devices == (
        "interface hostdev 0000:3b:02.1",
        "interface vdpa /dev/vhost-vdpa-0",
        "input evdev /dev/input/event3",
        "serial dev /dev/ttyS0",
        "pci 0000:65:00.0",
        "usb 046d:c52b",
        "shmem ivshmem0",
        "memory /srv/nvdimm/gpu.img",
    )
    assert guest.mediated_devices == ("c2177883-f1bb-47f0-914d-32a22e3a8804",)
    assert guest.filesystems == ("/srv/share",)
    assert guest.max_memory
    assert guest.numa_cells
    assert guest.pinned
    assert guest.hugepages
    assert (guest.vcpus, guest.vcpus_current, guest.on_poweroff) == (8, 6, "preserve")
    assert guest.boot_files == (
        "/usr/share/OVMF/OVMF_CODE_4M.fd",
        "/srv/boot/vmlinuz",
        "/srv/boot/initrd.img",
        "/srv/boot/slic.bin",
    )


def test_disks_that_are_not_files_say_what_they_are() -> None:
    assert [(d.source_type, d.path, d.shareable) for d in read("host-bound").disks] == [
        ("block", "/dev/vg0/gpu", True),
        ("network", "", False),
        ("volume", "", False),
    ]


def test_each_kind_of_interface_names_what_it_plugs_into() -> None:
    assert [(one.kind, one.source) for one in read("interfaces").interfaces] == [
        ("bridge", "br-int"),
        ("network", "lan"),
        ("direct", "eno1"),
        ("user", ""),
        ("vhostuser", "/run/vhost/port5"),
        ("internal", "segment"),
        ("mcast", "230.0.0.1"),
        ("ethernet", ""),
    ]
    assert read("interfaces").current_memory_mib == 512


@pytest.mark.parametrize(
    ("metadata", "manager"),
    [
        ("<n:instance xmlns:n='http://openstack.org/xmlns/libvirt/nova/1.0'/>", "Nova"),
        ("<ovirt-tune:qos xmlns:ovirt-tune='http://ovirt.org/vm/tune/1.0'/>", "oVirt"),
        ("<kubevirt xmlns='http://kubevirt.io'><uid/></kubevirt>", "KubeVirt"),
        ("<one:vm xmlns:one='http://opennebula.org/xmlns/libvirt/1.0'/>", "OpenNebula"),
        ("<x:app xmlns:x='urn:example'/><n:instance xmlns:n='http://openstack.org/xmlns/libvirt/nova/1.1'/>", "Nova"),
        ("<libosinfo:libosinfo xmlns:libosinfo='http://libosinfo.org/xmlns/libvirt/domain/1.0'/>", ""),
        ("<!-- http://ovirt.org/vm/1.0 -->", ""),
    ],
)
def test_the_manager_is_told_by_the_metadata_it_leaves(metadata: str, manager: str) -> None:
    assert GuestDefinition.from_xml(f"<domain><metadata>{metadata}</metadata></domain>").managed_by == manager


def test_nova_and_ovirt_guests_are_managed_elsewhere() -> None:
    assert [read(name).managed_by for name in ("nova", "ovirt", "debian-q35")] == ["Nova", "oVirt", ""]


@pytest.mark.parametrize(
    ("os_xml", "nvram"),
    [
        ("<loader type='pflash'>/code.fd</loader>", "(by libvirt)"),
        ("<loader type='pflash' stateless='yes'>/code.fd</loader>", ""),
        ("<loader type='rom'>/seabios.bin</loader>", ""),
        ("<loader type='pflash'>/code.fd</loader><nvram>\n /vars.fd </nvram>", "/vars.fd"),
        ("<nvram type='file'><source file='/vars.fd'/></nvram>", "/vars.fd"),
        ("<nvram template='/t.fd'/>", "(by libvirt)"),
        ("<varstore path='/vars.json'/>", "/vars.json"),
        ("", ""),
    ],
)
def test_nvram(os_xml: str, nvram: str) -> None:
    assert GuestDefinition.from_xml(f"<domain><os>{os_xml}</os></domain>").nvram == nvram


@pytest.mark.parametrize(
    "tuning",
    [
        "<vcpu cpuset='0-3'>4</vcpu>",
        "<cputune><vcpupin vcpu='0' cpuset='1'/></cputune>",
        "<cputune><emulatorpin cpuset='1'/></cputune>",
        "<cputune><iothreadpin iothread='1' cpuset='1'/></cputune>",
        "<cputune><vcpusched vcpus='0' scheduler='fifo' priority='1'/></cputune>",
        "<cputune><cachetune vcpus='0'/></cputune>",
        "<numatune><memory mode='strict' nodeset='0'/></numatune>",
    ],
)
def test_pinned(tuning: str) -> None:
    assert GuestDefinition.from_xml(f"<domain>{tuning}</domain>").pinned


def test_cpu_shares_are_not_a_pin() -> None:
    assert not read("nova").pinned


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [
        ("3", "bytes", 3),
        ("3", "B", 3),
        ("2", "KB", 2000),
        ("2", "k", 2048),
        ("2", "KiB", 2048),
        ("2", "mib", 2 * 2**20),
        ("2", "G", 2 * 2**30),
        ("1", "TB", 10**12),
        ("1", "PiB", 2**50),
        ("1", "E", 2**60),
    ],
)
def test_units_of_memory(text: str, unit: str, expected: int) -> None:
    assert scaled_bytes(text, unit) == expected


def test_an_unknown_unit_is_no_silent_zero() -> None:
    with pytest.raises(ValueError, match="unknown unit of size 'pages'"):
        scaled_bytes("1", "pages")


def test_text_that_is_not_xml_raises() -> None:
    with pytest.raises(ET.ParseError):
        GuestDefinition.from_xml("virsh: not found")


def test_a_disk_without_a_driver_has_no_format() -> None:
    disk = DiskElement.from_element(ET.fromstring("<disk><source file='/a'/><target dev='vda'/></disk>"))
    assert (disk.format, disk.source_type, disk.device, disk.boot_order) == ("", "file", "disk", None)


def test_what_a_live_migration_asks_of_a_definition() -> None:
    devices = """<graphics type='vnc' listen='192.0.2.1'><listen type='address' address='192.0.2.1'/></graphics>
      <graphics type='spice' listen='198.51.100.9'>
        <listen type='network' network='x' address='198.51.100.9'/></graphics>
      <serial type='tcp'><source mode='bind' host='127.0.0.1' service='7000'/></serial>
      <serial type='tcp'><source mode='connect' host='203.0.113.9' service='7001'/></serial>"""
    xml = domain_xml(extra={"devices": devices, "domain": "<cpu mode='host-passthrough'/>"})
    found = GuestDefinition.from_xml(xml.replace("type='qcow2'", "type='qcow2' cache='none'"))
    assert found.listens == ("192.0.2.1", "127.0.0.1")
    assert (found.cpu_mode, found.disks[0].cache) == ("host-passthrough", "none")
    plain = GuestDefinition.from_xml(domain_xml())
    assert (plain.listens, plain.cpu_mode, plain.disks[0].cache) == ((), "", "")
