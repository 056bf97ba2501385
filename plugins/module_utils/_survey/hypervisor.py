# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads one hypervisor into HypervisorFacts. Changes nothing.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from ansible_collections.kvmops.mobility.plugins.module_utils._command import run
from ansible_collections.kvmops.mobility.plugins.module_utils._conf import virconf
from ansible_collections.kvmops.mobility.plugins.module_utils._conf.text import Syntax
from ansible_collections.kvmops.mobility.plugins.module_utils._disk import image
from ansible_collections.kvmops.mobility.plugins.module_utils._domain.definition import GuestDefinition
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError, NotFound
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.domain import Domain
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.hypervisor import Hypervisor
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import closed, journal, lock, record, state
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import (
    ClaimFacts,
    DomainSummary,
    HypervisorFacts,
    LockFacts,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.store import Store
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.unreadable import Unreadable
from ansible_collections.kvmops.mobility.plugins.module_utils._survey import unreadable

_QUICK_S = 20
_FORCE = "migrate_tls_force"


def survey(hypervisor: Hypervisor, store: Store, images: str, clock: Callable[[], float]) -> HypervisorFacts:
    """All that a move needs to know of a hypervisor; *images* is a path on the file system that holds guests."""
    libvirt_version, qemu_version = hypervisor.versions()
    capabilities = hypervisor.capabilities()
    memory = _meminfo_mib()
    space = os.statvfs(_existing(images))
    return HypervisorFacts(
        hostname=hypervisor.hostname,
        host_uuid=capabilities.findtext("host/uuid", ""),
        arch=capabilities.findtext("host/cpu/arch", ""),
        libvirt_version=libvirt_version,
        qemu_version=qemu_version,
        vcpus_total=os.cpu_count() or 1,
        memory_mib_total=memory["MemTotal"],
        memory_mib_free=memory["MemAvailable"],
        disk_bytes_total=space.f_blocks * space.f_frsize,
        disk_bytes_free=space.f_bfree * space.f_frsize,
        domains=_summaries(hypervisor),
        claims=claims(store),
        locks=tuple(LockFacts.from_result(one.as_result()) for one in lock.all_held(store)),
        networks=hypervisor.active_networks(),
        bridges=_bridges(),
        rsync_zstd=_rsync_zstd(),
        clock=clock(),
        qemu_nbd=shutil.which("qemu-nbd") is not None,
        migrate_tls_forced=_tls_forced(),
    )


def _existing(path: str) -> str:
    """*path* or the nearest parent that exists."""
    here = Path(path)
    return str(next(one for one in (here, *here.parents) if one.exists()))


def _meminfo_mib(path: str = "/proc/meminfo") -> dict[str, int]:
    lines = (line.split() for line in Path(path).read_text(encoding="ascii").splitlines())
    return {words[0].rstrip(":"): int(words[1]) // 1024 for words in lines}


def _bridges(root: str = "/sys/class/net") -> tuple[str, ...]:
    links = Path(root)
    return tuple(sorted(one.name for one in links.iterdir() if (one / "bridge").is_dir())) if links.is_dir() else ()


def _tls_forced(path: str = "/etc/libvirt/qemu.conf") -> bool:
    """As libvirt reads it. One that libvirt could not read, it could not have started with."""
    try:
        return virconf.parse(Path(path).read_text(encoding="utf-8", errors="surrogateescape")).get(_FORCE) == 1
    except (OSError, Syntax):
        return False


def _rsync_zstd() -> bool:
    try:
        words = run(("rsync", "--version"), timeout_s=_QUICK_S).stdout
    except MobilityError:
        return False
    return " zstd" in words


def _summaries(hypervisor: Hypervisor) -> tuple[DomainSummary, ...]:
    """Domains come and go while they are read: one that is gone counts no more."""
    found = []
    for domain in hypervisor.domains():
        try:
            found.append(summary(domain))
        except NotFound:
            continue
    return tuple(found)


def summary(domain: Domain) -> DomainSummary:
    """What capacity counting needs of a domain."""
    definition = GuestDefinition.from_xml(domain.xml(inactive=True))
    return DomainSummary(
        uuid=domain.uuid,
        name=domain.name,
        state=domain.state(),
        vcpus=definition.vcpus,
        memory_mib=definition.memory_mib,
        disk_bytes=sum(_virtual_bytes(one.path, one.format) for one in definition.disks if not one.readonly),
    )


def _virtual_bytes(path: str, image_format: str) -> int:
    """Virtual size; a parked or network disk, or one that cannot be read, counts nothing here."""
    if not os.path.isfile(path):
        return 0
    if image_format == "raw":
        return os.path.getsize(path)
    try:
        return image.inspect(path, image_format).virtual_bytes
    except MobilityError:
        return 0


def claims(store: Store) -> tuple[ClaimFacts, ...]:
    """Capacity that open migrations hold here: the new size on a destination, the old on a source.

    One that cannot be read is among them, with what its record still says.
    """
    over = closed.read_all(store)
    found = (_claim(store, one) for one in store.migrations() if one not in over)
    return tuple(claim for claim in found if claim is not None)


def _claim(store: Store, migration_id: str) -> ClaimFacts | None:
    try:
        kept = record.read(store, migration_id)
        if kept is None:
            return None
        status = state.derive_alone(journal.read(store, migration_id), kept.role)
    except Unreadable as error:
        return unreadable.claim(store, migration_id, error)
    if status in state.CLOSED:
        return None
    migration = kept.migration
    size = migration.new if kept.role == "destination" else migration.old
    arriving = kept.role == "destination"
    return ClaimFacts(
        migration=migration.id,
        uuid=migration.uuid,
        name=migration.name,
        role=kept.role,
        peer=kept.peer,
        status=status.value,
        operation=migration.operation,
        vcpus=size.vcpus,
        memory_mib=size.memory_mib,
        disk_bytes=sum(disk.new_bytes if arriving else disk.old_bytes for disk in migration.disks),
    )
