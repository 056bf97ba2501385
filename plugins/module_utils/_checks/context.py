# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the checks look at: everything known of the hypervisors, and one guest's move on it.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from ansible_collections.kvmops.mobility.plugins.module_utils._domain.definition import GuestDefinition
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import layout
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import Request
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.claim import Amount, is_open
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import (
    ClaimFacts,
    DiskFacts,
    DomainFacts,
    FitFacts,
    ForecastFacts,
    HypervisorFacts,
    LockFacts,
    ProofFacts,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Layout, Migration, Size
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.state import Status


@dataclass(frozen=True)
class Site:
    """What locate found. Every key that names a hypervisor is its inventory name."""

    hypervisors: Mapping[str, HypervisorFacts]
    unreachable: Mapping[str, str] = field(default_factory=dict)
    """Hypervisors that gave no answer, and why."""
    guests: Mapping[str, tuple[DomainFacts, ...]] = field(default_factory=dict)
    """The guests that were asked for, on each hypervisor that has them."""
    fits: Mapping[str, Mapping[str, FitFacts]] = field(default_factory=dict)
    """By hypervisor, then by the guest's UUID. The source's own entry tells of left-over paths there."""
    addresses: Mapping[str, str] = field(default_factory=dict)
    """Where other hypervisors' ssh reaches each; one without an entry is reached by its inventory name."""
    proofs: Mapping[str, Mapping[str, ProofFacts]] = field(default_factory=dict)
    """By source, then by destination: whether the source's ssh gets there. Those that could be asked for."""
    ahead_s: Mapping[str, float] = field(default_factory=dict)
    """Each hypervisor's clock minus the controller's, seconds; as exact as one module call."""
    forecasts: Mapping[str, ForecastFacts] = field(default_factory=dict)
    """By source. Those that were asked to measure."""

    def names(self) -> tuple[str, ...]:
        """Every hypervisor of the inventory, whether it answered or not."""
        return tuple(sorted({*self.hypervisors, *self.unreachable}))

    def claims_of(self, uuid: str) -> tuple[tuple[str, ClaimFacts], ...]:
        """The open claims of a guest, each with the hypervisor that holds it."""
        return tuple(
            (name, claim)
            for name, facts in sorted(self.hypervisors.items())
            for claim in facts.claims
            if claim.uuid == uuid and is_open(claim)
        )

    def locks_of(self, uuid: str) -> tuple[tuple[str, LockFacts], ...]:
        """The locks held on a guest, each with the hypervisor that holds it."""
        return tuple(
            (name, lock)
            for name, facts in sorted(self.hypervisors.items())
            for lock in facts.locks
            if lock.uuid == uuid
        )

    def with_planned(self, migration: Migration) -> Site:
        """The same site once *migration* has claimed its place, so that the next guest is counted beside it."""
        facts = self.hypervisors[migration.destination]
        claim = ClaimFacts(
            migration=migration.id,
            uuid=migration.uuid,
            name=migration.name,
            role="destination",
            peer=migration.source,
            status=Status.PRE_MIGRATING.value,
            operation=migration.operation,
            vcpus=migration.new.vcpus,
            memory_mib=migration.new.memory_mib,
            disk_bytes=sum(disk.new_bytes for disk in migration.disks),
        )
        return replace(
            self,
            hypervisors={**self.hypervisors, migration.destination: replace(facts, claims=(*facts.claims, claim))},
        )


@dataclass(frozen=True)
class Move:
    """One guest's move to one destination, before anything was changed."""

    request: Request
    site: Site
    source: str
    guest: DomainFacts
    definition: GuestDefinition
    root: DiskFacts
    """The root disk, whose size the request is about."""
    old: Size
    new: Size
    destination: str = ""
    """Empty while only the guest itself is checked."""
    planned: tuple[Migration, ...] = ()
    """The guests of the same call that were planned before this one."""

    @property
    def name(self) -> str:
        """The guest's name: the subject of what the checks say of it."""
        return self.guest.name

    @property
    def target(self) -> HypervisorFacts | None:
        """The destination's facts, None when it is unknown or did not answer."""
        return self.site.hypervisors.get(self.destination)

    @property
    def fit(self) -> FitFacts | None:
        """What the destination says about the guest, None when it was not asked."""
        return self.site.fits.get(self.destination, {}).get(self.guest.uuid)

    @property
    def source_fit(self) -> FitFacts | None:
        """What the source says about the names the move will use there, None when it was not asked."""
        return self.site.fits.get(self.source, {}).get(self.guest.uuid)

    @property
    def changes_cpu_or_memory(self) -> bool:
        """Whether the definition's vCPUs or memory change."""
        return (self.old.vcpus, self.old.memory_mib) != (self.new.vcpus, self.new.memory_mib)

    @property
    def grows_root(self) -> bool:
        """Whether the root disk becomes larger."""
        return self.new.root_bytes > self.old.root_bytes

    @property
    def ask(self) -> Amount:
        """What the guest takes on its destination."""
        disks = sum(disk.virtual_bytes for disk in self.guest.disks if not disk.readonly)
        return Amount(self.new.vcpus, self.new.memory_mib, disks + self.new.root_bytes - self.old.root_bytes)

    @property
    def layout(self) -> Layout:
        """Whether the guest goes with its directory, or file by file."""
        return layout.of(self.guest)

    @property
    def carried(self) -> tuple[DiskFacts, ...]:
        """The disks and drives that go with the guest."""
        return layout.carried(self.guest)

    @property
    def places(self) -> tuple[str, ...]:
        """What is renamed, and arrives under the same name."""
        return layout.places(self.guest)

    @property
    def where(self) -> str:
        """The places for a message."""
        return ", ".join(self.places) or "the guest's disks"

    @property
    def flattened(self) -> tuple[DiskFacts, ...]:
        """The disks whose copy is one image without the backing files that they have here."""
        return tuple(disk for disk in self.carried if disk.backing)

    @property
    def bytes_to_copy(self) -> int:
        """Allocated bytes of what is sent."""
        return sum(self.bytes_by_directory.values())

    @property
    def bytes_by_directory(self) -> Mapping[str, int]:
        """The same, by the directory that will hold them at the destination.

        A flattened image is taken to have what it and its backing files have together, which is the most it can have.
        """
        found: dict[str, int] = {}
        for path, allocated, _apparent in self._sent():
            found[path] = found.get(path, 0) + allocated
        return found

    @property
    def has_holes(self) -> bool:
        """Whether more than half of the files' length is holes, which rsync sends as zeros unless it compresses."""
        return sum(apparent for _path, _allocated, apparent in self._sent()) > 2 * self.bytes_to_copy

    def _sent(self) -> Iterator[tuple[str, int, int]]:
        """The directory that will hold it, allocated and apparent bytes of each file that is sent."""
        files = self.layout is Layout.FILES
        for disk in self.carried:
            if disk.backing or files:
                length = disk.copied_bytes if disk.backing else disk.apparent_bytes
                yield posixpath.dirname(self._place_of(disk)), disk.copied_bytes, length
        if not files:
            parent = posixpath.dirname(self.guest.directory)
            for entry in self.guest.directory_entries:
                if entry.kind == "file" and f"{self.guest.directory}/{entry.name}" not in self._replaced():
                    yield parent, entry.allocated_bytes, entry.apparent_bytes

    def _place_of(self, disk: DiskFacts) -> str:
        return disk.path if self.layout is Layout.FILES else self.guest.directory

    def _replaced(self) -> frozenset[str]:
        """Paths that are not sent because flattened images hold what is in them."""
        return frozenset(path for disk in self.flattened for path in (disk.path, *(one.path for one in disk.backing)))

    def disk(self, disk: DiskFacts) -> str:
        """A disk as the subject of what a check says of it."""
        return f"{self.name}, {disk.device} {disk.target} ({disk.path or 'no path'})"
