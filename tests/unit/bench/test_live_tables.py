# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the measurements of live migrations are judged by, and the tables and curves of them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.bench import eight, stress
from ansible_collections.kvmops.mobility.bench.moves import (
    document,
    jobs,
    matrix,
    store,
    svg,
    ways,
)
from ansible_collections.kvmops.mobility.bench.moves.matrix import Results
from ansible_collections.kvmops.mobility.bench.moves.ways import Outcome
from ansible_collections.kvmops.mobility.tests.unit.matrix_runs import drained, made

MIB = 2**20


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
        # 50 % and 25 % off
        forecast("max@160", "must-finish", 15.0, 500, done=["3 s: guest paused: it got no closer"]),
        forecast("max@160", "balanced-post-copy", 10.0, 9999, done=["3 s: post-copy: the guest would"]),  # no pause
        forecast("0@80", "nova", None, None),
        made("0@320", "virsh"),
    ]
    total, pause = matrix.errors(Results(runs))
    assert sorted(total) == pytest.approx([0, 0.1, 0.2, 0.5])
    assert sorted(pause) == pytest.approx([0, 0.25, 0.25])
    rows = {row[0]: row[1:] for row in matrix.forecast_table(Results(runs)).rows}
    assert rows["balanced"] == ("3", "2 of 2", "15 %", "12 %")
    assert rows["Nova's defaults"] == ("2", "1 of 2", "-", "-")
    assert rows["must_finish"] == ("1", "1 of 1", "50 %", "25 %")


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
    page = (tmp_path / "stress.html").read_text(encoding="utf-8")
    for words in ("stress, balanced: MiB left", "by the playbook&#x27;s lines", "stress, virsh migrate: MiB/s"):
        assert words in page
    assert "stress, balanced: MiB/s" not in page, "nothing was kept of its job"
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
