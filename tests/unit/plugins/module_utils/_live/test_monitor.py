# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the monitor does to a job, look by look."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Lost, MobilityError
from ansible_collections.kvmops.mobility.plugins.module_utils._live import monitor
from ansible_collections.kvmops.mobility.plugins.module_utils._live.model import History, Sample, Stage
from ansible_collections.kvmops.mobility.plugins.module_utils._live.monitor import (
    CLOSE_POLL_S,
    POLL_S,
    Bounds,
    Monitor,
    Patience,
    Report,
    Told,
    Tools,
    Work,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._live.policy import BALANCED, NOVA, OnTimeout, Policy
from ansible_collections.kvmops.mobility.plugins.module_utils._live.turns import Turn
from ansible_collections.kvmops.mobility.tests.unit.clock import Clock

MIB = 2**20
QUICK = replace(NOVA, name="quick", completion_timeout_s=5)
FORCING = replace(QUICK, on_timeout=OnTimeout.FORCE_COMPLETE)


class Job:
    """A job that is at one stage after the other, each for so many looks; the last for ever when that is 0."""

    def __init__(self, *stages: tuple[Stage, int]) -> None:
        self.stages = [stage for stage, looks in stages for _look in range(looks or 10_000)]
        self.done: list[str] = []
        self.refuses = ""
        self.lost = False
        self.left = MIB

    def look(self, elapsed_s: float) -> Sample | None:
        if self.lost:
            raise Lost("LIBVIRT_UNAVAILABLE", "web1", "libvirt went away.", "")
        if not self.stages:
            return None
        return Sample(elapsed_s, self.stages.pop(0), disk_remaining=self.left)

    def last(self) -> Mapping[str, Any]:
        return {"downtime": 7}

    def _do(self, what: str, *, ends: bool = False) -> None:
        self.done.append(what)
        if self.refuses:
            raise MobilityError("LIBVIRT_FAILED", "web1", self.refuses, "")
        if ends:
            self.stages.clear()

    def set_downtime(self, downtime_ms: int) -> None:
        self._do(f"downtime {downtime_ms}")

    def set_bandwidth(self, mib_s: int) -> None:
        self._do(f"bandwidth {mib_s}")

    def abort(self) -> None:
        self._do("abort", ends=True)

    def start_post_copy(self) -> None:
        self._do("post-copy", ends=True)

    def pause(self) -> None:
        self._do("pause", ends=True)


class Watching:
    """A monitor with a clock that nobody waits for."""

    def __init__(self, job: Job, **more: Any) -> None:
        self.job = job
        self.clock = Clock()
        self.told = Told(more.pop("policy", NOVA))
        self.written: list[Mapping[str, Any]] = []
        self.began_at = self.clock()
        work = more.pop("work", None)
        report = more.pop("report", Report(self.began_at))
        more_turns = more.pop("turns", [])
        bounds = replace(Bounds(2.0, post_copy=False, was_paused=False, patience_s=120.0), **more)
        self.turns: list[Turn | None] = more_turns
        self.asked: list[tuple[bool, bool]] = []
        self.heard: list[list[str]] = []
        tools = Tools(
            *(self.clock, self.clock.sleep, lambda: self.told, self.written.append, self._switch, self._share),
            heard=lambda: self.heard.pop(0) if self.heard else [],
        )
        self.monitor = Monitor(job, work, bounds, tools, report)

    def _switch(self) -> None:
        self.job.done.append("told")

    def _share(self, seen: Sample | None, urgent: bool) -> Turn | None:
        """One turn with each look that sees a job."""
        self.asked.append((seen is not None, urgent))
        return self.turns.pop(0) if seen is not None and self.turns else None

    def watch(self) -> Report:
        return self.monitor.watch()


MEMORY = (Stage.MEMORY, 0)


def test_it_follows_the_policy_until_the_job_is_gone() -> None:
    watching = Watching(Job((Stage.PREPARING, 2), (Stage.DISKS, 2), (Stage.MEMORY, 4)))
    report = watching.watch()
    assert watching.job.done == ["downtime 50"]  # once, though it looked six times more
    assert report.ended
    assert report.statistics == {"downtime": 7}
    assert report.sample is not None
    assert report.sample.stage is Stage.MEMORY
    assert len(watching.written) == 10  # each look, before the limit was set, and at the end
    assert watching.clock() - watching.began_at == pytest.approx(8 * POLL_S)


def test_it_looks_closer_where_it_goes_by_what_it_sees() -> None:
    watching = Watching(Job((Stage.DISKS, 2), (Stage.MEMORY, 20)), policy=BALANCED)
    watching.watch()
    assert watching.clock() - watching.began_at == pytest.approx(2 * POLL_S + 20 * CLOSE_POLL_S)
    assert len(watching.written) <= 8  # twice a second, before what is done, and at the end


def test_what_others_have_done_to_it_is_told_too() -> None:
    watching = Watching(Job((Stage.MEMORY, 2)))
    watching.heard = [["its connection was ended"], [], ["another, too"]]
    done = watching.watch().done
    assert [words for words in done if "downtime" not in words] == [
        "0.0 s: its connection was ended",
        "1.0 s: another, too",
    ]
    assert watching.written[-1]["done"] == done


def test_what_libvirt_did_not_take_is_not_asked_for_again() -> None:
    watching = Watching(Job((Stage.MEMORY, 4)))
    watching.job.refuses = "not supported"
    assert watching.watch().done == ["0.5 s: downtime limit 50 ms: refused: not supported"]
    assert watching.job.done == ["downtime 50"]


@pytest.mark.parametrize(
    ("policy", "more", "done", "asked"),
    [
        (QUICK, {}, "abort", 5),
        (FORCING, {}, "pause", 3),
        (FORCING, {"post_copy": True}, "post-copy", 3),
    ],
)
def test_an_end_that_libvirt_did_not_take_is_asked_for_again(
    policy: Policy, more: dict[str, Any], done: str, asked: int
) -> None:
    """Nothing else would ever end it: what is forced is not given up any more when its time is up."""
    watching = Watching(Job((Stage.MEMORY, 26)), policy=policy, **more)  # its time is up in the last five looks
    watching.job.refuses = "cannot acquire state change lock"
    report = watching.watch()
    assert watching.job.done.count(done) == asked
    assert sum("cannot acquire" in one for one in report.done) == 2  # told once for the limit, and once for this


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        (QUICK, {"given_up": "it did not end within 10 s (5 s for each GiB)"}),
        (FORCING, {"paused": True}),
        (replace(QUICK, completion_timeout_s=0), {"downtime_ms": 50}),
    ],
)
def test_what_is_done_is_told_before_it_is_done(policy: Policy, told: dict[str, Any]) -> None:
    """Whoever kills this program then leaves the next one with all that it needs."""
    watching = Watching(Job((Stage.MEMORY, 26)), policy=policy)
    known: list[dict[str, Any]] = []
    act = watching.job._do

    def acted(what: str, *, ends: bool = False) -> None:
        known.append(dict(watching.written[-1]))
        act(what, ends=ends)

    watching.job._do = acted  # type: ignore[method-assign]
    watching.watch()
    assert {key: known[-1][key] for key in told} == told


def test_it_gives_up_what_another_one_was_about_to_give_up() -> None:
    earlier = Report(Clock()(), given_up="the guest would have to stop for 900 ms", downtime_ms=50)
    watching = Watching(Job(MEMORY), report=earlier)
    report = watching.watch()
    assert watching.job.done == ["abort"]
    assert report.given_up == "the guest would have to stop for 900 ms"


def test_it_pauses_what_another_one_was_about_to_pause() -> None:
    earlier = Report(Clock()() - 3600, paused=True, downtime_ms=500)
    watching = Watching(Job(MEMORY), policy=FORCING, report=earlier)
    assert watching.watch().paused
    assert watching.job.done == ["pause"]


@pytest.mark.parametrize(
    ("policy", "more", "done"),
    [
        (QUICK, {}, "abort"),
        (FORCING, {}, "pause"),
        (FORCING, {"post_copy": True}, "post-copy"),
    ],
)
def test_a_time_that_is_up(policy: Policy, more: dict[str, Any], done: str) -> None:
    watching = Watching(Job(MEMORY), policy=policy, **more)
    report = watching.watch()
    assert watching.job.done[-1] == done
    assert watching.job.done.count(done) == 1
    assert (watching.job.done[-2:] == ["told", "post-copy"]) is (done == "post-copy")
    assert bool(report.given_up) is (done == "abort")
    assert report.paused is (done == "pause")
    assert any(one["paused"] for one in watching.written) is (done == "pause")


def test_a_guest_that_was_paused_is_never_paused_or_let_run() -> None:
    watching = Watching(Job((Stage.MEMORY, 40)), policy=FORCING, was_paused=True)
    report = watching.watch()
    assert "pause" not in watching.job.done
    assert not report.paused
    assert sum("is paused already" in one for one in report.done) == 1


def test_disks_are_not_forced_to_their_end() -> None:
    watching = Watching(Job((Stage.DISKS, 40)), policy=FORCING)
    watching.watch()
    assert set(watching.job.done) == {"downtime 50"}


def test_disks_that_come_no_closer_to_their_end_are_given_up() -> None:
    watching = Watching(Job((Stage.DISKS, 0)), patience_s=10.0)
    report = watching.watch()
    assert watching.job.done == ["downtime 50", "abort"]
    assert "no closer to their end for 10 s" in report.given_up
    assert watching.clock() - watching.began_at == pytest.approx(10.0 + POLL_S)  # it sees that the job is gone


def test_patience_begins_anew_with_each_byte() -> None:
    patience = Patience(10.0)
    seen = [(0.0, 100), (9.0, 99), (18.0, 98), (27.0, 99), (27.9, 120)]
    assert not any(patience.is_over(Sample(at, Stage.DISKS, disk_remaining=left)) for at, left in seen)
    assert not patience.is_over(Sample(40.0, Stage.MEMORY, disk_remaining=98))
    assert patience.is_over(Sample(28.0, Stage.DISKS, disk_remaining=98))


def test_an_abort_that_was_told_is_asked_for_until_the_job_is_gone() -> None:
    watching = Watching(Job((Stage.MEMORY, 3)))
    watching.told = Told(NOVA, aborted=True)
    watching.job.refuses = "job is not yet there"
    report = watching.watch()
    assert watching.job.done == ["abort"] * 3
    assert len(report.done) == 1
    assert report.given_up == "it was asked for"


@pytest.mark.parametrize("stage", [Stage.POST_COPY, Stage.ENDING])
def test_nothing_is_done_in_post_copy_and_at_the_end(stage: Stage) -> None:
    watching = Watching(Job((stage, 40)), policy=QUICK)
    watching.told = Told(QUICK, aborted=True)
    watching.watch()
    assert watching.job.done == []


def test_a_link_that_broke_in_post_copy_ends_the_watch() -> None:
    watching = Watching(Job((Stage.POST_COPY, 2), (Stage.POST_COPY_PAUSED, 0)))
    report = watching.watch()
    assert report.ended
    assert report.sample is not None
    assert report.sample.stage is Stage.POST_COPY_PAUSED


def test_what_was_forced_by_others_is_not_forced_again() -> None:
    watching = Watching(Job((Stage.MEMORY, 40)), policy=FORCING)
    watching.told = Told(FORCING, forced=True)
    watching.watch()
    assert watching.job.done == ["downtime 50"]


def test_another_policy_counts_from_the_next_look() -> None:
    watching = Watching(Job((Stage.MEMORY, 10)))
    look = watching.job.look

    def looked(elapsed_s: float) -> Sample | None:
        if elapsed_s > 2:
            watching.told = Told(replace(NOVA, max_downtime_ms=1000))
        return look(elapsed_s)

    watching.job.look = looked  # type: ignore[method-assign]
    watching.watch()
    assert watching.job.done == ["downtime 50", "downtime 100"]


def test_it_goes_on_where_another_one_stopped() -> None:
    job = Job((Stage.MEMORY, 2))
    earlier = Report(Clock()() - 3600, downtime_ms=500, done=["1.0 s: downtime limit 500 ms"])
    watching = Watching(job, report=Report.from_result(earlier.as_result()))
    report = watching.watch()
    assert job.done == ["abort"]  # 3600 s are more than Nova's 1600 for 2 GiB, and the limit is known
    assert report.done[0] == "1.0 s: downtime limit 500 ms"


LEADS, WAITS = Turn(True, 38, 38, "web1"), Turn(False, 1, 1, "web2")


def test_its_turn_is_told_to_libvirt_when_it_changes() -> None:
    watching = Watching(Job((Stage.MEMORY, 6)), turns=[WAITS, None, WAITS, LEADS, LEADS])
    report = watching.watch()
    assert watching.job.done == ["bandwidth 1", "downtime 50", "bandwidth 38"]
    assert [line for line in report.done if "link" in line or "turn" in line] == [
        "0.0 s: waits for its turn (with web2): 1 MiB/s",
        "1.5 s: has the link: 38 MiB/s",
    ]
    assert watching.asked == [(True, False)] * 6 + [(False, False)]


def test_while_it_waits_the_policy_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    known: list[bool] = []

    def decide(history: History, _policy: Policy) -> tuple[()]:
        known.append(history.waiting)
        return ()

    monkeypatch.setattr(monitor, "decide", decide)
    Watching(Job((Stage.MEMORY, 5)), turns=[WAITS, None, LEADS, None, WAITS]).watch()
    assert known == [True, True, False, False, True]


def test_what_libvirt_was_begun_with_is_not_told_again() -> None:
    turns = [Turn(True, 0, 7, "web1"), Turn(True, 0, 7, "web1", anew=True)]
    watching = Watching(Job((Stage.MEMORY, 1)), bandwidth_mib_s=7, turns=turns[:1])
    watching.watch()
    assert watching.job.done == []
    watching = Watching(Job((Stage.MEMORY, 1)), bandwidth_mib_s=7, turns=turns[1:])
    watching.watch()
    assert watching.job.done == ["bandwidth 7"]


def test_a_turn_that_libvirt_did_not_take_is_told_again() -> None:
    watching = Watching(Job((Stage.MEMORY, 3)), turns=[WAITS, WAITS])
    watching.job.refuses = "busy"
    report = watching.watch()
    assert watching.job.done[:2] == ["bandwidth 1", "bandwidth 1"]
    assert report.done[0] == "0.0 s: waits for its turn (with web2): 1 MiB/s: refused: busy"


def test_what_is_to_be_told_anew_is_so_until_libvirt_took_it() -> None:
    turns = [replace(WAITS, anew=True), WAITS]
    watching = Watching(Job((Stage.MEMORY, 2)), bandwidth_mib_s=1, turns=turns)
    watching.job.refuses = "busy"
    watching.watch()
    assert watching.job.done == ["bandwidth 1", "bandwidth 1", "downtime 50"]


def test_where_nothing_can_be_limited_libvirt_is_told_nothing() -> None:
    watching = Watching(Job((Stage.DISKS, 2)), turns=[Turn(False, 38, None, "web2")] * 2)
    watching.watch()
    assert watching.job.done == ["downtime 50"]


@pytest.mark.parametrize(
    ("told", "urgent"), [({}, False), ({"forced": True}, True), ({"forced": True, "aborted": True}, False)]
)
def test_a_guest_that_was_made_to_finish_is_urgent(told: dict[str, bool], urgent: bool) -> None:
    watching = Watching(Job((Stage.MEMORY, 3)))
    watching.told = Told(NOVA, **told)
    watching.job.refuses = "not yet"
    watching.watch()
    assert watching.asked[2] == (True, urgent)


def test_a_libvirt_that_went_away_is_told() -> None:
    watching = Watching(Job(MEMORY))
    watching.job.lost = True
    with pytest.raises(Lost):
        watching.watch()


def done(call: Callable[[], None]) -> Work:
    work = Work(call)
    work._thread.join()
    return work


def test_work_keeps_libvirts_words() -> None:
    def fail() -> None:
        raise MobilityError("LIBVIRT_FAILED", "web1", "libvirt could not migrate it: no.", "")

    assert Watching(Job(), work=done(fail)).watch().error == "libvirt could not migrate it: no."
    assert Watching(Job(), work=done(lambda: None)).watch().error == ""


def test_work_keeps_any_reason() -> None:
    def fail() -> None:
        raise KeyError("uuid")

    assert Watching(Job(), work=done(fail)).watch().error == "KeyError: 'uuid'"


def test_while_libvirt_has_not_come_back_it_is_not_over() -> None:
    release = threading.Event()

    def wait() -> None:
        release.wait(10)

    watching = Watching(Job(), work=Work(wait))
    looks: list[int] = []
    sleep = watching.clock.sleep

    def slept(seconds: float) -> None:
        sleep(seconds)
        looks.append(1)
        if len(looks) == 5:
            release.set()
            assert watching.monitor._work is not None
            watching.monitor._work._thread.join()

    watching.monitor._tools = replace(watching.monitor._tools, sleep=slept)
    assert watching.watch().ended
    assert len(looks) == 5
