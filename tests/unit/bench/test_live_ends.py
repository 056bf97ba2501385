# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a live migration ended that was measured, and when it is given up."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.bench.moves import (
    attempts,
    ways,
)
from ansible_collections.kvmops.mobility.bench.moves.guests import BenchError
from ansible_collections.kvmops.mobility.bench.moves.jobs import Seen
from ansible_collections.kvmops.mobility.bench.moves.ways import Carried, Outcome, judge
from ansible_collections.kvmops.mobility.tests.e2e.play import Run, TaskResult

MIB = 2**20


GONE, HERE = ("", "running"), ("running", "")


@pytest.mark.parametrize(
    ("states", "words", "began", "over", "outcome"),
    [
        (GONE, "", True, False, Outcome.FINISHED),
        (GONE, "LIVE_FAILED: it was too late", True, True, Outcome.FINISHED),
        (HERE, "app1: WILL_NOT_CONVERGE: the guest writes 20 MiB/s", False, False, Outcome.REFUSED),
        # A warning that is repeated in a failure does not make a refusal of what had begun.
        (HERE, "WILL_NOT_CONVERGE; LIVE_FAILED: no", True, False, Outcome.FAILED),
        (HERE, "LIVE_NOT_CONVERGING: it came no closer", True, False, Outcome.GAVE_UP),
        (HERE, "LIVE_NOT_CONVERGING: it came no closer", True, True, Outcome.GAVE_UP),
        (HERE, "operation aborted: migration out job: canceled by client", True, True, Outcome.OVER),
        (("paused", ""), "", True, True, Outcome.OVER),
        (HERE, "LIVE_FAILED: Connection refused", True, False, Outcome.FAILED),
        (HERE, "", False, False, Outcome.FAILED),
        (("shut off", "running"), "", True, False, Outcome.FAILED),
        (("running", "paused"), "", True, True, Outcome.FAILED),
        (("", "paused"), "", True, False, Outcome.FAILED),
        (("", ""), "", True, False, Outcome.FAILED),
    ],
)
def test_how_it_ended(states: tuple[str, str], words: str, began: bool, over: bool, outcome: Outcome) -> None:
    assert judge(states, words, began=began, over=over) is outcome


class Silent:
    """A guest that does not tick, and that would go back as it is."""

    name = "bench-5-80"

    def __init__(self) -> None:
        self.calls: list[str] = []

    def forget_moves(self) -> None:
        """Nothing was learnt."""

    def settle(self) -> None:
        """It never does."""
        raise BenchError("bench-5-80 does not tick evenly on c1")

    def back(self) -> None:
        """It could."""
        self.calls.append("back")

    def anew(self) -> None:
        """Another one."""
        self.calls.append("anew")


def test_a_guest_that_failed_is_not_used_for_the_next_run() -> None:
    guest = Silent()
    found = attempts.attempt(guest, "virsh", 1.0, 0.5, curve=False)  # type: ignore[arg-type]
    assert (found["outcome"], found["error"]) == ("failed", "bench-5-80 does not tick evenly on c1")
    assert guest.calls == ["anew"]


def played(guests: list[dict[str, Any]], failure: str = "", stats: dict[str, Any] | None = None) -> Run:
    """A call of our playbook with a plan, and a task that failed."""
    results = [TaskResult("localhost", "Plan", "kvmops.mobility.migration_plan", "ok", 0, 1, {"guests": guests})]
    if failure:
        results.append(TaskResult("c1", "Carry", "kvmops.mobility.live_migrate", "failed", 1, 2, {"msg": failure}))
    return Run(2 if failure else 0, "the end of what it said", tuple(results), stats or {})


def test_words_of_a_refusal_are_those_about_the_guest_that_stopped_it() -> None:
    plan = [
        {
            "subject": "app1",
            "findings": [
                {"code": "WILL_NOT_CONVERGE", "message": "it cannot", "severity": "block"},
                {"code": "LIVE_PORTS_CLOSED", "message": "closed", "severity": "warn"},
            ],
        },
        {"subject": "app2", "findings": [{"code": "OTHER", "message": "no", "severity": "block"}]},
    ]
    words = ways.words_of(played(plan), "app1")
    assert words == "WILL_NOT_CONVERGE: it cannot"
    assert ways.words_of(played([], "LIVE_ABORTED: app1: as asked"), "app1") == "LIVE_ABORTED: app1: as asked"
    assert ways.words_of(Run(4, "unreachable", ()), "app1") == "unreachable"


OUTLOOK = {"verdict": "converges", "total_s": 12.5, "pause_ms": 300, "why": "it fits"}


@pytest.mark.parametrize(
    ("stats", "plan"),
    [
        ({"kvmops_app1": {"migration": {"live": {"outlook": OUTLOOK}}}}, []),
        ({}, [{"subject": "app1", "migration": {"live": {"outlook": OUTLOOK}}}]),
        ({"kvmops_app1": {"migration": {"live": {"outlook": None}}}}, [{"subject": "app1", "outlook": OUTLOOK}]),
    ],
    ids=["the receipt", "the plan of one that was refused", "beside a migration without one"],
)
def test_forecast_is_read_where_it_is(stats: dict[str, Any], plan: list[dict[str, Any]]) -> None:
    found = ways.outlook(played(plan, stats=stats), "app1")
    assert found == {**OUTLOOK, "throttle_percent": None}


@pytest.mark.parametrize(
    "stats", [{}, {"kvmops_app1": {"migration": None}}, {"kvmops_app1": {"migration": {"live": {}}}}]
)
def test_no_forecast_is_none(stats: dict[str, Any]) -> None:
    assert ways.outlook(played([{"subject": "app1", "migration": None}], stats=stats), "app1") == {}
    assert ways.outlook(None, "app1") == {}


def test_receipt_of_a_run_that_came_to_none() -> None:
    assert Carried().receipt("app1") == {}
    assert (
        Carried(run=played([], stats={"kvmops_app1": {"status": "completed"}})).receipt("app1")["status"] == "completed"
    )


class Guest(SimpleNamespace):
    """What carry() needs of a guest."""


def carried(
    monkeypatch: pytest.MonkeyPatch, name: str, job: Seen, work_s: float, budget_s: float
) -> tuple[Any, list[str]]:
    """What came of a method whose work takes so long, and what virsh was told meanwhile."""
    told: list[str] = []

    def virsh(_host: object, *words: str, timeout_s: int) -> str:
        told.append(" ".join(words))
        deadline = time.monotonic() + work_s
        while time.monotonic() < deadline and not any("domjobabort" in one for one in told):
            time.sleep(0.01)
        return ""

    def execute(words: list[str], *, check: bool) -> SimpleNamespace:
        told.append(" ".join(words[4:]))
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(ways, "virsh", virsh)
    guest: Any = Guest(
        name="app1", source=SimpleNamespace(exec=execute), destination=SimpleNamespace(address="192.0.2.7")
    )
    watch: Any = SimpleNamespace(seen=job)
    return ways.carry(name, guest, watch, budget_s), told


def going_on(began: float) -> Seen:
    """A job that was first seen then."""
    return Seen([{"at": began, "stats": {"time_elapsed": 0}}])


def test_what_takes_longer_than_its_budget_is_given_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found, told = carried(monkeypatch, "virsh-auto-converge", going_on(time.time() - 9), 5, budget_s=8)
    assert found.over
    migrate = "migrate --live --p2p --undefinesource --persistent --auto-converge app1 "
    assert told == [f"{migrate}qemu+ssh://root@192.0.2.7/system --migrateuri tcp://192.0.2.7", "domjobabort app1"]


def test_what_stays_within_it_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    found, told = carried(monkeypatch, "virsh", going_on(time.time()), 0.3, budget_s=8)
    assert not found.over
    assert len(told) == 1


def test_the_budget_counts_from_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _told = carried(monkeypatch, "virsh", Seen(), 0.5, budget_s=0.1)
    assert not found.over


def test_the_proof_has_the_whole_ceiling_and_its_own_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    found, told = carried(monkeypatch, "virsh-long", going_on(time.time() - 9), 0.3, budget_s=8)
    assert not found.over
    assert told[1:] == ["migrate-setmaxdowntime app1 500"]


def test_a_method_that_cannot_be_started_is_a_result(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_words: object, **_more: object) -> str:
        raise OSError("no such program")

    monkeypatch.setattr(ways, "play", broken)
    guest: Any = Guest(name="app1", destination=SimpleNamespace(name="c2"))
    watch: Any = SimpleNamespace(seen=Seen())
    assert ways.carry("nova", guest, watch, 5).words == "OSError: no such program"
