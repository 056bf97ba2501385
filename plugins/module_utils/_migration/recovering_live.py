# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After a crash in a live migration: libvirt goes on without us, so the guest may have a process on both sides. Pure.

The rule behind every branch: nothing is destroyed and nobody is let run by guessing. What goes on is watched on, what
has left is completed, and only a guest that is on its source alone is taken back.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Entry, Event, Phase, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.recovering import Act, Case, Decision, Prefer
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.state import Status

_RUNNING = "running"


def decide(case: Case) -> Decision:
    """The one safe thing to do for a live migration that is not closed."""
    source, destination = case.source, case.destination
    if source.reachable and destination.reachable:
        return _both(case)
    if source.reachable:
        return _source_alone(case)
    if destination.reachable and destination.active:
        return Decision(Act.ASK, _LEFT if _arrived(case) else _MAY_BE_HERE)
    return Decision(Act.ASK, "the source does not answer: run recover again when it is back")


_LEFT = (
    "the guest has arrived on the destination, and the source, which has its old disks, does not answer: run recover "
    "again when it is back"
)
_MEMORY_LOST = (
    "the guest was let go on on the destination (post-copy) and has no process there now: its memory is lost. Its "
    "disks on the destination have all that the source's have, and more if it came to run there. Destroy it on the "
    "source if it is paused there, start it on the destination, where it may have to be defined from the source's "
    "virsh dumpxml --inactive, then run recover again"
)
_MAY_BE_HERE = (
    "the guest has a process on the destination, and nobody can say whether it is all there: the source does not "
    "answer. Start, resume and destroy nothing; run recover again when it is back"
)


def _both(case: Case) -> Decision:
    source, destination = case.source, case.destination
    if source.active and destination.active:
        return _on_both(case)
    if destination.active:
        return case.both(Act.RESUME_LIVE, "the guest is on the destination: its books are completed")
    if _arrived(case):
        return Decision(
            Act.ASK,
            "the guest had arrived on the destination, and does not run there now: start it there, where its disks are,"
            " then run recover again",
        )
    if source.switched and source.domain_state != _RUNNING:
        return Decision(Act.ASK, _MEMORY_LOST)
    if source.active and source.copying and not _undoing(case) and case.prefer is not Prefer.SOURCE:
        return case.both(Act.RESUME_LIVE, "the migration goes on, and is watched again")
    if source.domain_state:
        return case.both(Act.UNDO, "the guest is on the source alone: what was made for it is taken back")
    return _nowhere(case)


def _on_both(case: Case) -> Decision:
    """Before its end a migration has a process that waits on the destination, in post-copy one that waits here."""
    if case.source.domain_state == _RUNNING and case.destination.domain_state == _RUNNING:
        return Decision(Act.ASK, "the guest runs on both hypervisors: stop the one that is wrong by hand, at once")
    if _undoing(case) and case.source.domain_state == _RUNNING:
        return case.both(Act.UNDO, "the undo was interrupted: it is carried through")
    return case.both(
        Act.RESUME_LIVE, "the guest has a process on both sides: the migration is watched on, and neither is destroyed"
    )


def _nowhere(case: Case) -> Decision:
    """It is not even defined on the source: libvirt does that only when it has arrived."""
    if case.destination.domain_state:
        return Decision(
            Act.ASK,
            "the guest has left the source, and is off on the destination: start it there, then run recover again",
        )
    return Decision(Act.ASK, "the guest is defined on neither side: look for it before anything else")


def _source_alone(case: Case) -> Decision:
    """The destination may run the guest as soon as libvirt was asked, unless it runs here all the same."""
    if case.source.domain_state == _RUNNING and not case.source.copying:
        return case.both(Act.UNDO, "the guest runs on the source, and no migration of it goes on")
    if not _begun(case):
        return case.both(Act.UNDO, "libvirt was never asked for the migration: what was made is taken back")
    if case.source.copying and case.prefer is not Prefer.SOURCE:
        return Decision(
            Act.WAIT, "libvirt on the source is at work, and gives it up by itself when the destination stays away"
        )
    if case.prefer is Prefer.SOURCE and case.source.domain_state:
        return case.both(Act.UNDO, "the destination counts as dead: the guest stays on the source")
    return Decision(
        Act.ASK,
        "the guest does not run on the source, and nobody can say whether it does on the destination: bring it back, "
        "or make sure that it is off for good and give prefer=source",
    )


def _begun(case: Case) -> bool:
    return _has(case.known.source, Step.LIVE, Event.BEGIN)


def _arrived(case: Case) -> bool:
    return _has(case.known.destination, Step.ARRIVE, Event.END)


def _has(entries: tuple[Entry, ...], step: Step, event: Event) -> bool:
    return any((e.phase, e.step, e.event, e.effect) == (Phase.MOVE, step, event, "") for e in entries)


def _undoing(case: Case) -> bool:
    return case.known.status is Status.ERROR
