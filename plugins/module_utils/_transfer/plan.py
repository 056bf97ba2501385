# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a disk copy will do, in one pass or two, as a plan of effects.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._command import Completed, run
from ansible_collections.kvmops.mobility.plugins.module_utils._disk import digest, directory, image
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import CommandFailed, Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import DiskPlan, Migration
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.way import Way
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect, Plan, numbered
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh import identity
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer import probe, rsync
from ansible_collections.kvmops.mobility.plugins.module_utils._unit import transient

_DEFAULT_TIMEOUT_S = 7 * 24 * 3600


def plan(context: Context) -> Plan:
    """Flatten, copy, and verify as the option verify says. What is there already is not sent again with resume."""
    copies = _copies(context.params)
    timeout_s = context.params["deadline_s"] or _DEFAULT_TIMEOUT_S
    chains = [_Chain.of(one) for one in context.params["flatten"]]
    to_come = {one.to for one in chains}
    for source in (one for copy in copies for one in copy.sources if one not in to_come):
        if not os.path.lexists(source):
            raise Refused("PATH_LOST", source, "is not there to be copied.", "Look where the guest's images are.")

    totals = _Totals(_Wire(copies, context.params["probe"]))
    effects = [
        *_flatten(context, chains, timeout_s),
        *(_copy_effect(context, one, index, timeout_s, totals) for index, one in enumerate(copies)),
        *_tidy(chains),
    ]
    if context.params["verify"] == "checksum":
        effects += [_verify_effect(one, index, timeout_s) for index, one in enumerate(copies)]
    return Plan(tuple(effects), after={"copied_to": rsync.target(copies[0].peer)})


def presync(context: Context) -> Plan:
    """Copy the images of a guest that runs: most of what the copy after its stop would have to send.

    What arrives is torn, and evidence of nothing. So a pass that ends early costs time, and never the move; but what
    would stop the second pass too is told now, while the guest still runs. An image with backing files is flattened
    when the guest is off, so there is nothing of it to send yet.
    """
    migration = context.record().migration
    disks = [disk for disk in migration.carried if not disk.flatten]
    copies = tuple(_first_passes(context.params, migration, disks))
    totals = _Totals(_Wire(copies, migration.zstd))
    totals.told["block_bytes"] = rsync.block_bytes([one.cluster_bytes for one in disks], _largest(disks))
    totals.told["complete"] = True
    return Plan(
        tuple(_first_pass(context, migration, one, index, totals) for index, one in enumerate(copies)),
        after={"copied_to": [rsync.target(one.peer) for one in copies]},
    )


def _first_passes(params: Mapping[str, Any], migration: Migration, disks: Sequence[DiskPlan]) -> Iterable[rsync.Copy]:
    """One for each directory of the copy that gets any of *disks*."""
    staged = {disk.path: migration.staged(disk) for disk in disks}
    given = {**params, "address": migration.destination_address, "compress": migration.compress}
    for where in migration.staged_in:
        mine = [path for path, there in staged.items() if os.path.dirname(there) == where]
        if mine:
            yield _to(given, mine, where)


def _largest(disks: Sequence[DiskPlan]) -> int:
    """Of their files, bytes with the holes."""
    return max((os.path.getsize(disk.path) for disk in disks), default=0)


def _first_pass(context: Context, migration: Migration, copy: rsync.Copy, index: int, totals: _Totals) -> Effect:
    step = numbered("presync", index)
    timeout_s = context.params["deadline_s"] or _DEFAULT_TIMEOUT_S

    def carry_out() -> Mapping[str, Any]:
        totals.told.update(totals.wire.decided())
        try:
            copied = rsync.carry_out(totals.wire.way(copy), _runner(context, step, timeout_s), context.monotonic)
        except CommandFailed as error:
            if error.code != "COPY_FAILED" or not probe.answers(copy.peer):
                raise  # the second pass would fail too, with the guest off
            context.warn(f"{migration.name}: the first pass did not end, the second sends what is missing: {error}")
            totals.told.update(complete=False, broken_off=str(error))
        else:
            totals.add(copied)
        return dict(totals.told)

    words = f"copy {', '.join(copy.sources)} to {rsync.target(copy.peer)} while the guest runs"
    return Effect(step, words, carry_out, undo=_undo(context, step))


class _Wire:
    """How all copies of one call go over the wire, asked once and when the first begins."""

    def __init__(self, copies: Sequence[rsync.Copy], wanted: bool) -> None:
        self._copies = copies
        self._wanted = wanted
        self._found: dict[str, Any] | None = None

    def decided(self) -> dict[str, Any]:
        """Whether to compress, and why. What is compressed already for its holes stays so."""
        if self._found is None:
            self._found = self._ask()
        return self._found

    def _ask(self) -> dict[str, Any]:
        first = self._copies[0]
        if first.compress:
            return {"compress": True, "wire": "zstd: most of the images are holes, which rsync sends as zeros"}
        if not self._wanted:
            return {"compress": False}
        files = [path for one in self._copies for source in one.sources for path in _files(source)]
        found = probe.measure(first.peer, files)
        wire = probe.decide(found, first.bandwidth_mib_s)
        return {"compress": wire.compress, "wire": wire.why, **asdict(found)}

    def way(self, copy: rsync.Copy) -> rsync.Copy:
        """*copy* as it was decided."""
        return replace(copy, compress=bool(self.decided()["compress"]))


def _files(source: str) -> list[str]:
    """The file itself, or those directly in a directory whose contents are copied."""
    if not source.endswith("/"):
        return [source] if os.path.isfile(source) else []
    return sorted(entry.path for entry in os.scandir(source) if entry.is_file(follow_symlinks=False))


@dataclass
class _Totals:
    """What all copies of one call sent and took together; the result of the last is the result of the call."""

    wire: _Wire
    bytes_sent: int = 0
    seconds: float = 0.0
    digests: dict[str, str] = field(default_factory=dict)
    told: dict[str, Any] = field(default_factory=dict)
    """As a result."""

    def add(self, copied: rsync.Copied) -> None:
        """One more copy."""
        self.bytes_sent += copied.bytes_sent
        self.seconds += copied.seconds
        self.told.update(bytes_sent=self.bytes_sent, copy_seconds=round(self.seconds, 3))


def _copy_effect(context: Context, copy: rsync.Copy, index: int, timeout_s: float, totals: _Totals) -> Effect:
    step = numbered("copy", index)

    def carry_out() -> Mapping[str, Any]:
        counted = context.params["verify"] == "digest"
        totals.told.update(totals.wire.decided())
        with ThreadPoolExecutor(max_workers=1) as aside:
            counting = aside.submit(_digests, copy, index, _vouched(context)) if counted else None
            copied = rsync.carry_out(totals.wire.way(copy), _runner(context, step, timeout_s), context.monotonic)
            if counting is not None:
                totals.digests.update(counting.result())
                totals.told["digests"] = dict(totals.digests)
        totals.add(copied)
        return dict(totals.told)

    what = f"copy {', '.join(copy.sources)} to {rsync.target(copy.peer)}"
    return Effect(step, what, carry_out, undo=_undo(context, step))


def _verify_effect(copy: rsync.Copy, index: int, timeout_s: float) -> Effect:
    def quick(argv: Sequence[str]) -> Completed:
        return run(argv, timeout_s=timeout_s)

    what = f"compare checksums with {rsync.target(copy.peer)}"
    return Effect(numbered("verify", index), what, lambda: rsync.verify(copy, quick))


@dataclass(frozen=True)
class _Chain:
    """An image with its backing files, and the image that is made of them."""

    target: str
    links: tuple[tuple[str, str], ...]
    """Path and format of each, the image itself first."""
    to: str
    cluster_bytes: int

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> _Chain:
        links = tuple((one["path"], one["format"]) for one in given["links"])
        return cls(given["target"], links, given["to"], given["cluster_bytes"])


def _flatten(context: Context, chains: Sequence[_Chain], timeout_s: float) -> list[Effect]:
    """One image of each chain, beside what is parked. One that is there was finished by a call before this."""
    to_do = [one for one in chains if not os.path.lexists(one.to)]
    rooms = dict.fromkeys(os.path.dirname(one.to) for one in to_do)
    return [
        *(_make_room(one, index) for index, one in enumerate(rooms)),
        *(_flatten_one(context, one, timeout_s) for one in to_do),
    ]


def _make_room(path: str, index: int) -> Effect:
    return Effect(
        numbered("room", index),
        f"make {path}",
        lambda: directory.make_room(path),
        undo={"kind": "remove", "path": path},
    )


def _flatten_one(context: Context, chain: _Chain, timeout_s: float) -> Effect:
    step = f"flatten_{chain.target}"
    part = f"{chain.to}.part"  # only what was finished has the name that is sent

    def flatten() -> None:
        _check_room(chain)
        _runner(context, step, timeout_s)(image.flatten_argv(chain.links, part, chain.cluster_bytes))
        os.rename(part, chain.to)

    paths = ", ".join(path for path, _format in chain.links)
    return Effect(step, f"flatten {paths} into {chain.to}", flatten, undo=_undo(context, step))


def _check_room(chain: _Chain) -> None:
    """Raises Refused(SOURCE_DISK_FULL): the plan may have been made for a transfer that needs no room here."""
    needed = sum(os.stat(path).st_blocks * 512 for path, _format in chain.links)
    space = os.statvfs(os.path.dirname(chain.to))
    if needed > space.f_bavail * space.f_frsize:
        raise Refused(
            "SOURCE_DISK_FULL",
            chain.to,
            f"to flatten {chain.target} may take {needed} bytes, which are not free there.",
            "Free space on the source, then run it again.",
        )


def _tidy(chains: Sequence[_Chain]) -> list[Effect]:
    """The flattened images are of no more use once they were sent."""
    rooms = dict.fromkeys(os.path.dirname(one.to) for one in chains)
    return [_remove_room(one, index) for index, one in enumerate(rooms)]


def _remove_room(path: str, index: int) -> Effect:
    def remove() -> None:
        directory.remove(path)

    return Effect(numbered("tidy", index), f"remove {path}", remove)


def _unit(context: Context, step: str) -> transient.Unit:
    migration = context.params["migration"]
    kept = context.store.make(context.store.migration(migration))
    return transient.Unit(transient.name_of(migration, step), str(kept))


def _runner(context: Context, step: str, timeout_s: float) -> rsync.Runner:
    """The copy of a migration is a unit, which outlives this module and can be attached to; any other is a child."""
    if not context.params["migration"]:
        return lambda argv: run(argv, timeout_s=timeout_s)
    unit = _unit(context, step)
    return lambda argv: transient.carry_out(unit, argv, timeout_s, context.monotonic, context.sleep, context.beginning)


def _undo(context: Context, step: str) -> Mapping[str, Any] | None:
    migration = context.params["migration"]
    return {"kind": "stop_unit", "name": transient.name_of(migration, step)} if migration else None


def _vouched(context: Context) -> frozenset[str]:
    if not context.params["migration"]:
        return frozenset()
    return Way.of(context.record().migration, context.phase).vouched_for


def _digests(copy: rsync.Copy, index: int, without: Collection[str]) -> dict[str, str]:
    """Of the files that are copied: what the other side compares its copy with. By name; in further directories by the
    path there, because two of them may have files of one name."""
    where = f"{copy.peer.directory}/" if index else ""
    files = [path for source in copy.sources for path in _files(source)]
    called = {where + os.path.basename(path): path for path in files}
    return {name: digest.digest(path) for name, path in called.items() if name not in without}


def _copies(params: Mapping[str, Any]) -> tuple[rsync.Copy, ...]:
    """One for each directory of the copy."""
    first = {"src": params["src"], "dest": params["dest"]}
    how = {"resume": params["resume"], "block_bytes": params["block_bytes"]}
    return tuple(replace(_to(params, one["src"], one["dest"]), **how) for one in (first, *params["also"]))


def _to(params: Mapping[str, Any], sources: Sequence[str], dest: str) -> rsync.Copy:
    files = identity.of(params["user"], params["identity_file"], params["known_hosts_file"])
    peer = rsync.Peer(
        address=params["address"],
        user=params["user"],
        directory=dest,
        port=params["port"],
        identity_file=files.identity_file,
        known_hosts_file=files.known_hosts_file,
    )
    return rsync.Copy(
        sources=tuple(sources),
        peer=peer,
        compress=params["compress"],
        bandwidth_mib_s=params["bandwidth_mib_s"],
        resume=False,
        ignore_times=bool(params["migration"]),
    )
