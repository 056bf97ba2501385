# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A domain definition read from libvirt's XML: pure, no libvirt.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass

_MIB_PER_UNIT = {
    "b": 1 / 2**20,
    "bytes": 1 / 2**20,
    "KB": 1000 / 2**20,
    "k": 1 / 2**10,
    "KiB": 1 / 2**10,
    "MB": 10**6 / 2**20,
    "M": 1.0,
    "MiB": 1.0,
    "GB": 10**9 / 2**20,
    "G": 2**10,
    "GiB": 2**10,
    "TB": 10**12 / 2**20,
    "T": 2**20,
    "TiB": 2**20,
}
"""The units of C(<memory unit=…>), https://libvirt.org/formatdomain.html#memory-allocation."""

_MANAGER_NAMESPACES = {
    "http://openstack.org/xmlns/libvirt/nova/": "Nova",
    "http://ovirt.org/vm/": "oVirt",
    "http://ovirt.org/vm/tune/": "oVirt",
    "http://kubevirt.io": "KubeVirt",
    "http://pacemaker": "Pacemaker",
    "http://clusterlabs.org": "Pacemaker",
}
_AGENT_CHANNEL = "org.qemu.guest_agent.0"


@dataclass(frozen=True)
class DiskElement:
    """One C(<disk>): what the definition says, nothing of the image itself."""

    target: str
    device: str
    source_type: str
    path: str
    format: str
    boot_order: int | None
    readonly: bool
    shareable: bool
    startup_policy: str

    @classmethod
    def from_element(cls, disk: ET.Element) -> DiskElement:
        """Read a C(<disk>) element; a drive without a medium has an empty source_type and path."""
        source = disk.find("source")
        kind = disk.get("type", "file")
        boot = disk.find("boot")
        return cls(
            target=_attribute(disk, "target", "dev"),
            device=disk.get("device", "disk"),
            source_type=kind if source is not None else "",
            path=(source.get("file") or source.get("dev") or "") if source is not None else "",
            format=_attribute(disk, "driver", "type"),
            boot_order=int(boot.get("order", "0")) if boot is not None else None,
            readonly=disk.find("readonly") is not None or disk.get("device") == "cdrom",
            shareable=disk.find("shareable") is not None,
            startup_policy=source.get("startupPolicy", "") if source is not None else "",
        )


@dataclass(frozen=True)
class InterfaceElement:
    """One C(<interface>): what it plugs into on the hypervisor."""

    kind: str
    """bridge, network, direct, user …"""
    source: str
    mac: str


@dataclass(frozen=True)
class Topology:
    """C(<cpu><topology>); dies and clusters are 1 when not given."""

    sockets: int
    dies: int
    clusters: int
    cores: int
    threads: int


@dataclass(frozen=True)
class GuestDefinition:
    """What the planner, the checks and the edits need of a C(<domain>)."""

    uuid: str
    name: str
    domain_type: str
    arch: str
    machine: str
    emulator: str
    vcpus: int
    """Maximum number of virtual CPUs."""
    vcpus_current: int
    """C(<vcpu current=…>), else the maximum."""
    memory_mib: int
    current_memory_mib: int
    topology: Topology | None
    on_poweroff: str
    max_memory: bool
    numa_cells: bool
    pinned: bool
    """vCPU, emulator, I/O thread pins, C(<vcpu cpuset>) or C(<numatune>)."""
    hugepages: bool
    loader: str
    nvram: str
    """NVRAM path, '(by libvirt)' when the firmware keeps one without naming it, empty without."""
    boot_files: tuple[str, ...]
    """Kernel, initrd, dtb and loader paths that must be there to start."""
    tpm: bool
    host_devices: tuple[str, ...]
    """C(<hostdev>) other than mdev, and C(<interface type='hostdev'>)."""
    mediated_devices: tuple[str, ...]
    filesystems: tuple[str, ...]
    """C(<filesystem>) sources (virtiofs, 9p)."""
    interfaces: tuple[InterfaceElement, ...]
    disks: tuple[DiskElement, ...]
    managed_by: str
    """Nova, oVirt, Pacemaker …, by the metadata they leave; empty when nobody."""
    agent_channel: bool
    """A channel for the QEMU guest agent is defined."""

    @classmethod
    def from_xml(cls, xml: str) -> GuestDefinition:
        """Read libvirt's domain XML. Raises C(xml.etree.ElementTree.ParseError) when it is not XML."""
        domain = ET.fromstring(xml)
        memory = _memory_mib(domain, "memory")
        vcpus = int(domain.findtext("vcpu", "1"))
        return cls(
            uuid=domain.findtext("uuid", ""),
            name=domain.findtext("name", ""),
            domain_type=domain.get("type", ""),
            arch=_attribute(domain, "os/type", "arch"),
            machine=_attribute(domain, "os/type", "machine"),
            emulator=domain.findtext("devices/emulator", ""),
            vcpus=vcpus,
            vcpus_current=int(_attribute(domain, "vcpu", "current") or vcpus),
            memory_mib=memory,
            current_memory_mib=_memory_mib(domain, "currentMemory") or memory,
            topology=_topology(domain.find("cpu/topology")),
            on_poweroff=domain.findtext("on_poweroff", "destroy"),
            max_memory=domain.find("maxMemory") is not None,
            numa_cells=domain.find("cpu/numa/cell") is not None,
            pinned=_is_pinned(domain),
            hugepages=domain.find("memoryBacking/hugepages") is not None,
            loader=domain.findtext("os/loader", ""),
            nvram=_nvram(domain),
            boot_files=tuple(text for tag in ("loader", "kernel", "initrd", "dtb") if (text := domain.findtext(f"os/{tag}", ""))),
            tpm=domain.find("devices/tpm") is not None,
            host_devices=_host_devices(domain),
            mediated_devices=tuple(
                _attribute(one, "source/address", "uuid") or "mdev" for one in domain.iterfind("devices/hostdev[@type='mdev']")
            ),
            filesystems=tuple(
                _attribute(one, "source", "dir") or _attribute(one, "target", "dir") or "filesystem"
                for one in domain.iterfind("devices/filesystem")
            ),
            interfaces=tuple(_interface(one) for one in domain.iterfind("devices/interface")),
            disks=tuple(DiskElement.from_element(one) for one in domain.iterfind("devices/disk")),
            managed_by=_managed_by(domain),
            agent_channel=any(
                target.get("name") == _AGENT_CHANNEL for target in domain.iterfind("devices/channel/target")
            ),
        )


def _attribute(parent: ET.Element, path: str, name: str) -> str:
    found = parent.find(path)
    return found.get(name, "") if found is not None else ""


def _memory_mib(domain: ET.Element, tag: str) -> int:
    """MiB of a scaled integer element, rounded down; 0 when it is absent. The default unit is KiB."""
    element = domain.find(tag)
    if element is None or not (element.text or "").strip():
        return 0
    return int(int(element.text or "0") * _MIB_PER_UNIT[element.get("unit", "KiB")])


def _topology(element: ET.Element | None) -> Topology | None:
    if element is None:
        return None
    return Topology(
        sockets=int(element.get("sockets", "1")),
        dies=int(element.get("dies", "1")),
        clusters=int(element.get("clusters", "1")),
        cores=int(element.get("cores", "1")),
        threads=int(element.get("threads", "1")),
    )


def _is_pinned(domain: ET.Element) -> bool:
    pins = ("cputune/vcpupin", "cputune/emulatorpin", "cputune/iothreadpin", "numatune")
    return any(domain.find(path) is not None for path in pins) or bool(_attribute(domain, "vcpu", "cpuset"))


def _nvram(domain: ET.Element) -> str:
    """UEFI firmware keeps variables in a file even where the definition leaves its choice to libvirt."""
    element = domain.find("os/nvram")
    if element is not None:
        return (element.text or "").strip() or _attribute(element, "source", "file") or "(by libvirt)"
    os_element = domain.find("os")
    pflash = domain.find("os/loader[@type='pflash']") is not None
    if pflash or (os_element is not None and os_element.get("firmware") == "efi"):
        return "(by libvirt)"
    return ""


def _host_devices(domain: ET.Element) -> tuple[str, ...]:
    found = [one.get("type", "hostdev") for one in domain.iterfind("devices/hostdev") if one.get("type") != "mdev"]
    found += ["interface " + _attribute(one, "mac", "address") for one in domain.iterfind("devices/interface[@type='hostdev']")]
    found += ["vdpa" for _one in domain.iterfind("devices/interface[@type='vdpa']")]
    return tuple(found)


def _interface(element: ET.Element) -> InterfaceElement:
    source = element.find("source")
    where = ""
    if source is not None:
        where = source.get("bridge") or source.get("network") or source.get("dev") or ""
    return InterfaceElement(kind=element.get("type", ""), source=where, mac=_attribute(element, "mac", "address").lower())


def _managed_by(domain: ET.Element) -> str:
    metadata = domain.find("metadata")
    for child in metadata if metadata is not None else ():
        namespace = child.tag[1:].partition("}")[0] if child.tag.startswith("{") else child.tag
        for known, manager in _MANAGER_NAMESPACES.items():
            if namespace.startswith(known.rstrip("/")):
                return manager
    return ""
