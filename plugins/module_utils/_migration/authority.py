# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a step may still act: for the run that holds the guest, while the migration is not over.

A controller may sleep for an hour between two calls (a laptop's lid, a node that is cut off) and then go on as if
nothing had happened. Meanwhile somebody may have recovered its migration, and moved the guest again. So every step
shows the token of its run before each effect, as Nova's compute manager saves an instance with C(expected_task_state).

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import lock, record
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import (
    CLOSE,
    Entry,
    Event,
    Phase,
    Step,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.lock import Lock
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.store import Store

LOCK_EFFECT = "lock"
"""The effect by which a run gets the guest's lock."""
_BEFORE_THE_LOCK = frozenset({"record", LOCK_EFFECT})
_TAKES_THE_LOCK = frozenset({Step.CLAIM, Step.LOCK})
_TIDIES_UP = frozenset({Step.UNDO, Step.RELEASE})
"""What follows a claim that failed, and what follows an undo that has given the lock back."""
_REMEDY = (
    "This step has changed nothing. See where the guest is with kvmops.mobility.status, and begin anew from what is "
    "there now."
)
_ENDS = frozenset({(phase, Step.DISCARD, "") for phase in (Phase.CONFIRM, Phase.REVERT)}) | {
    (Phase.MOVE, Step.UNDO, CLOSE),
    (Phase.MOVE, Step.DEPART, ""),
}
"""Behind the end of one of these a migration is over on the hypervisor whose journal has it."""


@dataclass(frozen=True)
class Authority:
    """What a call shows of itself. *uuid* is empty where no record tells it."""

    store: Store
    migration: str
    step: Step
    token: str
    clock: Callable[[], float]
    uuid: str = ""
    not_after: float = 0.0
    """Unix time here after which the step is not begun any more, 0 for never."""

    def check_begin(self, entries: Sequence[Entry]) -> None:
        """Before the first line in the journal. Raises Refused: LOST_THE_LOCK, CALL_TOO_LATE."""
        if self.step in _TAKES_THE_LOCK:
            return
        if self.step is not Step.RELEASE:
            self._check_open(entries)
        if not self.holds() and not self._may_tidy_up(entries):
            raise self._lost()
        if self.not_after and self.clock() > self.not_after:
            raise _too_late(self.migration, self.clock() - self.not_after)

    def check_effect(self, effect: str) -> None:
        """Before each effect: the lock may have been taken away since the step began. Raises as C(check_begin())."""
        if self.step in _TIDIES_UP or (self.step in _TAKES_THE_LOCK and effect in _BEFORE_THE_LOCK):
            return
        if not self.holds():
            raise self._lost()

    def holds(self) -> bool:
        """Whether the lock is this run's."""
        holder = self._holder()
        return holder is not None and holder.is_of(self.migration, self.token)

    def beat(self) -> None:
        """Let whoever looks at the lock see that this run lives."""
        if self.uuid:
            lock.beat(self.store, self.uuid, self.migration, self.token, self.clock())

    def _holder(self) -> Lock | None:
        if self.uuid:
            return lock.held(self.store, self.uuid)
        return next((one for one in lock.all_held(self.store) if one.migration == self.migration), None)

    def _check_open(self, entries: Sequence[Entry]) -> None:
        closed = closed_at(entries)
        if closed is None:
            return
        raise Refused(
            "LOST_THE_LOCK",
            self.migration,
            f"this migration was closed on this hypervisor at {_moment(closed)}, and nothing more is done in its name.",
            _REMEDY,
        )

    def _may_tidy_up(self, entries: Sequence[Entry]) -> bool:
        """Nobody has worked on this migration here since this run did, and nobody else has the guest in its hands."""
        if self.step not in _TIDIES_UP or not self.token or last_run(entries) != self.token:
            return False
        return self.step is Step.RELEASE or self._holder() is None or not _was_locked(entries)

    def _lost(self) -> Refused:
        holder = self._holder()
        if not self.token:
            why = "the call shows no run, so it acts for nobody who holds the guest."
        elif holder is None:
            why = "this run does not hold the guest any more: its lock was given back or taken away."
        else:
            why = (
                f"this run does not hold the guest any more: {holder.owner} ({holder.command}, migration "
                f"{holder.migration}) has it since {_moment(holder.since)}."
            )
        return Refused(
            "LOST_THE_LOCK", self.migration, why, _REMEDY, holder=holder.as_result() if holder is not None else None
        )


def authority(
    store: Store,
    migration: str,
    step: Step,
    token: str,
    clock: Callable[[], float],
    not_after: float = 0.0,
) -> Authority:
    """That of a call, with the guest that the migration's record names."""
    kept = record.read(store, migration)
    return Authority(store, migration, step, token, clock, kept.migration.uuid if kept else "", not_after)


def last_run(entries: Sequence[Entry]) -> str:
    """The token of the run that began a step here last, empty when none has."""
    runs = [str(one.result["run"]) for one in entries if one.event is Event.BEGIN and one.result.get("run")]
    return runs[-1] if runs else ""


def closed_at(entries: Sequence[Entry]) -> float | None:
    """When the migration was over on the hypervisor whose journal this is, Unix time; None while it is open."""
    ends = [one.at for one in entries if one.event is Event.END and (one.phase, one.step, one.effect) in _ENDS]
    return ends[0] if ends else None


def _was_locked(entries: Sequence[Entry]) -> bool:
    return any(one.step in _TAKES_THE_LOCK and (one.event, one.effect) == (Event.END, LOCK_EFFECT) for one in entries)


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))


def _too_late(migration: str, seconds: float) -> Refused:
    return Refused(
        "CALL_TOO_LATE",
        migration,
        f"the call arrived {seconds:.0f} s after it had to: the other hypervisor may have been given the guest since.",
        "Nothing was started here. Is the controller slow, or did it sleep? Run it again; recover does, too.",
    )
