# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a live migration: what of the guest goes which way, by which policy, and how that is shown. Pure.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.kvmops.mobility.plugins.module_utils._checks import converging
from ansible_collections.kvmops.mobility.plugins.module_utils._checks import live as checks
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.context import Move
from ansible_collections.kvmops.mobility.plugins.module_utils._domain.size import human_bytes
from ansible_collections.kvmops.mobility.plugins.module_utils._live.forecast import ways_out
from ansible_collections.kvmops.mobility.plugins.module_utils._live.options import Compression, Options
from ansible_collections.kvmops.mobility.plugins.module_utils._live.outlook import Verdict
from ansible_collections.kvmops.mobility.plugins.module_utils._live.policy import OnTimeout, Pace, Policy
from ansible_collections.kvmops.mobility.plugins.module_utils._live.schedule import downtime_steps, timeout_s
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import (
    DiskPlan,
    Layout,
    Live,
    Migration,
    PlanStep,
    Size,
)

_SHOWN_LIMITS = 4
"""More of them are shown as the first and the last."""


def made_live(move: Move, migration: Migration) -> Migration:
    """*migration*, planned as if it were a cold one, as the live one that *move* asks for.

    Raises ValueError where none is asked for.
    """
    request = move.request.live
    if request is None:
        raise ValueError("a live migration has a policy and options")
    copied = checks.copied(move)
    targets = tuple(one.target for one in copied)
    prospect = converging.prospect(move)
    live = Live(
        options=prospect.options,
        policy=request.policy,
        gib=converging.gib_of(move),
        copied=targets,
        was_paused=move.guest.state == "paused",
        listen=dict(checks.listening(move)),
        announce=request.announce,
        measured=prospect.measured,
        outlook=prospect.outlook,
    )
    return replace(
        migration,
        layout=Layout.FILES,
        disks=tuple(_disk(one, copied=one.target in targets) for one in migration.disks),
        bytes_to_copy=sum(one.copied_bytes for one in copied),
        compress=False,
        transfer_reason="the guest moves while it runs",
        transfer_forced=False,
        expected_outage_s=0.0 if live.was_paused else request.policy.max_downtime_ms / 1000,
        live=live,
    )


def _disk(disk: DiskPlan, *, copied: bool) -> DiskPlan:
    return replace(disk, carried=copied, flatten=copied and bool(disk.backing))


def steps(migration: Migration, live: Live) -> tuple[PlanStep, ...]:
    """One for each step of the role."""
    source, destination = migration.source, migration.destination
    both, mine = f"{source}, {destination}", ", ".join(live.copied)
    empty = f"prepare: an empty image under its own path for each of {mine}"
    first = "switch autostart off, " if migration.autostart else ""
    gone = f"depart: see that the guest is gone here{f', remove the images of {mine}' if mine else ''}"
    return (
        PlanStep(
            both, f"claim: lock the guest, write the record, reserve {size_words(migration.new)} on {destination}"
        ),
        *((PlanStep(destination, empty),) if mine else ()),
        PlanStep(f"{source} -> {destination}", f"live: {first}{_sent(migration, live)} while the guest {_does(live)}"),
        PlanStep(destination, f"arrive: {_arriving(migration, live)}"),
        PlanStep(source, gone),
        PlanStep(both, "finish: completed; there is nothing to confirm"),
    )


def _does(live: Live) -> str:
    return "stays paused" if live.was_paused else "runs"


def _sent(migration: Migration, live: Live) -> str:
    memory = f"send {migration.new.memory_mib} MiB of memory"
    if not live.copied:
        return memory
    return f"mirror {', '.join(live.copied)} ({human_bytes(migration.bytes_to_copy)}), then {memory}"


def _arriving(migration: Migration, live: Live) -> str:
    parts = [f"see that it {'is paused' if live.was_paused else 'runs'} and is defined there"]
    parts += ["set autostart as it was"] if migration.autostart else []
    parts += ["set its clock where an agent answers"]
    parts += ["announce its addresses"] if live.announce else []
    return ", ".join(parts)


def heading(migration: Migration, live: Live) -> tuple[str, ...]:
    """What stands above the steps."""
    return (
        f"{migration.name}: {migration.operation} from {migration.source} to {migration.destination}",
        f"  size             {size_words(migration.old)}",
        f"  to copy          {_to_copy(migration, live)}",
        f"  connection       {_connection(live.options)}",
        f"  policy           {live.policy.name}: {_limits(live)}",
        f"  its time         {_time(live)}",
        f"  expected outage  {_outage(live)}",
        *_forecast(live),
    )


def _forecast(live: Live) -> tuple[str, ...]:
    """What it will come to, and what would end it where it may not end."""
    if live.measured is None or live.outlook is None:
        return ()
    lines = [f"  forecast         {live.outlook.words()}"]
    if live.outlook.verdict in (Verdict.UNSURE, Verdict.DOES_NOT):
        ways = ways_out(live.measured, live.policy, live.gib, live.options)
        lines += [f"                   {words}: {one.short()}" for words, one in ways]
    return tuple(lines)


def _to_copy(migration: Migration, live: Live) -> str:
    parts = [f"{migration.new.memory_mib} MiB of memory"]
    for disk in migration.carried:
        held = f"{human_bytes(disk.allocated_bytes)} of {human_bytes(disk.old_bytes)}"
        parts.append(f"{disk.target} ({held})")
    seen = [disk.target for disk in migration.disks if not disk.carried and not disk.readonly]
    rest = f"; {', '.join(seen)} stays where both see it" if seen else ""
    return f"{', '.join(parts)}{rest} (counts as {_number(live.gib)} GiB)"


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _connection(options: Options) -> str:
    words = ["TLS" if options.tls else "in the clear, between two ports"]
    words += [f"{options.connections} in parallel"] if options.connections > 1 else []
    words += [options.compression.value] if options.compression is not Compression.NONE else []
    words += ["zero copy"] if options.zero_copy else []
    words += [f"at most {options.bandwidth_mib_s} MiB/s"] if options.bandwidth_mib_s else []
    slowed = f", by {options.throttle_initial} % at first" if options.throttle_initial else ""
    words += [f"the guest is slowed down if need be{slowed}"] if options.auto_converge else []
    words += ["post-copy allowed"] if options.post_copy else []
    return ", ".join(words)


def _limits(live: Live) -> str:
    """The longest stop that is allowed from which second on."""
    policy = live.policy
    if policy.pace is Pace.FORECAST:
        return f"the guest may stop for up to {policy.max_downtime_ms} ms, for as little as will do"
    found = downtime_steps(policy.max_downtime_ms, policy.downtime_steps, policy.downtime_delay_s, live.gib)
    shown = found if len(found) <= _SHOWN_LIMITS else (found[0], found[1], found[-1])
    words = [f"{one.downtime_ms} ms" + (f" after {one.after_s} s" if one.after_s else "") for one in shown]
    gap = ", ..., " if len(found) > _SHOWN_LIMITS else ", "
    return f"the guest may stop for {', '.join(words[:-1])}{gap}{words[-1]}"


def _time(live: Live) -> str:
    limit_s = timeout_s(live.policy.completion_timeout_s, live.gib)
    stall = _stall(live.policy)
    if not limit_s and not stall:
        return "as long as it takes"
    up = ", or ".join(one for one in (f"{limit_s} s" if limit_s else "", stall) if one)
    if live.policy.on_timeout is OnTimeout.ABORT:
        return f"{up}, then it is given up and the guest goes on where it is"
    how = "by post-copy" if live.options.post_copy else "by pausing the guest"
    return f"{up}, then it is made to finish {how}"


def _stall(policy: Policy) -> str:
    """How long it may come no closer; empty where nobody looks."""
    return f"{policy.stall_s} s in which it comes no closer" if policy.pace is Pace.FORECAST and policy.stall_s else ""


def _outage(live: Live) -> str:
    return "none, the guest is paused" if live.was_paused else f"at most about {live.policy.max_downtime_ms} ms"


def size_words(size: Size) -> str:
    """A size for the eyes of an operator."""
    return f"{size.vcpus} vCPUs, {size.memory_mib} MiB, root {human_bytes(size.root_bytes)}"
