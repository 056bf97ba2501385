# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was planned: plain frozen data, made on the controller.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import enum
import posixpath
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._fields import known
from ansible_collections.kvmops.mobility.plugins.module_utils._live.options import Options
from ansible_collections.kvmops.mobility.plugins.module_utils._live.outlook import Measured, Outlook
from ansible_collections.kvmops.mobility.plugins.module_utils._live.policy import Policy
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import (
    Capacity,
    ClaimRule,
    Stop,
    Transfer,
    Verify,
)

GIB = 2**30
DEFAULT_CLUSTER_BYTES = 65536
"""What qemu-img gives a qcow2 image when it is not told."""
CHECKED_FORMATS = frozenset({"qcow2"})
"""Those of C(qemu-img check) that guests are moved with."""


class Layout(enum.Enum):
    """What is renamed to fence the guest, and arrives under its name at the destination."""

    DIRECTORY = "directory"
    """The directory that is the guest's alone, with all that is in it."""
    FILES = "files"
    """Each of its images, in directories that others use too."""


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
class Link:
    """A backing file, and the format that the image above it records for it."""

    path: str
    format: str


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
    """With its backing files, when it is flattened."""
    cluster_bytes: int = DEFAULT_CLUSTER_BYTES
    """Of a qcow2 image: a copy that is made block by block needs the same."""
    flatten: bool = False
    """The copy is one image with the contents of the image and its backing files."""
    backing: tuple[Link, ...] = ()
    """The backing files below it, the nearest first."""
    carried: bool = True
    """It is copied; a medium that is not is there already."""
    readonly: bool = False
    """The guest cannot write to it."""

    @classmethod
    def from_result(cls, data: Mapping[str, Any]) -> DiskPlan:
        """From the record's JSON."""
        backing = tuple(Link(**known(Link, one)) for one in data.get("backing", ()))
        return cls(**{**known(cls, data), "backing": backing})


@dataclass(frozen=True)
class PlanStep:
    """One line of the plan for an operator."""

    where: str
    what: str


_KEPT = ("resize", "reverted", "staging", "returning")
"""What a guest's directory is set aside for, in the order of C(Parking)."""


@dataclass(frozen=True)
class Parking:
    """What is renamed as one: the guest's own directory, or one of its images among those of others."""

    name: str
    """Tells the effects on several apart: the disk's target, empty for a directory."""
    place: str
    """Where the definition has it."""
    parked: str
    """Where the source keeps it until confirm."""
    reverted: str
    """Where the destination keeps it during a revert, until the source runs."""
    staged: str
    """Where the copy grows on the destination."""
    returning: str
    """Where the copy grows on the source, in a revert that keeps what the guest wrote."""

    def effect(self, verb: str) -> str:
        """The name of an effect on it."""
        return f"{verb}_{self.name}" if self.name else verb


@dataclass(frozen=True)
class Live:
    """What a live migration needs besides."""

    options: Options
    """The effective ones: what does not apply to this guest was left out."""
    policy: Policy
    gib: float
    """What every delay and timeout is scaled with, see C(schedule.data_gib())."""
    copied: tuple[str, ...]
    """Targets of the disks whose contents are copied: those that the guest writes to and only one host sees."""
    was_paused: bool
    listen: Mapping[str, str] = field(default_factory=dict)
    """An address of the source's own to the destination's, for what listens there: graphics and serial lines."""
    announce: bool = False
    """The guest's addresses are announced once more after its arrival."""
    measured: Measured | None = None
    """What the forecast was made from; None where nobody wanted one."""
    outlook: Outlook | None = None

    def as_result(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "options": self.options.as_result(),
            "policy": self.policy.as_result(),
            "gib": self.gib,
            "copied": list(self.copied),
            "was_paused": self.was_paused,
            "listen": dict(self.listen),
            "announce": self.announce,
            "measured": self.measured.as_result() if self.measured else None,
            "outlook": self.outlook.as_result() if self.outlook else None,
        }

    @classmethod
    def from_result(cls, data: Mapping[str, Any]) -> Live:
        """The inverse of C(as_result())."""
        values = known(cls, data)
        values["options"] = Options.from_result(values["options"])
        values["policy"] = Policy.from_result(values["policy"])
        values["copied"] = tuple(values["copied"])
        measured, outlook = values.get("measured"), values.get("outlook")
        values["measured"] = Measured.from_result(measured) if measured else None
        values["outlook"] = Outlook.from_result(outlook) if outlook else None
        return cls(**values)


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
    """The guest's own; in the layout C(files) the one that holds its root disk."""
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
    transfer_forced: bool = False
    """It was asked for: when it fails, no other is tried."""
    verify: Verify = Verify.QUICK
    layout: Layout = Layout.DIRECTORY
    """Records of before there was another name none."""
    zstd: bool = False
    """rsync on both sides can compress with zstd."""
    source_address: str = ""
    """Where the destination's ssh reaches the source; records of before data could be copied back name none."""
    live: Live | None = None
    """How it moves while it runs; None for a cold one."""

    def as_result(self) -> dict[str, Any]:
        """Plain JSON, the body of the record."""
        data = asdict(self)
        data["capacity"]["rule"] = self.capacity.rule.value
        data["transfer"] = self.transfer.value
        data["verify"] = self.verify.value
        data["layout"] = self.layout.value
        data["live"] = self.live.as_result() if self.live else None
        return data

    @classmethod
    def from_result(cls, data: Mapping[str, Any]) -> Migration:
        """The inverse of C(as_result())."""
        values = known(cls, data)
        values["old"] = Size(**known(Size, values["old"]))
        values["new"] = Size(**known(Size, values["new"]))
        values["disks"] = tuple(DiskPlan.from_result(disk) for disk in values["disks"])
        values["stop"] = Stop(**known(Stop, values["stop"]))
        capacity = known(Capacity, values["capacity"])
        values["capacity"] = Capacity(**{**capacity, "rule": ClaimRule(capacity["rule"])})
        values["warnings"] = tuple(values["warnings"])
        values["transfer"] = Transfer(values.get("transfer", Transfer.RSYNC.value))
        values["verify"] = Verify(values.get("verify", Verify.QUICK.value))
        values["layout"] = Layout(values.get("layout", Layout.DIRECTORY.value))
        values["live"] = Live.from_result(values["live"]) if values.get("live") else None
        return cls(**values)

    @property
    def carried(self) -> tuple[DiskPlan, ...]:
        """The disks that are copied."""
        return tuple(disk for disk in self.disks if disk.carried)

    @property
    def written(self) -> tuple[DiskPlan, ...]:
        """The disks that the guest can write to: those whose contents a mirror keeps the same."""
        return tuple(disk for disk in self.carried if not disk.readonly)

    @property
    def directories(self) -> tuple[str, ...]:
        """Those that hold what is copied, that of the root disk first."""
        if self.layout is Layout.DIRECTORY:
            return (self.directory,)
        others = (posixpath.dirname(disk.path) for disk in self.carried)
        return tuple(dict.fromkeys((self.directory, *others)))

    @property
    def parkings(self) -> tuple[Parking, ...]:
        """What is renamed, each as one."""
        if self.layout is Layout.DIRECTORY:
            kept = (self._aside(self.directory, kind) for kind in _KEPT)
            return (Parking("", self.directory, *kept),)
        return tuple(self._parking(disk) for disk in self.carried)

    def _parking(self, disk: DiskPlan) -> Parking:
        where, name = posixpath.split(disk.path)
        kept = (f"{self._aside(where, kind)}/{name}" for kind in _KEPT)
        return Parking(disk.target, disk.path, *kept)

    def _aside(self, directory: str, kind: str) -> str:
        """The name under which *directory* is set aside, or for the layout C(files) a directory made in it.

        The files keep their names: rsync renames nothing. What others see beside their own images is one hidden
        directory of root's that names its migration.
        """
        if self.layout is Layout.FILES:
            return f"{directory.rstrip('/')}/.{self.id}.{kind}"
        return f"{directory}_{kind}" if kind in ("resize", "reverted") else f"{directory}.{self.id}.{kind}"

    def _all_aside(self, kind: str) -> tuple[str, ...]:
        return tuple(self._aside(directory, kind) for directory in self.directories)

    @property
    def parked_in(self) -> tuple[str, ...]:
        """The directories that hold what the source keeps until confirm; nothing else is in them."""
        return self._all_aside("resize")

    @property
    def reverted_in(self) -> tuple[str, ...]:
        """The directories that hold what the destination keeps during a revert; nothing else is in them."""
        return self._all_aside("reverted")

    @property
    def staged_in(self) -> tuple[str, ...]:
        """The directories where the copy grows; no definition points there, so nothing can start from it."""
        return self._all_aside("staging")

    @property
    def returning_in(self) -> tuple[str, ...]:
        """The directories where the copy grows on the source in a revert; no definition points there either."""
        return self._all_aside("returning")

    @property
    def flat_in(self) -> tuple[str, ...]:
        """The directories that images are flattened into on the source, gone once they are copied."""
        return tuple(dict.fromkeys(posixpath.dirname(self.flat(disk)) for disk in self.carried if disk.flatten))

    @property
    def set_aside(self) -> tuple[str, ...]:
        """Every directory that it makes or renames to, on either side: what is there is left over when it is closed."""
        aside = (*self.parked_in, *self.reverted_in, *self.returning_in)
        return (*aside, *self.staged_in, *self.flat_in)

    def flat(self, disk: DiskPlan) -> str:
        """Where the source flattens *disk* into, under its own name: rsync renames nothing."""
        where, name = posixpath.split(disk.path)
        return f"{self._aside(where, 'flat')}/{name}"

    def here(self, path: str) -> str:
        """Where *path* is on the source once the guest is parked: what was in its own directory has moved with it."""
        own = self.layout is Layout.DIRECTORY and path.startswith(f"{self.directory}/")
        return self.parked + path[len(self.directory) :] if own else path

    def chain(self, disk: DiskPlan) -> tuple[Link, ...]:
        """Where *disk* and its backing files are on the source once the guest is parked, the image itself first."""
        aside = {one.place: one.parked for one in self.parkings}
        top = Link(aside.get(disk.path) or self.here(disk.path), disk.format)
        return (top, *(Link(self.here(one.path), one.format) for one in disk.backing))

    @property
    def parked(self) -> str:
        """The first of C(parked_in); Nova's name for a directory."""
        return self.parked_in[0]

    @property
    def reverted(self) -> str:
        """The first of C(reverted_in)."""
        return self.reverted_in[0]

    @property
    def staging(self) -> str:
        """The first of C(staged_in), where the definitions arrive too."""
        return self.staged_in[0]

    def staged(self, disk: DiskPlan) -> str:
        """Where the copy of *disk* grows on the destination."""
        where, name = posixpath.split(disk.path)
        return f"{self.staging if self.layout is Layout.DIRECTORY else self._aside(where, 'staging')}/{name}"
