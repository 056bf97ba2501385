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
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Lost, MobilityError
from ansible_collections.kvmops.mobility.plugins.module_utils._live.model import (
    Abort,
    Action,
    ForceComplete,
    History,
    Sample,
    SetDowntime,
    Stage,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._live.policy import Pace, Policy, decide
from ansible_collections.kvmops.mobility.plugins.module_utils._live.turns import Turn

POLL_S = 0.5
"""As often as Nova looks, and as often as is told how far it is."""
CLOSE_POLL_S = 0.1
"""Where a forecast is made from rounds over the memory, which may take less than that."""
AGAIN_S = 1.0
"""Post-copy or a pause that libvirt did not take is asked for again so much later."""


class Job(Protocol):
    """What is needed of C(_libvirt/job.py)."""

    def look(self, elapsed_s: float) -> Sample | None:
        """How far it is; None without a job."""

    def last(self) -> Mapping[str, Any]:
        """Statistics of the job that ended."""

    def set_downtime(self, downtime_ms: int) -> None:
        """The longest stop."""

    def set_bandwidth(self, mib_s: int) -> None:
        """What memory may take of the link; 0: no limit."""

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


@dataclass(frozen=True)
class Bounds:
    """What is fixed for one migration."""

    gib: float
    """What every delay and timeout is scaled with."""
    post_copy: bool
    """It may be made to finish by it."""
    was_paused: bool
    """The guest was paused before: its memory does not change, and nobody but its owner lets it run."""
    patience_s: float
    """Disks that have not come closer to their end for so many seconds are given up."""
    throttling: bool = False
    """The guest is slowed down, more and more (auto-converge)."""
    bandwidth_mib_s: int = 0
    """What libvirt was asked for it with; 0: no limit."""


@dataclass
class Report:
    """What the program knows, for the module that asks."""

    began_at: float
    sample: Sample | None = None
    downtime_ms: int | None = None
    limit_before_ms: int = 0
    """What it was before anybody set it; 0: not known."""
    done: list[str] = field(default_factory=list)
    """What was done to it, in words, each with its second."""
    given_up: str = ""
    """Why the program gave it up, when it did."""
    paused: bool = False
    """The program has paused the guest, or was about to."""
    ended: bool = False
    error: str = ""
    """libvirt's words, when it had any; whether it is true is for others to see."""
    statistics: Mapping[str, Any] = field(default_factory=dict)

    def add(self, done: Sequence[str], now: float) -> None:
        """What others have done to it, now."""
        self.done += [f"{now - self.began_at:.1f} s: {words}" for words in done]

    def as_result(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "began_at": self.began_at,
            "sample": self.sample.as_result() if self.sample else None,
            "downtime_ms": self.downtime_ms,
            "limit_before_ms": self.limit_before_ms,
            "done": self.done,
            "given_up": self.given_up,
            "paused": self.paused,
            "ended": self.ended,
            "error": self.error,
            "statistics": dict(self.statistics),
        }

    @classmethod
    def from_result(cls, data: Mapping[str, Any]) -> Report:
        """The inverse of C(as_result())."""
        sample = data["sample"]
        return cls(**{**data, "sample": Sample.from_result(sample) if sample else None, "done": list(data["done"])})


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
        except Exception as error:  # the thread's last chance to say why; whether it moved is for others to see
            self.error = f"{type(error).__name__}: {error}"

    @property
    def goes_on(self) -> bool:
        """Whether libvirt has not come back."""
        return self._thread.is_alive()


@dataclass(frozen=True)
class Tools:
    """The world outside."""

    clock: Callable[[], float]
    sleep: Callable[[float], None]
    told: Callable[[], Told]
    write: Callable[[Mapping[str, Any]], None]
    switch: Callable[[], None]
    """Tell, before it is so, that the guest may run on the destination."""
    share: Callable[[Sample | None, bool], Turn | None] = lambda _seen, _urgent: None
    """Asked with each look, also the last one, which sees no job: whose turn it is on the link. None: as before."""
    heard: Callable[[], Sequence[str]] = tuple
    """What others have done to it since it was asked last, in words."""


class Patience:
    """Whether the disks come closer to their end. What the guest writes meanwhile is copied again."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._least: int | None = None
        self._at_s = 0.0

    def is_over(self, seen: Sample) -> bool:
        """Whether nothing has got less for too long; only the first mirror of the disks is looked at."""
        if seen.stage is not Stage.DISKS:
            return False
        if self._least is None or seen.disk_remaining < self._least:
            self._least, self._at_s = seen.disk_remaining, seen.elapsed_s
        return seen.elapsed_s - self._at_s >= self._patience_s


class Monitor:
    """One migration. *work* is None where another one has started it."""

    def __init__(self, job: Job, work: Work | None, bounds: Bounds, tools: Tools, report: Report) -> None:
        self._job = job
        self._work = work
        self._bounds = bounds
        self._tools = tools
        self._report = report
        self._history = History(
            gib=bounds.gib,
            downtime_ms=report.downtime_ms,
            post_copy=bounds.post_copy and not bounds.was_paused,
            throttling=bounds.throttling,
        )
        self._patience = Patience(bounds.patience_s)
        self._told_at: float | None = None
        self._again_s = 0.0
        self._pace = Pace.STEPS
        self._mib_s: int | None = bounds.bandwidth_mib_s

    def watch(self) -> Report:
        """Until it is over, however it ends. Raises Lost when libvirt here went away."""
        while self._look():
            self._tell()
            self._tools.sleep(self._poll_s)
        self._hear()
        self._report.ended = True
        self._report.error = self._work.error if self._work else self._report.error
        self._report.statistics = self._job.last()
        self._tools.write(self._report.as_result())
        return self._report

    def _tell(self) -> None:
        now = self._tools.clock()
        if self._told_at is None or not 0 <= now - self._told_at < POLL_S - CLOSE_POLL_S / 2:
            self._tools.write(self._report.as_result())
            self._told_at = now

    @property
    def _poll_s(self) -> float:
        seen = self._history.now
        close = self._pace is Pace.FORECAST and seen is not None and seen.stage is Stage.MEMORY
        return CLOSE_POLL_S if close else POLL_S

    @property
    def _works(self) -> bool:
        return self._work is not None and self._work.goes_on

    def _look(self) -> bool:
        """One look, and what follows from it; whether it goes on."""
        seen = self._job.look(self._tools.clock() - self._report.began_at)
        self._hear()
        self._share(seen)
        if seen is None:
            return self._works
        self._report.sample = seen
        if seen.stage is Stage.POST_COPY_PAUSED:
            return self._works  # the job stays there for ever; only a new call of libvirt's mends it
        told = self._tools.told()
        self._pace = told.policy.pace
        known = self._history.with_sample(seen, waiting=self._history.waiting)
        self._history = replace(known, forced=known.forced or told.forced)
        for action in self._actions(told, seen):
            self._act(action, seen)
        return True

    def _hear(self) -> None:
        self._report.add(self._tools.heard(), self._tools.clock())

    def _share(self, seen: Sample | None) -> None:
        """Take of the link what the others that leave here let it have."""
        urgent = (self._history.forced or self._report.paused) and not self._report.given_up
        turn = self._tools.share(seen, urgent)
        if turn is None or seen is None:
            return
        self._history = replace(self._history, waiting=turn.waiting)
        mib_s = turn.mib_s
        if mib_s is None or (mib_s == self._mib_s and not turn.anew):
            return

        def limit() -> None:
            self._mib_s = None  # while libvirt has not taken it, it is asked again
            self._job.set_bandwidth(mib_s)
            self._mib_s = mib_s

        self._try(turn.words, limit, seen)

    def _actions(self, told: Told, seen: Sample) -> Iterable[Action]:
        """What was told comes before what the policy says."""
        if seen.stage in (Stage.POST_COPY, Stage.ENDING):
            return ()
        if told.aborted:
            return (Abort("it was asked for"),)
        if self._report.given_up and not self._history.forced:
            return (Abort(self._report.given_up),)  # libvirt did not take it, or who asked died before it did
        if self._patience.is_over(seen) and not self._history.forced:
            seconds = f"{self._bounds.patience_s:.0f} s"
            return (Abort(f"the disks came no closer to their end for {seconds}: the guest writes as fast as they go"),)
        return decide(self._history, told.policy)

    def _act(self, action: Action, seen: Sample) -> None:
        if isinstance(action, SetDowntime):
            # Nova's rule: what libvirt did not take is not asked for again.
            self._history = replace(self._history, downtime_ms=action.downtime_ms, asked_s=seen.elapsed_s)
            self._report.downtime_ms = action.downtime_ms
            words = f"downtime limit {action.downtime_ms} ms{f': {action.reason}' if action.reason else ''}"
            self._try(words, lambda: self._job.set_downtime(action.downtime_ms), seen)
        elif isinstance(action, Abort):
            self._report.given_up = action.reason
            taken = self._try(f"given up: {action.reason}", self._job.abort, seen)
            self._history = replace(self._history, forced=taken)
        elif isinstance(action, ForceComplete) and seen.stage is Stage.MEMORY and seen.elapsed_s >= self._again_s:
            # What libvirt did not take would be nobody's any more: neither the end that was meant nor any other.
            taken = self._force(action.reason, seen)
            self._history, self._again_s = replace(self._history, forced=taken), seen.elapsed_s + AGAIN_S

    def _force(self, reason: str, seen: Sample) -> bool:
        """Whether it will end so. A guest that was paused writes nothing: there is nothing to be done for it."""
        if self._bounds.was_paused:
            self._report.done.append(f"{seen.elapsed_s:.1f} s: the guest is paused already: {reason}")
            return True
        if self._bounds.post_copy:
            self._tools.switch()
            return self._try(f"post-copy: {reason}", self._job.start_post_copy, seen)
        self._report.paused = True
        return self._try(f"guest paused: {reason}", self._job.pause, seen)

    def _try(self, words: str, call: Callable[[], None], seen: Sample) -> bool:
        """Whether libvirt took it. A job that ends at this very moment refuses: that is not the end of the watch.

        It is told before it is done: whoever comes after this program, or lets a paused guest run again, has to know.
        """
        self._tools.write(self._report.as_result())
        taken = True
        try:
            call()
        except Lost:
            raise
        except MobilityError as error:
            taken, words = False, f"{words}: refused: {error.message}"
        line = f"{seen.elapsed_s:.1f} s: {words}"
        if not self._report.done or self._report.done[-1].partition(": ")[2] != words:
            self._report.done.append(line)
        self._told_at = None
        return taken
