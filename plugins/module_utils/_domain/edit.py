# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A new domain definition from the old one and a set of changes: pure, no libvirt.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ansible_collections.kvmops.mobility.plugins.module_utils._domain.compare import (
    Difference,
    canonical,
    changed_xpaths,
    differences,
    digest,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._domain.definition import (
    GuestDefinition,
    Topology,
    scaled_bytes,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._domain.live import live_difference
from ansible_collections.kvmops.mobility.plugins.module_utils._domain.xmltext import Node, XmlText
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused

__all__ = [
    "DefinitionChange",
    "apply_changes",
    "canonical",
    "changed_xpaths",
    "digest",
    "fit_topology",
    "live_difference",
    "moved_path",
    "verify_only",
]
# The questions about definitions live in files of their own; who edits one asks them here.

_KIB_PER_MIB = 1024
_MIB = 2**20

_VCPU_BOUND = (
    "vcpus/vcpu",
    "cpu/numa/cell",
    "cputune/vcpupin",
    "cputune/vcpusched",
    "cputune/cachetune",
    "cputune/memorytune",
)
"""Elements that name single vCPUs: another number of vCPUs would need a new choice for each."""
_MEMORY_BOUND = ("maxMemory", "cpu/numa/cell", "devices/memory")
"""Elements that share out the memory: another amount would need a new choice for each."""
_PATH_ATTRIBUTES = ("file", "dev", "path", "dir", "socket")
_PATH_ELEMENTS = ("loader", "nvram", "kernel", "initrd", "shim", "dtb", "table")
"""Children of C(<os>) whose text is a path."""
_LEVELS = ("sockets", "dies", "clusters", "cores", "threads")
_VCPU_XPATHS = ("/domain/vcpu/text()", "/domain/vcpu/@current", *(f"/domain/cpu/topology/@{name}" for name in _LEVELS))
_MEMORY_XPATHS = tuple(f"/domain/{tag}/{part}" for tag in ("memory", "currentMemory") for part in ("text()", "@unit"))


@dataclass(frozen=True)
class DefinitionChange:
    """What changes in a definition; everything else stays as it is."""

    vcpus: int | None = None
    """New number of virtual CPUs, all of them online; none keeps the number."""
    memory_mib: int | None = None
    """New memory, for C(memory) and C(currentMemory); none keeps both."""
    paths: Mapping[str, str] = field(default_factory=dict)
    """Old to new absolute path: of a file, or of a directory with all below it. The longest match counts."""
    listen: Mapping[str, str] = field(default_factory=dict)
    """Old to new address the guest's graphics and serial ports listen on."""


def apply_changes(xml: str, change: DefinitionChange) -> str:
    """The definition *xml* with *change* made, every other byte as it was.

    A value that already is what is asked for is not touched: memory is compared in whole MiB, so
    a guest of 2048.5 MiB asked for 2048 keeps its memory and its balloon. Where the memory does
    change, C(currentMemory) becomes equal to it, as Nova does: a balloon's target was chosen for
    the old size.

    Raises Refused C(DEFINITION_EDIT_REFUSED) when it would have to guess (NUMA cells, pins, offline
    vCPUs, memory devices, a hard limit below the new memory, a path inside C(qemu:commandline)).
    """
    text = XmlText(xml)
    if change.vcpus is not None:
        _edit_vcpus(text, change.vcpus)
    if change.memory_mib is not None:
        _edit_memory(text, change.memory_mib)
    _edit_paths(text, change.paths)
    _edit_listen(text, change.listen)
    return str(text)


def fit_topology(old: Topology, vcpus: int) -> Topology:
    """A topology for *vcpus* that is as near to *old* as its product allows.

    libvirt wants the product to be the number of vCPUs. What a socket looks like is what guests
    and licences are tuned to, so its dies, clusters, cores and threads stay and the number of
    sockets changes, as long as that works out. Otherwise each vCPU is a socket of its own, which is what
    QEMU and Nova do without a topology.
    """
    per_socket = old.dies * old.clusters * old.cores * old.threads
    if vcpus % per_socket == 0:
        return Topology(vcpus // per_socket, old.dies, old.clusters, old.cores, old.threads)
    return Topology(sockets=vcpus, dies=1, clusters=1, cores=1, threads=1)


def verify_only(before: str, after: str, change: DefinitionChange) -> None:
    """Make sure *after* is *before* with *change* made and nothing else; meant to run before a define.

    Raises Refused C(DEFINITION_EDIT_UNEXPECTED), naming the places, when something else differs or
    something asked for is missing.
    """
    wrong = [one.xpath for one in differences(before, after) if not _is_asked_for(one, change)]
    wrong += _missing(GuestDefinition.from_xml(after), change)
    if wrong:
        raise Refused(
            "DEFINITION_EDIT_UNEXPECTED",
            GuestDefinition.from_xml(before).name,
            f"The new definition is not the old one with the changes asked for: see {', '.join(wrong)}.",
            "Nothing was defined. Please report this with the guest's definition (virsh dumpxml --inactive).",
            xpaths=wrong,
        )


def moved_path(path: str, paths: Mapping[str, str]) -> str:
    """Where *path* is after *paths* (old to new, files or directories); *path* itself when it is not in them."""
    # With a slash at the end of both, /images does not fit /images2.
    fitting = [old for old in paths if f"{path}/".startswith(old.rstrip("/") + "/")]
    if not fitting:
        return path
    old = max(fitting, key=len)
    return paths[old].rstrip("/") + path[len(old.rstrip("/")) :]


def _refuse(text: XmlText, what: str, remedy: str) -> Refused:
    name = text.root.find("name")
    return Refused("DEFINITION_EDIT_REFUSED", name.text.strip() if name is not None else "domain", what, remedy)


def _required(text: XmlText, tag: str) -> Node:
    node = text.root.find(tag)
    if node is None:
        raise _refuse(text, f"The definition has no <{tag}>.", "Use the definition as libvirt stores it.")
    return node


def _refuse_bound(text: XmlText, paths: tuple[str, ...], what: str) -> None:
    found = [path for path in paths if text.root.find(path) is not None]
    if found:
        raise _refuse(
            text,
            f"Its {what} cannot change: {', '.join(f'<{path}>' for path in found)} would need a new choice.",
            f"Keep the {what}, or take these elements out of the definition first (virsh edit).",
        )


def _edit_vcpus(text: XmlText, vcpus: int) -> None:
    if vcpus < 1:
        raise _refuse(text, f"{vcpus} vCPUs were asked for; a guest has at least 1.", "Ask for at least 1.")
    node = _required(text, "vcpu")
    old = int(node.text)
    current = int(node.attributes.get("current", old))
    if vcpus == old == current:
        return
    if current != old:
        raise _refuse(
            text,
            f"It has {current} of {old} vCPUs online, so it is not clear which of the two numbers should change.",
            "Make them equal first (virsh setvcpus --config), or keep the vCPUs.",
        )
    _refuse_bound(text, _VCPU_BOUND, "vCPUs")
    text.set_text(node, str(vcpus))
    text.drop_attribute(node, "current")
    _edit_topology(text, vcpus)


def _edit_topology(text: XmlText, vcpus: int) -> None:
    node = text.root.find("cpu/topology")
    if node is None:
        return
    old = {name: int(node.attributes.get(name, "1")) for name in _LEVELS}
    new = fit_topology(Topology(**old), vcpus)
    for name, value in old.items():
        if value != getattr(new, name):
            text.set_attribute(node, name, str(getattr(new, name)))


def _edit_memory(text: XmlText, memory_mib: int) -> None:
    if memory_mib < 1:
        raise _refuse(text, f"{memory_mib} MiB of memory were asked for.", "Ask for at least 1 MiB.")
    node = _required(text, "memory")
    if _bytes(node) // _MIB == memory_mib:
        return
    _refuse_bound(text, _MEMORY_BOUND, "memory")
    limit = text.root.find("memtune/hard_limit")
    if limit is not None and _bytes(limit) < memory_mib * _MIB:
        raise _refuse(
            text,
            f"Its <memtune/hard_limit> of {_bytes(limit) // _MIB} MiB is below the new memory of {memory_mib} MiB, "
            "so the kernel would kill it.",
            "Raise or remove the limit first (virsh memtune --config).",
        )
    for one in (node, text.root.find("currentMemory")):
        if one is not None:
            text.set_text(one, str(memory_mib * _KIB_PER_MIB))
            _set_unit(text, one)


def _set_unit(text: XmlText, node: Node) -> None:
    # KiB is the unit when none is given; a definition that left it out keeps leaving it out.
    if scaled_bytes("1", node.attributes.get("unit", "KiB")) != scaled_bytes("1", "KiB"):
        text.set_attribute(node, "unit", "KiB")


def _bytes(node: Node) -> int:
    return scaled_bytes(node.text, node.attributes.get("unit", "KiB"))


def _edit_paths(text: XmlText, paths: Mapping[str, str]) -> None:
    _check_paths(text, paths)
    for part in (*text.root.find_all("os"), *text.root.find_all("devices")):
        for node in part.walk():
            for name in _PATH_ATTRIBUTES:
                if name in node.attributes:
                    text.set_attribute(node, name, moved_path(node.attributes[name], paths))
            if part.tag == "os" and node.tag in _PATH_ELEMENTS and node.text.strip():
                text.set_text(node, moved_path(node.text.strip(), paths))


def _check_paths(text: XmlText, paths: Mapping[str, str]) -> None:
    for path in (*paths, *paths.values()):
        if not path.startswith("/") or not path.strip("/") or posixpath.normpath(path) != path.rstrip("/"):
            raise _refuse(text, f"{path!r} is not a plain absolute path.", "Give paths from the root, without '..'.")
    moving = [old.rstrip("/") for old, new in paths.items() if old.rstrip("/") != new.rstrip("/")]
    for value in _foreign_values(text.root):
        for old in moving:
            if old in value:
                raise _refuse(
                    text,
                    f"{old} is also named in an argument that is passed on to QEMU as it is: {value}",
                    "Take the argument out of the definition first, or keep the path.",
                )


def _foreign_values(domain: Node) -> Iterator[str]:
    """Attribute values of C(qemu:commandline) and its like, which libvirt does not interpret."""
    for child in domain.children:
        if ":" in child.tag:
            for node in child.walk():
                yield from node.attributes.values()


def _edit_listen(text: XmlText, listen: Mapping[str, str]) -> None:
    for node, name in _listeners(text.root):
        address = node.attributes.get(name, "")
        if address in listen:
            text.set_attribute(node, name, listen[address])


def _listeners(domain: Node) -> Iterator[tuple[Node, str]]:
    # libvirt wants graphics/@listen and the first listen/@address to be equal: both are edited.
    for node in domain.find_all("devices/graphics"):
        yield node, "listen"
    for node in domain.find_all("devices/graphics/listen"):
        yield node, "address"
    for device in ("serial", "console", "parallel", "channel"):
        for node in domain.find_all(f"devices/{device}/source"):
            # In connect mode the address is somebody else's.
            if node.attributes.get("mode") == "bind":
                yield node, "host"


def _is_asked_for(one: Difference, change: DefinitionChange) -> bool:
    if one.xpath in _VCPU_XPATHS:
        return change.vcpus is not None
    if one.xpath in _MEMORY_XPATHS:
        return change.memory_mib is not None
    if one.old is None or one.new is None or not one.xpath.startswith(("/domain/devices/", "/domain/os/")):
        return False
    if one.xpath.endswith(("/@listen", "/@address", "/@host")):
        return change.listen.get(one.old) == one.new
    return moved_path(one.old, change.paths) == one.new


def _missing(after: GuestDefinition, change: DefinitionChange) -> list[str]:
    """XPaths of what was asked for and is not there."""
    missing = []
    if change.vcpus is not None and not change.vcpus == after.vcpus == after.vcpus_current:
        missing.append("/domain/vcpu")
    if change.vcpus is not None and after.topology is not None and after.topology.product != after.vcpus:
        missing.append("/domain/cpu/topology")
    if change.memory_mib is not None and change.memory_mib != after.memory_mib:
        missing.append("/domain/memory")
    return missing
