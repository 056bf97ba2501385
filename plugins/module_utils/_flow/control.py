# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From another terminal: a live migration that goes on is given up, made to finish, or given another policy.

It is done to libvirt's job at once, and written down for who watches it: neither has to find the other alive.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._flow.live import Here, end_job, here, too_late
from ansible_collections.kvmops.mobility.plugins.module_utils._flow.prepare import live
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.domain import Pause
from ansible_collections.kvmops.mobility.plugins.module_utils._live import neighbours, turns
from ansible_collections.kvmops.mobility.plugins.module_utils._live.model import Sample, Stage
from ansible_collections.kvmops.mobility.plugins.module_utils._live.policy import Policy, parse
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import journal
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Event, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect, Plan

ORDERS = ("abort", "force_complete", "retune")
_POST_COPY = (Stage.POST_COPY, Stage.POST_COPY_PAUSED)


def plan(context: Context) -> Plan:
    """What the order needs now. Raises Refused when it can do nothing any more, or not yet, with the reason."""
    kept = context.record()
    if kept.role != "source":
        raise Refused(
            "WRONG_HYPERVISOR",
            kept.migration.name,
            "is carried by its source, and this hypervisor is the destination.",
            f"Ask {kept.migration.source}.",
        )
    now = here(context)
    live(now.migration)
    seen = now.look()
    plans = {"abort": _abort, "force_complete": _force, "retune": _retune}
    return plans[context.params["order"]](context, now, seen)


def _over(now: Here) -> Refused:
    return Refused(
        "LIVE_OVER",
        now.migration.name,
        "has no migration that goes on: it has ended.",
        "See kvmops.mobility.status for where the guest is.",
    )


def _has_ended(context: Context, now: Here) -> bool:
    """It left, it was undone, or its watcher has told the end."""
    report = now.book.report()
    entries = journal.read(context.store, now.migration.id)
    undone = any((one.step, one.event, one.effect) == (Step.UNDO, Event.BEGIN, "") for one in entries)
    return not now.active or undone or bool(report and report["ended"])


def _abort(context: Context, now: Here, seen: Sample | None) -> Plan:
    if _in_post_copy(now, seen):
        raise too_late(now)
    if seen is None and _has_ended(context, now):
        raise _over(now)
    flag = Effect("flag", "tell whoever is at work that it is given up", now.book.abort)
    if seen is None:
        return Plan((flag,), result={"order": "abort", "stage": Stage.PREPARING.value, "takes_effect": _point(context)})

    def end() -> Mapping[str, Any]:
        began = context.monotonic()
        end_job(context, now)
        return {"gone_after_s": round(context.monotonic() - began, 3)}

    result = {"order": "abort", "stage": seen.stage.value, "takes_effect": "at once"}
    return Plan((flag, Effect("abort", f"give the migration of {now.migration.name} up", end)), result=result)


def _point(context: Context) -> str:
    """Where an abort takes effect that comes before libvirt was asked for anything: no step is broken off."""
    entries = journal.read(context.store, context.params["migration"])
    if any(one.step is Step.LIVE for one in entries):
        return "when its watcher looks next, within a second"
    return "when the destination is prepared: the migration does not begin, and what was made is taken back"


def _in_post_copy(now: Here, seen: Sample | None) -> bool:
    paused = now.active and now.paused in (Pause.POST_COPY, Pause.POST_COPY_BROKEN)
    return bool(paused) or (seen is not None and seen.stage in _POST_COPY)


def _force(context: Context, now: Here, seen: Sample | None) -> Plan:
    """Post-copy where it may, else the guest is paused and writes no more."""
    if seen is None and _has_ended(context, now):
        raise _over(now)
    why = _cannot_be_forced(now, seen)
    if why:
        raise Refused("LIVE_WRONG_STAGE", now.migration.name, why, "See how far it is with kvmops.mobility.status.")
    by_pause = not live(now.migration).options.post_copy

    def force() -> Mapping[str, Any]:
        now.book.force(by_pause=by_pause)  # first: who lets a paused guest run again has to know
        job = context.hypervisor.job(now.migration.uuid)
        if job is not None and by_pause:
            job.pause()
        elif job is not None:
            now.book.switch()
            job.start_post_copy()
        return {}

    how = "pause" if by_pause else "post-copy"
    does = "pause the guest here, until it runs there" if by_pause else "let the guest go on there now (post-copy)"
    return Plan((Effect("force", does, force),), result={"order": "force_complete", "by": how})


def _cannot_be_forced(now: Here, seen: Sample | None) -> str:
    """The reason; empty when it can."""
    if _in_post_copy(now, seen):
        return "is in post-copy already: it ends by itself."
    if live(now.migration).was_paused:
        return "is paused: its memory does not change, and its migration ends by itself."
    if seen is not None and seen.stage is Stage.ENDING:
        return "ends already."
    if seen is None or seen.stage is Stage.PREPARING:
        return "has not begun to send its memory: there is nothing yet that could be made to finish."
    if seen.stage is Stage.DISKS:
        return "still copies its disks: that cannot be forced, only its memory can."
    return ""


def _retune(context: Context, now: Here, seen: Sample | None) -> Plan:
    given, bandwidth = context.params["policy"], context.params["bandwidth_mib_s"]
    if seen is None and _has_ended(context, now):
        raise _over(now)
    policy: Policy | None = parse(given) if given else None
    if policy is None and bandwidth is None:
        raise Refused(
            "POLICY_INVALID",
            now.migration.name,
            "neither a policy nor a bandwidth was given.",
            "Give policy=NAME, a mapping, or bandwidth_mib_s.",
        )

    def tune() -> Mapping[str, Any]:
        now.book.tune(policy, bandwidth)
        if bandwidth is not None and seen is not None and now.job is not None:
            # Not more than its turn on the link allows: who watches it sees to the rest.
            now.job.set_bandwidth(turns.least(bandwidth, neighbours.allowed_mib_s(now.book, context.clock())))
        return {}

    told = [f"policy {policy.name}"] if policy else []
    told += [f"{bandwidth} MiB/s"] if bandwidth is not None else []
    result = {"order": "retune", "policy": policy.as_result() if policy else {}, "bandwidth_mib_s": bandwidth}
    return Plan((Effect("retune", f"give it {', '.join(told)}", tune),), result=result)
