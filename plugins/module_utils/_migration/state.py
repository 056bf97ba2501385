# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status of a migration, derived from the journals of both hypervisors; pure, and stored nowhere.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import CLOSE, Entry, Event, Phase, Step


class Status(enum.Enum):
    """Nova's names for the states of a migration; a live one ends as C(completed)."""

    UNKNOWN = "unknown"
    PRE_MIGRATING = "pre-migrating"
    MIGRATING = "migrating"
    POST_MIGRATING = "post-migrating"
    FINISHED = "finished"
    CONFIRMING = "confirming"
    CONFIRMED = "confirmed"
    REVERTING = "reverting"
    REVERTED = "reverted"
    COMPLETED = "completed"
    FAILED = "failed"
    ERROR = "error"


CLOSED = frozenset({Status.CONFIRMED, Status.REVERTED, Status.COMPLETED, Status.FAILED})
"""Nothing is left to do, and no capacity is held."""

NOVA_STATUS = {Status.FINISHED: "VERIFY_RESIZE"}
"""What Nova's users see for it."""

LEGAL = {
    Phase.CONFIRM: frozenset({Status.FINISHED, Status.CONFIRMING, Status.CONFIRMED}),
    Phase.REVERT: frozenset({Status.FINISHED, Status.REVERTING, Status.REVERTED}),
}
"""From which states a phase may begin; the ones that carry its own name make it repeatable."""


def derive(source: Sequence[Entry], destination: Sequence[Entry]) -> Status:
    """The status that the two journals prove. Either may be empty (host down, or nothing happened there yet)."""
    phases = ((Phase.REVERT, _reverted), (Phase.CONFIRM, _confirmed))
    for phase, reading in phases:
        if _any(source, phase) or _any(destination, phase):
            status = reading(source, destination)
            if status is not None:
                return status
    return _moved(source, destination)


def derive_alone(entries: Sequence[Entry], role: str) -> Status:
    """The status one hypervisor can tell from its own journal; *role* is source or destination."""
    return derive(entries, ()) if role == "source" else derive((), entries)


def _any(entries: Sequence[Entry], phase: Phase) -> bool:
    return any(entry.phase is phase and entry.step is not Step.RELEASE for entry in entries)


def _has(entries: Sequence[Entry], phase: Phase, step: Step, event: Event) -> bool:
    """Whether *step* as a whole saw *event* in *phase*."""
    return any(e.phase is phase and e.step is step and e.event is event and not e.effect for e in entries)


def _confirmed(source: Sequence[Entry], destination: Sequence[Entry]) -> Status | None:
    """Confirmed once the source's copy is gone; before the evidence was found nothing has changed."""
    if _has(source, Phase.CONFIRM, Step.DISCARD, Event.END):
        return Status.CONFIRMED
    if _has(destination, Phase.CONFIRM, Step.DISCARD, Event.END):
        # The destination closes its book last, so its word is enough when the source is out of reach.
        return Status.CONFIRMED
    if _has(source, Phase.CONFIRM, Step.DISCARD, Event.BEGIN):
        return Status.CONFIRMING
    return None


def _reverted(source: Sequence[Entry], destination: Sequence[Entry]) -> Status | None:
    """Reverting from the moment the destination was asked to stop; reverted once its copy is gone.

    A revert that could not go through and was undone leaves the migration where it was before.
    """
    if _has(destination, Phase.REVERT, Step.DISCARD, Event.END):
        return Status.REVERTED
    if _has(source, Phase.REVERT, Step.DISCARD, Event.END):
        return Status.REVERTED
    begun = _last(destination, Step.HAND_OVER, Event.BEGIN) >= 0 or _last(source, Step.TAKE_OVER, Event.BEGIN) >= 0
    if begun and not (_taken_back(source, Step.TAKE_OVER) and _taken_back(destination, Step.HAND_OVER)):
        return Status.REVERTING
    return None


def _last(entries: Sequence[Entry], step: Step, event: Event) -> int:
    """Position of the last line about *step* as a whole in a revert, -1 without one."""
    seen = (Phase.REVERT, step, event, "")
    wanted = [i for i, e in enumerate(entries) if (e.phase, e.step, e.event, e.effect) == seen]
    return wanted[-1] if wanted else -1


def _taken_back(entries: Sequence[Entry], step: Step) -> bool:
    """Whether *step* of the revert was not begun here, or was undone completely since."""
    begun = _last(entries, step, Event.BEGIN)
    closed = [i for i, e in enumerate(entries) if (e.phase, *_closing(e)) == (Phase.REVERT, *_CLOSED_BOOK)]
    return begun < 0 or bool(closed and closed[-1] > begun)


def _moved(source: Sequence[Entry], destination: Sequence[Entry]) -> Status:
    if _departed(source, destination):
        return Status.COMPLETED
    undo = _undone(source, destination)
    if undo is not None:
        return undo
    if _has(destination, Phase.MOVE, Step.TAKE_OVER, Event.END):
        return Status.FINISHED
    if any(_has(destination, Phase.MOVE, step, Event.BEGIN) for step in (Step.TAKE_OVER, Step.ARRIVE)):
        return Status.POST_MIGRATING
    if any(_has(source, Phase.MOVE, step, Event.BEGIN) for step in (Step.HAND_OVER, Step.LIVE)):
        return Status.MIGRATING
    if source or destination:
        return Status.PRE_MIGRATING
    return Status.UNKNOWN


def _departed(source: Sequence[Entry], destination: Sequence[Entry]) -> bool:
    """A live migration is over when the source has given the guest up; the destination knows it from the receipt."""
    if _has(source, Phase.MOVE, Step.DEPART, Event.END):
        return True
    released = (Phase.MOVE, Step.RELEASE, Event.END, "")
    ends = [e for e in destination if (e.phase, e.step, e.event, e.effect) == released]
    return any(e.result.get("status") == Status.COMPLETED.value for e in ends)


_CLOSED_BOOK = (Step.UNDO, Event.END, CLOSE)


def _closing(entry: Entry) -> tuple[Step, Event, str]:
    return entry.step, entry.event, entry.effect


def _undone(source: Sequence[Entry], destination: Sequence[Entry]) -> Status | None:
    """failed: undone wherever something was done; error: an undo was begun somewhere and is not complete."""
    touched = [journal for journal in (source, destination) if journal]
    begun = [_undo_begun(journal) for journal in touched]
    ended = [any((e.phase, *_closing(e)) == (Phase.MOVE, *_CLOSED_BOOK) for e in journal) for journal in touched]
    if not any(begun) or _kept_going(source, destination):
        return None
    return Status.FAILED if all(ended) else Status.ERROR


def _undo_begun(entries: Sequence[Entry]) -> bool:
    """Not by one of single steps, after which the move goes on in another way: that one does not close the book."""
    begun = [e for e in entries if (e.phase, e.step, e.event, e.effect) == (Phase.MOVE, Step.UNDO, Event.BEGIN, "")]
    return any(CLOSE in e.result.get("effects", (CLOSE,)) for e in begun)


def _kept_going(source: Sequence[Entry], destination: Sequence[Entry]) -> bool:
    """The take-over ended, only its answer was lost: the destination refuses to undo, the source never ends one."""
    taken = any(_has(destination, Phase.MOVE, step, Event.END) for step in (Step.TAKE_OVER, Step.ARRIVE))
    undoing = _undo_begun(destination)
    given_up = any((e.phase, *_closing(e)) == (Phase.MOVE, *_CLOSED_BOOK) for e in source)
    return taken and not undoing and not given_up
