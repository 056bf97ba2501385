# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A domain definition read from libvirt's XML: pure, no libvirt.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass

_MIB = 2**20
_BYTES_PER_UNIT = {"b": 1, "bytes": 1, "byte": 1}
_BYTES_PER_UNIT.update({letter: 1024**power for power, letter in enumerate("kmgtpe", start=1)})
_BYTES_PER_UNIT.update({f"{letter}ib": 1024**power for power, letter in enumerate("kmgtpe", start=1)})
_BYTES_PER_UNIT.update({f"{letter}b": 1000**power for power, letter in enumerate("kmgtpe", start=1)})
# The units of <memory unit=…>, https://libvirt.org/formatdomain.html#memory-allocation; libvirt ignores their case.

_MANAGER_NAMESPACES = {
    "http://openstack.org/xmlns/libvirt/nova/": "Nova",
    "http://ovirt.org/vm/": "oVirt",
    "http://kubevirt.io": "KubeVirt",
    "http://opennebula.org/xmlns/libvirt/": "OpenNebula",
}
# Pacemaker is not here because it cannot be: its VirtualDomain agent defines the XML file it was given as it is
# and keeps its own knowledge in the cluster, so nothing in a definition tells.
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
    backing_defined: bool = False
    """The definition itself names what is below the image, instead of leaving that to the image."""
    cache: str = ""
    """How the host caches it, empty for the hypervisor's default."""

    @classmethod
    def from_element(cls, disk: ET.Element) -> DiskElement:
        """Read a C(<disk>) element; a drive without a medium has an empty source_type and path."""
        kind = disk.get("type", "file")
        path = next(
            (found for name in ("file", "dev", "dir", "path") if (found := _attribute(disk, "source", name))), ""
        )
        # A drive that lost an optional medium keeps a <source startupPolicy='optional'/> without a file.
        empty = disk.find("source") is None or (kind in ("file", "block", "dir") and not path)
        boot = disk.find("boot")
        return cls(
            target=_attribute(disk, "target", "dev"),
            device=disk.get("device", "disk"),
            source_type="" if empty else kind,
            path=path,
            format=_attribute(disk, "driver", "type"),
            boot_order=int(boot.get("order", "0")) if boot is not None else None,
            readonly=disk.find("readonly") is not None or disk.get("device") == "cdrom",
            shareable=disk.find("shareable") is not None,
            startup_policy=_attribute(disk, "source", "startupPolicy"),
            backing_defined=disk.find("backingStore/source") is not None,
            cache=_attribute(disk, "driver", "cache"),
        )


@dataclass(frozen=True)
class InterfaceElement:
    """One C(<interface>): what it plugs into on the hypervisor."""

    kind: str
    """bridge, network, direct, user …"""
    source: str
    """Bridge, network, device, socket or address by name, empty when the kind needs none."""
    mac: str


@dataclass(frozen=True)
class Topology:
    """C(<cpu><topology>); dies and clusters are 1 when not given."""

    sockets: int
    dies: int
    clusters: int
    cores: int
    threads: int

    @property
    def product(self) -> int:
        """The number of vCPUs it describes."""
        return self.sockets * self.dies * self.clusters * self.cores * self.threads


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
    """vCPU, emulator or I/O thread pins or schedulers, cache shares, C(<vcpu cpuset>) or C(<numatune>)."""
    hugepages: bool
    loader: str
    nvram: str
    """NVRAM path, '(by libvirt)' when the firmware keeps one without naming it, empty without."""
    boot_files: tuple[str, ...]
    """Loader, kernel, initrd, shim, dtb and ACPI table paths that must be there to start."""
    tpm: bool
    host_devices: tuple[str, ...]
    """What is bound to hardware or files of this hypervisor, by kind and place: C(<hostdev>) other than mdev,
    hostdev and vDPA interfaces, NVDIMMs, evdev inputs, host serial ports, smartcards and shared memory."""
    mediated_devices: tuple[str, ...]
    filesystems: tuple[str, ...]
    """C(<filesystem>) sources (virtiofs, 9p), else their targets."""
    interfaces: tuple[InterfaceElement, ...]
    disks: tuple[DiskElement, ...]
    managed_by: str
    """Nova, oVirt, KubeVirt or OpenNebula, by the metadata they leave; empty when nobody."""
    agent_channel: bool
    """A channel for the QEMU guest agent is defined."""
    cpu_mode: str = ""
    """Of C(<cpu>): custom, host-model, host-passthrough or maximum; empty without one."""
    listens: tuple[str, ...] = ()
    """Addresses that its graphics and serial lines listen on, each once."""

    @classmethod
    def from_xml(cls, xml: str) -> GuestDefinition:
        """Read libvirt's domain XML, stored or live. Raises C(xml.etree.ElementTree.ParseError) when it is not XML."""
        domain = ET.fromstring(xml)
        memory = _memory_mib(domain, "memory")
        vcpus = int(domain.findtext("vcpu") or 1)
        return cls(
            uuid=_text(domain, "uuid"),
            name=_text(domain, "name"),
            domain_type=domain.get("type", ""),
            arch=_attribute(domain, "os/type", "arch"),
            machine=_attribute(domain, "os/type", "machine"),
            emulator=_text(domain, "devices/emulator"),
            vcpus=vcpus,
            vcpus_current=int(_attribute(domain, "vcpu", "current") or vcpus),
            memory_mib=memory,
            current_memory_mib=_memory_mib(domain, "currentMemory") or memory,
            topology=_topology(domain.find("cpu/topology")),
            on_poweroff=_text(domain, "on_poweroff") or "destroy",
            max_memory=domain.find("maxMemory") is not None,
            numa_cells=domain.find("cpu/numa/cell") is not None,
            pinned=_is_pinned(domain),
            hugepages=domain.find("memoryBacking/hugepages") is not None,
            loader=_text(domain, "os/loader"),
            nvram=_nvram(domain),
            boot_files=_boot_files(domain),
            tpm=domain.find("devices/tpm") is not None,
            host_devices=_host_devices(domain),
            mediated_devices=tuple(
                _attribute(one, "source/address", "uuid") or "mdev"
                for one in domain.iterfind("devices/hostdev[@type='mdev']")
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
            cpu_mode=_attribute(domain, "cpu", "mode"),
            listens=_listens(domain),
        )


def scaled_bytes(text: str, unit: str) -> int:
    """Bytes of libvirt's scaled integer, such as ('2048', 'MiB'). Raises C(ValueError) when it is none."""
    if unit.lower() not in _BYTES_PER_UNIT:
        raise ValueError(f"unknown unit of size {unit!r}")
    return int(text) * _BYTES_PER_UNIT[unit.lower()]


def _text(domain: ET.Element, path: str) -> str:
    return (domain.findtext(path) or "").strip()


def _attribute(parent: ET.Element, path: str, name: str) -> str:
    found = parent.find(path)
    return found.get(name, "") if found is not None else ""


def _memory_mib(domain: ET.Element, tag: str) -> int:
    """MiB of a scaled integer element, rounded down; 0 when it is absent. The default unit is KiB."""
    element = domain.find(tag)
    if element is None or not (element.text or "").strip():
        return 0
    return scaled_bytes(element.text or "0", element.get("unit", "KiB")) // _MIB


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
    tuned = ("vcpupin", "emulatorpin", "iothreadpin", "vcpusched", "emulatorsched", "iothreadsched")
    paths = ("numatune", *(f"cputune/{tag}" for tag in (*tuned, "cachetune", "memorytune")))
    return any(domain.find(path) is not None for path in paths) or bool(_attribute(domain, "vcpu", "cpuset"))


def _boot_files(domain: ET.Element) -> tuple[str, ...]:
    paths = ("loader", "kernel", "initrd", "shim", "dtb", "acpi/table")
    found = (one.text or "" for path in paths for one in domain.iterfind(f"os/{path}"))
    return tuple(text.strip() for text in found if text.strip())


def _nvram(domain: ET.Element) -> str:
    """UEFI firmware keeps variables in a file even where the definition leaves its choice to libvirt."""
    element = domain.find("os/nvram")
    if element is not None:
        return (element.text or "").strip() or _attribute(element, "source", "file") or "(by libvirt)"
    varstore = _attribute(domain, "os/varstore", "path")
    if varstore or _attribute(domain, "os/loader", "stateless") == "yes":
        return varstore
    pflash = _attribute(domain, "os/loader", "type") == "pflash"
    os_element = domain.find("os")
    if pflash or (os_element is not None and os_element.get("firmware") == "efi"):
        return "(by libvirt)"
    return ""


def _host_devices(domain: ET.Element) -> tuple[str, ...]:
    devices = domain.find("devices")
    found = (_bound_to_host(one) for one in (devices if devices is not None else ()))
    return tuple(name for name in found if name)


def _bound_to_host(device: ET.Element) -> str:
    """Kind and place of a device that exists on this hypervisor only, empty for any other."""
    kind = device.get("type", "")
    bound = {
        "hostdev": kind != "mdev",
        "interface": kind in ("hostdev", "vdpa"),
        "memory": device.find("source/path") is not None,
        "input": kind in ("evdev", "passthrough"),
        "smartcard": device.get("mode", "").startswith("host"),
        "shmem": True,
    }
    for port in ("serial", "parallel", "console", "channel"):
        bound[port] = kind == "dev"
    if not bound.get(device.tag, False):
        return ""
    what = kind if device.tag == "hostdev" else " ".join(word for word in (device.tag, kind) if word)
    return f"{what or 'hostdev'} {host_place(device)}".strip()


def host_place(device: ET.Element) -> str:
    """A device's place on the hypervisor, as an operator knows it (0000:3b:00.1, 046d:c52b, /dev/vhost-vdpa-0).

    A USB device named by vendor and product has no other place: its address is chosen at each start.
    """
    source = device.find("source")
    if source is None:
        return device.get("name", "")
    vendor = _attribute(source, "vendor", "id")
    if vendor:
        return f"{vendor}:{_attribute(source, 'product', 'id')}".replace("0x", "")
    address = source.find("address")
    if address is not None and address.get("slot"):
        part = {name: int(address.get(name, "0"), 0) for name in ("domain", "bus", "slot", "function")}
        return f"{part['domain']:04x}:{part['bus']:02x}:{part['slot']:02x}.{part['function']:x}"
    words = [*source.attrib.values(), *(value for child in source for value in child.attrib.values())]
    return " ".join(words) or (source.findtext("path") or "").strip()


def _listens(domain: ET.Element) -> tuple[str, ...]:
    """In connect mode the address is somebody else's; one that a network has is chosen anew on each hypervisor."""
    found = [one.get("listen", "") for one in domain.iterfind("devices/graphics")]
    networks = {one.get("address", "") for one in domain.iterfind("devices/graphics/listen[@type='network']")}
    found += [one.get("address", "") for one in domain.iterfind("devices/graphics/listen")]
    for device in ("serial", "console", "parallel", "channel"):
        found += [one.get("host", "") for one in domain.iterfind(f"devices/{device}/source[@mode='bind']")]
    return tuple(dict.fromkeys(one for one in found if one and one not in networks))


def _interface(element: ET.Element) -> InterfaceElement:
    # A running guest's network interface also names the bridge it was given: the network counts.
    names = ("network", "bridge", "dev", "path", "name", "address", "switchid")
    where = next((found for name in names if (found := _attribute(element, "source", name))), "")
    return InterfaceElement(
        kind=element.get("type", ""), source=where, mac=_attribute(element, "mac", "address").lower()
    )


def _managed_by(domain: ET.Element) -> str:
    for child in domain.iterfind("metadata/*"):
        namespace = child.tag[1:].partition("}")[0] if child.tag.startswith("{") else ""
        for known, manager in _MANAGER_NAMESPACES.items():
            if namespace.startswith(known):
                return manager
    return ""
