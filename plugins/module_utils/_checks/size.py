# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the new size against the old one and the definition.

vCPUs and memory may become smaller; a disk never does.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.kvmops.mobility.plugins.module_utils._checks.codes import found
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.context import Move
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.finding import Finding
from ansible_collections.kvmops.mobility.plugins.module_utils._domain.size import human_bytes
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import Operation


def same_size(move: Move) -> Iterator[Finding]:
    """A resize to the size it has would be an outage for nothing."""
    if move.request.operation is not Operation.RESIZE or move.old != move.new or not move.old.root_bytes:
        return
    wanted = f"flavor {move.request.flavor.name}" if move.request.flavor else "the size asked for"
    size = f"{move.old.vcpus} vCPUs, {move.old.memory_mib} MiB, root {human_bytes(move.old.root_bytes)}"
    yield found("SAME_FLAVOR", move.name, f"the guest has {wanted} already: {size}.")


def root_to_zero(move: Move) -> Iterator[Finding]:
    """Nova reads a root of zero as "whatever the image has"; for a disk with data it is nothing but a loss."""
    if move.old.root_bytes and not move.new.root_bytes:
        wanted = f"flavor {move.request.flavor.name}" if move.request.flavor else "root_gib"
        message = f"{wanted} asks for a root disk of 0 GiB; it has {human_bytes(move.old.root_bytes)}."
        yield found("ROOT_TO_ZERO", move.disk(move.root), message)


def shrink(move: Move) -> Iterator[Finding]:
    """Compared with the size the disk really has, never with a flavor's."""
    if 0 < move.new.root_bytes < move.old.root_bytes:
        message = (
            f"it is {human_bytes(move.old.root_bytes)} ({move.old.root_bytes} bytes) and would become "
            f"{human_bytes(move.new.root_bytes)}; a disk may only grow."
        )
        yield found("DISK_SHRINK", move.disk(move.root), message)


def numa(move: Move) -> Iterator[Finding]:
    """NUMA cells say how vCPUs and memory are divided, which another size breaks."""
    if move.definition.numa_cells and move.changes_cpu_or_memory:
        yield found("NUMA_RESIZE", move.name, f"the definition has NUMA cells, and {_change(move)}.")


def pins(move: Move) -> Iterator[Finding]:
    """Pins name vCPUs of the old size and processors of the source."""
    if not move.definition.pinned:
        return
    if move.changes_cpu_or_memory:
        yield found("PINNED_RESIZE", move.name, f"the definition pins vCPUs, threads or memory, and {_change(move)}.")
    else:
        message = f"the definition pins vCPUs, threads or memory to processors or nodes of {move.source}."
        yield found("PINNED_MOVE", move.name, message)


def max_memory(move: Move) -> Iterator[Finding]:
    """maxMemory and its DIMM slots are bounds that the new size may break."""
    if move.definition.max_memory and move.changes_cpu_or_memory:
        yield found("MAX_MEMORY_RESIZE", move.name, f"the definition has maxMemory, and {_change(move)}.")


def hugepages(move: Move) -> Iterator[Finding]:
    """Huge pages are set aside by hand on each hypervisor; whether enough are free is not checked yet."""
    if not move.definition.hugepages:
        return
    if move.changes_cpu_or_memory:
        yield found("HUGEPAGES_RESIZE", move.name, f"the definition asks for huge pages, and {_change(move)}.")
    else:
        yield found("HUGEPAGES_MOVE", move.name, f"the definition asks for {move.new.memory_mib} MiB of huge pages.")


def vcpu_current(move: Move) -> Iterator[Finding]:
    """Some vCPUs are unplugged: which number the new size means is the operator's to say."""
    guest = move.definition
    if guest.vcpus_current != guest.vcpus and move.changes_cpu_or_memory:
        message = f"{guest.vcpus_current} of its {guest.vcpus} vCPUs are plugged (vcpu current), and {_change(move)}."
        yield found("VCPU_CURRENT_RESIZE", move.name, message)


def _change(move: Move) -> str:
    old, new = move.old, move.new
    return f"the size changes from {old.vcpus} vCPUs and {old.memory_mib} MiB to {new.vcpus} and {new.memory_mib} MiB"


CHECKS = (same_size, root_to_zero, shrink, numa, pins, max_memory, hugepages, vcpu_current)
