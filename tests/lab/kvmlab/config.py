# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab is made of: names, addresses, sizes and the places it keeps things."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


class LabError(Exception):
    """Something the person at the keyboard has to know about, in one line."""


@dataclass(frozen=True)
class HostSpec:
    """One host of the lab, before anything of it exists."""

    name: str
    address: str


# The machine itself may sit in 192.0.2.0/24, so the lab uses another documentation network.
HOSTS = (HostSpec("c1", "198.51.100.11"), HostSpec("c2", "198.51.100.12"))
NETWORK = "198.51.100.0/24"
BRIDGE = "kvmlab0"
BRIDGE_ADDRESS = "198.51.100.1/24"
GUEST_BRIDGE = "br0"

MIGRATION_USER = "kvmops"
MIGRATION_HOME = "/var/lib/kvmops-home"
IMAGES_DIR = "/var/lib/libvirt/images"
RECORDS_DIR = "/var/lib/kvmops"
BOOT_DIR = "/var/lib/libvirt/boot"
KERNEL = f"{BOOT_DIR}/kvmlab-vmlinux"
INITRD = f"{BOOT_DIR}/kvmlab-initrd"

STORAGE_BYTES = 400 * 1024**3

MIB = 1024**2
GIB = 1024**3


def cache_dir() -> Path:
    """What is slow to make and the same for every lab; survives `down`."""
    return Path(os.environ.get("KVMLAB_CACHE", "/var/cache/kvmlab"))


def run_dir() -> Path:
    """Everything one lab is made of; gone after `down`."""
    return Path(os.environ.get("KVMLAB_RUN", "/var/lib/kvmlab"))


def ssh_dir() -> Path:
    """The lab's own key and the host keys it trusts."""
    return run_dir() / "ssh"


def guests_dir() -> Path:
    """What was seeded into each guest, for `guest verify`."""
    return run_dir() / "guests"


def host_spec(name: str) -> HostSpec:
    """The host of that name, or an error with the names there are."""
    for spec in HOSTS:
        if spec.name == name:
            return spec
    known = ", ".join(spec.name for spec in HOSTS)
    raise LabError(f"no host {name!r} in the lab; there are {known}")
