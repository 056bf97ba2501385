# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans a confirm or revert: finds the migration in the records, and whether its state allows it. Pure.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._checks.codes import found
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.finding import Finding
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import reverting
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import Data, Operation, Request
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import CLOSE, Entry, Event, Phase, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Migration
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.plan import (
    GuestPlan,
    Outcome,
    Plan,
    PlanStep,
    parking,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.starting import may_have_run
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.state import CLOSED, LEGAL, Status, derive
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.values import parse_flag

DONE = {Phase.CONFIRM: Status.CONFIRMED, Phase.REVERT: Status.REVERTED}


def parse_options(operation: Operation, raw: Mapping[str, Any]) -> dict[str, Any]:
    """What a confirm or revert is told beside the guest: probe, force, data.

    Raises Refused: DATA_REQUIRED, VALUE_INVALID.
    """
    if operation is Operation.REVERT:
        return {"data": parse_data(raw).value}
    if operation is not Operation.CONFIRM:
        return {}
    options = {"force": parse_flag("force", raw.get("force") or False)}
    return {**options, "probe": str(raw["probe"])} if raw.get("probe") else options


def parse_data(raw: Mapping[str, Any]) -> Data:
    """What becomes of the newer data. Raises Refused(DATA_REQUIRED): nobody but the operator can know."""
    value = str(raw.get("data") or "")
    if value in [one.value for one in Data]:
        return Data(value)
    raise Refused(
        "DATA_REQUIRED",
        str(raw.get("vm")),
        "a revert must be told what happens to what the guest wrote since the move, "
        + (f"and data={value} is not known." if value else "and data was not given."),
        "Give -e data=copy_back to take it along, or -e data=discard to go back to the disks as they were.",
    )


@dataclass(frozen=True)
class Known:
    """One migration as both hypervisors' records and journals show it."""

    migration: Migration
    at: float
    """Unix time of the claim, seconds, by the hypervisor that told of it."""
    source: tuple[Entry, ...]
    destination: tuple[Entry, ...]
    told_by: frozenset[str]
    """The roles whose hypervisor answered with a record: source, destination or both."""
    holder: Mapping[str, Any] | None
    """Who has the guest locked, on either hypervisor."""
    report: Mapping[str, Any] | None = None
    """Of a live migration, what the unit that watches it has told last."""
    unread: tuple[Finding, ...] = ()
    """Why the record or journal of a hypervisor cannot be read: what happened there is not known then."""

    @property
    def status(self) -> Status:
        """What the journals prove."""
        return derive(self.source, self.destination)

    @property
    def open_books(self) -> bool:
        """Whether a side that answered has not heard of the end: it still keeps the definitions, secrets included."""
        phase = next((phase for phase, status in DONE.items() if status is self.status), None)
        if phase is None:
            return False
        books = (("source", self.source), ("destination", self.destination))
        return any(role in self.told_by and not _discarded(book, phase) for role, book in books)

    @property
    def left_over(self) -> bool:
        """Whether a revert has made something to bring data back, on either side, that is not taken back."""
        steps = (Step.EXPORT, Step.MIRROR, Step.COPY)
        return any(reverting.left_over(one, steps) for one in (self.source, self.destination))


def _discarded(book: Sequence[Entry], phase: Phase) -> bool:
    return any((e.phase, e.step, e.event, e.effect) == (phase, Step.DISCARD, Event.END, "") for e in book)


def known_migrations(answers: Mapping[str, Sequence[Mapping[str, Any]]]) -> tuple[Known, ...]:
    """The migrations of all hypervisors, newest first; *answers* are migration_info's, by inventory name."""
    by_id: dict[str, list[Mapping[str, Any]]] = {}
    for migrations in answers.values():
        for one in migrations:
            if not one.get("problem"):
                by_id.setdefault(one["id"], []).append(one)
    failed = unread(answers)
    told = {one: parts for one, parts in by_id.items() if not all(part.get("closed") for part in parts)}
    merged = (_merge(parts, tuple(failed.get(one, {}).values())) for one, parts in told.items())
    return tuple(sorted(merged, key=lambda one: one.at, reverse=True))


def closed_book(role: str, status: Status) -> tuple[Entry, ...]:
    """The lines for which the journal of a closed migration has its *status*, where only that was told of it."""
    if status is Status.COMPLETED:
        step = Step.DEPART if role == "source" else Step.RELEASE
        return (Entry(0, Phase.MOVE, step, Event.END, result={"status": status.value}),)
    if status is Status.FAILED:
        begun = Entry(0, Phase.MOVE, Step.UNDO, Event.BEGIN)
        return (begun, Entry(0, Phase.MOVE, Step.UNDO, Event.END, CLOSE))
    phase = next(phase for phase, done in DONE.items() if done is status)
    return (Entry(0, phase, Step.DISCARD, Event.END),)


def only_closed(answers: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, tuple[Mapping[str, Any], list[str]]]:
    """Of the migrations of which nobody told more than that they are closed, by id: a note, and who told it."""
    whole = {one["id"] for several in answers.values() for one in several if not one.get("closed")}
    found: dict[str, tuple[Mapping[str, Any], list[str]]] = {}
    for host, several in answers.items():
        for one in several:
            if one["id"] not in whole:
                found.setdefault(one["id"], (one, []))[1].append(host)
    return found


def unread(answers: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, dict[str, Finding]]:
    """Why the records or journals of migrations cannot be read: by id, by the hypervisor that keeps them."""
    failed: dict[str, dict[str, Finding]] = {}
    whole = [one for migrations in answers.values() for one in migrations if one.get("record")]
    names = {one["id"]: one["record"]["migration"]["name"] for one in whole}
    for host, migrations in answers.items():
        for one in migrations:
            if one.get("problem"):
                guest = one["name"] or names.get(one["id"]) or "of a guest that it does not tell"
                about = f"migration {one['id']} ({guest}) on {host}"
                why = one["problem"]
                failed.setdefault(one["id"], {})[host] = found(why["code"], about, why["message"], why["remedy"])
    return failed


def _merge(parts: Sequence[Mapping[str, Any]], failed: tuple[Finding, ...]) -> Known:
    journals = {one["role"]: closed_book(one["role"], Status(one["status"])) for one in parts if one.get("closed")}
    parts = [one for one in parts if not one.get("closed")]
    journals.update({one["role"]: tuple(map(Entry.from_result, one["journal"])) for one in parts})
    migration_id = parts[0]["id"]
    holders = [one["lock"] for one in parts if one["lock"] and one["lock"]["migration"] == migration_id]
    return Known(
        migration=Migration.from_result(parts[0]["record"]["migration"]),
        at=min(float(one["record"]["at"]) for one in parts),
        source=journals.get("source", ()),
        destination=journals.get("destination", ()),
        told_by=frozenset(journals),
        holder=holders[0] if holders else None,
        report=next((one["live"] for one in parts if one.get("live")), None),
        unread=failed,
    )


def plan(
    request: Request,
    phase: Phase,
    known: Sequence[Known],
    unreachable: Mapping[str, str],
    data: Data = Data.DISCARD,
) -> Plan:
    """What a confirm or revert does for each guest of *request*; a revert does with its newer data what *data* says."""
    return Plan(tuple(_plan_guest(subject, phase, known, unreachable, data) for subject in request.guests))


def _plan_guest(
    subject: str, phase: Phase, known: Sequence[Known], unreachable: Mapping[str, str], data: Data
) -> GuestPlan:
    mine = [one for one in known if subject in (one.migration.name, one.migration.uuid)]
    failed = next((one.unread for one in mine if one.unread), ())
    if failed:
        return GuestPlan(subject, Outcome.REFUSED, findings=failed)
    current = next((one for one in mine if one.status not in CLOSED), mine[0] if mine else None)
    if current is None:
        return _refused(subject, _nothing(subject, phase, known, unreachable))
    if current.migration.live is not None:
        return _refused(subject, _no_verdict(subject, phase, current))
    if current.status is DONE[phase]:
        note = f"{subject}: migration {current.migration.id} is {current.status.value} already. Nothing was changed."
        return GuestPlan(subject, Outcome.ALREADY, note=note)
    copying = phase is Phase.REVERT and data is Data.COPY_BACK
    finding = _no_way_back(subject, current, unreachable) if copying else None
    finding = finding or _obstacle(subject, phase, current, unreachable) or _begun(subject, phase, current, data)
    if finding is not None:
        return _refused(subject, finding)
    migration = current.migration
    steps = _steps_back(migration) if copying else _steps(phase, migration)
    return GuestPlan(subject, Outcome.PLANNED, migration, steps=steps, heading=_heading(phase, migration, data))


def _refused(subject: str, finding: Finding) -> GuestPlan:
    return GuestPlan(subject, Outcome.REFUSED, findings=(finding,))


def _nothing(subject: str, phase: Phase, known: Sequence[Known], unreachable: Mapping[str, str]) -> Finding:
    waiting = sorted({one.migration.name for one in known if one.status is Status.FINISHED})
    message = f"no hypervisor that answered knows of a migration of {subject} to {phase.value}"
    message += f"; these wait for it: {', '.join(waiting)}." if waiting else "."
    if unreachable:
        message += f" No answer from: {', '.join(sorted(unreachable))}."
    return found("MIGRATION_NOT_FOUND", subject, message)


def _no_verdict(subject: str, phase: Phase, current: Known) -> Finding:
    """A live migration leaves nothing behind to go back to."""
    migration = current.migration
    message = f"its last migration from {migration.source} to {migration.destination} was a live one, which is "
    return found(
        "LIVE_NOTHING_TO_CONFIRM", subject, f"{message}{current.status.value}: there is nothing to {phase.value}."
    )


def _no_way_back(subject: str, current: Known, unreachable: Mapping[str, str]) -> Finding | None:
    """Why what the guest wrote since the move cannot be had, or cannot be brought to where it was."""
    migration = current.migration
    if migration.destination in unreachable:
        message = (
            f"what {subject} wrote since the move is on {migration.destination}, which did not answer: "
            f"{unreachable[migration.destination].rstrip('.')}."
        )
        return found("COPY_BACK_UNREACHABLE", migration.destination, message)
    if not migration.source_address:
        message = f"its record does not say where {migration.destination} reaches {migration.source}."
        return found("COPY_BACK_NO_ADDRESS", subject, message)
    return None


def _begun(subject: str, phase: Phase, current: Known, data: Data) -> Finding | None:
    """What an earlier revert has made of it.

    One that has started the guest on the source is carried through as it was begun: the guest writes there since. What
    one left that ended before the guest stopped is to be taken back before a confirm: the source forgets it then.
    """
    if phase is Phase.CONFIRM and current.left_over:
        return found("REVERT_LEFT_OVER", subject, f"a revert of {subject} was interrupted, and what it made is there.")
    begun = reverting.data(current.source)
    if phase is not Phase.REVERT or data is begun or not may_have_run(current.source, Phase.REVERT):
        return None
    message = f"a revert with data={begun.value} has started {subject} on {current.migration.source} already."
    remedy = f"Finish that one: revert with data={begun.value}, or recover."
    return found("REVERT_OTHER_DATA", subject, message, remedy)


def _obstacle(subject: str, phase: Phase, current: Known, unreachable: Mapping[str, str]) -> Finding | None:
    migration = current.migration
    for host in (migration.source, migration.destination):
        if host in unreachable:
            why = unreachable[host].rstrip(".")
            message = f"{phase.value} of {subject} needs both hypervisors, and {host} did not answer: {why}."
            return found("HYPERVISOR_UNREACHABLE", host, message)
    if current.told_by != {"source", "destination"}:
        missing = "source" if "source" not in current.told_by else "destination"
        host = migration.source if missing == "source" else migration.destination
        message = f"{host} has no record of migration {migration.id} of {subject}, and it is its {missing}."
        return found("RECORD_LOST", subject, message)
    if current.status not in LEGAL[phase]:
        allowed = " or ".join(sorted(one.value for one in LEGAL[phase] - {DONE[phase]}))
        message = f"{subject} is {current.status.value}; {phase.value} needs it to be {allowed}."
        return found("ILLEGAL_MOVE", subject, message)
    return None


def _heading(phase: Phase, migration: Migration, data: Data) -> tuple[str, ...]:
    first = (
        f"{migration.name}: {phase.value} the {migration.operation} from {migration.source} to {migration.destination}"
    )
    if phase is Phase.CONFIRM:
        return (first, f"  it stays on      {migration.destination}")
    if data is Data.COPY_BACK:
        kept = f"what it wrote since it runs on {migration.destination}, and the size of its disks"
        return (first, f"  it goes back to  {migration.source}", f"  taken along      {kept}")
    lost = f"what it wrote since it runs on {migration.destination}"
    return (first, f"  it goes back to  {migration.source}", f"  thrown away      {lost}")


def _steps(phase: Phase, migration: Migration) -> tuple[PlanStep, ...]:
    source, destination = migration.source, migration.destination
    if phase is Phase.CONFIRM:
        return (
            PlanStep(destination, "evidence: ask the guest whether it lives at its new size"),
            PlanStep(source, f"discard: undefine {migration.name} there, remove {', '.join(migration.parked_in)}"),
        )
    started = ", start it" if migration.was_running else ""
    return (
        PlanStep(destination, f"hand over: stop the guest, {parking(migration, migration.reverted_in)}"),
        PlanStep(source, f"take over: {', '.join(migration.parked_in)} gets its name back{started}"),
        PlanStep(destination, f"discard: undefine {migration.name} there, remove {', '.join(migration.reverted_in)}"),
    )


def _steps_back(migration: Migration) -> tuple[PlanStep, ...]:
    """Those of a revert that takes the newer data along."""
    source, destination = migration.source, migration.destination
    targets, arriving = ", ".join(disk.target for disk in migration.carried), ", ".join(migration.returning_in)
    started = ", start it" if migration.was_running else ""
    return (
        PlanStep(source, f"export: a place for {targets} in {arriving}"),
        PlanStep(f"{destination} -> {source}", f"mirror {targets} while the guest runs, else copy them when it is off"),
        PlanStep(destination, f"hand over: stop the guest, {parking(migration, migration.reverted_in)}"),
        PlanStep(source, f"take over: check the images, give them their place, the old vCPUs and memory{started}"),
        PlanStep(destination, f"discard: undefine {migration.name} there, remove {', '.join(migration.reverted_in)}"),
        PlanStep(source, f"discard: remove the old disks, {', '.join(migration.parked_in)}"),
    )
