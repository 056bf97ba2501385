# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what was asked and what was found to what will be done; pure, and the same for check mode and for real.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import enum
import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._checks import transfers, whereabouts
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.catalogue import (
    DESTINATION_CHECKS,
    GUEST_CHECKS,
    LIVE_DESTINATION_CHECKS,
    LIVE_GUEST_CHECKS,
    Check,
    run,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.codes import found
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.context import Move, Site
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.finding import Finding
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.placement import can_compress
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.whereabouts import Located
from ansible_collections.kvmops.mobility.plugins.module_utils._domain.definition import GuestDefinition
from ansible_collections.kvmops.mobility.plugins.module_utils._domain.edit import digest
from ansible_collections.kvmops.mobility.plugins.module_utils._domain.size import human_bytes, root_disk
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import live_plan
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import (
    Operation,
    Request,
    Transfer,
    Verify,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.claim import free_memory_mib
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import DiskFacts
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.layout import why_files
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.live_plan import size_words
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import (
    DEFAULT_CLUSTER_BYTES,
    GIB,
    DiskPlan,
    Layout,
    Link,
    Migration,
    PlanStep,
    Size,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.request import AUTO

__all__ = ["GuestPlan", "Outcome", "Plan", "PlanStep", "Site", "commands", "plan", "render_plan"]

DELTA_BYTES_PER_S = 250 * 2**20
"""What the estimate of an outage takes for the second pass of two: both sides read all that is allocated and compare
it. Storage was not measured; 200 MiB/s were seen where a tenth of the disk had changed, 700 where next to nothing."""
COPY_BYTES_PER_S = 100 * 2**20
"""The same for what is only sent then: a little below what one gigabit link carries. A faster link makes the outage
shorter than was said, not longer."""
STOP_AND_START_S = 10.0
"""What the same estimate takes for the guest's own shutdown, the hand-over and the start, seconds."""


class Outcome(enum.Enum):
    """What the plan says of one guest."""

    PLANNED = "planned"
    REFUSED = "refused"
    ALREADY = "already"
    """It waits for confirm or revert: nothing to do, and no error."""


@dataclass(frozen=True)
class GuestPlan:
    """What is planned for one guest."""

    subject: str
    """As typed."""
    outcome: Outcome
    migration: Migration | None = None
    findings: tuple[Finding, ...] = ()
    steps: tuple[PlanStep, ...] = ()
    heading: tuple[str, ...] = ()
    """What stands above the steps when the plan is shown."""
    note: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What the role is told of this guest besides."""

    def as_result(self) -> dict[str, Any]:
        """Plain JSON, with the rendered lines."""
        return {
            "subject": self.subject,
            "outcome": self.outcome.value,
            "migration": self.migration.as_result() if self.migration else None,
            "findings": [finding.as_result() for finding in self.findings],
            "steps": [asdict(step) for step in self.steps],
            "note": self.note,
            "options": dict(self.options),
            "lines": render_plan(self),
        }


@dataclass(frozen=True)
class Plan:
    """What is planned for every guest of one call, in the order they were named."""

    guests: tuple[GuestPlan, ...]

    def having(self, outcome: Outcome) -> tuple[GuestPlan, ...]:
        """The guests with that outcome."""
        return tuple(guest for guest in self.guests if guest.outcome is outcome)


def plan(request: Request, site: Site, new_id: Callable[[], str]) -> Plan:
    """Plan a move for every guest of *request*; *new_id* is called once per planned guest.

    Each planned guest's claim counts against its destination for those after it. Raises ValueError for what is about a
    migration that there is: that is read from records instead.
    """
    if not request.operation.moves:
        raise ValueError(f"{request.operation.value} is planned from its record")
    plans: list[GuestPlan] = []
    planned: list[Migration] = []
    seen: dict[str, str] = {}
    for subject in request.guests:
        one = _plan_guest(subject, request, site, seen, tuple(planned), new_id)
        plans.append(one)
        if one.migration is not None:
            planned.append(one.migration)
            site = site.with_planned(one.migration)
    return Plan(tuple(plans))


def _plan_guest(
    subject: str,
    request: Request,
    site: Site,
    seen: dict[str, str],
    planned: tuple[Migration, ...],
    new_id: Callable[[], str],
) -> GuestPlan:
    located = whereabouts.locate(subject, site)
    if isinstance(located, Finding):
        return _refused(subject, located)
    first = seen.setdefault(located.guest.uuid, subject)
    if first != subject:
        message = f"{subject} is the guest {located.guest.name}, which was also named as {first}."
        return _refused(subject, found("VM_DUPLICATE", subject, message))
    occupied = _occupied(subject, located, site)
    if occupied is not None:
        return occupied
    try:
        move = _move(request, site, located, planned)
    except Refused as error:
        return _refused(subject, found(error.code, error.subject, error.message, error.remedy))
    return _plan_move(subject, move, new_id)


def _refused(subject: str, *findings: Finding) -> GuestPlan:
    return GuestPlan(subject, Outcome.REFUSED, findings=findings)


def _occupied(subject: str, located: Located, site: Site) -> GuestPlan | None:
    """What stands between the guest and a new migration: somebody at work, or an earlier one that is open."""
    busy = whereabouts.busy(located, site)
    if busy is not None:
        return _refused(subject, busy)
    verdict = whereabouts.awaiting_verdict(located, site)
    if verdict is not None:
        destination, claim = verdict
        confirm, revert = _commands(located.guest.name, located.guest.uuid)
        note = (
            f"{located.guest.name} is in VERIFY_RESIZE on {destination}: its {claim.operation} from {claim.peer} "
            f"(migration {claim.migration}) waits for a verdict. Nothing was changed. "
            f"To keep it: {confirm}. To go back: {revert}."
        )
        return GuestPlan(subject, Outcome.ALREADY, note=note)
    unfinished = whereabouts.unfinished(located, site)
    return _refused(subject, unfinished) if unfinished else None


def _move(request: Request, site: Site, located: Located, planned: tuple[Migration, ...]) -> Move:
    """The guest's move without a destination. Raises Refused(ROOT_DISK_UNKNOWN)."""
    definition = GuestDefinition.from_xml(located.guest.xml)
    target = root_disk(definition, request.root_disk).target
    root = next(disk for disk in located.guest.disks if disk.target == target)
    old = Size(definition.vcpus, definition.memory_mib, root.virtual_bytes)
    return Move(
        request=request,
        site=site,
        source=located.hypervisor,
        guest=located.guest,
        definition=definition,
        root=root,
        old=old,
        new=_new_size(request, old),
        planned=planned,
    )


def _new_size(request: Request, old: Size) -> Size:
    """Numbers override the flavor's, and what neither names stays."""
    flavor = request.flavor
    gib = request.root_gib if request.root_gib is not None or flavor is None else flavor.root_gib
    return Size(
        vcpus=request.vcpus or (flavor.vcpus if flavor else old.vcpus),
        memory_mib=request.memory_mib or (flavor.memory_mib if flavor else old.memory_mib),
        root_bytes=old.root_bytes if gib is None else gib * GIB,
    )


def _plan_move(subject: str, move: Move, new_id: Callable[[], str]) -> GuestPlan:
    of_guest, of_destination = _checks(move.request)
    own = run(move, of_guest)
    automatic = move.request.destination == AUTO
    if automatic and any(finding.blocks for finding in own):
        return _refused(subject, *own)  # no destination would change that
    if automatic:
        chosen = _choose(move)
        if isinstance(chosen, Finding):
            return _refused(subject, *own, chosen)
        move = chosen
    else:
        move = replace(move, destination=move.request.destination or "")
    findings = (*own, *run(move, of_destination))
    if any(finding.blocks for finding in findings):
        return _refused(subject, *findings)
    migration = _migration(move, findings, new_id())
    if move.request.live is not None:
        migration = live_plan.made_live(move, migration)
    return GuestPlan(
        subject, Outcome.PLANNED, migration, findings, _steps(migration, _strange(move)), _heading(migration)
    )


def _checks(request: Request) -> tuple[tuple[Check, ...], tuple[Check, ...]]:
    """Those of the guest and those of a destination."""
    if request.operation is Operation.LIVE_MIGRATE:
        return LIVE_GUEST_CHECKS, LIVE_DESTINATION_CHECKS
    return GUEST_CHECKS, DESTINATION_CHECKS


def _choose(move: Move) -> Move | Finding:
    """The hypervisor with the most free memory by claim among those that pass every check, by name when equal."""
    _of_guest, of_destination = _checks(move.request)
    reasons: list[str] = []
    passing: list[Move] = []
    for name in move.site.names():
        if name == move.source:
            continue
        candidate = replace(move, destination=name)
        blocking = next((one for one in run(candidate, of_destination) if one.blocks), None)
        if blocking is None:
            passing.append(candidate)
        else:
            reasons.append(f"{name}: {blocking.code} ({blocking.message.rstrip('.')})")
    if passing:
        return max(passing, key=_free_memory_mib)  # max() keeps the first of equals, and names are sorted
    tried = "; ".join(reasons) or "there is no hypervisor but its own"
    return found(
        "NO_DESTINATION", move.name, f"no hypervisor can take {move.name}, which is on {move.source}. Tried: {tried}."
    )


def _free_memory_mib(move: Move) -> float:
    facts = move.site.hypervisors[move.destination]
    return free_memory_mib(facts, move.request.capacity, without=move.guest.uuid)


def _migration(move: Move, findings: tuple[Finding, ...], migration_id: str) -> Migration:
    flavor = move.request.flavor
    hosts = (move.source, move.destination)
    zstd = all(can_compress(move, name) for name in hosts)
    choice = transfers.choose(move)
    return Migration(
        id=migration_id,
        operation=move.request.operation.value,
        uuid=move.guest.uuid,
        name=move.guest.name,
        source=move.source,
        destination=move.destination,
        destination_address=move.site.addresses.get(move.destination, move.destination),
        flavor=flavor.name if flavor else "",
        old=move.old,
        new=move.new,
        root_disk=move.root.target,
        directory=move.guest.directory if move.layout is Layout.DIRECTORY else posixpath.dirname(move.root.path),
        disks=tuple(_disk_plan(move, disk) for disk in move.guest.disks if disk.source_type and disk.path),
        was_running=not move.guest.is_off,
        autostart=move.guest.autostart,
        definition_digest=digest(move.guest.xml),
        bytes_to_copy=move.bytes_to_copy,
        compress=move.has_holes and zstd,
        stop=move.request.stop,
        capacity=move.request.capacity,
        expected_outage_s=_expected_outage_s(move, choice.transfer),
        warnings=tuple(finding.line() for finding in findings),
        transfer=choice.transfer,
        transfer_reason=choice.reason,
        transfer_forced=move.request.transfer is not None,
        verify=move.request.verify,
        layout=move.layout,
        zstd=zstd,
        source_address=move.site.addresses.get(move.source, move.source),
    )


def _disk_plan(move: Move, disk: DiskFacts) -> DiskPlan:
    is_root = disk.target == move.root.target
    return DiskPlan(
        target=disk.target,
        path=disk.path,
        format=disk.format,
        device=disk.device,
        old_bytes=disk.virtual_bytes,
        new_bytes=move.new.root_bytes if is_root else disk.virtual_bytes,
        allocated_bytes=disk.copied_bytes,
        cluster_bytes=disk.cluster_bytes or DEFAULT_CLUSTER_BYTES,
        flatten=bool(disk.backing),
        backing=tuple(Link(one.path, one.format) for one in disk.backing),
        carried=disk in move.carried,
        readonly=disk.readonly,
    )


def _expected_outage_s(move: Move, transfer: Transfer) -> float:
    """An image with backing files is flattened and sent when the guest is off; with a mirror nothing is sent then."""
    copied = sum(disk.copied_bytes for disk in move.flattened)
    work = (move.bytes_to_copy - copied, copied) if transfer is Transfer.RSYNC else (0, 0)
    return expected_outage_s(*work, running=not move.guest.is_off)


def expected_outage_s(compared_bytes: int, copied_bytes: int, *, running: bool) -> float:
    """A rough estimate, seconds, to tell minutes from hours: nothing was measured. 0 for a guest that is off.

    What is compared or copied while the guest is off decides it.
    """
    takes = compared_bytes / DELTA_BYTES_PER_S + copied_bytes / COPY_BYTES_PER_S
    return round(STOP_AND_START_S + takes, 1) if running else 0.0


def _strange(move: Move) -> str:
    """Why a guest that may seem to have a directory for itself does not go with it."""
    guest = move.guest
    return f" (file by file: {why_files(guest)})" if guest.directory_special or guest.directory_foreign else ""


def _steps(migration: Migration, why: str) -> tuple[PlanStep, ...]:
    if migration.live is not None:
        return live_plan.steps(migration, migration.live)
    source, destination = migration.source, migration.destination
    both = f"{source}, {destination}"
    kept = ", ".join(migration.parked_in)
    return (
        PlanStep(
            both, f"claim: lock the guest, write the record, reserve {size_words(migration.new)} on {destination}"
        ),
        *_before(migration),
        PlanStep(source, f"hand over: {_stopping(migration)}, {parking(migration, migration.parked_in)}{why}"),
        *_after(migration),
        PlanStep(destination, f"take over: check the images, {_taking_over(migration)}"),
        PlanStep(both, f"finish: VERIFY_RESIZE; {source} keeps {kept} until confirm or revert"),
    )


def _before(migration: Migration) -> tuple[PlanStep, ...]:
    """What is brought over while the guest runs."""
    where, staged = f"{migration.source} -> {migration.destination}", ", ".join(migration.staged_in)
    if migration.transfer is Transfer.MIRROR:
        targets = ", ".join(one.target for one in migration.written)
        size = human_bytes(migration.bytes_to_copy)
        return (
            PlanStep(migration.destination, f"export: an empty image in {staged} for each of {targets}"),
            PlanStep(where, f"mirror {targets} ({size}) while the guest runs, until it is off"),
        )
    if not _in_two_passes(migration):
        return ()
    size = _size_and_wire(migration, migration.bytes_to_copy - _flattened_bytes(migration))
    return (PlanStep(where, f"presync: copy {size} into {staged} while the guest runs"),)


def _in_two_passes(migration: Migration) -> bool:
    """What has to be flattened first is not sent while the guest runs."""
    rsync = migration.was_running and migration.transfer is Transfer.RSYNC
    return rsync and not all(disk.flatten for disk in migration.carried)


def _flattened_bytes(migration: Migration) -> int:
    return sum(disk.allocated_bytes for disk in migration.carried if disk.flatten)


def _size_and_wire(migration: Migration, size: int) -> str:
    return f"{human_bytes(size)}{', compressed with zstd,' if migration.compress else ''}"


def _after(migration: Migration) -> tuple[PlanStep, ...]:
    """What is brought over when it is off, and what is read then."""
    where, staged = f"{migration.source} -> {migration.destination}", ", ".join(migration.staged_in)
    copy = (PlanStep(where, f"copy {_rest(migration)} into {staged}"),)
    counting = "digest: read every disk on both sides, and compare what is on them"
    full = (PlanStep(f"{migration.source}, {migration.destination}", counting),)
    return (
        *(copy if migration.transfer is Transfer.RSYNC else ()),
        *(full if migration.verify is Verify.FULL else ()),
    )


def _rest(migration: Migration) -> str:
    """What a copy sends of a guest that is off."""
    if not _in_two_passes(migration):
        return _size_and_wire(migration, migration.bytes_to_copy)
    flattened = _flattened_bytes(migration)
    rest = f", and {_size_and_wire(migration, flattened)} that are flattened before" if flattened else ""
    return f"what differs by then{rest}"


def parking(migration: Migration, aside: tuple[str, ...]) -> str:
    """How the guest is fenced, by what it is parked as or in."""
    if migration.layout is Layout.DIRECTORY:
        return f"park {migration.directory} as {aside[0]}"
    return f"park {', '.join(disk.target for disk in migration.carried)} in {', '.join(aside)}"


def _stopping(migration: Migration) -> str:
    if not migration.was_running:
        return "the guest is off already"
    stop = migration.stop
    after = "pull the plug" if stop.on_timeout == "force" else "leave it running and give up"
    return f"ask the guest to stop every {stop.retry_interval_s} s for {stop.timeout_s} s, else {after}"


def _taking_over(migration: Migration) -> str:
    parts = [
        f"grow {disk.target} from {human_bytes(disk.old_bytes)} to {human_bytes(disk.new_bytes)}"
        for disk in migration.disks
        if disk.new_bytes > disk.old_bytes
    ]
    cpu_and_memory = f"{migration.new.vcpus} vCPUs and {migration.new.memory_mib} MiB"
    parts.append(f"define the guest with {cpu_and_memory}")
    parts.append("start it" if migration.was_running else "leave it off as it was")
    if migration.autostart:
        parts.append("set autostart as it was")
    return ", ".join(parts)


def _heading(migration: Migration) -> tuple[str, ...]:
    if migration.live is not None:
        return live_plan.heading(migration, migration.live)
    outage = f"about {migration.expected_outage_s:.0f} s" if migration.was_running else "none, the guest is off"
    size = (
        f"{size_words(migration.old)} -> {size_words(migration.new)}"
        if migration.old != migration.new
        else size_words(migration.old)
    )
    zstd = migration.compress and migration.transfer is Transfer.RSYNC
    return (
        f"{migration.name}: {migration.operation} from {migration.source} to {migration.destination}",
        f"  size             {size}{f' ({migration.flavor})' if migration.flavor else ''}",
        f"  to copy          {human_bytes(migration.bytes_to_copy)}{' (zstd)' if zstd else ''}",
        f"  transfer         {migration.transfer.value}: {migration.transfer_reason}",
        f"  expected outage  {outage}",
    )


def render_plan(guest: GuestPlan) -> list[str]:
    """The plan of one guest as lines for an operator."""
    findings = [f"  {_severity(finding)}  {finding.line()}" for finding in guest.findings]
    if guest.migration is None:
        note = [guest.note] if guest.note else []
        return [f"{guest.subject}: {guest.outcome.value}, nothing is changed", *note, *findings]
    return [*guest.heading, "  steps", *_table(guest.steps), *findings]


def _table(steps: tuple[PlanStep, ...]) -> list[str]:
    width = max((len(step.where) for step in steps), default=0)
    return [f"    {number}  {step.where:<{width}}  {step.what}" for number, step in enumerate(steps, 1)]


def _severity(finding: Finding) -> str:
    return "blocked" if finding.blocks else "warning"


def commands(migration: Migration) -> tuple[str, str]:
    """What to type to confirm and to revert *migration*, in this order."""
    return _commands(migration.name, migration.uuid)


def _commands(name: str, uuid: str) -> tuple[str, str]:
    # A name that a shell or Ansible's key=value would take apart is left to its UUID.
    vm = name if re.fullmatch(r"[A-Za-z0-9._-]+", name) else uuid
    return (
        f"ansible-playbook kvmops.mobility.confirm -e vm={vm}",
        f"ansible-playbook kvmops.mobility.revert -e vm={vm} -e data=discard",
    )
