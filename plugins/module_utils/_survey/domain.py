# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads one domain into DomainFacts. Changes nothing.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

from ansible_collections.kvmops.mobility.plugins.module_utils._disk import directory, image
from ansible_collections.kvmops.mobility.plugins.module_utils._domain.definition import DiskElement, GuestDefinition
from ansible_collections.kvmops.mobility.plugins.module_utils._domain.edit import live_difference
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt import pidfile
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.domain import Domain
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.hypervisor import Hypervisor
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import DiskFacts, DomainFacts, LinkFacts
from ansible_collections.kvmops.mobility.plugins.module_utils._survey import belonging

_BLOCK = 512
_LINKS = 200
"""QEMU opens no longer chains."""


def disk_paths(domains: Sequence[Domain]) -> Mapping[str, tuple[str, ...]]:
    """What each domain's definitions name, stored and live, and the backing files of its disks, by its name."""
    return {one.name: tuple(dict.fromkeys(path for xml in _definitions(one) for path in _of(xml))) for one in domains}


def _definitions(domain: Domain) -> tuple[str, ...]:
    """A running domain may have a disk that its stored definition does not have, and the other way round."""
    return tuple(dict.fromkeys(domain.xml(inactive=inactive) for inactive in (True, False)))


def _of(xml: str) -> Iterator[str]:
    for disk in GuestDefinition.from_xml(xml).disks:
        yield from _paths(disk)
    yield from belonging.named(xml)  # UEFI variables, a log: what goes with the directory must be nobody else's


def _paths(disk: DiskElement) -> Iterator[str]:
    """The disk's own and those below it. Of a raw disk only its own: what its first bytes say is the guest's word."""
    path = disk.path
    seen: set[str] = set()
    while path and path not in seen and len(seen) < _LINKS:
        seen.add(path)
        yield path
        path = image.recorded_backing(path) if disk.format != "raw" else ""


def chosen(hypervisor: Hypervisor, names: Sequence[str] | None, clock: Callable[[], float]) -> tuple[DomainFacts, ...]:
    """The guests that are here of *names* (or UUIDs); without it, all."""
    everyone = hypervisor.domains()
    wanted = [one for one in everyone if names is None or one.name in names or one.uuid in names]
    neighbours = disk_paths(everyone) if wanted else {}
    pools = hypervisor.storage_pools() if wanted else ()
    places = belonging.Places()
    return tuple(survey(one, neighbours, clock, pools, places) for one in wanted)


def survey(
    domain: Domain,
    neighbours: Mapping[str, tuple[str, ...]],
    clock: Callable[[], float],
    pools: Collection[str] = (),
    places: belonging.Places | None = None,
) -> DomainFacts:
    """All that a move needs to know of *domain*.

    *neighbours* are the C(disk_paths()) of the hypervisor's domains, *pools* the targets of its storage pools, *places*
    what surveys of others at the same time have looked up.
    """
    state = domain.state()
    off = state == "shut off"
    stored = domain.xml(inactive=True)
    live = "" if off else domain.xml(inactive=False)
    definition = GuestDefinition.from_xml(stored)
    own = own_directory(definition)
    entries = directory.entries(own) if own else ()
    disks = tuple(survey_disk(one, _users(one, domain, neighbours)) for one in definition.disks)
    mine = (*_own_paths(stored, live), *(one.data_file for one in disks if one.data_file))
    return DomainFacts(
        uuid=domain.uuid,
        name=domain.name,
        state=state,
        persistent=domain.is_persistent(),
        autostart=domain.is_persistent() and domain.autostart(),
        xml=stored,
        live_xml=live,
        live_differs=live_difference(stored, live) if live else "",
        managed_save=domain.has_managed_save(),
        snapshots=domain.snapshots(),
        checkpoints=domain.checkpoints(),
        block_jobs=() if off else tuple(one.target for one in definition.disks if _has_job(domain, one)),
        disks=disks,
        directory=own,
        directory_entries=entries,
        directory_users=_users_below(own, domain, neighbours, places or belonging.Places()) if own else (),
        uptime_s=None if off else _uptime_s(domain.name, clock()),
        directories=directories(definition),
        directory_foreign=belonging.foreign(own, entries, mine),
        directory_special=belonging.special(own, pools) if own else "",
    )


def _own_paths(*definitions: str) -> tuple[str, ...]:
    """Every file that the guest's definitions name, and what is below its disks."""
    return tuple(path for xml in definitions if xml for path in (*belonging.named(xml), *_of(xml)))


def directories(definition: GuestDefinition) -> tuple[str, ...]:
    """The directories that hold the guest's writable images."""
    files = (one for one in definition.disks if one.source_type == "file" and one.path and not one.readonly)
    return tuple(dict.fromkeys(os.path.dirname(one.path) for one in files))


def own_directory(definition: GuestDefinition) -> str:
    """The one directory that holds every writable disk of the guest, empty when they are spread or not files."""
    writable = [one for one in definition.disks if not one.readonly and one.path]
    parents = {os.path.dirname(one.path) for one in writable}
    return parents.pop() if len(parents) == 1 else ""


def _has_job(domain: Domain, disk: DiskElement) -> bool:
    return disk.device == "disk" and domain.has_block_job(disk.target)


def _users(disk: DiskElement, domain: Domain, neighbours: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Other domains; and loop devices, which the hand-over would wait for in vain, behind the guest's stop."""
    loops = directory.loops([disk.path]) if disk.path and not disk.readonly else ()
    return (*_users_of(disk.path, domain, neighbours), *loops)


def _users_of(path: str, domain: Domain, neighbours: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The other domains that have *path*, under whatever name it has."""
    wanted = os.path.realpath(path) if path else ""
    others = (name for name in neighbours if name != domain.name)
    return tuple(sorted(name for name in others if wanted in map(os.path.realpath, neighbours[name]))) if wanted else ()


def _users_below(
    own: str, domain: Domain, neighbours: Mapping[str, tuple[str, ...]], places: belonging.Places
) -> tuple[str, ...]:
    """The other domains with a disk in the directory *own*, or with a second name of a file there."""
    files = belonging.identities(os.path.join(own, one.name) for one in directory.entries(own))

    def uses(paths: tuple[str, ...]) -> bool:
        return any(places.is_inside(path, own) or places.file(path) in files for path in paths)

    return tuple(sorted(name for name, paths in neighbours.items() if name != domain.name and uses(paths)))


def _uptime_s(name: str, now: float, pidfiles: str = pidfile.DIRECTORY) -> int | None:
    """Seconds since the QEMU process started, by the age of its pid file; None when libvirt keeps it elsewhere."""
    try:
        return max(0, int(now - pidfile.path(name, pidfiles).stat().st_mtime))
    except OSError:
        return None


def survey_disk(disk: DiskElement, users: tuple[str, ...] = ()) -> DiskFacts:
    """A disk of the definition, and the image at its path when it is a file; *users* are the others that have it."""
    status = _stat(disk.path)
    regular = status is not None and stat.S_ISREG(status.st_mode)
    found, error = _inspect(disk) if regular else (None, "")
    return DiskFacts(
        target=disk.target,
        device=disk.device,
        source_type=disk.source_type,
        path=disk.path,
        format=disk.format,
        boot_order=disk.boot_order,
        readonly=disk.readonly,
        shareable=disk.shareable,
        startup_policy=disk.startup_policy,
        exists=status is not None,
        regular_file=regular and not Path(disk.path).is_symlink(),
        virtual_bytes=found.virtual_bytes if found else 0,
        allocated_bytes=status.st_blocks * _BLOCK if status else 0,
        apparent_bytes=status.st_size if status else 0,
        backing_path=found.backing_path if found else "",
        data_file=found.data_file if found else "",
        qcow2_compat=found.compat if found else "",
        internal_snapshots=found.internal_snapshots if found else 0,
        probed_format=image.looks_like(disk.path) if regular and not error else "",
        uid=status.st_uid if status else 0,
        gid=status.st_gid if status else 0,
        mode=stat.S_IMODE(status.st_mode) if status else 0,
        error=error,
        cluster_bytes=found.cluster_bytes if found else 0,
        backing=_backing(found) if found else (),
        users=users,
    )


def _backing(top: image.Image) -> tuple[LinkFacts, ...]:
    """The chain below *top*, each link opened as the one above records it, never by its looks."""
    links: list[LinkFacts] = []
    above = top
    while above.backing_path and len(links) < _LINKS:
        link, found = _link(above)
        links.append(link)
        if found is None:
            break
        above = found
    return tuple(links)


def _plain(path: str) -> str:
    """*path* without detours, where that is the same file: behind a symbolic link '..' may lead elsewhere."""
    plain = os.path.normpath(path)
    return plain if os.path.realpath(plain) == os.path.realpath(path) else path


def _link(above: image.Image) -> tuple[LinkFacts, image.Image | None]:
    """The backing file of *above*, and its image when it can be opened."""
    path, backing_format = _plain(above.backing_path), above.backing_format
    if not backing_format:
        return LinkFacts(path, "", 0, "no format is recorded for it"), None
    if not os.path.isabs(path) or not os.path.isfile(path):
        return LinkFacts(path, backing_format, 0, "it is not a file of this hypervisor"), None
    try:
        found = image.inspect(path, backing_format)
    except MobilityError as error:
        return LinkFacts(path, backing_format, 0, error.message), None
    problem = f"its data is in another file: {found.data_file}" if found.data_file else ""
    return LinkFacts(path, backing_format, os.stat(path).st_blocks * _BLOCK, problem), found


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path) if path else None
    except OSError:
        return None


def _inspect(disk: DiskElement) -> tuple[image.Image | None, str]:
    try:
        return image.inspect(disk.path, disk.format or "raw"), ""
    except MobilityError as error:
        return None, error.message
