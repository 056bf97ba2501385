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

    @property
    def machine(self) -> str:
        """What the machine that all labs run on calls it."""
        return f"{self.name}-{INSTANCE}" if INSTANCE else self.name

    @property
    def port(self) -> str:
        """Its end of the link on the machine, as systemd-nspawn names it."""
        return f"vb-{self.machine}"


LAST_INSTANCE = 24
"""Ten addresses each is what fits into the network."""


def _instance() -> int:
    word = os.environ.get("KVMLAB_INSTANCE", "0")
    if not word.isdigit() or int(word) > LAST_INSTANCE:
        raise SystemExit(f"lab: KVMLAB_INSTANCE={word}: give a number from 0 to {LAST_INSTANCE}")
    return int(word)


INSTANCE = _instance()
"""Which of several labs on one machine this is; they share nothing but the cache."""

MOST_HOSTS = 4
"""Hosts a lab can have; two unless it is asked for more."""


def _count() -> int:
    """As many as KVMLAB_HOSTS says, and all that were made: `down` takes every one of them away."""
    word = os.environ.get("KVMLAB_HOSTS") or "2"
    if not word.isdigit() or not 2 <= int(word) <= MOST_HOSTS:
        raise SystemExit(f"lab: KVMLAB_HOSTS={word}: give a number from 2 to {MOST_HOSTS}")
    made = [number for number in range(1, MOST_HOSTS + 1) if (run_dir() / f"hosts/c{number}").is_dir()]
    return max(int(word), *made) if made else int(word)


def run_dir() -> Path:
    """Everything one lab is made of; gone after `down`."""
    return Path(f"/var/lib/kvmlab-{INSTANCE}" if INSTANCE else "/var/lib/kvmlab")


# The machine itself may sit in 192.0.2.0/24, so the lab uses another documentation network.
ALL_HOSTS = tuple(
    HostSpec(f"c{number}", f"198.51.100.{10 * INSTANCE + 10 + number}") for number in range(1, MOST_HOSTS + 1)
)
"""Those there could be: every host knows their names from the start, so that one that comes later changes nothing."""
HOSTS = ALL_HOSTS[: _count()]
NETWORK = "198.51.100.0/24"
BRIDGE = f"kvmlab{INSTANCE}"
# Instance 0 has the whole network on its bridge; the others are reached by a route to each host, which goes before it.
BRIDGE_ADDRESS = f"198.51.100.{10 * INSTANCE + 10}/32" if INSTANCE else "198.51.100.1/24"
GUEST_BRIDGE = "br0"

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


def ssh_dir() -> Path:
    """The lab's own key and the host keys it trusts."""
    return run_dir() / "ssh"


def guests_dir() -> Path:
    """What was seeded into each guest, for `guest verify`."""
    return run_dir() / "guests"


def ticks_dir() -> Path:
    """What guests were seen to do, and who watches them."""
    return run_dir() / "ticks"


def host_spec(name: str) -> HostSpec:
    """The host of that name, or an error with the names there are."""
    for spec in HOSTS:
        if spec.name == name:
            return spec
    known = ", ".join(spec.name for spec in HOSTS)
    raise LabError(f"no host {name!r} in the lab; there are {known}")


EMULATOR_WRAPPER = """\
#!/bin/bash
# libvirt asks for "-accel tcg"; the emulator gets one thread for all its vCPUs.
arguments=()
for argument; do
    [[ $argument == tcg ]] && argument=tcg,thread=single
    arguments+=("$argument")
done
exec /usr/bin/qemu-system-x86_64.real "${arguments[@]}"
"""
