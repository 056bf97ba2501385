# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Step live: the source's libvirt carries the running guest to the destination.

One call starts, the next ones attach: what works is libvirt, and a unit watches it. The truth at the end is where the
guest is, never what libvirt's call returned.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError, NotFound, Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._flow import stored
from ansible_collections.kvmops.mobility.plugins.module_utils._flow.prepare import live
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt import transport
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.domain import OFF, Domain, Pause
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.job import Job
from ansible_collections.kvmops.mobility.plugins.module_utils._live import program
from ansible_collections.kvmops.mobility.plugins.module_utils._live.book import Book, Ordered
from ansible_collections.kvmops.mobility.plugins.module_utils._live.model import Sample, Stage
from ansible_collections.kvmops.mobility.plugins.module_utils._live.options import POSTCOPY_RESUME
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Migration
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect, Plan
from ansible_collections.kvmops.mobility.plugins.module_utils._unit import payload, process, transient

_POLL_S = 0.5
_ENDED_S = 30
_ENDING_POLL_S = 0.05
_AGAIN_S = 1.0
_QUIET_S = 1.0
"""No job for so long after the unit was ended: a request of its that was on its way has been heard by then."""
_RECOVER = "Run kvmops.mobility.recover; until then start, resume and destroy it on neither side."
_CONVERGE = (
    "Wait until the guest writes less, or allow more: time (policy.completion_timeout_s; live_migrate_patience_s for "
    "its disks), a longer pause (live.max_downtime_ms), live.auto_converge, live.post_copy, or policy=must_finish."
)


@dataclass(frozen=True)
class Here:
    """What this hypervisor knows of the migration now."""

    migration: Migration
    book: Book
    unit: transient.Unit
    domain: Domain | None
    job: Job | None

    @property
    def defined(self) -> bool:
        """The guest is still known here. libvirt forgets it the moment it has left, also between two questions."""
        return self.state != ""

    @property
    def active(self) -> bool:
        """The guest has a process here."""
        return self.state not in ("", OFF)

    @property
    def state(self) -> str:
        """libvirt's, empty when it is not here."""
        try:
            return self.domain.state() if self.domain is not None else ""
        except NotFound:
            return ""

    @property
    def paused(self) -> Pause | None:
        """Why it does not run, though it has a process."""
        try:
            return self.domain.pause() if self.domain is not None else None
        except NotFound:
            return None

    def look(self) -> Sample | None:
        """How far its job is; None without one."""
        return self.job.look(0.0) if self.job is not None and self.active else None


def here(context: Context) -> Here:
    """Read it anew."""
    migration = context.record().migration
    logs = str(context.store.migration(migration.id))
    return Here(
        migration=migration,
        book=Book(context.store, migration.id),
        unit=transient.Unit(unit_name(migration.id), logs),
        domain=context.hypervisor.find(migration.uuid),
        job=context.hypervisor.job(migration.uuid),
    )


def unit_name(migration_id: str) -> str:
    """The unit of a live migration."""
    return transient.name_of(migration_id, "live")


def plan(context: Context) -> Plan:
    """Begin, attach to what goes on, or tell how it ended."""
    now = here(context)
    live(now.migration)
    report, phase = now.book.report(), transient.phase(now.unit.name)
    over = bool(report and report["ended"])
    if phase is transient.Phase.RUNNING and not over:
        known = bool(context.params["started"])
        return Plan((_waiting(context, now, tell=not known),), untouched=known)
    if phase is transient.Phase.ABSENT and _not_begun(now):
        return Plan((*_beginning(context, now), _waiting(context, now, tell=True)))
    if _goes_on(context, now, over):
        return Plan((_watching(context, now, "watch"), _waiting(context, now, tell=True)))
    return Plan((Effect("end", "see how it ended", lambda: _told(now)),))


def _not_begun(now: Here) -> bool:
    """Whether libvirt was not asked yet. A report is lost with the power, what was ordered is not.

    A guest that is here still, without a job, can be asked for in any case.
    """
    return now.book.report() is None and (now.active or now.book.ordered() is None)


def _goes_on(context: Context, now: Here, over: bool) -> bool:
    """Whether somebody has to watch again: its unit died and libvirt goes on, or its broken link is to be mended.

    That is tried by a new run only: the one that saw it break has to say so.
    """
    if now.active and now.paused is Pause.POST_COPY_BROKEN:
        return not context.params["started"] and _can_resume(context, now)
    return not over and now.look() is not None


def _can_resume(context: Context, now: Here) -> bool:
    libvirt, _qemu = context.hypervisor.versions()
    if libvirt >= POSTCOPY_RESUME:
        return True
    raise Refused(
        "LIVE_LINK_BROKEN",
        now.migration.name,
        "is paused on both sides, for the link broke in post-copy; this libvirt cannot go on with it, 8.5 could.",
        "Its memory is on both sides: nothing but a power cycle ends this, and what was not on disk is lost with it.",
    )


def _beginning(context: Context, now: Here) -> tuple[Effect, ...]:
    if not now.defined:
        raise NotFound(
            "DOMAIN_NOT_FOUND", now.migration.name, "is not on its source any more.", "See kvmops.mobility.status."
        )
    if not now.active or (now.paused is not None) != live(now.migration).was_paused:
        raise Refused(
            "STATE_CHANGED",
            now.migration.name,
            f"is {now.state} now, which is not what the plan was made for.",
            "Run this again: the plan is made from what is there now.",
        )
    if now.book.aborted():
        raise Refused("LIVE_ABORTED", now.migration.name, "was given up before it began, as was asked for.", "")
    if now.look() is not None:
        raise Refused(
            "BUSY", now.migration.name, "another migration of it goes on, which is not ours.", "Wait for its end."
        )
    undo = {"kind": "end_live", "uuid": now.migration.uuid, "unit": now.unit.name}
    # The guest leaves by libvirt's hand, and a power loss right behind that brings its definition here back.
    off = stored.autostart_off(now.domain, process.the_boot()) if now.domain is not None else ()
    return (*off, _watching(context, now, "start", undo))


def _watching(context: Context, now: Here, name: str, undo: Mapping[str, Any] | None = None) -> Effect:
    address = now.migration.destination_address

    def start() -> Mapping[str, Any]:
        began = context.clock()
        directory = context.store.make(context.store.migration(now.migration.id))
        now.book.order(_ordered(context, now.migration))
        transient.forget(now.unit.name)
        now.book.reopen()  # what an earlier unit has told of its end is not that of the next one
        words = (str(context.store.root), now.migration.id)
        transient.begin(now.unit, payload.argv(directory, program.__name__, words))
        return {"live_asked_at": began}

    words = f"migrate {now.migration.name} to {address}" if name == "start" else "watch its migration again"
    return Effect(name, words, start, undo=undo)


def _ordered(context: Context, migration: Migration) -> Ordered:
    params, address = context.params, migration.destination_address
    way = transport.Transport(params["transport"])
    return Ordered(
        uri=params["uri"],
        peer_uri=transport.uri(way, address, params["port"], params["identity_file"] or ""),
        migrate_uri=f"tcp://{transport.host(address)}",
        patience_s=float(params["patience_s"]),
        budget_mib_s=int(params["budget_mib_s"]),
    )


def _waiting(context: Context, now: Here, *, tell: bool) -> Effect:
    def wait() -> Mapping[str, Any]:
        began = context.monotonic()
        while True:
            report = now.book.report()
            if _is_over(now, report):
                # An end is told by a call that has a line in the journal.
                return _told(here(context)) if tell else _result(report, ended=False)
            if context.monotonic() - began >= context.params["wait_s"]:
                return _result(report, ended=False)
            context.sleep(_POLL_S)

    return Effect("live", "wait until the guest is there", wait)


def _is_over(now: Here, report: Mapping[str, Any] | None) -> bool:
    if report is not None and report["ended"]:
        return True
    return transient.phase(now.unit.name) is not transient.Phase.RUNNING


def _result(report: Mapping[str, Any] | None, *, ended: bool, succeeded: bool | None = None) -> dict[str, Any]:
    return {"state": dict(report or {}), "ended": ended, "succeeded": succeeded}


def _told(now: Here) -> Mapping[str, Any]:
    """How it ended, by where the guest is.

    Raises MobilityError: LIVE_ABORTED, LIVE_NOT_CONVERGING or LIVE_FAILED when it is still here, LIVE_LINK_BROKEN when
    it is on both sides, LIVE_UNCERTAIN when only the destination can know.
    """
    report = now.book.report()
    if not now.active:
        transient.forget(now.unit.name)
        # Where it is defined and off, it may have shut down by itself: the destination knows.
        return _result(report, ended=True, succeeded=None if now.defined else True)
    if now.look() is not None and now.paused is not Pause.POST_COPY_BROKEN:
        return _result(report, ended=False)  # its unit died just now: the next call starts another
    transient.forget(now.unit.name)
    raise _failure(now, report or {})


def _failure(now: Here, report: Mapping[str, Any]) -> MobilityError:
    name, paused = now.migration.name, now.paused
    words = str(report.get("error", "")) or transient.words(now.unit) or "libvirt did not say why."
    facts = {"state": dict(report)}
    if paused is Pause.POST_COPY_BROKEN:
        broken = f"the link broke when it ran on {now.migration.destination} already, and it waits on both: {words}"
        return MobilityError("LIVE_LINK_BROKEN", name, broken, _RECOVER, **facts)
    if paused in (Pause.POST_COPY, Pause.MIGRATION):
        unknown = f"is paused here and may run on {now.migration.destination}: {words}"
        return MobilityError("LIVE_UNCERTAIN", name, unknown, _RECOVER, **facts)
    run_again(now)
    if now.book.aborted():
        return MobilityError("LIVE_ABORTED", name, "was given up, as was asked for, and goes on here.", "", **facts)
    given_up = str(report.get("given_up", ""))
    if given_up:
        words = f"was given up: {given_up}. It goes on here."
        return MobilityError("LIVE_NOT_CONVERGING", name, words, _CONVERGE, **facts)
    return MobilityError("LIVE_FAILED", name, f"goes on here: {words}", "Mend that, then run it again.", **facts)


def run_again(now: Here) -> None:
    """Let a guest run that one of us paused: the unit may have died, or an end have come between two of its looks."""
    if now.domain is not None and now.job is not None and now.active:
        program.run_again(now.book, now.domain, now.job)


_POST_COPY = (Stage.POST_COPY, Stage.POST_COPY_PAUSED)


def too_late(now: Here) -> Refused:
    """Why what runs on the other side is not called back."""
    return Refused(
        "ABORT_TOO_LATE",
        now.migration.name,
        f"runs on {now.migration.destination} already and fetches its memory from here (post-copy): neither side has "
        "all of it, and an abort would lose it.",
        "Let it end. Where the link broke, kvmops.mobility.recover goes on with it.",
    )


def end(context: Context, _how: Mapping[str, Any]) -> None:
    """Take a migration back that goes on: no job, no unit, and the guest as before.

    Raises Refused(ABORT_TOO_LATE) in post-copy, Refused(GUEST_MAY_HAVE_RUN) when the guest is not here any more,
    MobilityError(LIVE_STUCK) when libvirt does not end its job.
    """
    now = here(context)
    _check_here(now)
    now.book.abort()  # a unit that has not asked libvirt yet does not
    end_job(context, now)
    transient.forget(now.unit.name)
    end_job(context, now, quiet_s=_QUIET_S)
    after = here(context)
    _check_here(after)
    run_again(after)


def _check_here(now: Here) -> None:
    if not now.active and now.book.switched():
        raise _has_left(now)  # also one that is defined: the destination may have lost it since
    if now.defined and now.paused not in (Pause.POST_COPY, Pause.POST_COPY_BROKEN, Pause.MIGRATION):
        return
    seen = now.look()
    if now.paused in (Pause.POST_COPY, Pause.POST_COPY_BROKEN) or (seen is not None and seen.stage in _POST_COPY):
        raise too_late(now)
    if now.paused is Pause.MIGRATION and seen is not None:
        return  # libvirt stops it for the last round: it can be called back as long as it does not run there
    raise _has_left(now)


def _has_left(now: Here) -> Refused:
    return Refused(
        "GUEST_MAY_HAVE_RUN",
        now.migration.name,
        f"has left: what it wrote on {now.migration.destination} since would be lost.",
        "Run kvmops.mobility.recover, which sees where it is and carries the migration through.",
    )


def end_job(context: Context, now: Here, quiet_s: float = 0.0) -> None:
    """Until there is none, and has been none for *quiet_s*. It is asked for once a second: libvirt has enough to do.

    Raises Refused(ABORT_TOO_LATE), MobilityError(LIVE_STUCK).
    """
    began = last = context.monotonic()
    asked = began - _AGAIN_S
    while True:
        at = context.monotonic()
        seen = now.look()
        if seen is None:
            if at - last >= quiet_s:
                return
        else:
            last = at
            if at - asked >= _AGAIN_S and seen.stage is not Stage.ENDING:
                _ask_to_end(now)
                asked = at
        if at - began >= _ENDED_S:
            raise MobilityError(
                "LIVE_STUCK",
                now.migration.name,
                f"libvirt has not ended its migration within {_ENDED_S} s.",
                "Look at virsh domjobinfo; the guest goes on here. Then run kvmops.mobility.recover.",
            )
        context.sleep(_ENDING_POLL_S)


def _ask_to_end(now: Here) -> None:
    """Ask libvirt to end the job. One that ended by itself meanwhile is what was wanted; post-copy is too late."""
    try:
        if now.job is not None:
            now.job.abort()
    except MobilityError:
        seen = now.look()
        if seen is not None and seen.stage in _POST_COPY:
            raise too_late(now) from None
