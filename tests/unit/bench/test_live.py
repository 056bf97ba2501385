# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the measurements of live migrations choose, hear, judge and show."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kvmlab.load import memory_needed_mib, parse_load
from kvmlab.outage import TICK, Sighting

from ansible_collections.kvmops.mobility.bench import eight, live, stress
from ansible_collections.kvmops.mobility.bench.moves import (
    document,
    jobs,
    live_cells,
    matrix,
    running,
    store,
    svg,
    ways,
)
from ansible_collections.kvmops.mobility.bench.moves.jobs import Seen
from ansible_collections.kvmops.mobility.bench.moves.matrix import Results
from ansible_collections.kvmops.mobility.bench.moves.ways import Carried, Outcome, judge
from ansible_collections.kvmops.mobility.plugins.module_utils._live.model import Sample, Stage
from ansible_collections.kvmops.mobility.plugins.module_utils._live.progress import progress
from ansible_collections.kvmops.mobility.tests.e2e.play import Run, TaskResult

MIB = 2**20


# -- cells and methods


def test_the_matrix_is_what_is_written_by_what_is_carried() -> None:
    assert len(live_cells.CELLS) == 16
    assert [cell.name for cell in live_cells.choose("max@80,0@0")] == ["max@80", "0@0"]
    assert live_cells.choose("20@160")[0].link_mbit == 160
    assert live_cells.choose("0@0")[0].load == ""


def test_groups_of_cells_and_each_only_once() -> None:
    assert [cell.name for cell in live_cells.choose("20@160,tuning")][:3] == ["20@160", "5@0", "5@320"]
    assert live_cells.choose("all") == list(live_cells.CELLS)
    assert {cell.name for cell in live_cells.choose("subset")} == set(live_cells.SUBSET)


def test_what_is_tuned_on_is_half_of_it_and_neither_the_idle_nor_the_busiest() -> None:
    assert {cell.name.partition("@")[0] for cell in live_cells.choose("tuning")} == {"5", "20"}
    assert 2 * len(live_cells.TUNING) == len(live_cells.CELLS)


@pytest.mark.parametrize("names", ["7@160", "20@161", "", "20"])
def test_a_cell_that_is_not_there(names: str) -> None:
    with pytest.raises(ValueError, match="no cell"):
        live_cells.choose(names)


@pytest.mark.parametrize("cell", [*live_cells.CELLS, *live_cells.HARD], ids=lambda cell: str(cell.name))
def test_the_lab_can_make_every_guest(cell: live_cells.LiveCell) -> None:
    assert not cell.load or memory_needed_mib(parse_load(cell.load)) <= cell.memory_mib


def test_stress_is_the_article_s() -> None:
    (cell,) = live_cells.choose(live_cells.STRESS, live_cells.HARD)
    assert cell.vcpus == 4
    assert parse_load(cell.load).stress * 3 / cell.memory_mib == pytest.approx(0.9, abs=0.03)


def test_methods_by_name_and_group() -> None:
    assert ways.choose("usual") == list(ways.USUAL)
    assert len(ways.USUAL) == 7
    assert not set(ways.PROOFS) & set(ways.USUAL)
    assert ways.choose("virsh,usual")[0] == "virsh"
    with pytest.raises(ValueError, match="no method xen"):
        ways.choose("virsh,xen")


def test_only_what_is_measured_as_balanced_may_be_refused() -> None:
    refusable = {name for name, way in ways.WAYS.items() if way.ours and "forecast" not in way.live}
    assert refusable == {"balanced", "balanced-throttle", "balanced-post-copy"}


def test_options_of_the_command_line() -> None:
    asked = live.parse(["--cells", "5@80", "--methods", "balanced", "--budget", "30", "--proof="])
    assert ([cell.name for cell in asked.cells], asked.methods, asked.proof, asked.budget) == (
        ["5@80"],
        ["balanced"],
        [],
        30,
    )
    assert stress.parse([]).methods == [*ways.USUAL, "balanced-anyway"]
    assert stress.parse([]).curves
    with pytest.raises(SystemExit):
        live.parse(["--cells", "nowhere"])
    with pytest.raises(SystemExit):
        eight.parse(["--methods", "nothing"])


def made(cell: str, method: str, outcome: str = "finished", **more: Any) -> dict[str, Any]:
    """One run."""
    chosen = next(one for one in (*live_cells.CELLS, *live_cells.HARD) if one.name == cell)
    return {
        **{"cell": cell, "method": method, "repeat": 1, "commit": "abc", "at": "2026-01-02T03:04:05Z"},
        **{"setup": {"says": chosen.says}, "load": 0.5, "processors": 2, "ok": outcome != "failed", "error": ""},
        **{"outcome": outcome, "job_s": 10.0, "wall_s": 30.0, "downtime_ms": 400, "outage_ms": 510.4, "lost": 0.06},
        **{"wire_bytes": 300 * MIB, "gap_before_ms": 120.0, "dirty_mib_s": 18.0, "iterations": 5, "budget_s": 120.0},
        **{"throttle_percent": 0, **more},
    }


def test_a_proof_follows_where_balanced_says_that_it_cannot_be() -> None:
    asked = live.parse(["--methods", "balanced,virsh"])
    runs: list[dict[str, Any]] = []
    found = []
    for repeat, method in live.order(runs, asked):
        found.append((repeat, method))
        runs.append(made("20@80", method, "refused" if method == "balanced" else "finished"))
    assert found == [(1, "balanced"), (1, "virsh"), (1, "virsh-long")]


@pytest.mark.parametrize(("method", "outcome"), [("balanced", "finished"), ("balanced-throttle", "gave up")])
def test_no_proof_where_nobody_doubts(method: str, outcome: str) -> None:
    asked = live.parse(["--methods", method])
    runs = [made("20@80", method, outcome)]
    assert list(live.order(runs, asked)) == [(1, method)]


# -- how it ended


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


# -- what libvirt said


def look(at: float, elapsed_ms: int, **stats: int) -> str:
    """One line of the program on the host."""
    return json.dumps({"at": at, "stats": {"type": 2, "time_elapsed": elapsed_ms, **stats}, "limit_ms": 300})


def heard(*lines: str) -> Seen:
    seen = Seen()
    for one in lines:
        seen.take(one)
    return seen


def test_a_job_that_succeeded_has_libvirt_s_last_word() -> None:
    seen = heard(
        '{"at": 99.0}',
        look(100.5, 500, memory_iteration=1),
        look(103.0, 3000, memory_iteration=2, memory_dirty_rate=512, memory_page_size=4096, auto_converge_throttle=20),
        json.dumps(
            {"at": 104, "completed": {"time_elapsed": 3900, "downtime": 210, "data_processed": 9, "downtime_net": 2}}
        ),
    )
    assert seen.began == 100.0
    figures = seen.figures()
    assert (figures["job_s"], figures["downtime_ms"], figures["downtime_net_ms"]) == (3.9, 210, 2)
    assert (figures["job_bytes"], figures["dirty_mib_s"], figures["throttle_percent"]) == (9, 2.0, 20)


def test_a_job_that_was_given_up_lasted_until_it_was_seen_last() -> None:
    figures = heard(look(100.5, 500), look(130.25, 30250, memory_processed=7)).figures()
    assert (figures["job_s"], figures["downtime_ms"], figures["job_bytes"]) == (30.25, None, 7)


def test_no_job_at_all() -> None:
    seen = heard('{"at": 1.0}', "not JSON", "true", '{"at": 2.0, "stats": {}}')
    assert (seen.began, seen.seconds, seen.curve()) == (None, None, {})
    assert seen.figures()["limit_ms"] is None
    assert not seen.take("Warning: something of ssh")
    assert not seen.take("true")


def test_a_curve_has_the_first_and_the_last_and_not_too_many() -> None:
    lines = [look(100 + at / 4, 250 * at, memory_remaining=at * MIB, memory_bps=2 * MIB) for at in range(1000)]
    curve = heard(*lines).curve()
    assert len(curve["s"]) == jobs.MOST_POINTS
    assert (curve["s"][0], curve["s"][-1]) == (0.0, 249.75)
    assert (curve["remaining_mib"][-1], curve["sent_mib_s"][3], curve["limit_ms"][0]) == (999.0, 2.0, 300.0)
    assert sorted(curve["s"]) == curve["s"]


def test_few_samples_are_kept_as_they_are() -> None:
    samples = [{"at": 1}, {"at": 2}]
    assert jobs.thinned(samples, 5) == samples


def test_our_own_lines_are_read_as_they_are_written() -> None:
    """By what writes them, so that another wording is noticed."""
    memory = Sample(
        elapsed_s=14.2,
        stage=Stage.MEMORY,
        iteration=3,
        memory_total=256 * MIB,
        memory_remaining=int(4.5 * MIB),
        memory_bytes_s=19 * MIB,
        dirty_bytes_s=18 * MIB,
        throttle_percent=20,
        downtime_limit_ms=277,
    )
    disks = Sample(elapsed_s=3, stage=Stage.DISKS, disk_total=MIB, disk_remaining=1)
    said = [f"c1: {progress({'sample': one.as_result()})}" for one in (disks, memory)]
    assert jobs.from_progress(["TASK [x] ***", *said, "c1: 0.5 s: downtime limit 50 ms"]) == {
        "s": [14.0],
        "remaining_mib": [4.5],
        "sent_mib_s": [19.0],
        "dirty_mib_s": [18.0],
        "limit_ms": [277.0],
        "throttle_percent": [20.0],
    }


def test_no_lines_no_curve() -> None:
    assert jobs.from_progress(["nothing of it"]) == {}


STAND_IN = """
class libvirtError(Exception):
    def get_error_code(self): return self.args[0]
VIR_ERR_NO_DOMAIN = 42
VIR_DOMAIN_EVENT_ID_JOB_COMPLETED = 22
calls = []
told = []
def registerErrorHandler(handler, context): pass
def virEventRegisterDefaultImpl(): pass
def virEventRunDefaultImpl():
    import time; time.sleep(0.05)
class Domain:
    def jobStats(self):
        calls.append(1)
        if len(calls) == 1: return {"type": 0}
        if len(calls) == 2: raise libvirtError(55)
        if len(calls) < 5: return {"type": 2, "time_elapsed": len(calls)}
        if ENDS: told[0](None, None, {"downtime": 7}, None)
        raise libvirtError(42)
    def migrateGetMaxDowntime(self, flags):
        if len(calls) == 4: raise libvirtError(1)
        return 300
class Connection:
    def lookupByName(self, name): assert name == "app1"; return Domain()
    def domainEventRegisterAny(self, domain, event, call, opaque): assert event == 22; told.append(call)
def open(uri): return Connection()
"""


@pytest.mark.parametrize("ends", [True, False])
def test_the_program_on_the_host_tells_until_the_guest_has_left(tmp_path: Path, ends: bool) -> None:
    (tmp_path / "libvirt.py").write_text(f"ENDS = {ends}\n{STAND_IN}")
    source = Path(jobs.__file__).parent / "on_host/job.py"
    payload = {"guest": "app1", "period_s": 0.01, "seconds": 20}
    program = f"exec(open({str(source)!r}).read()); _LAST_WORD_S = 0.2; print(main({payload!r}))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=True
    )
    *lines, last = done.stdout.splitlines()
    seen = heard(*lines)
    assert last == str(ends)
    assert [one["limit_ms"] for one in seen.samples] == [300, 0]
    assert seen.completed == ({"downtime": 7} if ends else {})
    assert len(lines) == (5 if ends else 4)


# -- ticks


def ticks(*times: float) -> list[Sighting]:
    return [Sighting(at, "c1", TICK, "01234567", number) for number, at in enumerate(times)]


def test_pulse_counts_and_measures_to_both_edges() -> None:
    found = running.pulse(ticks(9, 10.5, 11, 13, 20), 10, 15)
    assert (found.ticks, found.longest_gap_s, found.rate) == (3, 2, 0.6)
    assert running.pulse([], 10, 15).longest_gap_s == 5


def test_silence_is_that_of_the_move() -> None:
    seen = ticks(1, 9, 10.1, 10.9, 12.4, 12.5, 19)
    assert running.silence(seen, 10, 12) == pytest.approx(1.5)
    assert running.silence(seen, 10, 13) == pytest.approx(6.5)
    assert running.silence(seen, 9.5, 9.6) == pytest.approx(1.1)
    assert running.silence(ticks(5), 0, 10) is None


def test_progress_lost_is_what_did_not_come() -> None:
    before = running.Pulse(seconds=4, ticks=40, longest_gap_s=0.1)
    during = ticks(*(100 + at / 10 for at in range(1, 76)))
    assert running.lost(during, before, 100, 110) == pytest.approx(0.25)
    assert running.lost(during, before, 100.05, 102.05) == 0
    assert running.lost(during, running.Pulse(4, 0, 4), 100, 110) is None
    assert running.lost(during, before, 100, 100) is None


# -- tables


def test_cells_of_a_table_say_how_it_ended() -> None:
    runs = [
        made("20@160", "balanced", "refused", job_s=None),
        made("20@160", "nova", "budget over", job_s=120.2),
        made("20@160", "nova-fast", "gave up", job_s=31.0),
        made("20@160", "virsh", "failed"),
        made("0@0", "balanced"),
    ]
    table = matrix.tables_of(Results(runs))[0]
    assert table.rows[0][1:] == ("balanced", "Nova's defaults", "Nova: 500 ms, 3 steps, 3 s", "virsh migrate")
    assert table.rows[1] == ("0@0", "10.0 s, 400 ms", "-", "-", "-")
    assert table.rows[2] == ("20@160", "refused", "over 120 s", "gave up, 31 s", "failed")


def test_bytes_are_told_of_those_too_that_did_not_arrive() -> None:
    runs = [made("20@160", "nova", "budget over"), made("20@160", "balanced", "refused", job_s=None)]
    by_title = {table.title: table.rows[1] for table in matrix.tables_of(Results(runs))}
    assert by_title["MiB on the wire"] == ("20@160", "refused", "300")
    assert by_title["The guest's own progress that was lost"] == ("20@160", "refused", "6 %")


def test_several_runs_of_which_one_did_not_arrive() -> None:
    runs = [made("5@80", "virsh", job_s=9.0), made("5@80", "virsh", job_s=11.0), made("5@80", "virsh", "budget over")]
    assert matrix.tables_of(Results(runs))[0].rows[1][1] == "10.0 s, 400 ms, over 120 s"


@pytest.mark.parametrize(
    ("runs", "met"),
    [
        ([made("20@160", "balanced", downtime_ms=600)], True),
        ([made("20@160", "balanced", downtime_ms=601)], False),
        ([made("20@160", "balanced", "budget over")], False),
        ([made("20@160", "balanced", "failed")], False),
        ([made("20@160", "balanced", "refused")], None),
        ([made("20@160", "balanced", "refused"), made("20@160", "virsh-long", "budget over")], True),
        ([made("20@160", "balanced", "gave up"), made("20@160", "virsh-long", "budget over")], True),
        ([made("20@160", "balanced", "refused"), made("20@160", "virsh-long")], False),
        ([made("20@160", "balanced", "refused"), made("20@160", "virsh-long", downtime_ms=900)], True),
        ([made("20@160", "balanced", "refused"), made("20@160", "must-finish", done=["9 s: guest paused: x"])], True),
        ([made("20@160", "balanced", "refused"), made("20@160", "must-finish", done=["9 s: post-copy: x"])], True),
        ([made("20@160", "balanced", "refused"), made("20@160", "must-finish", done=["9 s: downtime limit"])], False),
        ([made("20@160", "balanced"), made("20@160", "balanced", "refused")], None),
        ([made("20@160", "virsh")], None),
    ],
)
def test_within_the_ceiling_or_rightly_refused(runs: list[dict[str, Any]], met: bool | None) -> None:
    assert matrix.within(Results(runs), "20@160").met is met


@pytest.mark.parametrize(
    ("ours", "nova", "met"),
    [
        ({"job_s": 11.0}, {"job_s": 10.0}, True),
        ({"job_s": 11.1}, {"job_s": 10.0}, False),
        ({"job_s": 60.0}, {"outcome": "budget over"}, True),
        ({"job_s": 61.0}, {"outcome": "budget over"}, False),
        ({"job_s": 80.0}, {"job_s": 160.0}, True),
        ({"job_s": 81.0}, {"job_s": 160.0}, False),
    ],
)
def test_time_against_nova(ours: dict[str, Any], nova: dict[str, Any], met: bool) -> None:
    goal = matrix.against_nova(Results([made("5@80", "balanced", **ours), made("5@80", "nova", **nova)]), "5@80")
    assert goal is not None
    assert goal.met is met


def test_no_time_of_what_did_not_arrive() -> None:
    runs = [made("5@80", "balanced", "refused"), made("5@80", "nova")]
    assert matrix.against_nova(Results(runs), "5@80") is None


def forecast(cell: str, method: str, total_s: float | None, pause_ms: float | None, **more: Any) -> dict[str, Any]:
    said = {"verdict": more.pop("verdict", "converges"), "total_s": total_s, "pause_ms": pause_ms}
    return made(cell, method, more.pop("outcome", "finished"), forecast=said, **more)


def test_errors_of_the_forecast_leave_out_what_it_was_tuned_on() -> None:
    runs = [
        forecast("0@80", "balanced", 12.0, 300),  # 20 % and 25 % off
        forecast("0@320", "balanced", 9.0, 400),  # 10 % and 0 % off
        forecast("5@160", "balanced", 99.0, 9999),  # tuned on
        forecast("max@320", "balanced", 99.0, 9999, outcome="refused"),
        forecast("max@80", "nova", 99.0, 9999, done=["3 s: guest paused: it was asked for"]),
        forecast("0@80", "nova", None, None),
        made("0@320", "virsh"),
    ]
    total, pause = matrix.errors(Results(runs))
    assert sorted(total) == pytest.approx([0.1, 0.2])
    assert sorted(pause) == pytest.approx([0, 0.25])
    rows = {row[0]: row[1:] for row in matrix.forecast_table(Results(runs)).rows}
    assert rows["balanced"] == ("3", "2 of 2", "15 %", "12 %")
    assert rows["Nova's defaults"] == ("2", "1 of 2", "-", "-")


@pytest.mark.parametrize(
    ("verdict", "outcome", "right"),
    [
        ("converges", "finished", True),
        ("converges", "budget over", False),
        ("does_not", "gave up", True),
        ("does_not", "finished", False),
        ("does_not", "refused", None),
        ("unsure", "finished", None),
        ("unknown", "budget over", None),
    ],
)
def test_verdicts_are_held_against_what_came(verdict: str, outcome: str, right: bool | None) -> None:
    assert matrix.right(forecast("5@80", "nova", 1, 1, verdict=verdict, outcome=outcome)) is right


def test_goals_of_the_forecast() -> None:
    runs = [forecast("max@80", "balanced", 12.1, 500)]
    found = {goal.says: goal.met for goal in matrix.goals(Results(runs)) if "forecast" in goal.says}
    assert found == {
        "forecast of the total, median error: at most 20 %": False,
        "forecast of the pause, median error: at most 30 %": True,
    }
    assert {goal.met for goal in matrix.goals(Results([])) if "forecast" in goal.says} == {None}


def test_the_list_of_forecasts_is_in_the_order_of_the_cells() -> None:
    runs = [forecast("max@80", "nova", 5, 5, outcome="budget over"), forecast("0@0", "balanced", 9, 100)]
    rows = matrix.forecast_list(Results(runs)).rows
    assert rows[1] == ("0@0", "balanced", "converges", "9.0", "10.0", "100", "400")
    assert rows[2] == ("max@80", "Nova's defaults", "converges", "5.0", "over 120 s", "5", "400")


@pytest.mark.parametrize("outcome", [one.value for one in Outcome])
def test_a_line_of_every_outcome(outcome: str) -> None:
    more = {"error": "why", "job_s": None, "downtime_ms": None} if outcome in ("refused", "failed") else {}
    said = matrix.line(made("20@160", "balanced", outcome, **more))
    assert outcome in said
    assert ("why" in said) == (outcome == "failed")


def everything() -> list[dict[str, Any]]:
    """A run of each method in several cells, of which one failed."""
    cells = ("0@0", "20@160", "5@80")
    runs = [made(cell, method) for cell in cells for method in ways.USUAL]
    return [*runs, made("max@80", "virsh", "failed", error="x" * 999), forecast("0@320", "nova", 9, 300)]


def test_the_page_and_the_guide_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guide = tmp_path / "guide.rst"
    guide.write_text(document.CONVERGE.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(document, "CONVERGE", guide)
    monkeypatch.setattr(store, "ROOT", tmp_path)
    for run in everything():
        store.add(tmp_path / "live.json", run)
    assert matrix.write(tmp_path / "live.json") == 0
    written = guide.read_text(encoding="utf-8")
    assert "Each of these forecasts" in written
    assert "tuned on 5@0, 5@320, 5@160, 5@80, 20@0, 20@320, 20@160, 20@80 only" in written
    assert "<svg" in (tmp_path / "live.html").read_text(encoding="utf-8")
    curve = jobs.joined([{"s": at, **dict.fromkeys(jobs.CURVES, at * 2.0)} for at in (0.0, 1.0, 2.0)])
    for method in ("balanced", "virsh"):
        kept = curve if method == "virsh" else {}
        store.add(tmp_path / "stress.json", {**made("stress", method), "curve": kept, "progress": curve})
    assert stress.write(tmp_path / "stress.json") == 0
    left = ET.fromstring((tmp_path / "stress-stress-remaining_mib.svg").read_text(encoding="utf-8"))
    assert "balanced, by its own lines" in [one.text for one in left.iter()]
    assert "4 CPU workers" in guide.read_text(encoding="utf-8")
    for method in ("one-by-one", "at-once"):
        store.add(tmp_path / "eight.json", drained(method, 60.0))
    assert eight.write(tmp_path / "eight.json") == 0
    assert "no slower than one after another" in guide.read_text(encoding="utf-8")


@pytest.mark.parametrize("write", [matrix.write, stress.write, eight.write])
def test_nothing_to_write(tmp_path: Path, write: Any) -> None:
    assert write(tmp_path / "none.json") == 1


def test_the_guide_has_a_place_for_each() -> None:
    text = document.CONVERGE.read_text(encoding="utf-8")
    for name in ("live", "stress", "eight"):
        assert "new words" in document.with_block(text, name, "new words")


def test_a_curve_is_drawn_from_zero() -> None:
    picture = ET.fromstring(svg.curves("t", "x", "y", {"none": [], "a": [(0, 10), (5, 5), (10, 0)]}))
    (line,) = [one for one in picture.iter() if one.tag.endswith("polyline")]
    places = [tuple(map(float, pair.split(","))) for pair in line.get("points", "").split()]
    assert places[0][0] < places[1][0] < places[2][0]
    assert places[0][1] < places[1][1] < places[2][1]  # downwards
    assert svg.curves("t", "x", "y", {"none": []}) == ""
    assert ET.fromstring(svg.curves("t", "x", "y", {"flat": [(0, 0), (0, 0)]})) is not None


@pytest.mark.parametrize("most", [0.3, 1.0, 1.9, 7.0, 10.0, 123.0, 500.0])
def test_ticks_of_an_axis_are_few_and_round(most: float) -> None:
    found = svg.evenly(most)
    assert 4 <= len(found) - 1 <= 10
    assert found[0] == 0
    assert most * 0.74 <= found[-1] <= most * 1.0001


# -- eight


def drained(method: str, wall_s: float, downtime_ms: int = 400, there: bool = True) -> dict[str, Any]:
    """One run with two guests."""
    guests = [
        {"guest": f"e{at}", "load": load, "there": there, "error": "", "downtime_ms": downtime_ms, "seconds": 4.0}
        for at, load in enumerate(("memory=5", ""), 1)
    ]
    return {
        **{"cell": "guests8", "method": method, "repeat": 1, "commit": "abc", "at": "2026-01-02T03:04:05Z"},
        **{"setup": {"says": ""}, "load": 0.5, "processors": 2, "ok": there, "error": "", "wall_s": wall_s},
        **{"wire_bytes": 9 * MIB, "guests": guests},
    }


@pytest.mark.parametrize(
    ("together", "met"),
    [
        (drained("at-once", 60.0), [True, True, True]),
        (drained("at-once", 61.0), [True, False, True]),
        (drained("at-once", 50.0, downtime_ms=601), [True, True, False]),
        (drained("at-once", 50.0, there=False), [False, None, True]),
    ],
)
def test_what_was_wanted_of_eight(together: dict[str, Any], met: list[bool | None]) -> None:
    found = eight.goals([drained("one-by-one", 60.0), together, drained("at-once-unshared", 1.0, 5000)])
    assert [goal.met for goal in found] == met


def test_nothing_of_eight_was_measured() -> None:
    assert {goal.met for goal in eight.goals([])} == {None}


def test_tables_of_eight() -> None:
    runs = [drained("one-by-one", 60.0), drained("at-once", 40.0), drained("at-once", 42.0, there=False)]
    rows = eight.table(runs).rows
    assert rows[1] == ("one after another", "60.0", "400", "0", "9", "1")
    assert rows[2] == ("all at once, with a budget", "40.0", "400", "0", "9", "1, 1 failed")
    assert eight.guest_table(runs, "at-once").rows[1][:4] == ("e1", "5 MiB/s", "yes", "4.0")
    assert len(eight.guest_table(runs, "at-once-unshared").rows) == 1


def test_slots_say_whether_they_go_at_once() -> None:
    slots = {name: variables["live_migrate_slots"] for name, (_says, variables) in eight.WAYS.items()}
    assert slots == {"one-by-one": 1, "at-once": 8, "at-once-unshared": 8}
    assert [name for name, (_says, given) in eight.WAYS.items() if "live_migrate_budget_mib_s" in given] == ["at-once"]
    assert eight.CARRIED_MIB_S == 38


def test_a_receipt_of_one_of_eight() -> None:
    carried = {"downtime_ms": 120, "seconds": 4.5, "iterations": 3, "done": ["0.5 s: downtime limit 50 ms"]}
    steps = [{"step": "claim", "seconds": 1}, {"step": "live", "seconds": 5.0}]
    run = Run(0, "", (), {"kvmops_e1": {"carried": carried, "steps": steps}})
    found = eight.from_receipt(run, "e1")
    assert (found["downtime_ms"], found["seconds"], found["live_s"], found["error"]) == (120, 4.5, 5.0, "")
    assert eight.from_receipt(run, "e2")["downtime_ms"] is None
    assert eight.span([found, found]) == 9.0
    assert eight.span([found, eight.from_receipt(run, "e2")]) is None


def test_a_failed_run_of_eight_is_a_line() -> None:
    assert "FAILED: no" in eight.line({"method": "at-once", "repeat": 1, "ok": False, "error": "no"})
    assert "longest downtime 400 ms" in eight.line(drained("at-once", 40.0))


@pytest.mark.parametrize(
    ("method", "outcome", "expected"),
    [
        ("balanced", Outcome.FINISHED, True),
        ("balanced", Outcome.REFUSED, True),
        ("balanced-anyway", Outcome.GAVE_UP, True),
        ("balanced-post-copy", Outcome.FINISHED, True),
        ("balanced-post-copy", Outcome.GAVE_UP, False),
        ("must-finish", Outcome.REFUSED, False),
        ("balanced", Outcome.OVER, False),
        ("must-finish", Outcome.OVER, False),
    ],
)
def test_who_may_end_in_which_way(method: str, outcome: Outcome, expected: bool) -> None:
    assert matrix.ended({"method": method, "outcome": outcome.value}) is expected
