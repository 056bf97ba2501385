# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A domain's migration job: starting it, looking at it, and what can be done to it while it goes on.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Lost, MobilityError, NotFound
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.connection import (
    errors_kept,
    translated,
    translation,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.library import libvirt
from ansible_collections.kvmops.mobility.plugins.module_utils._live.model import Sample, Stage
from ansible_collections.kvmops.mobility.plugins.module_utils._live.options import Compression, Options

_T = TypeVar("_T")
_TOO_EARLY = "migration was active, but no RAM info was set"
"""What QEMU says of a job that has only just begun (LP 1982284)."""
NO_LIMIT_MIB_S = (2**63 - 1) // 2**20
"""What libvirt itself begins with when nobody limits it; no document says that 0 takes a limit off."""


@dataclass(frozen=True)
class Order:
    """What libvirt is asked for."""

    options: Options
    uri: str
    """Of libvirt on the destination, as the source's libvirt reaches it."""
    migrate_uri: str
    """Where QEMU there listens: an address, never a name that one side resolves in its own way."""
    live_xml: str
    """The running definition as the destination is to have it."""
    persistent_xml: str
    """The stored one, so that the next start there is the destination's, too (CVE-2020-17376)."""
    disks: tuple[str, ...]
    """Targets whose contents are copied."""
    resume_post_copy: bool = False
    """Go on with one whose link broke when the guest ran there already."""


def flags(order: Order) -> int:
    """libvirt's flags for *order*. Raises ValueError for disks to be copied that nobody named: it would copy all."""
    options = order.options
    if options.copy_disks and not order.disks:
        raise ValueError("an empty list of disks means all of them to libvirt, shared ones too")
    wanted = {
        "VIR_MIGRATE_LIVE": True,
        "VIR_MIGRATE_PEER2PEER": True,
        "VIR_MIGRATE_UNDEFINE_SOURCE": True,
        "VIR_MIGRATE_PERSIST_DEST": True,
        "VIR_MIGRATE_NON_SHARED_DISK": options.copy_disks,
        "VIR_MIGRATE_TLS": options.tls,
        "VIR_MIGRATE_AUTO_CONVERGE": options.auto_converge,
        "VIR_MIGRATE_POSTCOPY": options.post_copy,
        "VIR_MIGRATE_PARALLEL": options.connections > 1,
        "VIR_MIGRATE_COMPRESSED": options.compression is not Compression.NONE,
        "VIR_MIGRATE_ZEROCOPY": options.zero_copy,
        "VIR_MIGRATE_POSTCOPY_RESUME": order.resume_post_copy,
    }
    found = 0
    for name, chosen in wanted.items():
        if chosen:
            found |= getattr(libvirt, name)
    return found


def parameters(order: Order) -> dict[str, Any]:
    """libvirt's typed parameters for *order*."""
    options = order.options
    found: dict[str, Any] = {
        libvirt.VIR_MIGRATE_PARAM_URI: order.migrate_uri,
        libvirt.VIR_MIGRATE_PARAM_DEST_XML: order.live_xml,
        libvirt.VIR_MIGRATE_PARAM_PERSIST_XML: order.persistent_xml,
    }
    if order.disks:
        found[libvirt.VIR_MIGRATE_PARAM_MIGRATE_DISKS] = list(order.disks)
    if options.bandwidth_mib_s:
        found[libvirt.VIR_MIGRATE_PARAM_BANDWIDTH] = options.bandwidth_mib_s
    if options.auto_converge and options.throttle_initial:
        found[libvirt.VIR_MIGRATE_PARAM_AUTO_CONVERGE_INITIAL] = options.throttle_initial
    if options.connections > 1:
        found[libvirt.VIR_MIGRATE_PARAM_PARALLEL_CONNECTIONS] = options.connections
    if options.compression is not Compression.NONE:
        found[libvirt.VIR_MIGRATE_PARAM_COMPRESSION] = [options.compression.value]
    return found


class Job:
    """The migration of one domain, whoever started it."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._completed: Mapping[str, Any] = {}
        self.name: str = handle.name()

    def _do(self, attempted: str, call: Callable[[], _T]) -> _T:
        return translated(self.name, attempted, call)

    def migrate(self, order: Order) -> None:
        """Carry it out; comes back when libvirt is done. Its word is not the truth: see where the guest is."""
        self._do("migrate it", lambda: self._handle.migrateToURI3(order.uri, parameters(order), flags(order)))

    def look(self, elapsed_s: float) -> Sample | None:
        """How far it is; None without a job, or without the domain."""
        try:
            with errors_kept():
                stats = self._handle.jobStats()
        except libvirt.libvirtError as error:
            if error.get_error_code() in (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_OPERATION_INVALID):
                return None
            if _TOO_EARLY in error.get_error_message():
                return Sample(elapsed_s, Stage.PREPARING)
            if error.get_error_domain() == libvirt.VIR_FROM_RPC:  # the daemon here: nobody else is asked for this
                raise Lost(
                    "LIBVIRT_UNAVAILABLE",
                    self.name,
                    f"libvirt went away while its migration was watched: {error.get_error_message()}.",
                    "Look at libvirtd (or virtqemud) on this hypervisor, then run it again.",
                ) from None
            raise translation(error, self.name, "look at its job") from None
        if not _is_migration(stats):
            return None
        stage = self._stage()
        if stage is None and stats["type"] not in (libvirt.VIR_DOMAIN_JOB_BOUNDED, libvirt.VIR_DOMAIN_JOB_UNBOUNDED):
            stage = Stage.ENDING
        return sample(stats, elapsed_s, stage, self.limit_ms())

    def _stage(self) -> Stage | None:
        """What the domain's state says of post-copy; None: nothing."""
        try:
            number, reason = self._do("read its state", self._handle.state)
        except NotFound:
            return None
        if number != libvirt.VIR_DOMAIN_PAUSED:
            return None
        stages = {
            libvirt.VIR_DOMAIN_PAUSED_POSTCOPY: Stage.POST_COPY,
            libvirt.VIR_DOMAIN_PAUSED_POSTCOPY_FAILED: Stage.POST_COPY_PAUSED,
        }
        return stages.get(reason)

    def limit_ms(self) -> int:
        """What QEMU may stop the guest for; 0 where libvirt does not say."""
        try:
            return int(self._do("read its downtime limit", lambda: self._handle.migrateGetMaxDowntime(0)))
        except MobilityError:
            return 0

    def listen(self) -> None:
        """Hear libvirt's figures of its end: with the domain the source forgets them, and the destination has none of
        one that ended in post-copy."""

        def tell(_connection: object, _domain: object, figures: Mapping[str, Any], _opaque: object) -> None:
            self._completed = dict(figures)

        event = libvirt.VIR_DOMAIN_EVENT_ID_JOB_COMPLETED
        connection = self._handle.connect()
        self._do("listen to its job", lambda: connection.domainEventRegisterAny(self._handle, event, tell, None))

    def last(self) -> Mapping[str, Any]:
        """libvirt's statistics of the job that ended here, empty when it has none."""
        if self._completed:
            return self._completed
        flag = libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED
        try:
            found: Mapping[str, Any] = self._do("read its last job", lambda: self._handle.jobStats(flag))
        except MobilityError:
            return {}
        return found if found.get("type", libvirt.VIR_DOMAIN_JOB_NONE) != libvirt.VIR_DOMAIN_JOB_NONE else {}

    def set_downtime(self, downtime_ms: int) -> None:
        """The longest that QEMU may plan to stop the guest for."""
        self._do("set its downtime limit", lambda: self._handle.migrateSetMaxDowntime(downtime_ms, 0))

    def set_bandwidth(self, mib_s: int) -> None:
        """How much of the link memory may take; 0: no limit."""
        self._do("set its bandwidth", lambda: self._handle.migrateSetMaxSpeed(mib_s or NO_LIMIT_MIB_S, 0))

    def abort(self) -> None:
        """Give it up. In post-copy libvirt refuses, and so do we before we ask."""
        self._do("give its migration up", self._handle.abortJob)

    def start_post_copy(self) -> None:
        """Let the guest go on there now."""
        self._do("switch it to post-copy", lambda: self._handle.migrateStartPostCopy(0))

    def pause(self) -> None:
        """Stop the guest here, so that it writes no more; libvirt lets it run there when it has arrived."""
        self._do("pause it", self._handle.suspend)

    def resume(self) -> None:
        """Let a guest run again that was paused here."""
        self._do("let it run again", self._handle.resume)


def _is_migration(stats: Mapping[str, Any]) -> bool:
    """A backup or a dump is a job as well."""
    leaving = libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT
    nothing = stats.get("type", libvirt.VIR_DOMAIN_JOB_NONE) == libvirt.VIR_DOMAIN_JOB_NONE
    return not nothing and stats.get(libvirt.VIR_DOMAIN_JOB_OPERATION, leaving) == leaving


def sample(stats: Mapping[str, Any], elapsed_s: float, stage: Stage | None, limit_ms: int) -> Sample:
    """libvirt's words in ours; *stage* where the domain's state knows better."""
    memory, disks = int(stats.get("memory_total", 0)), int(stats.get("disk_total", 0))
    copying = Stage.DISKS if disks else Stage.PREPARING
    return Sample(
        elapsed_s=elapsed_s,
        stage=stage or (Stage.MEMORY if memory else copying),
        iteration=int(stats.get("memory_iteration", 0)),
        memory_total=memory,
        memory_remaining=int(stats.get("memory_remaining", 0)),
        memory_bytes_s=int(stats.get("memory_bps", 0)),
        dirty_bytes_s=int(stats.get("memory_dirty_rate", 0)) * int(stats.get("memory_page_size", 4096)),
        throttle_percent=int(stats.get("auto_converge_throttle", 0)),
        downtime_limit_ms=limit_ms,
        disk_total=disks,
        disk_remaining=int(stats.get("disk_remaining", 0)),
    )
