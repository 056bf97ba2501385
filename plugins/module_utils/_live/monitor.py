# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watches one live migration from its begin to its end, and does what its policy says. A unit's program.

libvirt carries the migration out: it goes on when this program dies, and another one attaches. What this program is
told, it reads from files beside its state, so that whoever tells it need not find it alive.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError
from ansible_collections.kvmops.mobility.plugins.module_utils._live.model import (
    Abort,
    Action,
    ForceComplete,
    History,
    Sample,
    SetDowntime,
    Stage,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._live.policy import Policy, decide

POLL_S = 0.5
"""As often as Nova looks."""
_KEPT = 240
"""Samples of a history: two minutes."""


class Job(Protocol):
    """What is needed of C(_libvirt/job.py)."""

    def look(self, elapsed_s: float) -> Sample | None:
        """How far it is; None without a job."""

    def last(self) -> Mapping[str, Any]:
        """Statistics of the job that ended."""

    def set_downtime(self, downtime_ms: int) -> None:
        """The longest stop."""

    def abort(self) -> None:
        """Give it up."""

    def start_post_copy(self) -> None:
        """Let the guest go on there."""

    def pause(self) -> None:
        """Stop the guest here."""


@dataclass(frozen=True)
class Told:
    """What others have said since the begin, read anew each time."""

    policy: Policy
    aborted: bool = False
    forced: bool = False
    """Somebody has made it finish already."""


@dataclass
class Report:
    """What the program knows, for the module that asks: plain data."""

    began_at: float
    sample: Sample | None = None
    downtime_ms: int | None = None
    done: list[str] = field(default_factory=list)
    """What was done to it, in words, each with its second."""
    ended: bool = False
    error: str = ""
    """libvirt's words, when it had any; whether it is true is for others to see."""
    statistics: Mapping[str, Any] = field(default_factory=dict)

    def as_result(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "began_at": self.began_at,
            "sample": self.sample.as_result() if self.sample else None,
            "downtime_ms": self.downtime_ms,
            "done": self.done,
            "ended": self.ended,
            "error": self.error,
            "statistics": dict(self.statistics),
        }


class Work:
    """libvirt's call, in a thread of its own: it comes back when the migration is over."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self.error = ""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._call()
        except MobilityError as error:
            self.error = error.message

    @property
    def goes_on(self) -> bool:
        """Whether libvirt has not come back."""
        return self._thread.is_alive()


@dataclass(frozen=True)
class Tools:
    """The world outside."""

    clock: Callable[[], float]
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]
    told: Callable[[], Told]
    write: Callable[[Mapping[str, Any]], None]


class Monitor:
    """One migration. *work* is None where another one has started it."""

    def __init__(self, job: Job, work: Work | None, gib: float, post_copy: bool, tools: Tools, began_at: float) -> None:
        self._job = job
        self._work = work
        self._post_copy = post_copy
        self._tools = tools
        self._history = History(gib=gib)
        self._report = Report(began_at)
        self._began_at = began_at

    def watch(self) -> Report:
        """Until it is over, however it ends."""
        while self._look():
            self._tools.write(self._report.as_result())
            self._tools.sleep(POLL_S)
        self._report.ended = True
        self._report.error = self._work.error if self._work else ""
        self._report.statistics = self._job.last()
        self._tools.write(self._report.as_result())
        return self._report

    def _look(self) -> bool:
        """One look, and what follows from it; whether it goes on."""
        seen = self._job.look(self._tools.clock() - self._began_at)
        if seen is None:
            return self._work is not None and self._work.goes_on
        self._report.sample = seen
        told = self._tools.told()
        samples = (*self._history.samples, seen)[-_KEPT:]
        self._history = replace(self._history, samples=samples, forced=self._history.forced or told.forced)
        for action in decide(self._history, told.policy):
            self._act(action, seen)
        return True

    def _act(self, action: Action, seen: Sample) -> None:
        if isinstance(action, SetDowntime):
            # Nova's rule: what libvirt did not take is not asked for again.
            self._history = replace(self._history, downtime_ms=action.downtime_ms)
            self._report.downtime_ms = action.downtime_ms
            self._try(f"downtime limit {action.downtime_ms} ms", lambda: self._job.set_downtime(action.downtime_ms), seen)
        elif isinstance(action, Abort):
            self._history = replace(self._history, forced=True)
            self._try(f"given up: {action.reason}", self._job.abort, seen)
        elif isinstance(action, ForceComplete) and seen.stage is Stage.MEMORY:
            self._history = replace(self._history, forced=True)
            if self._post_copy:
                self._try(f"post-copy: {action.reason}", self._job.start_post_copy, seen)
            else:
                self._try(f"guest paused: {action.reason}", self._job.pause, seen)

    def _try(self, words: str, call: Callable[[], None], seen: Sample) -> None:
        """A job that ends at this very moment refuses: that is not the end of the watch."""
        try:
            call()
        except MobilityError as error:
            words = f"{words}: refused: {error.message}"
        self._report.done.append(f"{seen.elapsed_s:.1f} s: {words}")
