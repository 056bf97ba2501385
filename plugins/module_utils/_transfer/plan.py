# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a disk copy will do, in one pass or two, as a plan of effects.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._command import Completed, run
from ansible_collections.kvmops.mobility.plugins.module_utils._disk import digest, image
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import CommandFailed, Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Migration
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect, Plan
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh import identity
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer import probe, rsync
from ansible_collections.kvmops.mobility.plugins.module_utils._unit import transient

_DEFAULT_TIMEOUT_S = 7 * 24 * 3600


def plan(context: Context) -> Plan:
    """Copy, and verify as the option verify says. What is there already is not sent again with resume."""
    copy = _copy(context.params)
    for source in copy.sources:
        if not os.path.lexists(source):
            raise Refused("PATH_LOST", source, "is not there to be copied.", "Look where the guest's images are.")
    timeout_s = context.params["deadline_s"] or _DEFAULT_TIMEOUT_S

    def carry_out() -> Mapping[str, Any]:
        sending, wire = _probed(copy, context.params["probe"])
        with ThreadPoolExecutor(max_workers=1) as aside:
            counting = (
                aside.submit(_digests, copy.sources, _vouched(context))
                if context.params["verify"] == "digest"
                else None
            )
            copied = rsync.carry_out(sending, _runner(context, Step.COPY, timeout_s), context.monotonic)
            result = {**wire, "bytes_sent": copied.bytes_sent, "copy_seconds": round(copied.seconds, 3)}
            return {**result, "digests": counting.result()} if counting else result

    def quick(argv: Sequence[str]) -> Completed:
        return run(argv, timeout_s=timeout_s)

    where = rsync.target(copy.peer)
    effects = [Effect("copy", f"copy {', '.join(copy.sources)} to {where}", carry_out, undo=_undo(context, Step.COPY))]
    if context.params["verify"] == "checksum":
        effects.append(Effect("verify", f"compare checksums with {where}", lambda: rsync.verify(copy, quick)))
    return Plan(tuple(effects), after={"copied_to": where})


def presync(context: Context) -> Plan:
    """Copy the images of a guest that runs: most of what the copy after its stop would have to send.

    What arrives is torn, and evidence of nothing. So a pass that ends early costs time, and never the move; but what
    would stop the second pass too is told now, while the guest still runs.
    """
    migration = context.record().migration
    sources = tuple(disk.path for disk in migration.disks)
    copy = _to(context.params, sources, migration.destination_address, migration.staging)
    copy = replace(copy, compress=migration.compress)
    timeout_s = context.params["deadline_s"] or _DEFAULT_TIMEOUT_S

    def carry_out() -> Mapping[str, Any]:
        sending, wire = _probed(copy, migration.zstd)
        known = {**wire, "compress": sending.compress, "block_bytes": _block_bytes(migration)}
        try:
            copied = rsync.carry_out(sending, _runner(context, Step.PRESYNC, timeout_s), context.monotonic)
        except CommandFailed as error:
            if error.code != "COPY_FAILED" or not probe.answers(copy.peer):
                raise  # the second pass would fail too, with the guest off
            context.warn(f"{migration.name}: the first pass did not end, the second sends what is missing: {error}")
            return {**known, "complete": False, "broken_off": str(error)}
        seconds = round(copied.seconds, 3)
        return {**known, "complete": True, "bytes_sent": copied.bytes_sent, "copy_seconds": seconds}

    where = rsync.target(copy.peer)
    words = f"copy {', '.join(sources)} to {where} while the guest runs"
    return Plan((Effect("presync", words, carry_out, undo=_undo(context, Step.PRESYNC)),), after={"copied_to": where})


def _probed(copy: rsync.Copy, wanted: bool) -> tuple[rsync.Copy, dict[str, Any]]:
    """The copy as it should go over the wire, and why. What is compressed already for its holes stays so."""
    if copy.compress:
        return copy, {"wire": "zstd: most of the images are holes, which rsync sends as zeros"}
    if not wanted:
        return copy, {}
    files = [path for source in copy.sources for path in _files(source)]
    found = probe.measure(copy.peer, files)
    wire = probe.decide(found, copy.bandwidth_mib_s)
    return replace(copy, compress=wire.compress), {"wire": wire.why, **asdict(found)}


def _files(source: str) -> list[str]:
    """The file itself, or those directly in a directory whose contents are copied."""
    if not source.endswith("/"):
        return [source] if os.path.isfile(source) else []
    return sorted(entry.path for entry in os.scandir(source) if entry.is_file(follow_symlinks=False))


def _block_bytes(migration: Migration) -> int:
    files = [disk.path for disk in migration.disks]
    clusters = [image.inspect(disk.path, disk.format).cluster_bytes for disk in migration.disks]
    return rsync.block_bytes(clusters, max(map(os.path.getsize, files), default=0))


def _unit(context: Context, step: Step) -> transient.Unit:
    migration = context.params["migration"]
    directory = context.store.make(context.store.migration(migration))
    return transient.Unit(transient.name_of(migration, step.value), str(directory))


def _runner(context: Context, step: Step, timeout_s: float) -> rsync.Runner:
    """The copy of a migration is a unit, which outlives this module and can be attached to; any other is a child."""
    if not context.params["migration"]:
        return lambda argv: run(argv, timeout_s=timeout_s)
    unit = _unit(context, step)
    return lambda argv: transient.carry_out(unit, argv, timeout_s, context.monotonic, context.sleep)


def _undo(context: Context, step: Step) -> Mapping[str, Any] | None:
    migration = context.params["migration"]
    return {"kind": "stop_unit", "name": transient.name_of(migration, step.value)} if migration else None


def _vouched(context: Context) -> frozenset[str]:
    return context.record().migration.vouched_for if context.params["migration"] else frozenset()


def _digests(sources: Sequence[str], without: Collection[str]) -> dict[str, str]:
    """Of the files in the directories whose contents are copied: what the other side compares its copy with."""
    found: dict[str, str] = {}
    for source in sources:
        if source.endswith("/"):
            found.update(digest.digests(source, without))
    return found


def _copy(params: Mapping[str, Any]) -> rsync.Copy:
    copy = _to(params, tuple(params["src"]), params["address"], params["dest"])
    return replace(copy, resume=params["resume"], block_bytes=params["block_bytes"])


def _to(params: Mapping[str, Any], sources: tuple[str, ...], address: str, directory: str) -> rsync.Copy:
    files = identity.of(params["user"], params["identity_file"], params["known_hosts_file"])
    peer = rsync.Peer(
        address=address,
        user=params["user"],
        directory=directory,
        port=params["port"],
        identity_file=files.identity_file,
        known_hosts_file=files.known_hosts_file,
    )
    return rsync.Copy(
        sources=sources,
        peer=peer,
        compress=params.get("compress", False),
        bandwidth_mib_s=params["bandwidth_mib_s"],
        resume=False,
    )
