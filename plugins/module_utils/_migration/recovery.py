# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After a crash: what two journals and two hypervisors say happened, and the one safe thing to do. Pure.

The rule behind every branch: a hypervisor may start the guest only when it is certain that the other one does not run
it and will not. What cannot be known is asked of the operator, never guessed.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.kvmops.mobility.plugins.module_utils._migration import recovering_live, reverting
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import Data
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Entry, Event, Phase, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.recovering import (
    Act,
    Case,
    Decision,
    Prefer,
    Side,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.starting import may_have_run
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.state import CLOSED, Status
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.store import STATE_DIRECTORY
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.validity import FENCED_S

__all__ = ["Act", "Case", "Decision", "Prefer", "Side", "decide"]


def decide(case: Case) -> Decision:
    """The one safe thing to do."""
    busy = _busy(case)
    if busy is not None:
        return busy
    if case.known.migration.live is not None and case.known.status not in CLOSED:
        return recovering_live.decide(case)
    if case.source.active and case.destination.active:
        return _twice(case)
    status = case.known.status
    if status in CLOSED or status is Status.UNKNOWN:
        return _closed(case, status)
    if status is Status.FINISHED:
        return _finished(case)
    if status is Status.CONFIRMING:
        return case.both(Act.RESUME_CONFIRM, "the confirm was interrupted after the evidence: it is carried through")
    if status is Status.REVERTING:
        return _reverting(case)
    return _unfinished(case)


_LONG_WORK = 5
"""How many times longer a run is waited for whose mirror, copy or live migration is at work: then there is no hurry."""


def _busy(case: Case) -> Decision | None:
    if case.takeover:
        return None
    sides = (case.source, case.destination)
    if any(side.working for side in sides):
        return Decision(Act.WAIT, "a process of this migration is at work")
    idle = [side.idle_s for side in sides if side.reachable]
    if not case.known.holder or not idle:
        return None
    at_work = any(side.mirroring or side.copying for side in sides)
    quiet_s = case.quiet_s * (_LONG_WORK if at_work else 1)
    if min(idle) >= quiet_s:
        return None
    work = ", and its disks or memory are on their way" if at_work else ""
    return Decision(
        Act.WAIT,
        f"its run was heard of {min(idle):.0f} s ago{work}: it is left alone until {quiet_s:.0f} s have passed",
    )


_TAKEN_OVER = frozenset({Status.FINISHED, Status.CONFIRMING, Status.REVERTING})
"""The move ended: it is not undone any more, whatever side counts."""


def _twice(case: Case) -> Decision:
    """Both have a QEMU process: nothing is ever destroyed without being told which."""
    if case.prefer is None or case.known.status in CLOSED or case.known.status in _TAKEN_OVER:
        return Decision(Act.ASK, "the guest is active on both hypervisors: stop the one that is wrong by hand, at once")
    if case.prefer is Prefer.SOURCE:
        return case.both(Act.UNDO, "the guest is active on both, and the source counts")
    return Decision(Act.ASK, "the guest is active on both: force it off on the source by hand, then run recover again")


def _closed(case: Case, status: Status) -> Decision:
    if case.known.open_books:
        return case.both(Act.CLOSE, f"it is {status.value}, and one side has not heard of it")
    if case.known.holder:
        return case.both(Act.RELEASE, f"it is {status.value}, and a lock is left over")
    return Decision(Act.NOTHING, f"it is {status.value}: nothing is open")


def _finished(case: Case) -> Decision:
    if case.destination.reachable and not case.destination.domain_state:
        kept = f"{STATE_DIRECTORY}/migrations/{case.known.migration.id}/definitions/new.xml"
        return Decision(
            Act.ASK,
            "the journal says that the destination has the guest, and it is not defined there: define it there again, "
            f"with virsh define {kept} on that hypervisor, then confirm or revert it",
        )
    if case.source.active:
        return Decision(
            Act.ASK,
            "it waits for confirm or revert, and the guest is active on the source all the same: its disks there are "
            "not those that it was moved with, so stop it on the source by hand, at once",
        )
    if case.known.left_over:
        return case.both(Act.UNDO_REVERT, "a revert was interrupted before the guest stopped: it stays where it is")
    if case.known.holder:
        return case.both(Act.RELEASE, "the guest is on the destination and waits for confirm or revert; a lock is left")
    return Decision(Act.NOTHING, "the guest is on the destination and waits for confirm or revert: all is well")


def _has(entries: tuple[Entry, ...], phase: Phase, step: Step, event: Event) -> bool:
    return any((e.phase, e.step, e.event, e.effect) == (phase, step, event, "") for e in entries)


def _reverting(case: Case) -> Decision:
    if Data.COPY_BACK in (reverting.data(case.known.source), reverting.data(case.known.destination)):
        return _copying_back(case)
    source_began = _has(case.known.source, Phase.REVERT, Step.TAKE_OVER, Event.BEGIN)
    if case.source.reachable and (case.destination.reachable or source_began or case.prefer is Prefer.SOURCE):
        return case.both(Act.RESUME_REVERT, "the revert was interrupted: it is carried through")
    if not case.source.reachable:
        return Decision(
            Act.ASK, "the revert was interrupted, and the source that has the old disks does not answer: bring it back"
        )
    return Decision(
        Act.ASK,
        "the revert was interrupted, and nobody can say whether the destination still runs the guest: bring it back, "
        "or make sure that it is off and give prefer=source",
    )


def _copying_back(case: Case) -> Decision:
    """Forward only when the source has started the guest; else back, and the source is asked first."""
    source, destination = case.source, case.destination
    if not source.reachable:
        return Decision(
            Act.ASK,
            "the revert was interrupted, and the source, which may run the guest, does not answer: bring it back",
        )
    if source.active or may_have_run(case.known.source, Phase.REVERT):
        return case.both(Act.RESUME_REVERT, "the source has started the guest: the revert is carried through")
    if destination.reachable:
        return case.both(Act.UNDO_REVERT, "the revert was interrupted: the guest goes back to the destination")
    if case.prefer is Prefer.SOURCE:
        lost = "the destination counts as dead, with what the guest wrote since the move: it gets its old disks"
        return replace(case.both(Act.RESUME_REVERT, lost), discard=True)
    return Decision(
        Act.ASK,
        "the revert was interrupted, and the destination, which has what the guest wrote since the move, does not "
        "answer: bring it back, or make sure that it is off for good and give prefer=source",
    )


def _unfinished(case: Case) -> Decision:
    """A move that did not end: forward only when the guest runs on the destination, else back."""
    source, destination, known = case.source, case.destination, case.known
    undoing = known.status is Status.ERROR
    if source.reachable and destination.reachable:
        runs = destination.active or may_have_run(known.destination, Phase.MOVE)
        if runs and not undoing and case.prefer is not Prefer.SOURCE:
            return case.both(Act.RESUME_MOVE, "the destination has started the guest: the move is carried through")
        if source.copying and not undoing and case.prefer is not Prefer.SOURCE:
            return case.both(Act.RESUME_MOVE, "the copy outlived its controller: the move is carried through")
        return case.both(Act.UNDO, "the move was interrupted: the guest goes back to the source")
    if source.reachable:
        return _source_alone(case)
    began = _has(known.destination, Phase.MOVE, Step.TAKE_OVER, Event.BEGIN)
    if destination.reachable and not began:
        return Decision(Act.ASK, "the guest is on the source, which does not answer: run recover again when it is back")
    return Decision(Act.ASK, "the source does not answer: run recover again when it is back")


def _copy_ended(source: tuple[Entry, ...]) -> bool:
    """A copy, or a mirror that was whole when the guest went off: the hand-over's last word, not that of its stop."""
    handed = [e for e in source if (e.phase, e.step, e.event, e.effect) == (Phase.MOVE, Step.HAND_OVER, Event.END, "")]
    return _has(source, Phase.MOVE, Step.COPY, Event.END) or any(e.result.get("mirrored") for e in handed)


def _source_alone(case: Case) -> Decision:
    """A take-over is only asked for after the copy has ended, and that end is in the source's own journal."""
    if not _copy_ended(case.known.source):
        return case.both(Act.UNDO, "the destination was never asked to start the guest: it goes back to the source")
    if case.prefer is Prefer.SOURCE:
        if case.source.idle_s < FENCED_S:
            return Decision(
                Act.WAIT,
                f"its run was heard of {case.source.idle_s:.0f} s ago, and what it may have asked of the destination "
                f"can arrive there until {FENCED_S:.0f} s have passed",
            )
        return case.both(Act.UNDO, "the destination counts as dead: the guest goes back to the source")
    return Decision(
        Act.ASK,
        "the copy was complete, and nobody can say whether the destination runs the guest: bring it back, or make sure "
        "that it is off for good and give prefer=source",
    )
