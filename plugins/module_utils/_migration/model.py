# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was asked and what was planned: plain frozen data, made on the controller.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Any

GIB = 2**30
CHECKED_FORMATS = frozenset({"qcow2"})
"""Those of C(qemu-img check) that guests are moved with."""


class Operation(enum.Enum):
    """What an operator can ask for one guest."""

    RESIZE = "resize"
    MIGRATE = "migrate"
    CONFIRM = "confirm"
    REVERT = "revert"


class Transfer(enum.Enum):
    """How the contents of the disks get to the destination."""

    MIRROR = "mirror"
    """While the guest runs, every write goes to both hosts; nothing is left to send when it stops."""
    RSYNC = "rsync"
    """Files: most of them while the guest runs, what changed since when it is off."""


class Verify(enum.Enum):
    """How the copy is compared with the source before the guest is started from it."""

    QUICK = "quick"
    FULL = "full"


class ClaimRule(enum.Enum):
    """How free capacity is counted.

    C(placement): (total - reserved) * ratio - used, as OpenStack placement does.
    C(kilo): total * ratio - used, as Nova did up to Kilo (seen in its claim logs).
    """

    PLACEMENT = "placement"
    KILO = "kilo"


@dataclass(frozen=True)
class Flavor:
    """A named target size. Units are in the names; OpenStack's C(root_gib) 0 is refused."""

    name: str
    vcpus: int
    memory_mib: int
    root_gib: int
    ephemeral_gib: int = 0
    swap_mib: int = 0


@dataclass(frozen=True)
class Size:
    """A guest's size."""

    vcpus: int
    memory_mib: int
    root_bytes: int

    def as_result(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Capacity:
    """Allocation ratios and what is kept for the hypervisor itself.

    The defaults are those of current Nova (4.0 / 1.0 / 1.0, 512 MiB).
    """

    rule: ClaimRule = ClaimRule.PLACEMENT
    cpu_ratio: float = 4.0
    memory_ratio: float = 1.0
    disk_ratio: float = 1.0
    reserved_vcpus: int = 0
    reserved_memory_mib: int = 512
    reserved_disk_gib: int = 0


@dataclass(frozen=True)
class Stop:
    """How a running guest is stopped."""

    timeout_s: int = 60
    retry_interval_s: int = 10
    on_timeout: str = "abort"
    """abort: the guest goes on and nothing moves; force: the plug is pulled."""


@dataclass(frozen=True)
class Request:
    """What the operator asked for, validated and typed. One request may name many guests."""

    operation: Operation
    guests: tuple[str, ...]
    """Names or UUIDs as typed."""
    flavor: Flavor | None
    vcpus: int | None
    memory_mib: int | None
    root_gib: int | None
    destination: str | None
    """Inventory name, 'auto', or None where the operation has none."""
    root_disk: str | None
    allow_managed: bool
    capacity: Capacity
    stop: Stop
    transfer: Transfer | None = None
    """The one that was asked for; None: the best that can be had."""
    verify: Verify = Verify.QUICK

    @property
    def names_a_size(self) -> bool:
        """Whether a target size was given at all."""
        return self.flavor is not None or any(v is not None for v in (self.vcpus, self.memory_mib, self.root_gib))


@dataclass(frozen=True)
class DiskPlan:
    """What happens to one image file."""

    target: str
    path: str
    format: str
    device: str
    old_bytes: int
    """Virtual size before, bytes."""
    new_bytes: int
    """Virtual size after, bytes; equal to old_bytes unless it is the root disk of a resize."""
    allocated_bytes: int


@dataclass(frozen=True)
class Migration:
    """The datum of one migration: all that the roles and modules need, and the body of the record.

    It is made by plan or read back from a record; whoever uses it cannot tell which.
    """

    id: str
    operation: str
    uuid: str
    name: str
    source: str
    """Inventory name."""
    destination: str
    destination_address: str
    """Where the source's ssh reaches the destination."""
    flavor: str
    """Name of the flavor, empty when the size was given by number or stays."""
    old: Size
    new: Size
    root_disk: str
    """Target name (vda …)."""
    directory: str
    disks: tuple[DiskPlan, ...]
    was_running: bool
    autostart: bool
    definition_digest: str
    """SHA-256 of the canonical stored definition (without secrets) the plan was made from."""
    bytes_to_copy: int
    compress: bool
    """zstd on the wire: set when the images are mostly holes, which rsync would send as zeros."""
    stop: Stop
    capacity: Capacity
    expected_outage_s: float
    warnings: tuple[str, ...]
    transfer: Transfer = Transfer.RSYNC
    """Records of before there was a choice name none."""
    transfer_reason: str = ""
    verify: Verify = Verify.QUICK
    zstd: bool = False
    """rsync on both sides can compress with zstd."""

    def as_result(self) -> dict[str, Any]:
        """Plain JSON, the body of the record."""
        data = asdict(self)
        data["capacity"]["rule"] = self.capacity.rule.value
        data["transfer"] = self.transfer.value
        data["verify"] = self.verify.value
        return data

    @classmethod
    def from_result(cls, data: Mapping[str, Any]) -> Migration:
        """The inverse of C(as_result())."""
        values = dict(data)
        values["old"] = Size(**values["old"])
        values["new"] = Size(**values["new"])
        values["disks"] = tuple(DiskPlan(**disk) for disk in values["disks"])
        values["stop"] = Stop(**values["stop"])
        values["capacity"] = Capacity(**{**values["capacity"], "rule": ClaimRule(values["capacity"]["rule"])})
        values["warnings"] = tuple(values["warnings"])
        values["transfer"] = Transfer(values.get("transfer", Transfer.RSYNC.value))
        values["verify"] = Verify(values.get("verify", Verify.QUICK.value))
        return cls(**values)

    @property
    def vouched_for(self) -> frozenset[str]:
        """Names of the files that are not compared byte by byte after the copy, since something else is.

        With full, what the guest sees on each disk is; with quick, QEMU checks images in formats that have a check.
        """
        full = self.verify is Verify.FULL
        return frozenset(PurePath(one.path).name for one in self.disks if full or one.format in CHECKED_FORMATS)

    @property
    def parked(self) -> str:
        """Where the source keeps the guest's directory until confirm (Nova's name for it)."""
        return self.directory + "_resize"

    @property
    def reverted(self) -> str:
        """Where the destination keeps its copy during a revert, until the source runs."""
        return self.directory + "_reverted"

    @property
    def staging(self) -> str:
        """Where the copy grows on the destination; no definition points there, so nothing can start from it."""
        return f"{self.directory}.{self.id}.staging"
