# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Target sizes: flavors, and the disk they are about. Pure, no libvirt.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._domain.definition import DiskElement, GuestDefinition
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import Flavor

DEFAULT_FLAVORS: dict[str, Flavor] = {
    flavor.name: flavor
    for flavor in (
        Flavor("m1.tiny", vcpus=1, memory_mib=512, root_gib=1),
        Flavor("m1.small", vcpus=1, memory_mib=2048, root_gib=20),
        Flavor("m1.medium", vcpus=2, memory_mib=4096, root_gib=40),
        Flavor("m1.large", vcpus=4, memory_mib=8192, root_gib=80),
        Flavor("m1.xlarge", vcpus=8, memory_mib=16384, root_gib=160),
    )
}
"""OpenStack's five."""

_MINIMUM = {"vcpus": 1, "memory_mib": 1, "root_gib": 0, "ephemeral_gib": 0, "swap_mib": 0}
_REQUIRED = ("vcpus", "memory_mib", "root_gib")
_OPENSTACK_NAMES = {
    "ram": "memory_mib",
    "memory": "memory_mib",
    "disk": "root_gib",
    "root": "root_gib",
    "swap": "swap_mib",
}
_DISK_DEVICES = ("disk", "lun")


def flavors_from(mapping: Mapping[str, Any]) -> dict[str, Flavor]:
    """Flavors from a variable of the form C({name: {vcpus, memory_mib, root_gib[, ephemeral_gib, swap_mib]}}).

    Whole numbers may also be strings of digits, which is what C(-e) makes of them. Only what the mapping holds is
    returned. Raises Refused C(FLAVOR_INVALID) naming the flavor, the key and what is allowed.
    """
    if not isinstance(mapping, Mapping):
        raise _invalid("kvmops_flavors", f"They are a {type(mapping).__name__}, not a mapping of names to sizes.")
    return {str(name): _flavor(str(name), values) for name, values in mapping.items()}


def resolve_flavor(name: str, flavors: Mapping[str, Flavor]) -> Flavor:
    """The flavor of that name.

    Raises Refused C(FLAVOR_UNKNOWN) naming those that exist, and C(FLAVOR_PART_UNMAPPED) when it asks for an
    ephemeral or swap disk, which a plain libvirt guest has no place for.
    """
    if name not in flavors:
        near = difflib.get_close_matches(name, flavors, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]}?" if near else ""
        known = ", ".join(flavors) or "none"
        raise Refused("FLAVOR_UNKNOWN", name, "There is no flavor of that name.", f"These exist: {known}.{hint}")
    flavor = flavors[name]
    extra = {"ephemeral_gib": flavor.ephemeral_gib, "swap_mib": flavor.swap_mib}
    asked = [f"{key}={value}" for key, value in extra.items() if value]
    if asked:
        raise Refused(
            "FLAVOR_PART_UNMAPPED",
            name,
            f"It asks for {' and '.join(asked)}, and a guest has no disk that these stand for.",
            "Use a flavor where both are 0; add such disks to the guest as disks of its own.",
        )
    return flavor


def root_disk(definition: GuestDefinition, override: str | None = None) -> DiskElement:
    """The disk that a root size is about: *override* by target, else the lowest boot order, else the first target.

    CD-ROM and floppy drives are never it. Raises Refused C(ROOT_DISK_UNKNOWN) naming the targets there are.
    """
    disks = [disk for disk in definition.disks if disk.device in _DISK_DEVICES]
    chosen = [disk for disk in disks if disk.target == override] if override else disks
    if not chosen:
        what = f"It has no disk {override}." if override else "It has no disk at all."
        targets = ", ".join(disk.target for disk in disks) or "none"
        raise Refused("ROOT_DISK_UNKNOWN", definition.name, what, f"Its disks: {targets}. Name one with root_disk=.")
    bootable = [disk for disk in chosen if disk.boot_order is not None]
    return min(bootable or chosen, key=lambda disk: (disk.boot_order or 0, *_target_order(disk, disks)))


def human_bytes(count: int) -> str:
    """*count* bytes for a reader, in binary units: '80 GiB', '1.5 MiB', '512 B'."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB", "PiB"):
        if abs(value) < 1024 or unit == "PiB":
            break
        value /= 1024
    return f"{value:.1f}".removesuffix(".0") + f" {unit}"


def _invalid(subject: str, message: str, allowed: str = "") -> Refused:
    remedy = allowed or f"A flavor has {', '.join(_REQUIRED)}, and may have ephemeral_gib and swap_mib."
    return Refused("FLAVOR_INVALID", subject, message, remedy)


def _flavor(name: str, values: Any) -> Flavor:
    if not name.strip():
        raise _invalid("kvmops_flavors", "One has an empty name.")
    if not isinstance(values, Mapping):
        raise _invalid(name, f"It is {values!r}, not a mapping.")
    for key in values:
        if key not in _MINIMUM:
            raise _invalid(name, f"Unknown key {key}.{_near_key(str(key))}")
    for key in _REQUIRED:
        if key not in values:
            raise _invalid(name, f"Key {key} is missing.")
    return Flavor(name=name, **{str(key): _whole(name, str(key), value) for key, value in values.items()})


def _near_key(key: str) -> str:
    near = _OPENSTACK_NAMES.get(key.lower()) or next(iter(difflib.get_close_matches(key, _MINIMUM, n=1)), "")
    return f" Did you mean {near}?" if near else ""


def _whole(name: str, key: str, value: Any) -> int:
    # YAML's yes and true are integers to Python.
    usable = isinstance(value, int) and not isinstance(value, bool)
    if isinstance(value, str) and re.fullmatch(r"[0-9]+", value.strip()):
        usable = True
    if not usable or int(value) < _MINIMUM[key]:
        raise _invalid(name, f"Key {key} is {value!r}.", f"It must be a whole number of at least {_MINIMUM[key]}.")
    return int(value)


def _target_order(disk: DiskElement, disks: list[DiskElement]) -> tuple[int, int, str]:
    """vda < vdb < … < vdaa; disks of another bus (sda) come where the definition first has one, as in libvirt."""
    buses = [_bus(one.target) for one in disks]
    return buses.index(_bus(disk.target)), len(disk.target), disk.target


def _bus(target: str) -> str:
    return target[:2]
