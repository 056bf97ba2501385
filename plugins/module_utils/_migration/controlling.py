# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans an order to a live migration that goes on: give it up, make it finish, change its policy. Pure.

It is found in the records, and whether it can still be told anything is seen on its source.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._checks.codes import found
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.finding import Finding
from ansible_collections.kvmops.mobility.plugins.module_utils._live.policy import NOVA, OnTimeout, Pace, Policy
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import Operation, Request
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.closing import Known
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.live_request import parse_retune
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Live, PlanStep
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.plan import GuestPlan, Outcome, Plan
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.state import CLOSED, Status

_LISTENING = frozenset({Status.PRE_MIGRATING, Status.MIGRATING})
"""Before it the source knows nothing of it, after it the guest is on the destination."""


def check_options(operation: Operation, raw: Mapping[str, Any]) -> None:
    """Whether the order is whole, as far as that can be told without the migration.

    Raises Refused: POLICY_INVALID, VALUE_INVALID.
    """
    if operation is Operation.RETUNE:
        parse_retune(raw, NOVA)


def plan(request: Request, typed: Mapping[str, Any], known: Sequence[Known], unreachable: Mapping[str, str]) -> Plan:
    """What becomes of the order for each guest of *request*; *typed* has the variables of a retune.

    Raises Refused: POLICY_INVALID, VALUE_INVALID.
    """
    return Plan(tuple(_plan_guest(subject, request.operation, typed, known, unreachable) for subject in request.guests))


def _plan_guest(
    subject: str,
    operation: Operation,
    typed: Mapping[str, Any],
    known: Sequence[Known],
    unreachable: Mapping[str, str],
) -> GuestPlan:
    mine = [one for one in known if subject in (one.migration.name, one.migration.uuid)]
    current = next((one for one in mine if one.status not in CLOSED), mine[0] if mine else None)
    if current is None:
        return _refused(subject, _nothing(subject, known, unreachable))
    live = current.migration.live
    obstacle = _obstacle(subject, operation, current, unreachable)
    if obstacle is not None or live is None:
        return _refused(subject, obstacle or _cold(subject, operation, current))
    migration = current.migration
    options, words = _order(operation, live, typed)
    return GuestPlan(
        subject,
        Outcome.PLANNED,
        migration,
        steps=(PlanStep(migration.source, f"{operation.value}: {words}"),),
        heading=(
            f"{migration.name}: {operation.value} of the live migration from {migration.source} to "
            f"{migration.destination} (migration {migration.id})",
        ),
        options=options,
    )


def _refused(subject: str, finding: Finding) -> GuestPlan:
    return GuestPlan(subject, Outcome.REFUSED, findings=(finding,))


def _nothing(subject: str, known: Sequence[Known], unreachable: Mapping[str, str]) -> Finding:
    going = sorted({one.migration.name for one in known if one.migration.live and one.status in _LISTENING})
    message = f"no hypervisor that answered knows of a live migration of {subject}"
    message += f"; these go on: {', '.join(going)}." if going else "."
    if unreachable:
        message += f" No answer from: {', '.join(sorted(unreachable))}."
    return found("MIGRATION_NOT_FOUND", subject, message)


def _cold(subject: str, operation: Operation, current: Known) -> Finding:
    """An order that only a live migration understands."""
    message = f"{operation.value} is for live migrations, and {subject} has a {current.migration.operation}."
    return found("ILLEGAL_MOVE", subject, message)


def _obstacle(subject: str, operation: Operation, current: Known, unreachable: Mapping[str, str]) -> Finding | None:
    migration = current.migration
    if migration.live is None:
        return _cold(subject, operation, current)
    if migration.source in unreachable:
        why = unreachable[migration.source].rstrip(".")
        message = f"{operation.value} of {subject} goes to {migration.source}, which did not answer: {why}."
        return found("HYPERVISOR_UNREACHABLE", migration.source, message)
    if "source" not in current.told_by:
        message = f"{migration.source} has no record of migration {migration.id} of {subject}, and it is its source."
        return found("RECORD_LOST", subject, message)
    if current.status not in _LISTENING:
        message = f"the live migration of {subject} is {current.status.value}; {operation.value} comes too late."
        return found("ILLEGAL_MOVE", subject, message)
    return None


def _order(operation: Operation, live: Live, typed: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """What live_control is told, and that in words."""
    order: dict[str, Any] = {"order": operation.value}
    if operation is Operation.ABORT:
        return order, "give it up; the guest goes on where it is"
    if operation is Operation.FORCE_COMPLETE:
        how = "let the guest go on there, and fetch the rest" if live.options.post_copy else "pause the guest"
        return order, f"make it finish: {how}"
    policy, bandwidth = parse_retune(typed, live.policy)
    words = []
    if policy is not None:
        order["policy"] = policy.typed()
        words.append(_in_words(policy))
    if bandwidth is not None:
        order["bandwidth_mib_s"] = bandwidth
        words.append(f"at most {bandwidth} MiB/s" if bandwidth else "no limit of bandwidth")
    return order, "; ".join(words) or "nothing that it does not do already"


def _in_words(policy: Policy) -> str:
    ends = "given up" if policy.on_timeout is OnTimeout.ABORT else "made to finish"
    limit = f"after {policy.completion_timeout_s} s for each GiB" if policy.completion_timeout_s else ""
    stall = f"when it came no closer for {policy.stall_s} s" if policy.stall_s else ""
    when = ", or ".join(one for one in (stall, limit) if one)
    time = f"{ends} {when}" if when else "it may take any time"
    if policy.pace is Pace.FORECAST:
        return f"policy {policy.name}: up to {policy.max_downtime_ms} ms, for as little as will do; {time}"
    return (
        f"policy {policy.name}: up to {policy.max_downtime_ms} ms in {policy.downtime_steps} steps, one every "
        f"{policy.downtime_delay_s} s for each GiB; {time}"
    )
