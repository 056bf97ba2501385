# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a running guest differs from its stored definition: pure, no libvirt.

Only what a resize or a move carries is compared. What libvirt adds while a guest runs is not a difference:
aliases, labels, interface targets, terminals, port numbers, backing chains, the expanded CPU, a
balloon's size.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterator

from ansible_collections.kvmops.mobility.plugins.module_utils._domain.definition import (
    GuestDefinition,
    host_place,
    scaled_bytes,
)

_MIB = 2**20
_SOURCE_ATTRIBUTES = ("file", "dev", "dir", "path", "protocol", "name", "pool", "volume", "type", "namespace")
_COUNTED = ("memory", "redirdev", "rng", "shmem", "smartcard", "sound", "tpm", "video", "vsock", "watchdog")


def live_difference(inactive_xml: str, live_xml: str) -> str:
    """Where the running definition differs from the stored one, as a short list; empty when nowhere.

    Raises C(xml.etree.ElementTree.ParseError) when one of them is not XML.
    """
    stored, running = ET.fromstring(inactive_xml), ET.fromstring(live_xml)
    parts = [*_sizes(stored, running), *_firmware(inactive_xml, live_xml)]
    for read in (_disks, _interfaces, _host_devices, _filesystems, _controllers, _ports, _counted):
        parts += _compare(read, stored, running)
    return "; ".join(parts)


def _sizes(stored: ET.Element, running: ET.Element) -> Iterator[str]:
    for what, unit, read in (("vCPUs", "", _vcpus), ("vCPUs online", "", _online), ("memory", " MiB", _memory_mib)):
        if read(stored) != read(running):
            yield f"{what} {read(running)}{unit} running, {read(stored)}{unit} stored"


def _vcpus(domain: ET.Element) -> int:
    return int(domain.findtext("vcpu") or 1)


def _online(domain: ET.Element) -> int:
    vcpu = domain.find("vcpu")
    return int(vcpu.get("current") or _vcpus(domain)) if vcpu is not None else 1


def _memory_mib(domain: ET.Element) -> int:
    """Rounded up to MiB, as libvirt does when it starts a guest."""
    element = domain.find("memory")
    if element is None:
        return 0
    return -(-scaled_bytes(element.text or "0", element.get("unit", "KiB")) // _MIB)


def _firmware(inactive_xml: str, live_xml: str) -> Iterator[str]:
    """Machine and firmware; files that libvirt chose at the start are not a difference."""
    stored, running = GuestDefinition.from_xml(inactive_xml), GuestDefinition.from_xml(live_xml)
    if stored.machine != running.machine:
        yield f"machine {running.machine} running, {stored.machine} stored"
    if stored.loader and stored.loader != running.loader:
        yield f"loader {running.loader or 'none'} running, {stored.loader} stored"
    if stored.nvram.startswith("/") and stored.nvram != running.nvram:
        yield f"NVRAM {running.nvram or 'none'} running, {stored.nvram} stored"


_Devices = dict[str, str]
"""What a device is called in a message, and what must be equal about it."""


def _compare(read: Callable[[ET.Element], _Devices], stored: ET.Element, running: ET.Element) -> Iterator[str]:
    before, now = read(stored), read(running)
    for name in {**before, **now}:
        if name not in before:
            yield f"{name} is only in the running guest"
        elif name not in now:
            yield f"{name} is only in the stored definition"
        elif before[name] != now[name]:
            yield f"{name} {now[name] or 'empty'} running, {before[name] or 'empty'} stored"


def _attribute(parent: ET.Element, path: str, name: str) -> str:
    found = parent.find(path)
    return found.get(name, "") if found is not None else ""


def _disks(domain: ET.Element) -> _Devices:
    return {
        f"{disk.get('device', 'disk')} {_attribute(disk, 'target', 'dev')}": _medium(disk)
        for disk in domain.iterfind("devices/disk")
    }


def _medium(disk: ET.Element) -> str:
    """Type, place and format of a disk's source; empty for a drive without a medium."""
    source = disk.find("source")
    if source is None:
        return ""
    words = [source.get(name, "") for name in _SOURCE_ATTRIBUTES]
    words += [host.get("name") or host.get("socket") or "" for host in source.iterfind("host")]
    place = " ".join(word for word in words if word)
    return f"{disk.get('type', 'file')} {place} ({_attribute(disk, 'driver', 'type') or 'raw'})" if place else ""


def _interfaces(domain: ET.Element) -> _Devices:
    return {
        f"interface {_attribute(one, 'mac', 'address').lower()}": _plug(one)
        for one in domain.iterfind("devices/interface")
    }


def _plug(interface: ET.Element) -> str:
    """What an interface plugs into.

    A running guest shows the bridge or device its network led to (and may change its type to that),
    next to the network's name, which is what the stored definition has.
    """
    network = _attribute(interface, "source", "network")
    if network:
        return f"network {network}"
    source = interface.find("source")
    names = ("bridge", "dev", "path", "name", "address", "port", "switchid")
    words = [source.get(name, "") for name in names] if source is not None else []
    return " ".join(word for word in (interface.get("type", ""), *words) if word)


def _host_devices(domain: ET.Element) -> _Devices:
    return {f"host device {one.get('type')} {host_place(one)}": "" for one in domain.iterfind("devices/hostdev")}


def _filesystems(domain: ET.Element) -> _Devices:
    return {
        f"filesystem {_attribute(one, 'target', 'dir')}": _attribute(one, "source", "dir")
        or _attribute(one, "source", "socket")
        for one in domain.iterfind("devices/filesystem")
    }


def _controllers(domain: ET.Element) -> _Devices:
    return {
        f"controller {one.get('type')} {one.get('index', '0')}": "" for one in domain.iterfind("devices/controller")
    }


def _ports(domain: ET.Element) -> _Devices:
    """Channels, serial and parallel ports and displays; their sockets, terminals and port numbers are runtime."""
    channels = domain.iterfind("devices/channel")
    found = {f"channel {_attribute(one, 'target', 'name')}": one.get("type", "") for one in channels}
    for kind in ("serial", "parallel"):
        for one in domain.iterfind(f"devices/{kind}"):
            path = _attribute(one, "source", "path") if one.get("type") == "file" else ""
            found[f"{kind} port {_attribute(one, 'target', 'port') or '0'}"] = f"{one.get('type', '')} {path}".strip()
    for one in domain.iterfind("devices/graphics"):
        found[f"graphics {one.get('type')}"] = ""
    return found


def _counted(domain: ET.Element) -> _Devices:
    """Devices without a name of their own: how many there are of each model."""
    kinds = [_model(one) for tag in _COUNTED for one in domain.iterfind(f"devices/{tag}")]
    return {f"device {kind}": f"x{count}" for kind, count in Counter(kinds).items()}


def _model(device: ET.Element) -> str:
    model = device.get("model") or _attribute(device, "model", "type") or device.get("type") or ""
    return f"{device.tag} {model}".strip()
