# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One domain: the only caller of virDomain.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import enum
import json
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Callable, TypeVar

from ansible_collections.kvmops.mobility.plugins.module_utils._domain.definition import GuestDefinition
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.connection import translated
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.library import libvirt, libvirt_qemu

_T = TypeVar("_T")
_STATES = ("no state", "running", "blocked", "paused", "in shutdown", "shut off", "crashed", "pmsuspended")
OFF = "shut off"
_IN_FLIGHT_BYTES = 4 * 2**20
"""Of a mirror's copy: a write of the guest waits behind them. QEMU's own 16 MiB are five seconds at 27 Mbit/s."""


class Pause(enum.Enum):
    """Why a guest that has a process does not run."""

    ASKED = "asked"
    """Somebody has paused it."""
    MIGRATION = "migration"
    """Its migration has come to its end, or is to begin here: whether it may run is not known on this side."""
    POST_COPY = "post-copy"
    """It runs on the other side, and this one has what is missing there."""
    POST_COPY_BROKEN = "post-copy broken"
    """The link broke meanwhile: neither side has all of it."""
    OTHER = "other"


@dataclass(frozen=True)
class Throughput:
    """Limits of a disk, bytes a second; 0 means none. A limit of both together excludes one of each."""

    total: int = 0
    read: int = 0
    write: int = 0

    def with_writes(self, limit: int) -> Throughput:
        """The same with writes that are at most *limit*: no other limit becomes looser."""
        write = min(one for one in (limit, self.total, self.write) if one)
        return Throughput(0, self.read or self.total, write)


@dataclass(frozen=True)
class DirtyRate:
    """How much of a guest's memory was other than before."""

    seconds: float
    """Between the two looks."""
    bytes_s: int
    """libvirt tells whole MiB a second."""


class Domain:
    """A virDomain with our errors; every method names the guest it was about when it fails."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self.name: str = handle.name()
        self.uuid: str = handle.UUIDString()

    def _do(self, attempted: str, call: Callable[[], _T]) -> _T:
        return translated(self.name, attempted, call)

    def state(self) -> str:
        """running, blocked, paused, in shutdown, shut off, crashed or pmsuspended."""
        number, _reason = self._do("read its state", self._handle.state)
        return _STATES[number] if number < len(_STATES) else "no state"

    def is_off(self) -> bool:
        """Shut off: not merely shutting down, and not crashed with its QEMU process still there."""
        return self.state() == OFF

    def pause(self) -> Pause | None:
        """Why it does not run; None for one that is not paused."""
        number, reason = self._do("read its state", self._handle.state)
        if number != libvirt.VIR_DOMAIN_PAUSED:
            return None
        known = {
            libvirt.VIR_DOMAIN_PAUSED_USER: Pause.ASKED,
            libvirt.VIR_DOMAIN_PAUSED_MIGRATION: Pause.MIGRATION,
            libvirt.VIR_DOMAIN_PAUSED_POSTCOPY: Pause.POST_COPY,
            libvirt.VIR_DOMAIN_PAUSED_POSTCOPY_FAILED: Pause.POST_COPY_BROKEN,
        }
        return known.get(reason, Pause.OTHER)

    def xml(self, *, inactive: bool = True, secure: bool = False, migratable: bool = False) -> str:
        """The stored (or running) definition; *secure* includes passwords.

        A *migratable* one has nothing that an older libvirt on another hypervisor does not know.
        """
        flags = libvirt.VIR_DOMAIN_XML_INACTIVE if inactive else 0
        flags |= libvirt.VIR_DOMAIN_XML_SECURE if secure else 0
        flags |= libvirt.VIR_DOMAIN_XML_MIGRATABLE if migratable else 0
        return str(self._do("read its definition", lambda: self._handle.XMLDesc(flags)))

    def is_persistent(self) -> bool:
        """Whether it has a stored definition."""
        return bool(self._do("see whether it is persistent", self._handle.isPersistent))

    def autostart(self) -> bool:
        """Whether it starts with the hypervisor."""
        return bool(self._do("read autostart", self._handle.autostart))

    def set_autostart(self, wanted: bool) -> None:
        """Set whether it starts with the hypervisor."""
        self._do("set autostart", lambda: self._handle.setAutostart(int(wanted)))

    def has_managed_save(self) -> bool:
        """Whether a managed save image waits for the next start."""
        return bool(self._do("look for a managed save image", lambda: self._handle.hasManagedSaveImage(0)))

    def snapshots(self) -> int:
        """Number of libvirt snapshots."""
        return self._count("count its snapshots", lambda: self._handle.snapshotNum(0))

    def checkpoints(self) -> int:
        """Number of libvirt checkpoints; 0 where the driver knows none."""
        return self._count("count its checkpoints", lambda: len(self._handle.listAllCheckpoints(0)))

    def _count(self, attempted: str, call: Callable[[], int]) -> int:
        def count() -> int:
            try:
                return call()
            except libvirt.libvirtError as error:
                if error.get_error_code() == libvirt.VIR_ERR_NO_SUPPORT:
                    return 0
                raise

        return int(self._do(attempted, count))

    def has_block_job(self, target: str) -> bool:
        """Whether a block job runs on the disk *target* (vda …). An off domain has none."""
        return bool(self._do(f"look for a block job on {target}", lambda: self._handle.blockJobInfo(target, 0)))

    def start_dirty_rate(self, seconds: int) -> None:
        """Let QEMU look at some pages now and in so many seconds; it says then how many have changed, see
        C(dirty_rate()). libvirt 7.2.

        It looks at 512 pages of each GiB. Its other ways count each page, and have crashed an emulated guest's QEMU.
        """
        flags = getattr(libvirt, "VIR_DOMAIN_DIRTYRATE_MODE_PAGE_SAMPLING", 0)
        self._do("measure what it writes", lambda: self._handle.startDirtyRateCalc(seconds, flags))

    def dirty_rate(self) -> DirtyRate | None:
        """What the last measurement found; None as long as it goes on."""
        kind = libvirt.VIR_DOMAIN_STATS_DIRTYRATE
        connection = self._handle.connect()
        ((_domain, found),) = self._do(
            "read what it writes", lambda: connection.domainListGetStats([self._handle], kind, 0)
        )
        if found.get("dirtyrate.calc_status") != libvirt.VIR_DOMAIN_DIRTYRATE_MEASURED:
            return None
        return DirtyRate(
            float(found.get("dirtyrate.calc_period", 0)), 2**20 * int(found.get("dirtyrate.megabytes_per_second", 0))
        )

    def resident_bytes(self) -> int:
        """What its process has in the host's memory; 0 when libvirt does not tell."""
        found = self._do("read how much memory it has", self._handle.memoryStats)
        return 1024 * int(found.get("rss", 0))

    def id(self) -> int:
        """Its number while it runs, -1 when it is off."""
        return int(self._do("read its number", self._handle.ID))

    def start_mirror(self, target: str, destination: str, bandwidth_bytes_s: int) -> None:
        """Copy the disk *target* to *destination* (the XML of a disk), which must be there, and keep both the same.

        Each write of the guest ends when both have it. The job ends with the guest's power-off: libvirt is not asked to
        remember it. *bandwidth_bytes_s* 0 means no limit.
        """
        flags = libvirt.VIR_DOMAIN_BLOCK_COPY_REUSE_EXT | libvirt.VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB
        flags |= libvirt.VIR_DOMAIN_BLOCK_COPY_SYNCHRONOUS_WRITES
        params = {libvirt.VIR_DOMAIN_BLOCK_COPY_BUF_SIZE: _IN_FLIGHT_BYTES}
        if bandwidth_bytes_s:
            params[libvirt.VIR_DOMAIN_BLOCK_COPY_BANDWIDTH] = bandwidth_bytes_s
        self._do(f"mirror {target}", lambda: self._handle.blockCopy(target, destination, params, flags))

    def block_job(self, target: str) -> tuple[int, int] | None:
        """How far the block job on *target* is, and how far it has to go; None without one."""
        found = self._do(f"look for a block job on {target}", lambda: self._handle.blockJobInfo(target, 0))
        return (int(found["cur"]), int(found["end"])) if found else None

    def ready_mirrors(self) -> frozenset[str]:
        """The targets whose mirror holds all that the disk holds."""
        disks = ET.fromstring(self.xml(inactive=False)).iterfind("devices/disk")
        ready = ((one.find("target"), one.find("mirror")) for one in disks)
        return frozenset(
            target.get("dev", "")
            for target, mirror in ready
            if target is not None and mirror is not None and mirror.get("ready") == "yes"
        )

    def end_block_job(self, target: str) -> None:
        """Give the block job on *target* up, without waiting for its end."""
        flags = libvirt.VIR_DOMAIN_BLOCK_JOB_ABORT_ASYNC
        self._do(f"end the block job on {target}", lambda: self._handle.blockJobAbort(target, flags))

    def throughput(self, target: str) -> Throughput:
        """How much the guest may read from and write to the disk *target* now."""
        flags = libvirt.VIR_DOMAIN_AFFECT_LIVE
        found = self._do(f"read the limits of {target}", lambda: self._handle.blockIoTune(target, flags))
        return Throughput(
            int(found.get(libvirt.VIR_DOMAIN_BLOCK_IOTUNE_TOTAL_BYTES_SEC, 0)),
            int(found.get(libvirt.VIR_DOMAIN_BLOCK_IOTUNE_READ_BYTES_SEC, 0)),
            int(found.get(libvirt.VIR_DOMAIN_BLOCK_IOTUNE_WRITE_BYTES_SEC, 0)),
        )

    def limit_throughput(self, target: str, limit: Throughput) -> None:
        """Set that. libvirt lifts those of the three that it is not told, so it is told all of them."""
        limits = {
            libvirt.VIR_DOMAIN_BLOCK_IOTUNE_TOTAL_BYTES_SEC: limit.total,
            libvirt.VIR_DOMAIN_BLOCK_IOTUNE_READ_BYTES_SEC: limit.read,
            libvirt.VIR_DOMAIN_BLOCK_IOTUNE_WRITE_BYTES_SEC: limit.write,
        }
        flags = libvirt.VIR_DOMAIN_AFFECT_LIVE
        self._do(f"limit writes to {target}", lambda: self._handle.setBlockIoTune(target, limits, flags))

    def on_block_job(self, heard: Callable[[str, int], None]) -> Callable[[], None]:
        """Call *heard* with target and status of every change of a block job from now on, until what is returned is
        called. It is called by the thread that serves libvirt's events."""
        connection = self._handle.connect()

        def tell(_connection: object, _domain: object, target: str, _kind: int, status: int, _opaque: object) -> None:
            heard(target, status)

        event = libvirt.VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2
        number = self._do(
            "listen to its block jobs", lambda: connection.domainEventRegisterAny(self._handle, event, tell, None)
        )
        return lambda: connection.domainEventDeregisterAny(number)

    def shutdown(self, *, acpi: bool = False) -> None:
        """Ask the guest to shut down, by its agent when one is connected, else (or with *acpi* at once) by ACPI."""
        flags = libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN if acpi else 0
        self._do("ask it to shut down", lambda: self._handle.shutdownFlags(flags))

    def destroy(self) -> None:
        """Pull the plug."""
        self._do("force it off", self._handle.destroy)

    def start(self, *, paused: bool = False) -> None:
        """Start it from its stored definition."""
        flags = libvirt.VIR_DOMAIN_START_PAUSED if paused else 0
        self._do("start it", lambda: self._handle.createWithFlags(flags))

    def undefine(
        self, *, keep_nvram: bool, keep_tpm: bool, remove_managed_save: bool, remove_metadata: bool = False
    ) -> None:
        """Forget its stored definition, and with *remove_metadata* what libvirt knows of its snapshots and checkpoints.

        libvirt refuses unless it is told what happens to NVRAM and TPM, and refuses flags that its driver or version
        does not know (KEEP_TPM came with 8.9.0): so only what the guest has is spoken of.
        """
        definition = GuestDefinition.from_xml(self.xml())
        flags = libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE if remove_managed_save else 0
        if remove_metadata and self.snapshots():
            flags |= libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
        if remove_metadata and self.checkpoints():
            flags |= libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
        if definition.nvram:
            flags |= libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM if keep_nvram else libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
        if definition.tpm:
            name = "VIR_DOMAIN_UNDEFINE_KEEP_TPM" if keep_tpm else "VIR_DOMAIN_UNDEFINE_TPM"
            flags |= getattr(libvirt, name, 0)
        self._do("undefine it", lambda: self._handle.undefineFlags(flags))

    def online_vcpus(self) -> int:
        """Number of online CPUs as the guest itself counts them, asked of its agent.

        Raises MobilityError(LIBVIRT_FAILED) when no agent answers.
        """
        answer: Mapping[str, str] | None = self._do("ask its agent for the CPUs", lambda: self._handle.guestVcpus(0))
        if answer is None:  # where libvirt's other bindings raise, this one gives None
            raise MobilityError(
                "LIBVIRT_FAILED", self.name, "its agent does not tell its CPUs.", "See the agent's log."
            )
        return _count_cpu_list(answer.get("online", ""))

    def set_time(self, seconds: int) -> None:
        """Set the guest's clock (Unix time) through its agent."""
        self._do("set its clock", lambda: self._handle.setTime({"seconds": seconds, "nseconds": 0}, 0))

    def agent(self, command: str, timeout_s: int, **arguments: Any) -> Any:
        """What the guest agent returns to *command*.

        Raises MobilityError(LIBVIRT_FAILED) when it does not answer in time.
        """
        request = json.dumps({"execute": command, "arguments": arguments} if arguments else {"execute": command})
        answer = self._do(
            f"ask its agent ({command})", lambda: libvirt_qemu.qemuAgentCommand(self._handle, request, timeout_s, 0)
        )
        return json.loads(answer)["return"]

    def announce(self) -> None:
        """Tell the switches once more where the guest's addresses are now, as QEMU does by itself on its arrival."""
        rounds = {"initial": 50, "max": 550, "rounds": 5, "step": 50}
        request = json.dumps({"execute": "announce-self", "arguments": rounds})
        self._do("announce it", lambda: libvirt_qemu.qemuMonitorCommand(self._handle, request, 0))


def _count_cpu_list(text: str) -> int:
    """How many CPUs '0-3,8' names."""
    total = 0
    for part in filter(None, text.split(",")):
        first, _dash, last = part.partition("-")
        total += int(last or first) - int(first) + 1
    return total
