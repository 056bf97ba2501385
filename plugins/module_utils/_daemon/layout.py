# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How libvirt is run on a host: by which daemon, who listens, and what stands in its way. Pure.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._unit.shown import Shown

SERVICE = "libvirtd.service"
LOCAL = ("libvirtd.socket", "libvirtd-ro.socket", "libvirtd-admin.socket")
REMOTE = {"tls": "libvirtd-tls.socket", "tcp": "libvirtd-tcp.socket"}
PROXY = "virtproxyd.service"
PROXY_REMOTE = {"tls": "virtproxyd-tls.socket", "tcp": "virtproxyd-tcp.socket"}
QEMU = ("virtqemud.service", "virtqemud.socket")
LISTENERS = (*REMOTE.values(), *PROXY_REMOTE.values())
UNITS = (SERVICE, *LOCAL, PROXY, "virtproxyd.socket", *LISTENERS, *QEMU)
PROPERTIES = (
    "Id",
    "LoadState",
    "ActiveState",
    "UnitFileState",
    "NeedDaemonReload",
    "DropInPaths",
    "EnvironmentFiles",
    "Environment",
)
ARGUMENTS = "LIBVIRTD_ARGS"


class Layout(Enum):
    """Who answers when libvirt is called."""

    SOCKET = "socket"
    """libvirtd, started by systemd's sockets: the default of Debian, and of libvirt from 5.6 on."""
    TRADITIONAL = "traditional"
    """libvirtd that opens its sockets itself; those of systemd are masked."""
    MODULAR = "modular"
    """A daemon for each driver (virtqemud), and virtproxyd for who comes from outside: RHEL from 9 on, Fedora."""
    ABSENT = "absent"
    """None of them is installed."""


@dataclass(frozen=True)
class Unit:
    """A unit of systemd as it is."""

    name: str
    there: bool = False
    masked: bool = False
    active: bool = False
    failed: bool = False
    enabled: bool = False
    outdated: bool = False
    """systemd knows that its files changed since it read them."""
    drop_ins: tuple[str, ...] = ()
    """Paths of those that systemd read."""


@dataclass(frozen=True)
class Facts:
    """What systemd says."""

    units: Mapping[str, Unit] = field(default_factory=dict)
    arguments_file: str = ""
    """Where the service's command line is set, such as /etc/default/libvirtd; empty when nowhere."""
    default_arguments: str = ""
    """What it is when that file does not say, such as --timeout 120."""

    def unit(self, name: str) -> Unit:
        """That unit, also when systemd was not asked for it."""
        return self.units.get(name, Unit(name))

    @property
    def layout(self) -> Layout:
        """Which of them it is; libvirtd's where both are installed and neither runs nor is enabled."""
        modular = any(self.unit(one).active or self.unit(one).enabled for one in QEMU)
        mine = (SERVICE, *LOCAL)
        monolithic = any(self.unit(one).active or self.unit(one).enabled for one in mine)
        if modular and not monolithic:
            return Layout.MODULAR
        if not self.unit(SERVICE).there:
            return Layout.MODULAR if any(self.unit(one).there for one in QEMU) else Layout.ABSENT
        socket = self.unit(LOCAL[0])
        if socket.masked or (self.unit(SERVICE).active and not socket.active and not socket.enabled):
            return Layout.TRADITIONAL
        return Layout.SOCKET

    @property
    def mixed(self) -> bool:
        """Whether both kinds of daemon run: they fight over the same guests."""
        return any(self.unit(one).active for one in QEMU) and any(self.unit(one).active for one in (SERVICE, *LOCAL))

    def as_result(self) -> dict[str, Any]:
        """Plain JSON. Not failed: that word is Ansible's own."""
        there = [one for one in self.units.values() if one.there]
        return {
            "layout": self.layout.value,
            "mixed": self.mixed,
            "active_units": sorted(one.name for one in there if one.active),
            "failed_units": sorted(one.name for one in there if one.failed),
            "masked_units": sorted(one.name for one in there if one.masked),
            "arguments_file": self.arguments_file,
            "default_arguments": self.default_arguments,
        }


def parse(text: str) -> Facts:
    """From the output of C(systemctl show) for several units: blocks of C(name=value), parted by blank lines."""
    units: dict[str, Unit] = {}
    arguments_file = default = ""
    for block in text.split("\n\n"):
        shown = Shown.parse(block)
        name = shown["Id"]
        if not name:
            continue
        units[name] = Unit(
            name,
            there=shown.there,
            masked=shown["LoadState"] == "masked",
            active=shown.active,
            failed=shown["ActiveState"] == "failed",
            enabled=shown["UnitFileState"] in ("enabled", "enabled-runtime"),
            outdated=shown["NeedDaemonReload"] == "yes",
            drop_ins=tuple(shown["DropInPaths"].split()),
        )
        if name == SERVICE:
            arguments_file = shown["EnvironmentFiles"].partition(" (")[0]
            default = _arguments(shown["Environment"])
    return Facts(units, arguments_file, default)


def _arguments(environment: str) -> str:
    """LIBVIRTD_ARGS of a line such as C(LIBVIRTD_ARGS="--timeout 120") or C("LIBVIRTD_ARGS=--timeout 120")."""
    _before, found, rest = environment.partition(f"{ARGUMENTS}=")
    return rest.strip('"').strip() if found else ""
