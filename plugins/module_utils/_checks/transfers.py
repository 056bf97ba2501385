# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which way the disks go: the best that the facts allow, or the one that was asked for if they do.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ansible_collections.kvmops.mobility.plugins.module_utils._checks.codes import found
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.context import Move
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.finding import Finding
from ansible_collections.kvmops.mobility.plugins.module_utils._domain.size import human_bytes
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import Transfer
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.claim import needed_bytes

MIRROR_LIBVIRT = 8_000_000
"""VIR_DOMAIN_BLOCK_COPY_SYNCHRONOUS_WRITES came with libvirt 8.0.0: without it, what a guest wrote last may be missing
in the copy of a guest that goes off (measured)."""


@dataclass(frozen=True)
class Choice:
    """A transfer, and why it is this one."""

    transfer: Transfer
    reason: str


def choose(move: Move) -> Choice:
    """The transfer that was asked for, else a mirror where one is possible, else rsync."""
    obstacle = mirror_obstacle(move)
    if move.request.transfer is not None:
        return Choice(move.request.transfer, "asked for")
    if obstacle:
        return Choice(Transfer.RSYNC, obstacle)
    return Choice(Transfer.MIRROR, "the guest runs, so its disks are mirrored before it stops")


def mirror_obstacle(move: Move) -> str:
    """Why the disks cannot be mirrored, empty when they can."""
    source, target = move.site.hypervisors.get(move.source), move.target
    if move.guest.is_off:
        return "the guest is off, and only a guest that runs can be mirrored"
    snapshots = [disk.target for disk in move.carried if disk.internal_snapshots]
    if snapshots:
        return f"a mirror would lose the internal snapshots of {', '.join(snapshots)}"
    if source is not None and source.libvirt_version < MIRROR_LIBVIRT:
        return f"libvirt on {move.source} is older than 8.0 and cannot copy disks with synchronous writes"
    if target is not None and not target.qemu_nbd:
        return f"there is no qemu-nbd on {move.destination}"
    return ""


def possible(move: Move) -> Iterator[Finding]:
    """The transfer that was asked for must be one that can be had."""
    obstacle = mirror_obstacle(move)
    if move.request.transfer is Transfer.MIRROR and obstacle:
        yield found("TRANSFER_IMPOSSIBLE", move.name, f"transfer=mirror was asked for, but {obstacle}.")


def room_to_flatten(move: Move) -> Iterator[Finding]:
    """rsync sends files: an image with backing files is written out as one beside it first."""
    fit = move.source_fit
    if fit is None or not move.flattened or choose(move).transfer is not Transfer.RSYNC:
        return
    needed = needed_bytes([disk.copied_bytes for disk in move.flattened])
    free_bytes = min([fit.free_bytes, *(one.free_bytes for one in fit.spaces)])
    if needed > free_bytes:
        disks = ", ".join(disk.target for disk in move.flattened)
        message = f"to flatten {disks} of {move.name} takes {human_bytes(needed)} beside it, and "
        yield found("SOURCE_DISK_FULL", move.source, f"{message}{human_bytes(free_bytes)} are free there.")


CHECKS = (possible, room_to_flatten)
