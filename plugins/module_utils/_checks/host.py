# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks that the destination can start the guest: networks, architecture, machine, firmware, CPU.

They are made before the stop because a start that fails is an outage.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.kvmops.mobility.plugins.module_utils._checks.codes import found
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.context import Move
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.finding import Finding
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.whereabouts import listing

_RUNS_ALSO = {("x86_64", "i686"), ("aarch64", "armv7l"), ("ppc64le", "ppc64"), ("ppc64", "ppc64le")}
"""(hypervisor, guest): hardware virtualization of another architecture than the hypervisor's own."""
_NEEDS_NOTHING = frozenset({"bridge", "network", "user", "null", "hostdev", "vdpa"})
"""Interface kinds with a check of their own, or with nothing on the hypervisor to check."""


def networks(move: Move) -> Iterator[Finding]:
    """What each interface plugs into must be there."""
    there = move.target
    if there is None:
        return
    for one in move.definition.interfaces:
        what = f"the interface {one.mac or '(no MAC)'} of {move.name}"
        if one.kind == "bridge" and one.source not in there.bridges:
            message = f"{what} needs the bridge '{one.source}'. Bridges there: {listing(there.bridges) or 'none'}."
            yield found("BRIDGE_MISSING", move.destination, message)
        elif one.kind == "network" and one.source not in there.networks:
            message = f"{what} needs the network '{one.source}'. Active there: {listing(there.networks) or 'none'}."
            yield found("NETWORK_MISSING", move.destination, message)
        elif one.kind not in _NEEDS_NOTHING:
            message = f"{what} is of type '{one.kind}' ({one.source or 'no source'}), which cannot be checked there."
            yield found("INTERFACE_UNSUPPORTED", move.destination, message)


def architecture(move: Move) -> Iterator[Finding]:
    """Hardware virtualization is of the hypervisor's own architecture; emulation is the emulator's matter."""
    there, guest = move.target, move.definition
    if there is None or not _foreign(move):
        return
    message = (
        f"{move.name} is a {guest.domain_type} guest of architecture {guest.arch}, {move.destination} is {there.arch}."
    )
    yield found("ARCH_UNSUPPORTED", move.destination, message)


def _foreign(move: Move) -> bool:
    there, guest = move.target, move.definition
    if there is None or guest.domain_type == "qemu" or not guest.arch:
        return False
    return guest.arch != there.arch and (there.arch, guest.arch) not in _RUNS_ALSO


def startable(move: Move) -> Iterator[Finding]:
    """Domain type, emulator and machine type; a machine that is refused because of the others is not said twice."""
    fit, guest = move.fit, move.definition
    if fit is None or _foreign(move):
        return
    if not fit.domain_type_ok:
        message = f"{move.name} is of domain type '{guest.domain_type}' ({guest.arch}), which is not offered there."
        yield found("DOMAIN_TYPE_UNSUPPORTED", move.destination, message)
    if not fit.emulator_ok:
        message = f"{move.name} needs the emulator {guest.emulator or f'for {guest.arch}'}, which cannot be run there."
        yield found("EMULATOR_MISSING", move.destination, message)
    if fit.domain_type_ok and fit.emulator_ok and (not fit.machine_ok or fit.capabilities_error):
        words = f" libvirt says: {fit.capabilities_error}" if fit.capabilities_error else ""
        message = f"{move.name} has the machine type {guest.machine}, which is not known there.{words}"
        yield found("MACHINE_UNSUPPORTED", move.destination, message)


def firmware(move: Move) -> Iterator[Finding]:
    """Firmware, kernel and initrd are read from the hypervisor at every start."""
    if move.fit is not None and move.fit.firmware_missing:
        message = f"{move.name} starts from files that are not there: {', '.join(move.fit.firmware_missing)}."
        yield found("FIRMWARE_MISSING", move.destination, message)


def cpu(move: Move) -> Iterator[Finding]:
    """libvirt's own comparison of the guest's CPU with what that hypervisor can give."""
    if move.fit is None or move.fit.cpu in ("identical", "superset"):
        return
    if move.fit.cpu == "incompatible":
        message = f"the CPU of {move.name} needs features that {move.destination} does not have."
        yield found("CPU_INCOMPATIBLE", move.destination, message)
    else:
        version = _version(move.target.libvirt_version) if move.target else "unknown"
        message = f"libvirt {version} could not compare the CPU of {move.name} with its own ({move.fit.cpu})."
        yield found("CPU_NOT_COMPARED", move.destination, message)


def _version(number: int) -> str:
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"


def vcpus(move: Move) -> Iterator[Finding]:
    """A machine type has a largest number of vCPUs, whatever the capacity."""
    if move.fit is not None and 0 < move.fit.vcpus_max < move.new.vcpus:
        message = (
            f"{move.name} would have {move.new.vcpus} vCPUs; its machine type {move.definition.machine} allows "
            f"{move.fit.vcpus_max} there."
        )
        yield found("VCPUS_OVER_MACHINE", move.destination, message)


CHECKS = (networks, architecture, startable, firmware, cpu, vcpus)
