# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of a live migration: what libvirt or QEMU would refuse in the middle, and what they would not notice.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import ipaddress
import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from ansible_collections.kvmops.mobility.plugins.module_utils._checks import disks
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.codes import found
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.context import Move
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.finding import Finding
from ansible_collections.kvmops.mobility.plugins.module_utils._domain.definition import GuestDefinition
from ansible_collections.kvmops.mobility.plugins.module_utils._domain.size import human_bytes
from ansible_collections.kvmops.mobility.plugins.module_utils._live.options import (
    SAFE_DISKS_TLS_QEMU,
    Options,
    Versions,
    conflicts,
    dotted,
    effective,
    too_old,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.claim import needed_bytes
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import DiskFacts, HypervisorFacts

MOVABLE_STATES = ("running", "blocked", "paused")
SAFE_CACHES = frozenset({"none", "directsync"})
"""With these nothing of a disk is kept in the memory of a hypervisor."""
CLOCKS_S = 2.0
"""Less is not told from the time that the survey of a hypervisor takes."""
_SHARED_BY_HARDWARE = ("host-passthrough", "maximum")


# --- what is asked for, and what becomes of it ---------------------------------------------------------------------


def writable(move: Move) -> tuple[DiskFacts, ...]:
    """The disks that the guest writes to and nobody else may."""
    return tuple(
        disk for disk in move.guest.disks if disk.source_type and disk.path and not (disk.readonly or disk.shareable)
    )


def sees(move: Move, disk: DiskFacts) -> str:
    """Whether the destination sees what the source has in the directory of *disk*: yes, no or unknown."""
    return move.fit.shares(posixpath.dirname(disk.path)) if move.fit else "unknown"


def copied(move: Move) -> tuple[DiskFacts, ...]:
    """The disks whose contents are copied: those that only the source sees. Never one that both see."""
    if move.request.live is None or move.request.live.copy_disks is False:
        return ()
    return tuple(disk for disk in writable(move) if sees(move, disk) == "no")


def requested(move: Move) -> Options:
    """The options as they were asked for, with what the storage says of *copy_disks* and libvirt's files of *tls*."""
    if move.request.live is None:
        return Options(copy_disks=False)
    given = move.request.live.options
    return replace(given, copy_disks=bool(copied(move)), tls=given.tls or bool(tls_forced_by(move)))


def tls_forced_by(move: Move) -> tuple[str, ...]:
    """The hypervisors whose libvirt would refuse memory in the clear."""
    return tuple(name for name, facts in _ends(move) if facts.migrate_tls_forced)


def used(move: Move) -> tuple[Options, tuple[str, ...]]:
    """The options that the job is started with, and why they are not all that was asked for."""
    return effective(requested(move), paused=move.guest.state == "paused")


def listening(move: Move) -> Mapping[str, str]:
    """What of the guest listens on the source's own address, which has to be the destination's there."""
    here, there = (move.site.addresses.get(name, "") for name in (move.source, move.destination))
    return {one: there for one in _listeners(move) if there and one == here and _is_address(there)}


def _listeners(move: Move) -> tuple[str, ...]:
    return GuestDefinition.from_xml(move.guest.live_xml or move.guest.xml).listens


# --- the guest -------------------------------------------------------------------------------------------------------


def state(move: Move) -> Iterator[Finding]:
    """Only a guest with a memory of its own can be moved with it."""
    if move.guest.state in MOVABLE_STATES:
        return
    message = f"the guest is {move.guest.state} on {move.source}; it must be running or paused to be moved live."
    remedy = "Start it, or use kvmops.mobility.migrate." if move.guest.is_off else ""
    yield found("WRONG_STATE", move.name, message, remedy)


# --- the disks -------------------------------------------------------------------------------------------------------


def storage(move: Move) -> Iterator[Finding]:
    """Each disk is either seen by both or copied; what is not certain is neither."""
    live = move.request.live
    if move.fit is None or live is None or move.destination == move.source:
        return
    for disk in writable(move):
        seen, where = sees(move, disk), posixpath.dirname(disk.path)
        if seen == "unknown":
            message = f"whether {move.destination} sees {where} of {move.source} could not be found out."
            yield found("STORAGE_UNKNOWN", move.disk(disk), message)
        elif seen == "yes" and live.copy_disks:
            message = f"copy_disks=true, and {move.destination} sees {where} too: it would be copied onto itself."
            yield found("LIVE_OPTIONS_CONFLICT", move.disk(disk), message, "Leave copy_disks out.")
        elif seen == "no" and live.copy_disks is False:
            message = f"copy_disks=false, and {move.destination} does not see {where}: the guest would have no disk."
            yield found("LIVE_OPTIONS_CONFLICT", move.disk(disk), message, "Leave copy_disks out.")


def shareable(move: Move) -> Iterator[Finding]:
    """A disk with several writers is never copied, so both hypervisors have to see it."""
    for disk in move.guest.disks:
        if disk.source_type and disk.shareable and move.fit is not None and sees(move, disk) != "yes":
            message = f"it is shareable, so it is not copied, and {move.destination} does not see it."
            yield found("DISK_SHAREABLE", move.disk(disk), message)


def media(move: Move) -> Iterator[Finding]:
    """What the guest cannot write to is not copied: it has to be there at the same path."""
    for disk in move.guest.disks:
        if move.fit is not None and disk.readonly and disk.path in move.fit.media_missing:
            message = f"a live migration does not copy this medium, and {move.destination} has none at the same path."
            yield found("LAYOUT_MEDIUM_ELSEWHERE", move.disk(disk), message)


def _of_those_copied(check: Callable[[Move], Iterator[Finding]]) -> Callable[[Move], Iterator[Finding]]:
    """*check* as if the guest had no other disks."""

    def narrowed(move: Move) -> Iterator[Finding]:
        return check(replace(move, guest=replace(move.guest, disks=copied(move))))

    narrowed.__doc__ = check.__doc__
    return narrowed


def inner_snapshots(move: Move) -> Iterator[Finding]:
    """What is copied is what the guest sees now, and nothing of the image around it."""
    for disk in copied(move):
        if disk.internal_snapshots and not disk.backing_path:
            message = f"a copy would lose its {disk.internal_snapshots} internal snapshot(s)."
            yield found("LIVE_INTERNAL_SNAPSHOTS", move.disk(disk), message)


def caches(move: Move) -> Iterator[Finding]:
    """What one hypervisor keeps of a shared disk in its memory, the other one does not see: libvirt refuses that."""
    modes = {disk.target: disk.cache for disk in move.definition.disks}
    for disk in writable(move):
        mode = modes.get(disk.target, "")
        if sees(move, disk) == "yes" and mode not in SAFE_CACHES:
            message = f"both hypervisors see it, and its cache mode is '{mode or 'default'}'."
            yield found("LIVE_CACHE_UNSAFE", move.disk(disk), message)


# --- the destination -------------------------------------------------------------------------------------------------


def room(move: Move) -> Iterator[Finding]:
    """What is allocated has to fit; where all of it would not, the guest could fill the destination's storage."""
    fit, mine = move.fit, copied(move)
    if fit is None or not mine:
        return
    before = [one for one in move.planned if one.destination == move.destination]
    needed = needed_bytes([*(one.copied_bytes for one in mine), *(one.bytes_to_copy for one in before)])
    free_bytes = min([fit.free_bytes, *(one.free_bytes for one in fit.spaces)])
    disks_of = ", ".join(one.target for one in mine)
    if needed > free_bytes:
        others = f" (with {', '.join(one.name for one in before)}, planned before it)" if before else ""
        message = (
            f"the copy of {disks_of} of {move.name}{others} needs {human_bytes(needed)} with its margin, and "
            f"{human_bytes(free_bytes)} are really free there."
        )
        yield found("DEST_DISK_FULL", move.destination, message)
    elif sum(one.virtual_bytes for one in mine) > free_bytes:
        message = (
            f"{disks_of} of {move.name} may grow to {human_bytes(sum(one.virtual_bytes for one in mine))}, and "
            f"{human_bytes(free_bytes)} are free there."
        )
        yield found("LIVE_DISKS_GROW", move.destination, message)


def paths(move: Move) -> Iterator[Finding]:
    """The images are made under their own names, so these must be free."""
    if move.fit is None:
        return
    mine = [one.path for one in copied(move)]
    taken = [one for one in mine if one in move.fit.existing_paths]
    if taken:
        message = f"left-over paths are in the way of {move.name} there: {', '.join(taken)}."
        yield found("LEFTOVER_PATHS", move.destination, message)
    for other in move.planned:
        there = [one.place for one in other.parkings if one.place in mine]
        if other.destination == move.destination and there:
            message = f"{', '.join(there)} of {move.name} is there for {other.name}, planned before it."
            yield found("DIRECTORY_TAKEN", move.destination, message)


def _ends(move: Move) -> tuple[tuple[str, HypervisorFacts], ...]:
    """Both hypervisors with their facts; none while one of them is not known."""
    here, there = move.site.hypervisors.get(move.source), move.target
    return ((move.source, here), (move.destination, there)) if here and there else ()


def options(move: Move) -> Iterator[Finding]:
    """What does not go together, what is left out, and what one side is too old for."""
    ends = _ends(move)
    if not ends or move.fit is None:
        return
    for one in conflicts(requested(move)):
        yield found("LIVE_OPTIONS_CONFLICT", one.options, one.message, one.remedy)
    wanted, left_out = used(move)
    for words in left_out:
        yield found("LIVE_OPTION_LEFT_OUT", move.name, words)
    versions = tuple(Versions(name, facts.libvirt_version, facts.qemu_version) for name, facts in ends)
    for words in too_old(wanted, versions):
        yield found("LIVE_TOO_OLD", move.name, words)
    fragile = [one.name for one in versions if wanted.tls and wanted.copy_disks and one.qemu < SAFE_DISKS_TLS_QEMU]
    if fragile:
        message = f"QEMU on {', '.join(fragile)} is older than {dotted(SAFE_DISKS_TLS_QEMU)}, and disks go through TLS."
        yield found("LIVE_TLS_FRAGILE", move.name, message)


def emulators(move: Move) -> Iterator[Finding]:
    """A QEMU reads what an older one has sent, and not the other way round."""
    ends = _ends(move)
    if not ends:
        return
    (_source, here), (_destination, there) = ends
    words = f"QEMU is {dotted(here.qemu_version)} on {move.source} and {dotted(there.qemu_version)} on"
    if here.qemu_version > there.qemu_version:
        yield found("LIVE_QEMU_OLDER", move.destination, f"{words} {move.destination}, the destination of {move.name}.")
    elif here.qemu_version < there.qemu_version:
        yield found("LIVE_NO_WAY_BACK", move.name, f"{words} {move.destination}.")


def processors(move: Move) -> Iterator[Finding]:
    """A guest that was shown the processor as it is goes on using what the other one may not have."""
    mode = move.definition.cpu_mode
    if mode in _SHARED_BY_HARDWARE and move.definition.domain_type == "kvm":
        yield found("CPU_PASSTHROUGH", move.name, f"its CPU mode is {mode}: it sees the processor of {move.source}.")


def listeners(move: Move) -> Iterator[Finding]:
    """An address that the destination does not have cannot be listened on there."""
    known = listening(move)
    odd = [one for one in _listeners(move) if one not in known and not _is_everywhere(one)]
    if odd and move.target is not None:
        message = f"its graphics or serial lines listen on {', '.join(odd)}, which {move.destination} may not have."
        yield found("LIVE_LISTEN", move.name, message)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_everywhere(text: str) -> bool:
    """Whether each host has it."""
    if not _is_address(text):
        return text == "localhost"
    address = ipaddress.ip_address(text)
    return address.is_unspecified or address.is_loopback


def clocks(move: Move) -> Iterator[Finding]:
    """A guest that follows its hypervisor's clock would see it jump."""
    ahead = move.site.ahead_s
    if move.source not in ahead or move.destination not in ahead:
        return
    offset = ahead[move.destination] - ahead[move.source]
    if abs(offset) >= CLOCKS_S:
        message = f"the clocks of {move.source} and {move.destination} are {abs(offset):.1f} s apart."
        yield found("CLOCKS_DIFFER", move.destination, message)


GUEST_CHECKS = (state,)
CHECKS = (
    storage,
    shareable,
    media,
    *(_of_those_copied(one) for one in (disks.used_by_others, disks.chains)),
    inner_snapshots,
    caches,
    room,
    paths,
    options,
    emulators,
    processors,
    listeners,
    clocks,
)
