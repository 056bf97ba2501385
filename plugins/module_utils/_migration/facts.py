# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts that the info modules return and the planner and the checks read.

They cross the wire as plain JSON: C(as_result()) on the hypervisor, C(from_result()) on the
controller, and nothing past these edges handles the dictionaries.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from ansible_collections.kvmops.mobility.plugins.module_utils._fields import known
from ansible_collections.kvmops.mobility.plugins.module_utils._live.outlook import GRAIN_BYTES, Past

_T = TypeVar("_T")


@dataclass(frozen=True)
class LinkFacts:
    """One backing file of an image."""

    path: str
    """As found from the image above it; not absolute when it is no file of this hypervisor."""
    format: str
    """As the image above it records it; empty when it records none."""
    allocated_bytes: int
    error: str
    """Why it is not one that a copy may be made from, empty when it is."""

    @classmethod
    def from_result(cls, data: Mapping[str, Any]) -> LinkFacts:
        """The inverse of C(as_result())."""
        return cls(**known(cls, data))


@dataclass(frozen=True)
class DiskFacts:
    """One C(<disk>) of the stored definition, and what is at its path on the hypervisor."""

    target: str
    device: str
    """disk, cdrom, floppy or lun."""
    source_type: str
    """file, block, network, volume, dir … as libvirt says; empty when the drive has no medium."""
    path: str
    """Absolute path, empty when the source is not a path."""
    format: str
    """The driver type of the definition (raw, qcow2 …), never a guess from the contents."""
    boot_order: int | None
    readonly: bool
    shareable: bool
    startup_policy: str
    exists: bool
    regular_file: bool
    virtual_bytes: int
    """The size the guest sees; 0 when the image could not be read."""
    allocated_bytes: int
    apparent_bytes: int
    backing_path: str
    """Direct backing file named in the image, empty without one."""
    data_file: str
    """External qcow2 data file, empty without one."""
    qcow2_compat: str
    """'0.10' or '1.1' for qcow2, else empty."""
    internal_snapshots: int
    probed_format: str
    """What the header looks like. A raw disk whose guest wrote a qcow2 header must never be opened by it."""
    uid: int
    gid: int
    mode: int
    error: str
    """Why the image could not be read, empty when it could."""
    cluster_bytes: int = 0
    """Of a qcow2 image, else 0."""
    backing: tuple[LinkFacts, ...] = ()
    """The backing files below it, the nearest first."""
    users: tuple[str, ...] = ()
    """Names of other domains of this host that have it as a disk, or below one."""

    @property
    def copied_bytes(self) -> int:
        """Allocated bytes of the image and all below it."""
        return self.allocated_bytes + sum(one.allocated_bytes for one in self.backing)

    @classmethod
    def from_result(cls, data: Mapping[str, Any]) -> DiskFacts:
        """The inverse of C(as_result())."""
        values = known(cls, data)
        values["backing"] = tuple(LinkFacts.from_result(one) for one in values.get("backing", ()))
        values["users"] = tuple(values.get("users", ()))
        return cls(**values)


@dataclass(frozen=True)
class EntryFacts:
    """One entry of the guest's own directory."""

    name: str
    kind: str
    """file, directory, symlink or other."""
    apparent_bytes: int
    allocated_bytes: int
    uid: int
    gid: int
    mode: int

    @classmethod
    def from_result(cls, data: Mapping[str, Any]) -> EntryFacts:
        """The inverse of C(as_result())."""
        return cls(**known(cls, data))


@dataclass(frozen=True)
class DomainFacts:
    """One domain as its hypervisor has it. Everything libvirt's XML tells is read from the XML."""

    uuid: str
    name: str
    state: str
    """running, blocked, paused, in shutdown, shut off, crashed or pmsuspended."""
    persistent: bool
    autostart: bool
    xml: str
    """The stored (inactive) definition, without secrets."""
    live_xml: str
    """The running definition, empty when the domain is off."""
    live_differs: str
    """Where the running definition differs from the stored one in what a resize or move carries; empty when nowhere."""
    managed_save: bool
    snapshots: int
    checkpoints: int
    block_jobs: tuple[str, ...]
    """Targets with an active block job."""
    disks: tuple[DiskFacts, ...]
    directory: str
    """The directory all writable disks are in, empty when there is no one such directory."""
    directory_entries: tuple[EntryFacts, ...]
    directory_users: tuple[str, ...]
    """Names of other domains of this host with a disk, or a backing file of one, below that directory."""
    uptime_s: int | None
    """Seconds since the QEMU process started, none when off."""
    directories: tuple[str, ...] = ()
    """Those that hold its writable images."""
    directory_foreign: tuple[str, ...] = ()
    """Names of the files in that directory that look like disks and that nothing in its definition names."""
    directory_special: str = ""
    """Why the directory can be no guest's own: a link, a mount point, a storage pool. Empty when it can."""

    @property
    def is_off(self) -> bool:
        """Whether the domain is shut off."""
        return self.state == "shut off"

    def as_result(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    @classmethod
    def from_result(cls, data: Mapping[str, Any]) -> DomainFacts:
        """The inverse of C(as_result())."""
        values = known(cls, data)
        values["disks"] = tuple(DiskFacts.from_result(disk) for disk in values["disks"])
        values["directory_entries"] = tuple(EntryFacts.from_result(entry) for entry in values["directory_entries"])
        values["directory_users"] = tuple(values["directory_users"])
        values["block_jobs"] = tuple(values["block_jobs"])
        values["directories"] = tuple(values.get("directories", ()))
        values["directory_foreign"] = tuple(values.get("directory_foreign", ()))
        return cls(**values)


@dataclass(frozen=True)
class DomainSummary:
    """What capacity counting and name look-ups need of each domain on a hypervisor."""

    uuid: str
    name: str
    state: str
    vcpus: int
    memory_mib: int
    disk_bytes: int
    """Sum of the virtual sizes of its writable disks."""

    @classmethod
    def from_result(cls, data: Mapping[str, Any]) -> DomainSummary:
        """The inverse of C(as_result())."""
        return cls(**known(cls, data))


UNREADABLE = "unreadable"
"""The status of a migration whose record or journal cannot be read: it may be open, and counts as if it were."""


@dataclass(frozen=True)
class ClaimFacts:
    """Capacity a migration holds on this hypervisor, read from the records kept there."""

    migration: str
    uuid: str
    name: str
    role: str
    """source or destination."""
    peer: str
    """Inventory name of the other hypervisor."""
    status: str
    """Derived from this host's journal alone."""
    operation: str
    vcpus: int
    memory_mib: int
    disk_bytes: int
    problem: dict[str, str] = field(default_factory=dict)
    """Why its record or journal cannot be read: code, message and remedy. Its status is UNREADABLE then."""

    @classmethod
    def from_result(cls, data: Mapping[str, Any]) -> ClaimFacts:
        """The inverse of C(as_result())."""
        return cls(**known(cls, data))


@dataclass(frozen=True)
class LockFacts:
    """Who holds a guest's lock on this hypervisor."""

    uuid: str
    migration: str
    owner: str
    command: str
    since: float
    """Unix time, seconds."""

    @classmethod
    def from_result(cls, data: Mapping[str, Any]) -> LockFacts:
        """The inverse of C(as_result())."""
        return cls(**known(cls, data))


@dataclass(frozen=True)
class HypervisorFacts:
    """One hypervisor: capacity, what runs there, and the migrations it knows of."""

    hostname: str
    host_uuid: str
    arch: str
    libvirt_version: int
    """As libvirt counts: major * 1000000 + minor * 1000 + release."""
    qemu_version: int
    vcpus_total: int
    memory_mib_total: int
    memory_mib_free: int
    """What the kernel could give to new guests now (MemAvailable)."""
    disk_bytes_total: int
    """Of the file system that holds the images directory."""
    disk_bytes_free: int
    domains: tuple[DomainSummary, ...]
    claims: tuple[ClaimFacts, ...]
    locks: tuple[LockFacts, ...]
    networks: tuple[str, ...]
    """Active libvirt networks."""
    bridges: tuple[str, ...]
    rsync_zstd: bool
    """rsync is there and can compress with zstd."""
    clock: float
    """Unix time on the hypervisor, seconds."""
    qemu_nbd: bool = False
    """qemu-nbd is there, which exports a disk for a mirror to write to."""
    migrate_tls_forced: bool = False
    """libvirt there refuses live migrations whose memory goes in the clear (migrate_tls_force of qemu.conf)."""

    def as_result(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    @classmethod
    def from_result(cls, data: Mapping[str, Any]) -> HypervisorFacts:
        """The inverse of C(as_result())."""
        values = known(cls, data)
        values["domains"] = tuple(DomainSummary.from_result(one) for one in values["domains"])
        values["claims"] = tuple(ClaimFacts.from_result(one) for one in values["claims"])
        values["locks"] = tuple(LockFacts.from_result(one) for one in values["locks"])
        values["networks"] = tuple(values["networks"])
        values["bridges"] = tuple(values["bridges"])
        return cls(**values)


@dataclass(frozen=True)
class ProofFacts:
    """Whether one hypervisor's ssh reaches another one, with a verified host key."""

    ok: bool
    code: str = ""
    message: str = ""
    remedy: str = ""

    @classmethod
    def from_result(cls, data: Mapping[str, Any]) -> ProofFacts:
        """As ssh_proof or a failed task tells it."""
        return cls(bool(data["ok"]), *(str(data.get(one, "")) for one in ("code", "message", "remedy")))


@dataclass(frozen=True)
class SpaceFacts:
    """A directory that would hold some of a guest's images."""

    directory: str
    device: int
    """Its file system: two directories with the same number share what is free."""
    free_bytes: int
    """Free for root there."""

    @classmethod
    def from_result(cls, data: Mapping[str, Any]) -> SpaceFacts:
        """The inverse of C(as_result())."""
        return cls(**known(cls, data))


@dataclass(frozen=True)
class FitFacts:
    """What one hypervisor says about one guest that may come to it."""

    uuid: str
    domain_type_ok: bool
    """The hypervisor offers the guest's domain type (kvm, qemu)."""
    emulator_ok: bool
    """The emulator named in the definition is there and can be run."""
    machine_ok: bool
    """getDomainCapabilities() knows arch, type and machine."""
    firmware_missing: tuple[str, ...]
    """Firmware, kernel and initrd files the definition names and that are not there."""
    cpu: str
    """compareHypervisorCPU(): identical, superset, incompatible, or unsupported when the hypervisor cannot tell."""
    vcpus_max: int
    """What the machine type allows there; 0 when unknown."""
    capabilities_error: str
    """libvirt's own words when domain capabilities were refused."""
    existing_paths: tuple[str, ...]
    """Of the guest's directory or images, their parked and staged names: those that exist there already."""
    total_bytes: int
    """Size of the file system where the guest's directory would be; 0 when unknown."""
    free_bytes: int
    """Free for root there."""
    free_inodes: int
    """0 means the file system does not count them."""
    parent_exists: bool
    """The parent of the guest's directory exists and is a directory."""
    storage_shared: str
    """yes, no or unknown: whether the source's probe files are visible there."""
    spaces: tuple[SpaceFacts, ...] = ()
    """Each directory that would hold something of the guest."""
    media_missing: tuple[str, ...] = ()
    """Media that do not come with the guest, and are not there."""
    seen: Mapping[str, str] = field(default_factory=dict)
    """C(storage_shared) of each directory that holds images of the guest."""

    def shares(self, directory: str) -> str:
        """Whether the source's probe in *directory* is visible there: yes, no or unknown."""
        return self.seen.get(directory, self.storage_shared)

    def as_result(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    @classmethod
    def from_result(cls, data: Mapping[str, Any]) -> FitFacts:
        """The inverse of C(as_result())."""
        values = known(cls, data)
        values["existing_paths"] = tuple(values["existing_paths"])
        values["firmware_missing"] = tuple(values["firmware_missing"])
        values["media_missing"] = tuple(values.get("media_missing", ()))
        values["spaces"] = tuple(SpaceFacts.from_result(one) for one in values.get("spaces", ()))
        return cls(**values)


@dataclass(frozen=True)
class LoadFacts:
    """What one running guest writes, and what became of its earlier live migrations."""

    dirtied: tuple[tuple[float, int], ...]
    """Windows, seconds, and the unique bytes that were written in each. None: not measured, and C(reason) says why."""
    resident_bytes: int
    """What of its memory is not empty."""
    grain_bytes: int = GRAIN_BYTES
    """What one page stands for that was looked at."""
    past: tuple[Past, ...] = ()
    """The newest last."""
    reason: str = ""

    def as_result(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**asdict(self), "dirtied": [list(one) for one in self.dirtied]}

    @classmethod
    def from_result(cls, data: Mapping[str, Any]) -> LoadFacts:
        """The inverse of C(as_result())."""
        values = known(cls, data)
        values["dirtied"] = tuple((float(seconds), int(amount)) for seconds, amount in values["dirtied"])
        values["past"] = tuple(Past.from_result(known(Past, one)) for one in values.get("past", ()))
        return cls(**values)


@dataclass(frozen=True)
class SpeedFacts:
    """What the link to one hypervisor carries."""

    bytes_s: int | None
    """None: not measured, and C(reason) says why."""
    reason: str = ""

    @classmethod
    def from_result(cls, data: Mapping[str, Any]) -> SpeedFacts:
        """The inverse of C(asdict())."""
        return cls(**known(cls, data))


@dataclass(frozen=True)
class ForecastFacts:
    """What one hypervisor measured for the live migrations that may leave it."""

    loads: Mapping[str, LoadFacts] = field(default_factory=dict)
    """By the guest's UUID."""
    links: Mapping[str, SpeedFacts] = field(default_factory=dict)
    """By the inventory name of the other hypervisor."""

    def as_result(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "loads": {uuid: one.as_result() for uuid, one in self.loads.items()},
            "links": {name: asdict(one) for name, one in self.links.items()},
        }

    @classmethod
    def from_result(cls, data: Mapping[str, Any]) -> ForecastFacts:
        """The inverse of C(as_result())."""
        return cls(
            loads={uuid: LoadFacts.from_result(one) for uuid, one in data.get("loads", {}).items()},
            links={name: SpeedFacts.from_result(one) for name, one in data.get("links", {}).items()},
        )
