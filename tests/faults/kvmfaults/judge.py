# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to hold after a case."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kvmlab import lab, watch
from kvmlab.config import LabError
from kvmlab.verify import GuestView, verify
from kvmlab.virsh import wait_for_agent

from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Entry
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.state import CLOSED, Status, derive

from . import travel
from .stage import GUEST, Stage

_FILE = "journal.jsonl"
_RECORD = "record.json"
FSYNC_S = 6.0
"""The longest that a write may wait because of us: mirror_stall_s and what it takes to notice, seconds."""
_AGENT_S = 90
"""A guest that its host has just started, on a machine that emulates several of them."""


@dataclass
class Verdict:
    """What was found; a case held when all lists are empty."""

    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)
    status: str = ""
    home: str = ""
    """Where the guest is."""
    fsync_s: float | None = None
    """The longest that a write of a loaded guest took to be on its disk, seconds."""

    @property
    def held(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.twice or self.leaked)


@dataclass(frozen=True)
class Expected:
    """How the guest was before."""

    source: str
    destination: str
    old_vcpus: int
    new_vcpus: int
    may_be_off: bool
    """The guest itself was killed: whether it runs again is its host's business."""
    loaded: bool = False
    """It writes records all the time."""
    live: bool = False
    """It is moved while it runs."""
    may_stall: bool = False
    """A host loses power, or memory is on two hosts: how long a write takes is nobody's promise."""
    split: bool = False
    """Its memory was on two hosts when the link broke for good."""
    boots: int = 0
    """How often the guest was seen to boot, where it goes on whatever happens."""


def status(stage: Stage, expected: Expected, migration: str) -> Status:
    """What the journals of the migration prove."""
    return derive(_known(stage, expected.source, migration), _known(stage, expected.destination, migration))


def _known(stage: Stage, host: str, migration: str) -> tuple[Entry, ...]:
    """The journal there. Before its record was written, which is the first effect of all, a host knows of nothing."""
    kept = f"/var/lib/kvmops/migrations/{migration}"
    if not (stage.hosts[host].storage.records / "migrations" / migration / _RECORD).exists():
        return ()
    return tuple(Entry.from_result(line) for line in stage.journal(host, f"{kept}/{_FILE}"))


def judge(stage: Stage, expected: Expected, migration: str) -> Verdict:
    """Look at everything once recover has ended."""
    verdict = Verdict()
    found = status(stage, expected, migration)
    verdict.status = found.value
    if found is not Status.FINISHED and found not in CLOSED and found is not Status.UNKNOWN:
        verdict.lost.append(f"recover left it {found.value}")
    on_destination = found in (Status.FINISHED, Status.CONFIRMED, Status.COMPLETED)
    verdict.home = expected.destination if on_destination else expected.source
    _guest(stage, expected, verdict, expected.new_vcpus if on_destination else expected.old_vcpus)
    _leftovers(stage, expected, verdict, waiting=found is Status.FINISHED)
    return verdict


def _guest(stage: Stage, expected: Expected, verdict: Verdict, vcpus: int) -> None:
    states = stage.states()
    active = [name for name, state in states.items() if state != "shut off"]
    if len(active) > 1:
        verdict.twice.append(f"active on {' and '.join(active)}")
        return
    try:
        for name in active:
            if expected.split and not stage.knows_agent(name):
                # libvirt forgets it when the link breaks in post-copy. What the guide says about that has to help.
                stage.restart_libvirtd(name)
            wait_for_agent(stage.hosts[name], GUEST, _AGENT_S)
        view = verify(GUEST, lab.all_hosts())
    except LabError as error:
        verdict.lost.append(str(error))
        return
    if len(view.startable_on) > 1:
        verdict.twice.append(f"can be started on {' and '.join(view.startable_on)}")
    verdict.lost += [one for one in view.problems if "can be started" not in one]
    if view.host != verdict.home:
        verdict.lost.append(f"it is on {view.host}, and its status {verdict.status} says {verdict.home}")
    elif not stage.autostart(view.host):
        verdict.lost.append("its autostart was not given back")
    if view.vcpus != vcpus:
        verdict.lost.append(f"it has {view.vcpus} vCPUs, not {vcpus}")
    _running(stage, expected, verdict, view)


def _running(stage: Stage, expected: Expected, verdict: Verdict, view: GuestView) -> None:
    if view.state == "running":
        return
    if not expected.may_be_off:
        verdict.lost.append(f"it is {view.state}, and it ran before")
    stage.start(view.host)


def _leftovers(stage: Stage, expected: Expected, verdict: Verdict, *, waiting: bool) -> None:
    away = expected.source if verdict.home == expected.destination else expected.destination
    for name, host in stage.hosts.items():
        allowed = {GUEST} if name == verdict.home else {f"{GUEST}_resize"} if waiting else set()
        images = {one.name for one in host.storage.images.iterdir() if not (expected.live and _is_log(one))}
        verdict.leaked += [f"{name}: {one} in the images" for one in sorted(images - allowed)]
        if waiting and name == away and f"{GUEST}_resize" not in images:
            verdict.lost.append(f"{name}: what is kept until confirm is gone")
        locks = [one.name for one in (host.storage.records / "locks").glob("*")]
        verdict.leaked += [f"{name}: lock {one}" for one in locks]
        if not waiting:
            secrets = (host.storage.records / "migrations").glob("*/definitions/*.xml")
            verdict.leaked += [f"{name}: {one.parent.parent.name}/{one.name} holds a definition" for one in secrets]
        verdict.leaked += [f"{name}: {one}" for one in stage.sockets(name)]
        units = host.exec(["systemctl", "list-units", "--all", "--plain", "--no-legend", "kvmops-*"]).stdout
        verdict.leaked += [f"{name}: unit {line.split()[0]}" for line in units.splitlines() if line.strip()]
    states = stage.states()
    active = [name for name, state in states.items() if state != "shut off"]
    verdict.leaked += [f"{name}: a mirror of the guest" for name in active if stage.mirror(name) is not None]
    verdict.leaked += [f"{name}: a job of the guest" for name in active if travel.has_job(stage.hosts[name], GUEST)]
    if not waiting and away in states:
        verdict.leaked.append(f"{away}: the guest is still defined")


def _is_log(directory: Path) -> bool:
    """Whether nothing is in the guest's directory but its console's log: a live migration copies and removes disks."""
    return directory.is_dir() and {one.name for one in directory.iterdir()} == {"console.log"}


def judge_writes(expected: Expected, verdict: Verdict, since: float) -> None:
    """How long a write of the guest took at most, of those that ended after *since* (Unix seconds).

    That its records are whole is part of what C(verify) says.
    """
    if not expected.loaded:
        return
    seen = watch.seen(GUEST, since)
    verdict.fsync_s = seen.longest_fsync_s
    if expected.boots and seen.boots != expected.boots:
        verdict.lost.append(f"it booted: {seen.boots} boots were seen, and {expected.boots} before")
    # What nobody saw in time may have come earlier.
    if (seen.longest_fsync_s or 0) - seen.watcher_late_s > FSYNC_S and not expected.may_stall:
        verdict.lost.append(f"a write took {seen.longest_fsync_s:.1f} s, from {seen.longest_fsync_at:.1f}")


def judge_watch(told: Mapping[str, Any], verdict: Verdict, ceiling_ms: int, most_ms: int) -> None:
    """What the watchers of a live migration have done, one after the other: no limit above *ceiling_ms*, none above
    *most_ms* at the end, and nobody made it finish twice. *told* is empty where a power loss took that away."""
    done = [str(line) for line in told.get("done", ()) if ": refused: " not in line]
    limits = [int(found) for words in done for found in re.findall(r" s: downtime limit (\d+) ms", words)]
    if max(limits, default=0) > ceiling_ms or (told.get("downtime_ms") or 0) > most_ms:
        verdict.lost.append(f"its downtime limit was above what was allowed: {'; '.join(done)}")
    for what in (" s: post-copy: ", " s: guest paused: "):
        if sum(what in words for words in done) > 1:
            verdict.lost.append(f"it was made to finish more than once: {'; '.join(done)}")


def lost_lines(before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]]) -> list[str]:
    """Journal lines that were there at the fault and are not there any more: a status that ran ahead of its proof."""
    if list(after[: len(before)]) == list(before):
        return []
    return [f"the journal lost {len(before) - len(after)} lines that had been acted upon"]
