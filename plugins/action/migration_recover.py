# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of M(kvmops.mobility.migration_recover)."""

from __future__ import annotations

import getpass
import secrets
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._checks.codes import found
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.closing import (
    DONE,
    Known,
    known_migrations,
    unread,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Entry, Event, Phase, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.plan import (
    GuestPlan,
    Outcome,
    PlanStep,
    render_plan,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.recovery import (
    Act,
    Case,
    Decision,
    Prefer,
    Side,
    decide,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.state import CLOSED
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.values import parse_flag
from ansible_collections.kvmops.mobility.plugins.plugin_utils import _site
from ansible_collections.kvmops.mobility.plugins.plugin_utils._step import ControllerAction

_OUTCOMES = {Act.NOTHING: Outcome.ALREADY, Act.WAIT: Outcome.REFUSED, Act.ASK: Outcome.REFUSED}
_CODES = {Act.WAIT: "BUSY", Act.ASK: "RECOVER_NEEDS_YOU"}
_PHASES = {Act.RESUME_CONFIRM: Phase.CONFIRM, Act.RESUME_REVERT: Phase.REVERT, Act.UNDO_REVERT: Phase.REVERT}


class ActionModule(ControllerAction):
    """Decides, for every migration that is open or locked, the one safe thing to do."""

    def work(self, arguments: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        """One entry for each migration, as migration_plan returns them."""
        answers = _site.migrations(variables)
        known = known_migrations(answers)
        self.show([finding.line() for hosts in unread(answers).values() for finding in hosts.values()])
        chosen = _chosen(known, arguments.get("vm"))
        guests = [_result(_case(one, arguments, variables)) for one in chosen]
        for guest in guests:
            self.show(guest["lines"])
        if not guests:
            self.show(["nothing to recover: " + _nothing(known, arguments.get("vm"), variables)])
        return {
            "changed": False,
            "guests": guests,
            "owner": f"{getpass.getuser()}@{socket.gethostname()}",
            "command": "recover",
            "run": secrets.token_hex(8),
        }


def _chosen(known: Sequence[Known], vm: Any) -> list[Known]:
    """The newest of the named guest, or all that are not closed or still locked."""
    if not vm:
        return [one for one in known if _is_open(one)]
    names = vm if isinstance(vm, list) else [vm]
    chosen = []
    for name in names:
        mine = [one for one in known if name in (one.migration.name, one.migration.uuid)]
        chosen += [one for one in mine if _is_open(one)] or mine[:1]
    return chosen


def _is_open(known: Known) -> bool:
    return known.status not in CLOSED or known.holder is not None or known.open_books


def _nothing(known: Sequence[Known], vm: Any, variables: Mapping[str, Any]) -> str:
    silent = _site.unreachable(variables)
    text = f"no hypervisor that answered knows of a migration of {vm}" if vm else "no migration is open"
    return text + (f"; no answer from {', '.join(sorted(silent))}" if silent else "")


def _case(known: Known, arguments: Mapping[str, Any], variables: Mapping[str, Any]) -> Case:
    prefer = arguments.get("prefer")
    if prefer and prefer not in [one.value for one in Prefer]:
        raise Refused("VALUE_INVALID", "prefer", f"'{prefer}' is no side.", "Give prefer=source or prefer=destination.")
    migration = known.migration
    return Case(
        known=known,
        source=_side(migration.source, known, variables),
        destination=_side(migration.destination, known, variables),
        prefer=Prefer(prefer) if prefer else None,
        takeover=parse_flag("takeover", arguments.get("takeover") or False),
        quiet_s=60.0 if arguments.get("quiet_s") in (None, "") else float(arguments["quiet_s"]),
    )


def _side(host: str, known: Known, variables: Mapping[str, Any]) -> Side:
    answer = _site.migrations(variables).get(host)
    guests = _site.result_of(variables, host, "kvmops_domains")
    if answer is None or guests is None:  # a libvirt that does not answer is no guest that is not there
        return Side(reachable=False)
    mine = next((one for one in answer if one["id"] == known.migration.id), {})
    guest: Mapping[str, Any] = next((one for one in guests["domains"] if one["uuid"] == known.migration.uuid), {})
    waiting_s = _site.waiting_s(variables, host).get(known.migration.id, float("inf"))
    return Side(
        reachable=True,
        domain_state=str(guest.get("state", "")),
        working=bool(mine.get("working")),
        copying=bool(mine.get("copying")),
        mirroring=bool(guest.get("block_jobs")),
        switched=bool(mine.get("switched")),
        idle_s=min(waiting_s, float(mine.get("idle_s", float("inf")))),
    )


def _result(case: Case) -> dict[str, Any]:
    decision = decide(case)
    plan = _plan(case.known, decision)
    if case.known.unread:  # what happened there is not known, so nothing is decided from the other side alone
        decision = Decision(Act.ASK, "its record or journal cannot be read")
        plan = GuestPlan(case.known.migration.name, Outcome.REFUSED, findings=case.known.unread)
    uuid = case.known.migration.uuid
    return {
        **plan.as_result(),
        "lines": _lines(case, decision, plan),
        "host": f"guest-{uuid}",
        "clock_offset_s": 0.0,
        "holder": dict(case.known.holder or {}),
        "recovery": {**decision.as_result(), "phase": _phase(case.known, decision).value},
        "resume": _resume(case.known),
    }


def _phase(known: Known, decision: Decision) -> Phase:
    """What the receipt and the closing of the book are about."""
    if decision.act is Act.CLOSE:
        return next(phase for phase, status in DONE.items() if status is known.status)
    return _PHASES.get(decision.act, Phase.MOVE)


def _plan(known: Known, decision: Decision) -> GuestPlan:
    migration = known.migration
    outcome = _OUTCOMES.get(decision.act, Outcome.PLANNED)
    if outcome is Outcome.ALREADY:
        return GuestPlan(migration.name, outcome, note=f"{migration.name}: {decision.why}. Nothing was changed.")
    if outcome is Outcome.REFUSED:
        finding = found(_CODES[decision.act], migration.name, f"{decision.why}.")
        return GuestPlan(migration.name, outcome, findings=(finding,))
    heading = (f"{migration.name}: {decision.why}",)
    return GuestPlan(migration.name, outcome, migration, (), _steps(known, decision), heading)


def _steps(known: Known, decision: Decision) -> tuple[PlanStep, ...]:
    migration = known.migration
    sides = ((migration.destination, decision.on_destination), (migration.source, decision.on_source))
    return tuple(PlanStep(host, decision.act.value.replace("_", " ")) for host, wanted in sides if wanted)


def _lines(case: Case, decision: Decision, plan: GuestPlan) -> list[str]:
    """The truth first, then what is done about it."""
    migration, known = case.known.migration, case.known
    lines = [
        f"{migration.name}: {migration.operation} {migration.source} -> {migration.destination}, "
        f"{known.status.value} (migration {migration.id})"
    ]
    for host, side in ((migration.source, case.source), (migration.destination, case.destination)):
        there = side.domain_state or "not defined"
        lines.append(f"  {host}: {f'the guest is {there}' if side.reachable else 'no answer'}")
    debt = [f"  later: {decision.debt}"] if decision.debt else []
    return [*lines, *(f"  {line}" for line in render_plan(plan)), *debt]


def _resume(known: Known) -> dict[str, Any]:
    """What the steps before handed to the take-over, from the journals."""
    wanted = {
        Step.CLAIM: ("definition_digests", "definitions_directory"),
        Step.PRESYNC: ("compress", "block_bytes"),
        Step.HAND_OVER: ("entries", "directory_owner", "copies", "flatten", "resume", "mirrored", "digests"),
        Step.DIGEST: ("contents",),
    }
    handed = _results(known.source, wanted)
    if any((one.phase, one.step) == (Phase.MOVE, Step.COPY) for one in known.source):
        # Nothing was mirrored, or it was not proven: what a mirror had left to compare is not what the copy has.
        handed = {key: value for key, value in handed.items() if key not in ("mirrored", "digests")}
        handed.update(_results(known.source, {Step.COPY: ("digests",)}))
    there = _results(known.destination, {Step.DIGEST: ("contents",)})
    return {**handed, **{f"{key}_here": value for key, value in there.items()}}


def _results(entries: Sequence[Entry], wanted: Mapping[Step, tuple[str, ...]]) -> dict[str, Any]:
    """Results of the move's steps that ended, each by its newest."""
    found: dict[str, Any] = {}
    for entry in entries:
        if entry.phase is Phase.MOVE and entry.event is Event.END and not entry.effect:
            found.update({key: entry.result[key] for key in wanted.get(entry.step, ()) if key in entry.result})
    return found
