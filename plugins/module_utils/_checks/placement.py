# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the destination as a place: that it is one, and that it has room and free names.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ansible_collections.kvmops.mobility.plugins.module_utils._checks.codes import found
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.context import Move
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.finding import Finding
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.whereabouts import did_you_mean, listing
from ansible_collections.kvmops.mobility.plugins.module_utils._domain.size import human_bytes
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import Group
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.claim import (
    FULL,
    fits,
    is_open,
    needed_bytes,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import FitFacts

_INODES = 16
"""Inodes beyond one per file: the directory, the record and journal, and rsync's partial files."""


def known(move: Move) -> Iterator[Finding]:
    """The destination must be a hypervisor of the inventory that answers and was asked about the guest."""
    site, name = move.site, move.destination
    if name in site.unreachable:
        yield found(
            "DEST_UNREACHABLE",
            name,
            f"{name}, the destination of {move.name}, did not answer: {site.unreachable[name]}.",
        )
    elif move.target is None:
        names = site.names()
        message = f"{name}, the destination of {move.name}, is not in the group 'hypervisors'. It has {listing(names)}."
        yield found("DEST_UNKNOWN", name, message + did_you_mean(name, names) + _by_hostname(move))
    elif move.fit is None and not _is_source(move):
        yield found("FACTS_MISSING", name, f"{name} was not asked whether it can take {move.name}.")


def _by_hostname(move: Move) -> str:
    aliases = [name for name, facts in sorted(move.site.hypervisors.items()) if facts.hostname == move.destination]
    return f" The host with that name is {aliases[0]} in the inventory." if aliases else ""


def _is_source(move: Move) -> bool:
    """By name, or by the host's UUID: one machine may have two names in the inventory."""
    if move.destination == move.source:
        return True
    here, there = move.site.hypervisors.get(move.source), move.target
    return bool(here and there and here.host_uuid and here.host_uuid == there.host_uuid)


def not_source(move: Move) -> Iterator[Finding]:
    """A guest is not copied onto itself."""
    if not _is_source(move):
        return
    alias = "" if move.destination == move.source else f", which is the same machine as {move.source} (host UUID)"
    yield found("DEST_IS_SOURCE", move.destination, f"{move.name} is on {move.destination} already{alias}.")


def capacity(move: Move) -> Iterator[Finding]:
    """vCPUs, memory and virtual disk by claim; disk on the file system that would hold this guest."""
    if move.target is None or _is_source(move):
        return
    total = move.fit.total_bytes if move.fit else 0
    there = replace(move.target, disk_bytes_total=total) if total else move.target
    for one in fits(there, move.ask, move.request.capacity, without=move.guest.uuid):
        if not one.fits:
            yield found(FULL[one.resource], move.destination, one.refusal(move.name, move.destination))


def memory_now(move: Move) -> Iterator[Finding]:
    """The claim allows it, but the kernel could not give it today."""
    there = move.target
    if there is None or move.guest.is_off or move.ask.memory_mib <= there.memory_mib_free:
        return
    message = (
        f"{move.name} asks for {move.ask.memory_mib} MiB, and only {there.memory_mib_free} MiB are free there now."
    )
    yield found("DEST_MEMORY_LOW", move.destination, message)


def space_now(move: Move) -> Iterator[Finding]:
    """The claim counts virtual sizes, which may be overcommitted: the copy itself must really fit."""
    fit = move.fit
    if fit is None or not fit.parent_exists or _is_source(move):
        return
    before = [one for one in move.planned if one.destination == move.destination]
    for own, free_bytes in _by_file_system(move, fit):
        # Where the others' images go is only known for the destination as a whole: they count on each file system.
        needed = needed_bytes([own, *(one.bytes_to_copy for one in before)])
        if needed > free_bytes:
            others = f" (with {', '.join(one.name for one in before)}, planned before it)" if before else ""
            message = (
                f"the copy of {move.name}{others} needs {human_bytes(needed)} with its margin, and "
                f"{human_bytes(free_bytes)} are really free on {move.destination} for {move.where}."
            )
            yield found("DEST_DISK_FULL", move.destination, message)
    inodes = len(move.guest.directory_entries) + _INODES
    if 0 < fit.free_inodes < inodes:
        message = f"{move.name} needs {inodes} inodes, and {fit.free_inodes} are free for {move.where}."
        yield found("DEST_INODES_FULL", move.destination, message)


def _by_file_system(move: Move, fit: FitFacts) -> tuple[tuple[int, int], ...]:
    """Bytes that the guest brings to each file system of the destination, and what is free there."""
    if len({one.device for one in fit.spaces}) < 2:
        return ((move.bytes_to_copy, fit.free_bytes),)
    bytes_of = move.bytes_by_directory
    free = {one.device: one.free_bytes for one in fit.spaces}
    return tuple(
        (sum(bytes_of.get(one.directory, 0) for one in fit.spaces if one.device == device), free_bytes)
        for device, free_bytes in free.items()
    )


def identity(move: Move) -> Iterator[Finding]:
    """Name and UUID must be free there: of domains, and of guests that are on their way."""
    there = move.target
    if there is None or _is_source(move):
        return
    uuid, name = move.guest.uuid, move.name
    for domain in there.domains:
        if domain.uuid == uuid:
            message = f"the UUID {uuid} of {name} is taken there by the domain {domain.name} ({domain.state})."
            yield found("UUID_TAKEN", move.destination, message)
        elif domain.name == name:
            message = f"the name {name} is taken there by another domain ({domain.uuid}, {domain.state})."
            yield found("NAME_TAKEN", move.destination, message)
    defined = {domain.uuid for domain in there.domains}
    for claim in filter(is_open, there.claims):
        if claim.name == name and claim.uuid not in {uuid, *defined}:
            message = (
                f"the name {name} is taken there by a guest on its way ({claim.uuid}, migration {claim.migration})."
            )
            yield found("NAME_TAKEN", move.destination, message)


def claims(move: Move) -> Iterator[Finding]:
    """What a migration holds whose record cannot be read is not all known: it is counted as far as the record says."""
    there = move.target
    for claim in there.claims if there is not None else ():
        if claim.problem and claim.uuid != move.guest.uuid:
            counted = f"{claim.vcpus} vCPUs, {claim.memory_mib} MiB and {human_bytes(claim.disk_bytes)}"
            message = f"migration {claim.migration} may be open there and is counted with {counted}: "
            message += f"{claim.problem['code']}: {claim.problem['message']}"
            yield found("CLAIM_UNKNOWN", move.destination, message, claim.problem["remedy"])


def paths(move: Move) -> Iterator[Finding]:
    """Nothing may be in the way of the names the move uses; what is unknown is shown, never deleted."""
    fit = move.fit
    if fit is None or not move.places or _is_source(move):
        return
    if fit.existing_paths and fit.storage_shared != "yes":  # else it is the guest's own images that are seen
        message = f"left-over paths are in the way of {move.name} there: {', '.join(fit.existing_paths)}."
        yield found("LEFTOVER_PATHS", move.destination, message)
    if not fit.parent_exists:
        message = f"the directory that would hold {move.where} of {move.name} is not there."
        yield found("DEST_PARENT_MISSING", move.destination, message)
    for other in move.planned:
        taken = [one.place for one in other.parkings if one.place in move.places]
        if other.destination == move.destination and taken:
            message = f"{', '.join(taken)} of {move.name} is there for {other.name}, planned before it."
            yield found("DIRECTORY_TAKEN", move.destination, message)


def source_paths(move: Move) -> Iterator[Finding]:
    """The source's own directory or images are expected; their parked or staged names are left-overs."""
    fit = move.source_fit
    stale = [path for path in fit.existing_paths if path not in move.places] if fit else []
    if stale:
        message = f"left-over paths are in the way of {move.name} there: {', '.join(stale)}."
        yield found("LEFTOVER_PATHS", move.source, message)


def storage(move: Move) -> Iterator[Finding]:
    """Copying onto storage that both hosts see would destroy the only copy."""
    fit = move.fit
    if fit is None or _is_source(move):
        return
    directory = move.where
    if fit.storage_shared == "yes":
        message = f"{directory} of {move.name} on {move.source} is storage that {move.destination} sees too."
        yield found("STORAGE_SHARED", move.destination, message)
    elif fit.storage_shared != "no":
        message = f"whether {move.destination} sees {directory} of {move.name} on {move.source} could not be found out."
        yield found("STORAGE_UNKNOWN", move.destination, message)


def media(move: Move) -> Iterator[Finding]:
    """A medium from elsewhere (an installer's ISO) does not travel with the guest, so it has to be there already."""
    if move.fit is None or _is_source(move):
        return
    for disk in move.guest.disks:
        if disk.path in move.fit.media_missing and disk not in move.carried:
            message = f"this medium does not come with the guest, and {move.destination} has none at the same path."
            yield found("LAYOUT_MEDIUM_ELSEWHERE", move.disk(disk), message)


def groups(move: Move) -> Iterator[Finding]:
    """Guests that belong together, or apart. Those that the same call moves there are no obstacle to being together."""
    there = move.target
    if there is None or _is_source(move):
        return
    for group in move.request.groups:
        if not {move.name, move.guest.uuid} & set(group.guests):
            continue
        here, elsewhere = _members(move, group)
        if group.policy.apart and here:
            what = f"belongs apart from {', '.join(here)}, which {'is' if len(here) == 1 else 'are'} there"
        elif not group.policy.apart and elsewhere:
            what = f"belongs together with {', '.join(elsewhere)}, which is not there"
        else:
            continue
        code = "GROUP_WISH" if group.policy.soft else "GROUP_BROKEN"
        message = f"{move.name} {what} (group {group.name}, {group.policy.value})."
        yield found(code, move.destination, message)


def _members(move: Move, group: Group) -> tuple[list[str], list[str]]:
    """The others of *group* that are at the destination or on their way there, and those that are elsewhere."""
    here: set[str] = set()
    elsewhere: set[str] = set()
    for name, facts in move.site.hypervisors.items():
        known = [(one.uuid, one.name) for one in facts.domains]
        known += [(one.uuid, one.name) for one in facts.claims if is_open(one)]
        others = {called for uuid, called in known if uuid != move.guest.uuid and {uuid, called} & set(group.guests)}
        (here if name == move.destination else elsewhere).update(others)
    together = {one for one in elsewhere if one in move.request.guests}
    return sorted(here), sorted(elsewhere - here - together)


def compression(move: Move) -> Iterator[Finding]:
    """Without zstd, rsync sends every hole as zeros."""
    hosts = [name for name in (move.source, move.destination) if not can_compress(move, name)]
    if move.target is not None and move.has_holes and hosts:
        message = (
            f"the images of {move.name} are mostly holes, and rsync cannot compress with zstd on {', '.join(hosts)}."
        )
        yield found("RSYNC_NO_ZSTD", move.name, message)


def can_compress(move: Move, hypervisor: str) -> bool:
    """Whether rsync on *hypervisor* knows zstd."""
    facts = move.site.hypervisors.get(hypervisor)
    return facts is not None and facts.rsync_zstd


GUEST_CHECKS = (source_paths,)
CHECKS = (
    known,
    not_source,
    claims,
    capacity,
    memory_now,
    space_now,
    identity,
    groups,
    paths,
    storage,
    media,
    compression,
)
