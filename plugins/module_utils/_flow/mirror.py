# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Step mirror: while the guest runs on the source, every disk it writes to becomes the same on the destination.

In a revert that keeps what the guest wrote it is the other way round.

One call starts, the next ones attach: what works is libvirt's block jobs and the tunnel's unit, not this module.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from ansible_collections.kvmops.mobility.plugins.module_utils._checks.finding import Finding, Severity
from ansible_collections.kvmops.mobility.plugins.module_utils._command import run
from ansible_collections.kvmops.mobility.plugins.module_utils._disk import digest
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError, Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.domain import Domain, Throughput
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import record
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import DiskPlan, Layout
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.way import Way
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect, Plan
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh import identity
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer import progress, rsync, tls, tunnel
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer.progress import Sample
from ansible_collections.kvmops.mobility.plugins.module_utils._unit import transient

_POLL_S = 0.5
_FILES_S = 3600
_ANSWER_S = 5
_MIB = 2**20


def plan(context: Context) -> Plan:
    """Tunnel, other files, jobs; a call that finds them at work only waits, and leaves no line in the journal."""
    migration = context.record().migration
    way = Way.of(migration, context.phase)
    domain = context.hypervisor.domain(migration.uuid)
    if domain.is_off():
        raise Refused("MIRROR_FAILED", migration.name, "is off, and only a guest that runs can be mirrored.", _RSYNC)
    path = tunnel.unit_name(migration.id)
    if transient.phase(path) is transient.Phase.RUNNING and context.params["started"]:
        wait = Effect("ready", "wait until every disk is the same on both sides", lambda: _wait(context, domain))
        slowing = _throttle(context, domain, way)
        return Plan((*slowing, wait), untouched=not slowing)
    return Plan(
        (
            _tunnel(context, domain, way),
            Effect("files", "copy what the guest does not write to", lambda: _files(context, way)),
            Effect("mirror", "mirror its disks", lambda: _wait(context, domain)),
        )
    )


_RSYNC = "Run it again, or with transfer=rsync."


def _tunnel(context: Context, domain: Domain, way: Way) -> Effect:
    migration = way.migration

    def open_up() -> None:
        transient.forget(tunnel.unit_name(migration.id))
        where = tunnel.domain_directory(domain.id())
        for one in context.params["exports"]:
            Path(_socket(where, one["target"])).unlink(missing_ok=True)  # of a tunnel that was killed
        opening = _through_tls if context.params["tls"] else _through_ssh
        opening(context, way, where)

    undo = {
        "kind": "end_mirror",
        "uuid": migration.uuid,
        "unit": tunnel.unit_name(migration.id),
        "targets": [one.target for one in migration.written],
        "directory": tunnel.domain_directory(domain.id()),
    }
    through = "TLS" if context.params["tls"] else "ssh"
    return Effect("tunnel", f"forward sockets to {way.address} through {through}", open_up, undo=undo)


def _through_ssh(context: Context, way: Way, where: str) -> None:
    forwards = {_socket(where, one["target"]): one["socket"] for one in context.params["exports"]}
    path = tunnel.Tunnel(
        migration=way.migration.id,
        peer=_peer(context.params, way, way.arrival),
        forwards=forwards,
        stall_s=context.params["stall_s"],
        logs=str(context.store.make(context.store.migration(way.migration.id))),
    )
    tunnel.open_up(path, context.monotonic, context.sleep)


def _through_tls(context: Context, way: Way, where: str) -> None:
    """By the same unit, so that whoever looks after a mirror need not know which of the two it is."""
    logs = str(context.store.make(context.store.migration(way.migration.id)))
    leaving = tls.Exit(
        unit=transient.Unit(tunnel.unit_name(way.migration.id), logs),
        address=way.address,
        forwards={_socket(where, one["target"]): one["port"] for one in context.params["exports"]},
        stall_s=context.params["stall_s"],
        certificates=context.params["tls_directory"],
    )
    tls.open_exit(leaving, context.monotonic, context.sleep)


def _socket(directory: str, target: str) -> str:
    return f"{directory}/kvmops-{target}.sock"


def _peer(params: Mapping[str, Any], way: Way, directory: str, control_path: str = "") -> rsync.Peer:
    """A directory of the other hypervisor, by the migration user."""
    found = identity.of(params["user"], params["identity_file"], params["known_hosts_file"])
    return rsync.Peer(
        address=way.address,
        user=params["user"],
        directory=directory,
        port=params["port"],
        identity_file=found.identity_file,
        known_hosts_file=found.known_hosts_file,
        control_path=control_path,
    )


def _others(way: Way, *, aside: bool) -> dict[str, str]:
    """By path, the directory of the copy it goes to: all that belongs to the guest besides the disks it writes to.

    A backing file of its own stays behind: what the guest reads through it is in the mirror.
    """
    migration = way.migration
    if migration.layout is Layout.DIRECTORY:
        left = {disk.path for disk in migration.written}
        left.update(link.path for disk in migration.written for link in disk.backing)
        here = Path(way.asides[0] if aside else migration.directory)
        files = sorted(one for one in here.iterdir() if one.is_file())
        return {str(one): way.arrival for one in files if f"{migration.directory}/{one.name}" not in left}
    written = {disk.path for disk in migration.written}
    rest = [one for one in migration.parkings if one.place not in written]
    return {way.aside(one) if aside else one.place: str(Path(way.arriving(one)).parent) for one in rest}


def _files(context: Context, way: Way) -> Mapping[str, Any]:
    """Those, and in a move the two definitions; what changes until the guest is off the hand-over sends again."""
    others = _others(way, aside=False)
    versions = {_told_as(way, path, there): _version(path) for path, there in others.items()}
    definitions = str(record.definitions_directory(context.store, way.migration.id))
    _send(context, way, others if way.back else {**others, definitions: way.arrival})
    return {"files": versions}


def carry(context: Context, way: Way, sent: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """Send again what is not as it was *sent*; the digests of that for the destination to compare with.

    rsync itself compares what it sends; the digests are for what it sent in haste.
    """
    others = _others(way, aside=True)
    changed = {path: there for path, there in others.items() if sent.get(_told_as(way, path, there)) != _version(path)}
    _send(context, way, changed)
    return {"digests": {_told_as(way, path, there): digest.digest(path) for path, there in changed.items()}}


def _told_as(way: Way, path: str, there: str) -> str:
    return way.told_as(os.path.join(there, os.path.basename(path)))


def _send(context: Context, way: Way, paths: Mapping[str, str]) -> None:
    """Copy files into their directories of the copy, through the tunnel."""
    control = _control(context, way.migration.id)
    for arrival in dict.fromkeys(paths.values()):
        where = _peer(context.params, way, arrival, control)
        mine = tuple(path for path, there in paths.items() if there == arrival)
        copy = rsync.Copy(mine, where, compress=False, bandwidth_mib_s=0, resume=False)
        rsync.carry_out(copy, lambda argv: run(argv, timeout_s=_FILES_S), context.monotonic)


def _control(context: Context, migration_id: str) -> str:
    return tunnel.control_path(str(context.store.migration(migration_id)))


def _version(path: str) -> list[int]:
    """What changes when a file is written to."""
    status = os.stat(path)
    return [status.st_ino, status.st_size, status.st_mtime_ns]


def _wait(context: Context, domain: Domain) -> Mapping[str, Any]:
    """Start what is not started, as many at once as allowed, until all are ready or this call's time is over."""
    params = context.params
    targets = [one["target"] for one in params["exports"]]
    started = set(params["started"])
    history: list[Sample] = []
    began = context.monotonic()
    while True:
        ready = domain.ready_mirrors()
        jobs = {one: domain.block_job(one) for one in targets}
        _look(context, domain, [one for one in targets if one in started and jobs[one] is None])
        working = [one for one in targets if jobs[one] is not None and one not in ready]
        waiting = [one for one in targets if one not in started]
        for target in waiting[: max(0, params["parallel"] - len(working))]:
            _start(context, domain, target)
            started.add(target)
        history.append(_sample(context, jobs))
        if ready.issuperset(targets):
            return _told(started, history, ready=True)
        if context.monotonic() - began >= params["wait_s"]:
            return _told(started, history, ready=False)
        context.sleep(_POLL_S)


def _throttle(context: Context, domain: Domain, way: Way) -> tuple[Effect, ...]:
    """The guest's writes are limited as long as it runs, unless they are already."""
    limit = context.params["write_limit_bytes_s"]
    if not limit:
        return ()
    before = {one.target: domain.throughput(one.target) for one in way.migration.written}
    wanted = {target: one.with_writes(limit) for target, one in before.items()}
    if wanted == before:
        return ()

    def throttle() -> None:
        message = f"may write no more than {limit} bytes a second to each disk until it is off."
        context.warn(Finding("MIRROR_THROTTLED", domain.name, message, "It was allowed.", Severity.WARN).line())
        for target, one in wanted.items():
            domain.limit_throughput(target, one)

    limits = {target: asdict(one) for target, one in before.items()}
    undo = {"kind": "limit_writes", "uuid": way.migration.uuid, "limits": limits}
    return (Effect("throttle", f"limit the guest's writes to {limit} bytes a second", throttle, undo=undo),)


def unthrottle(context: Context, how: Mapping[str, Any]) -> None:
    """Give a guest the limits of its disks back that it had."""
    domain = context.hypervisor.find(how["uuid"])
    if domain is None or domain.is_off():
        return  # the limit was that of its run
    for target, limit in how["limits"].items():
        domain.limit_throughput(target, Throughput(**limit))


def _told(started: set[str], history: Sequence[Sample], *, ready: bool) -> dict[str, Any]:
    last = history[-1]
    return {
        "ready": ready,
        "started": sorted(started),
        "done_bytes": last.done_bytes,
        "total_bytes": last.total_bytes,
        "rate_bytes_s": round(progress.rate_bytes_s(history)),
    }


def _sample(context: Context, jobs: Mapping[str, tuple[int, int] | None]) -> Sample:
    known = [one for one in jobs.values() if one is not None]
    return Sample(context.monotonic(), sum(done for done, _end in known), sum(end for _done, end in known))


def _look(context: Context, domain: Domain, lost: Sequence[str]) -> None:
    """Raises MobilityError(MIRROR_FAILED) when a job that was started is gone, with what the tunnel said."""
    if not lost:
        return
    logs = str(context.store.migration(context.params["migration"]))
    path = transient.Unit(tunnel.unit_name(context.params["migration"]), logs)
    said = " ".join(transient.words(path).split())
    ended = transient.phase(path.name) is not transient.Phase.RUNNING
    why = f"the tunnel ended: {said or 'without a word'}" if ended else "its export ended, or its storage is full"
    raise MobilityError(
        "MIRROR_FAILED", domain.name, f"the mirror of {', '.join(lost)} ended before it was ready; {why}.", _RSYNC
    )


def _start(context: Context, domain: Domain, target: str) -> None:
    where = _socket(tunnel.domain_directory(domain.id()), target)
    destination = (
        f"<disk type='network' device='disk'><driver name='qemu' type='raw'/><source protocol='nbd'>"
        f"<host transport='unix' socket={quoteattr(where)}/></source></disk>"
    )
    try:
        domain.start_mirror(target, destination, context.params["bandwidth_mib_s"] * _MIB)
    except MobilityError as error:
        if "Permission denied" in error.message:
            raise MobilityError(
                "MIRROR_CONFINED",
                domain.name,
                f"its QEMU may not connect to {where}: {error.message}",
                "Look for a denial of AppArmor or SELinux in the journal of this hypervisor, or use transfer=rsync.",
            ) from None
        raise


def end(context: Context, how: Mapping[str, Any]) -> None:
    """Take a mirror back: no job, no tunnel, no socket. The guest goes on.

    A job is asked to end first; where the link is silent it cannot, and the end of the tunnel ends it. Raises
    MobilityError(MIRROR_STUCK) when libvirt still has one after that.
    """
    domain = context.hypervisor.find(how["uuid"])
    running = domain is not None and not domain.is_off()
    if domain is not None and running:
        for target in how["targets"]:
            _ask_to_end(domain, target)
        _until_none(context, domain, how["targets"], _ASKED_S)
    transient.forget(how["unit"])
    tunnel.forget_control(str(context.store.migration(context.params["migration"])))
    for target in how["targets"]:
        Path(_socket(how["directory"], target)).unlink(missing_ok=True)
    if domain is not None and running and not _until_none(context, domain, how["targets"], _ENDED_S):
        raise MobilityError(
            "MIRROR_STUCK",
            domain.name,
            "its block jobs did not end after their tunnel was gone.",
            "Look at virsh blockjob for its disks; the guest itself is not harmed. Then run recover.",
        )


_ASKED_S = 3
_ENDED_S = 15


def _ask_to_end(domain: Domain, target: str) -> None:
    """A job that ended between look and request, by itself or with its guest, is what was wanted."""
    try:
        if _has_job(domain, target):
            domain.end_block_job(target)
    except MobilityError:
        if _has_job(domain, target):
            raise


def _has_job(domain: Domain, target: str) -> bool:
    """libvirt does not answer that for a guest that is off."""
    try:
        return domain.block_job(target) is not None
    except MobilityError:
        if domain.is_off():
            return False
        raise


def _until_none(context: Context, domain: Domain, targets: Sequence[str], timeout_s: float) -> bool:
    began = context.monotonic()
    while any(_has_job(domain, one) for one in targets):
        if context.monotonic() - began >= timeout_s:
            return False
        context.sleep(_POLL_S / 5)
    return True


def done_bytes(domain: Domain, disks: Sequence[DiskPlan]) -> int:
    """What libvirt says of the mirrors of *disks* that they have copied so far, what the guest wrote included.

    Only to be told: 0 when libvirt does not say.
    """
    try:
        jobs = [domain.block_job(one.target) for one in disks]
    except MobilityError:
        return 0
    return sum(one[0] for one in jobs if one is not None)


def answers(context: Context, way: Way) -> bool:
    """Whether the other end of the tunnel answers now: a link that went silent looks well for some seconds more."""
    where = _peer(context.params, way, way.arrival, _control(context, way.migration.id))
    argv = (*rsync.ssh_argv(where), f"{where.user}@{where.address}", "true")
    try:
        run(argv, timeout_s=_ANSWER_S)
    except MobilityError:
        return False
    return True


def disks_without(domain: Domain, disks: Sequence[DiskPlan]) -> list[str]:
    """The targets of *disks* whose mirror is not ready now."""
    ready = domain.ready_mirrors()
    return [one.target for one in disks if one.target not in ready]
