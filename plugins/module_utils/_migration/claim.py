# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capacity: what a hypervisor has left for one more guest. Pure counting over facts.

A guest counts once per hypervisor however often it is seen there (as a domain, as the claim of an open
migration, or both), with the larger of each number. A domain that is off counts, as it does in Nova: it
may be started at any time. The source keeps a guest's claim until confirm, so that a revert always fits.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from ansible_collections.kvmops.mobility.plugins.module_utils._checks.codes import CODES
from ansible_collections.kvmops.mobility.plugins.module_utils._domain.size import human_bytes
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import Capacity, ClaimRule
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import (
    ClaimFacts,
    DomainSummary,
    HypervisorFacts,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import GIB, Migration
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.state import CLOSED

_DISK_DEVICES = ("disk", "lun")
"""Drives with removable media take no capacity: their images are read-only and small."""
_CLOSED = frozenset(status.value for status in CLOSED)

COPY_MARGIN_RATIO = 0.05
"""Room beyond the bytes to copy: a running guest goes on writing between the plan and its stop, and the file
system needs metadata and whole blocks for what it stores."""
COPY_MARGIN_BYTES = 64 * 2**20
"""The same for small guests, bytes: 5 % of little is less than one journal or a burst of guest writes."""


class Resource(enum.Enum):
    """What is claimed. The value is the unit it is counted in."""

    VCPUS = "vCPUs"
    MEMORY = "MiB of memory"
    DISK = "GiB of disk"


FULL = {
    Resource.VCPUS: "DEST_VCPUS_FULL",
    Resource.MEMORY: "DEST_MEMORY_FULL",
    Resource.DISK: "DEST_DISK_FULL",
}
"""The code of each resource that is short."""


@dataclass(frozen=True)
class Amount:
    """So much of each resource; disk in bytes of virtual size."""

    vcpus: int = 0
    memory_mib: int = 0
    disk_bytes: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(
            self.vcpus + other.vcpus,
            self.memory_mib + other.memory_mib,
            self.disk_bytes + other.disk_bytes,
        )

    def larger(self, other: Amount) -> Amount:
        """The larger of each number."""
        return Amount(
            max(self.vcpus, other.vcpus),
            max(self.memory_mib, other.memory_mib),
            max(self.disk_bytes, other.disk_bytes),
        )

    @classmethod
    def of(cls, facts: DomainSummary | ClaimFacts) -> Amount:
        """What one domain or one claim takes."""
        return cls(facts.vcpus, facts.memory_mib, facts.disk_bytes)


@dataclass(frozen=True)
class ResourceFit:
    """One resource of one hypervisor, counted for one guest; all numbers in the resource's unit."""

    resource: Resource
    ask: float
    total: float
    ratio: float
    reserved: float
    used: float
    rule: ClaimRule

    @property
    def limit(self) -> float:
        """What may be given out in all."""
        return limit(self.total, self.ratio, self.reserved, self.rule)

    @property
    def free(self) -> float:
        """What is left; below zero when more is given out than the limit allows."""
        return self.limit - self.used

    @property
    def fits(self) -> bool:
        """Whether the guest may have what it asks for."""
        return self.ask <= self.free

    def refusal(self, guest: str, hypervisor: str) -> str:
        """What is short, with the numbers."""
        return (
            f"{guest} asks for {number(self.ask)} {self.resource.value}, {hypervisor} has {number(self.free)} "
            f"by claim ({self.formula()}, rule {self.rule.value})."
        )

    def formula(self) -> str:
        """How free was counted, for an operator: C((32168 - 512) x 1 - 8192 used = 23464)."""
        held = f"({number(self.total)} - {number(self.reserved)} reserved)"
        base = held if self.rule is ClaimRule.PLACEMENT and self.reserved else number(self.total)
        return f"{base} x {number(self.ratio)} - {number(self.used)} used = {number(self.free)}"


def limit(total: float, ratio: float, reserved: float, rule: ClaimRule) -> float:
    """What may be given out of *total*, never below zero; all in one unit."""
    kept = reserved if rule is ClaimRule.PLACEMENT else 0
    return max(0.0, (total - kept) * ratio)


def free(total: float, ratio: float, reserved: float, used: float, rule: ClaimRule) -> float:
    """What is left of *total* when *used* is given out; below zero on an overcommitted hypervisor."""
    return limit(total, ratio, reserved, rule) - used


def is_open(claim: ClaimFacts) -> bool:
    """Whether the claim still holds capacity."""
    return claim.status not in _CLOSED


def usage(hypervisor: HypervisorFacts, without: str = "") -> Amount:
    """What is given out on *hypervisor*, counted by UUID; the guest with the UUID *without* is left out."""
    holders: list[DomainSummary | ClaimFacts] = [*hypervisor.domains, *filter(is_open, hypervisor.claims)]
    by_uuid: dict[str, Amount] = {}
    for holder in holders:
        if holder.uuid != without:
            by_uuid[holder.uuid] = by_uuid.get(holder.uuid, Amount()).larger(Amount.of(holder))
    return sum(by_uuid.values(), Amount())


def fits(hypervisor: HypervisorFacts, ask: Amount, capacity: Capacity, without: str = "") -> tuple[ResourceFit, ...]:
    """vCPUs, memory and disk of *hypervisor* counted for a guest that asks for *ask*.

    *without* is the guest's own UUID: what it holds there already is not counted against it.
    """
    used = usage(hypervisor, without)
    return (
        ResourceFit(
            Resource.VCPUS,
            ask.vcpus,
            hypervisor.vcpus_total,
            capacity.cpu_ratio,
            capacity.reserved_vcpus,
            used.vcpus,
            capacity.rule,
        ),
        ResourceFit(
            Resource.MEMORY,
            ask.memory_mib,
            hypervisor.memory_mib_total,
            capacity.memory_ratio,
            capacity.reserved_memory_mib,
            used.memory_mib,
            capacity.rule,
        ),
        ResourceFit(
            Resource.DISK,
            ask.disk_bytes / GIB,
            hypervisor.disk_bytes_total / GIB,
            capacity.disk_ratio,
            capacity.reserved_disk_gib,
            used.disk_bytes / GIB,
            capacity.rule,
        ),
    )


def free_memory_mib(hypervisor: HypervisorFacts, capacity: Capacity, without: str = "") -> float:
    """Memory left by claim, MiB: what C(dest=auto) ranks hypervisors by."""
    found = {one.resource: one.free for one in fits(hypervisor, Amount(), capacity, without)}
    return found[Resource.MEMORY]


def needed_bytes(to_copy: Iterable[int]) -> int:
    """Really free bytes that a copy of files with these allocated sizes needs, the margin included.

    The claim counts virtual sizes, which an operator may overcommit; this is what the file system must hold today.
    """
    allocated = sum(to_copy)
    return allocated + max(COPY_MARGIN_BYTES, int(allocated * COPY_MARGIN_RATIO))


def shortage(hypervisor: HypervisorFacts, migration: Migration) -> Refused | None:
    """Why *migration* no longer fits on its destination, None when it does: asked once more when it is claimed.

    A migration that holds its claim there already keeps it, whatever has been claimed or copied since.
    """
    if any(claim.migration == migration.id and is_open(claim) for claim in hypervisor.claims):
        return None
    disks = sum(disk.new_bytes for disk in migration.disks if disk.device in _DISK_DEVICES)
    ask = Amount(migration.new.vcpus, migration.new.memory_mib, disks)
    for one in fits(hypervisor, ask, migration.capacity, without=migration.uuid):
        if not one.fits:
            return _refused(FULL[one.resource], migration, one.refusal(migration.name, migration.destination))
    needed = needed_bytes([migration.bytes_to_copy])
    if needed > hypervisor.disk_bytes_free:
        message = (
            f"the copy of {migration.name} needs {human_bytes(needed)} with its margin, and "
            f"{human_bytes(hypervisor.disk_bytes_free)} are really free."
        )
        return _refused(FULL[Resource.DISK], migration, message)
    return None


def _refused(code: str, migration: Migration, message: str) -> Refused:
    return Refused(code, migration.destination, message, CODES[code].remedy)


def number(value: float) -> str:
    """A number as an operator reads it: no needless decimals, never an exponent."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
