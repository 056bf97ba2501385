# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receipt: what an operator reads, and a program gets, when a migration's step is over. Pure.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._domain.size import human_bytes
from ansible_collections.kvmops.mobility.plugins.module_utils._live.outlook import (
    Outlook,
    Verdict,
    pause_words,
    seconds_words,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import reverting
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import Data
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Entry, Event, Phase, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Migration
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.plan import commands
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.shown_status import shown_status
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.state import Status, derive


@dataclass(frozen=True)
class StepLine:
    """One step of the receipt."""

    step: str
    hypervisor: str
    seconds: float | None
    """None when it did not end."""
    did: str


@dataclass(frozen=True)
class Outage:
    """How long the guest was away, seconds: total = guest_stop + ours + guest_start."""

    total: float
    guest_stop: float
    """From the first shutdown request to off: the guest's own."""
    ours: float
    guest_start: float
    """From libvirt's start to libvirt's running."""


@dataclass(frozen=True)
class Carried:
    """How a live migration went, by libvirt's count. None for what it did not tell."""

    downtime_ms: int | None
    """From the guest's stop on the source to its start on the destination."""
    downtime_net_ms: int | None
    """Without what it takes to hand the control over from one host to the other."""
    seconds: float | None
    memory_bytes: int | None
    """What was sent of it; pages that the guest wrote meanwhile count each time."""
    disk_bytes: int | None
    """What was gone through of copied disks; what is empty counts, though it is not sent."""
    iterations: int | None
    """Rounds over the memory."""
    done: tuple[str, ...]
    """What was done to it meanwhile, each with its second."""
    memory_bytes_s: int | None = None
    """How fast memory went."""
    outlook: Outlook | None = None
    """What was said of it before it began."""

    def lines(self) -> list[str]:
        """For the operator's eyes."""
        lines = [f"  done to it       {one}" for one in self.done]
        said = self.outlook
        lines += [f"  forecast         {self._beside(said)}"] if said and said.verdict is not Verdict.UNKNOWN else []
        if self.downtime_ms is not None:
            net = self.downtime_net_ms
            rest = f" ({net} ms without the hand-over between the hosts)" if net is not None else ""
            lines.append(f"  outage           {self.downtime_ms} ms by libvirt's count{rest}")
        if self.memory_bytes is not None:
            rounds = f" in {self.iterations} round(s)" if self.iterations else ""
            lines.append(f"  sent             {human_bytes(self.memory_bytes)} of memory{rounds}")
        if self.disk_bytes:
            lines.append(f"  mirrored         {human_bytes(self.disk_bytes)} of disks, what is empty counted")
        return lines

    def as_result(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**asdict(self), "outlook": self.outlook.as_result() if self.outlook else None}

    def _beside(self, said: Outlook) -> str:
        """What was said beside what came of it."""
        parts = [f"it took {seconds_words(self.seconds)}"] if self.seconds is not None else []
        parts += [f"the pause was {pause_words(self.downtime_ms)}"] if self.downtime_ms is not None else []
        return f"{said.short()}; {', '.join(parts)}" if parts else said.short()


@dataclass(frozen=True)
class Receipt:
    """What happened in one phase of a migration."""

    migration: Migration
    phase: Phase
    status: Status
    steps: tuple[StepLine, ...]
    outage: Outage | None
    """None for a guest that was off, or did not get that far."""
    bytes_sent: int
    bytes_before: int
    """Of these, while the guest still ran."""
    mirrored_bytes: int
    """What a mirror had copied when the guest was asked to stop, by libvirt's count, which takes holes for data; 0
    without one. Nobody counts its bytes on the wire."""
    wire: str
    """Whether it was compressed, and why; empty when that was no question."""
    where: str
    """Inventory name of the hypervisor that has the guest, empty when that cannot be told."""
    unheard: tuple[str, ...]
    """Hypervisors whose journal could not be read: the status is what the other one's tells."""
    kept: tuple[str, ...]
    next_commands: tuple[str, ...]
    error: str
    root_bytes: int = 0
    """Virtual size of the root disk where the guest is."""
    shown: str = ""
    """The status in Nova's words."""
    carried: Carried | None = None
    """None for a cold one, and for a live one that nothing is known of."""

    def as_result(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            **asdict(self),
            "migration": self.migration.as_result(),
            "phase": self.phase.value,
            "status": self.status.value,
            "nova_status": self.shown,
            "carried": self.carried.as_result() if self.carried else None,
            "lines": self.lines(),
        }

    def lines(self) -> list[str]:
        """For the operator's eyes."""
        name = self.migration.name
        lines = [f"{name}: {self.shown} (migration {self.migration.id})"]
        if self.error:
            lines.append(f"  failed           {self.error}")
        for host in self.unheard:
            lines.append(f"  not certain      {host} did not answer; this is what the other journal tells")
        lines += _place(self.migration, self.where, self.root_bytes)
        lines += _step_table(self.steps)
        if self.outage is not None:
            lines.append(f"  outage           {_outage(self.outage)}")
        lines += self.carried.lines() if self.carried else []
        if self.mirrored_bytes:
            lines.append(f"  mirrored         {human_bytes(self.mirrored_bytes)} by libvirt's count, holes included")
        if self.bytes_sent:
            lines.append(f"  copied           {_sent(self.bytes_sent, self.bytes_before)}")
        if self.wire:
            lines.append(f"  on the wire      {self.wire}")
        lines += [f"  kept             {one}" for one in self.kept]
        return lines + [f"  next             {one}" for one in self.next_commands]


def _place(migration: Migration, where: str, root_bytes: int) -> list[str]:
    if not where:
        return [f"  the guest is on  {migration.source} or {migration.destination}: see both before anything else"]
    return [f"  the guest is on  {where}", f"  size             {_size(migration, where, root_bytes)}"]


def _size(migration: Migration, where: str, root_bytes: int) -> str:
    size = migration.new if where == migration.destination else migration.old
    return f"{size.vcpus} vCPUs, {size.memory_mib} MiB, root {human_bytes(root_bytes)}"


def _root_bytes(migration: Migration, where: str, source: Sequence[Entry]) -> int:
    """That of the flavor, unless the disk came back as it was."""
    if where == migration.destination:
        return migration.new.root_bytes
    came_back = reverting.sizes(source) if reverting.data(source) is Data.COPY_BACK else {}
    return came_back.get(migration.root_disk, migration.old.root_bytes)


def _sent(total: int, before: int) -> str:
    running = f", {human_bytes(before)} of it while the guest ran" if before else ""
    return f"{human_bytes(total)} on the wire{running}"


def _outage(outage: Outage) -> str:
    parts = (
        f"guest stop {outage.guest_stop:.1f} s",
        f"ours {outage.ours:.1f} s",
        f"guest start {outage.guest_start:.1f} s",
    )
    return f"{outage.total:.1f} s ({' + '.join(parts)})"


def _step_table(steps: Sequence[StepLine]) -> list[str]:
    width = max((len(one.hypervisor) for one in steps), default=0)
    lines = []
    for number, one in enumerate(steps, 1):
        took = f"{one.seconds:7.1f} s" if one.seconds is not None else "  not ended"
        lines.append(f"    {number:>2}  {one.step:<10} {one.hypervisor:<{width}} {took}  {one.did}")
    return lines


def build(
    migration: Migration,
    phase: Phase,
    source: Sequence[Entry],
    destination: Sequence[Entry],
    clock_offset_s: float = 0.0,
    error: str = "",
    unheard: tuple[str, ...] = (),
) -> Receipt:
    """The receipt of *phase*; *clock_offset_s* is the destination's clock minus the source's."""
    status = derive(source, destination)
    where = _where(migration, status, unheard)
    giving = destination if phase is Phase.REVERT else source
    first, second = (_result(giving, phase, step) for step in (Step.PRESYNC, Step.COPY))
    before = int(first.get("bytes_sent", 0))
    return Receipt(
        migration=migration,
        phase=phase,
        status=status,
        steps=_steps(migration, phase, source, destination, clock_offset_s),
        outage=_measure(phase, source, destination, clock_offset_s),
        bytes_sent=before + int(second.get("bytes_sent", 0)),
        bytes_before=before,
        mirrored_bytes=int(_result(giving, phase, Step.HAND_OVER).get("mirrored_bytes", 0)),
        wire=str(first.get("wire", second.get("wire", ""))),
        where=where,
        unheard=unheard,
        kept=_kept(migration, status, source),
        next_commands=_next(migration, status),
        error=error,
        root_bytes=_root_bytes(migration, where, source),
        shown=shown_status(migration, status, source, destination),
        carried=_carried(source, destination, migration.live.outlook) if migration.live else None,
    )


def _carried(source: Sequence[Entry], destination: Sequence[Entry], said: Outlook | None) -> Carried | None:
    """From what the source's libvirt told, or the destination's where the guest had left before it was asked."""
    result = _result(source, Phase.MOVE, Step.LIVE)
    state: Mapping[str, Any] = result.get("state") or {}
    arrived: Mapping[str, Any] = _result(destination, Phase.MOVE, Step.ARRIVE).get("statistics") or {}
    told: Mapping[str, Any] = {**arrived, **(state.get("statistics") or {})}
    if not told and not state:
        return None
    elapsed = _number(told, "time_elapsed")
    return Carried(
        downtime_ms=_number(told, "downtime"),
        downtime_net_ms=_number(told, "downtime_net"),
        seconds=None if elapsed is None else elapsed / 1000,
        memory_bytes=_number(told, "memory_processed"),
        disk_bytes=_number(told, "disk_processed"),
        iterations=_number(told, "memory_iteration"),
        done=tuple(str(one) for one in state.get("done", ())),
        memory_bytes_s=_number(told, "memory_bps"),
        outlook=said,
    )


def _number(told: Mapping[str, Any], name: str) -> int | None:
    return int(told[name]) if name in told else None


def _where(migration: Migration, status: Status, unheard: tuple[str, ...]) -> str:
    """Only a move that was taken over, and not taken back, has the guest on the destination."""
    if status in (Status.FINISHED, Status.CONFIRMING, Status.CONFIRMED, Status.COMPLETED):
        return migration.destination
    if unheard or _is_to_recover(migration, status):
        return ""
    return migration.source


def _kept(migration: Migration, status: Status, source: Sequence[Entry]) -> tuple[str, ...]:
    if status is Status.COMPLETED:
        left = _result(source, Phase.MOVE, Step.DEPART).get("kept", ())
        return tuple(f"{migration.source}:{path}, which was not copied" for path in left)
    if status is Status.FINISHED:
        return (f"{migration.source}:{', '.join(migration.parked_in)} and its definition, until confirm or revert",)
    if status is Status.ERROR:
        return (f"everything there was on {migration.source} and {migration.destination}; nothing was removed",)
    return ()


_TO_RECOVER = (Status.ERROR, Status.POST_MIGRATING, Status.REVERTING)
"""Where a phase that is over must not stay."""


def _is_to_recover(migration: Migration, status: Status) -> bool:
    """A live migration that is not over goes on by itself, wherever the guest is."""
    return status in _TO_RECOVER or (migration.live is not None and status is Status.MIGRATING)


def _next(migration: Migration, status: Status) -> tuple[str, ...]:
    if status is Status.FINISHED:
        return commands(migration)
    return ("ansible-playbook kvmops.mobility.recover",) if _is_to_recover(migration, status) else ()


def _steps(
    migration: Migration,
    phase: Phase,
    source: Sequence[Entry],
    destination: Sequence[Entry],
    clock_offset_s: float,
) -> tuple[StepLine, ...]:
    """The steps of both hypervisors in the order they began, by the source's clock."""
    lines: list[tuple[float, StepLine]] = []
    hosts = ((migration.source, source, 0.0), (migration.destination, destination, clock_offset_s))
    for host, entries, ahead in hosts:
        began: dict[Step, Entry] = {}
        for entry in _joined(entries):
            if entry.phase is not phase or entry.effect:
                continue
            if entry.event is Event.BEGIN:
                began[entry.step] = entry
            elif entry.step in began:
                first = began.pop(entry.step)
                lines.append((first.at - ahead, _ended(host, first, replace(entry, at=_over(entries, entry)))))
        lines += [(one.at - ahead, StepLine(one.step.value, host, None, "did not end")) for one in began.values()]
    return tuple(line for _at, line in sorted(lines, key=lambda pair: pair[0]))


def _joined(entries: Sequence[Entry]) -> list[Entry]:
    """A live migration is watched by several calls: here they are one, from the first begin to the last end."""
    mine = [n for n, one in enumerate(entries) if one.step is Step.LIVE and not one.effect]
    inner = set(mine[1:] if mine and entries[mine[-1]].event is Event.BEGIN else mine[1:-1])
    return [one for n, one in enumerate(entries) if n not in inner]


def _over(entries: Sequence[Entry], ended: Entry) -> float:
    """When a step was over, Unix time. For a mirror, when the hand-over begins: waiting leaves no line."""
    if ended.step is not Step.MIRROR or ended.event is not Event.END:
        return ended.at
    following = (one for one in entries if one.step is Step.HAND_OVER and one.phase is ended.phase)
    return next((one.at for one in following if one.event is Event.BEGIN and one.at >= ended.at), ended.at)


def _ended(host: str, began: Entry, ended: Entry) -> StepLine:
    did = ", ".join(str(name) for name in began.result.get("effects", ()))
    if "evidence" in ended.result:
        did = ", ".join(f"{key} {value}" for key, value in ended.result["evidence"].items())
    if ended.event is Event.FAIL:
        did = f"failed: {ended.result.get('code', '')}"
    return StepLine(began.step.value, host, round(ended.at - began.at, 3), did)


def _result(entries: Sequence[Entry], phase: Phase, step: Step) -> Mapping[str, Any]:
    ends = [e for e in entries if (e.phase, e.step, e.event, e.effect) == (phase, step, Event.END, "")]
    return ends[-1].result if ends else {}


def _measure(
    phase: Phase, source: Sequence[Entry], destination: Sequence[Entry], clock_offset_s: float
) -> Outage | None:
    """From the first request to shut down to libvirt's running, on one clock."""
    if phase is Phase.CONFIRM:
        return None
    moving = phase is Phase.MOVE
    left = _result(source if moving else destination, phase, Step.HAND_OVER)
    came = _result(destination if moving else source, phase, Step.TAKE_OVER)
    if "stop_requested_at" not in left or "running_at" not in came:
        return None
    offset = clock_offset_s if moving else -clock_offset_s
    guest_stop = left["off_at"] - left["stop_requested_at"]
    guest_start = came["running_at"] - came["start_requested_at"]
    total = came["running_at"] - offset - left["stop_requested_at"]
    ours = total - guest_stop - guest_start
    return Outage(round(total, 3), round(guest_stop, 3), round(ours, 3), round(guest_start, 3))
