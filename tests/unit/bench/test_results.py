# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of results: kept, compared, shown."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.bench import outage
from ansible_collections.kvmops.mobility.bench.moves import cells, document, methods, page, store, svg
from ansible_collections.kvmops.mobility.bench.moves.document import Table

GIB = 1024**3


def made(cell: str, method: str, between_s: float, repeat: int = 1, **more: Any) -> dict[str, Any]:
    """One run that went well."""
    chosen = cells.choose(cell)[0]
    size = chosen.allocated_mib * 1024**2
    return {
        **{"cell": cell, "method": method, "repeat": repeat, "commit": "abc", "at": "2026-01-02T03:04:05Z", "ok": True},
        **{"setup": {"says": chosen.says}, "load": 0.5, "processors": 2, "allocated_bytes": size},
        **{"outage_s": between_s + 2, "between_s": between_s, "wall_s": 40.0, "wire_bytes": size},
        **{"guest_stop_s": 0.5, "guest_start_s": 1.0, "boot_s": 0.5, "peak_both_mib": 30.0},
        **{"cpu_s": {"c1": 4.0, "c2": 5.0, "controller": 0.3}, "cpu_both_s": 9.0, **more},
    }


def all_runs() -> list[dict[str, Any]]:
    """What was hoped for."""
    runs = []
    for cell, seconds in (("size1", 9.0), ("base", 35.0), ("size16", 140.0)):
        runs += [made(cell, "today-ssh", seconds + repeat, repeat) for repeat in range(3)]
        runs += [made(cell, "today-rsync", 2 * seconds, repeat) for repeat in range(3)]
        runs += [made(cell, "kilo", 4 * seconds, repeat) for repeat in range(3)]
        runs += [made(cell, "ours-mirror", 1.0 + repeat / 100, repeat) for repeat in range(3)]
    return runs


def test_a_line_needs_more_than_one_size() -> None:
    runs = [run for run in all_runs() if run["cell"] == "base" or run["method"] != "kilo"]
    shown = [row[0] for row in page.slope_table(page.Results(runs)).rows]
    assert methods.says("kilo") not in shown
    assert methods.says("ours-mirror") in shown


def test_results_add_up_and_a_run_replaces_itself(tmp_path: Path) -> None:
    file = tmp_path / "deep/results.json"
    for run in (made("base", "kilo", 1), made("base", "kilo", 2), made("base", "kilo", 3, 2)):
        store.add(file, run)
    assert [(run["repeat"], run["between_s"]) for run in store.load(file)] == [(1, 2), (2, 3)]


def test_no_results_yet(tmp_path: Path) -> None:
    assert store.load(tmp_path / "results.json") == []


def test_only_the_last_commit_of_a_cell_counts() -> None:
    old = {**made("base", "kilo", 1), "commit": "old", "at": "2026-01-01T00:00:00Z"}
    new = made("base", "ours-mirror", 1)
    elsewhere = {**old, "cell": "size1"}
    assert store.newest([old, new, elsewhere]) == [new, elsewhere]


def test_goals_that_are_met() -> None:
    found = page.goals(page.Results(all_runs()))
    assert {one.met for one in found} == {True}


def test_goals_can_fail() -> None:
    runs = [run for run in all_runs() if run["method"] != "ours-mirror"]
    slow = [
        made(cell, "ours-mirror", size, wall_s=99.0) for cell, size in (("size1", 1.1), ("base", 4.0), ("size16", 16.0))
    ]
    fat = [{**run, "wire_bytes": int(run["allocated_bytes"] * 1.06)} for run in slow]
    assert {one.met for one in page.goals(page.Results(runs + fat))} == {True, False}
    missed = [one.says for one in page.goals(page.Results(runs + fat)) if one.met]
    assert missed == ["outage without stop and start, size1: at most 1.5 s"]


def test_goals_without_the_mirror_are_not_measured() -> None:
    runs = [run for run in all_runs() if run["method"] != "ours-mirror"]
    assert {one.met for one in page.goals(page.Results(runs))} == {None}


def test_table_of_a_cell_has_medians_and_ratios() -> None:
    table = page.outage_table(page.Results(all_runs()), "base")
    named = {row[0]: row for row in table.rows}
    assert named[methods.SAYS["today-ssh"]][1:7] == ("38.0", "0.50", "36.00", "1.00", "0.50", "35.6")
    assert named[methods.SAYS["ours-mirror"]][-1] == "3"


def test_table_of_costs_has_each_side() -> None:
    rows = page.cost_table(page.Results(all_runs()), "base").rows
    assert rows[-1][1:] == ("40.0", "4096", "1.00", "4.0", "5.0", "0.3", "30")


def test_failures_are_counted_and_told() -> None:
    broken = {**made("base", "ours-rsync", 1), "ok": False, "error": "BACKING_CHAIN"}
    results = page.Results([*all_runs(), broken])
    assert page.outage_table(results, "base").rows[-2][-1] == "0, 1 failed"
    assert page.failure_table(results).rows[1][-1] == "BACKING_CHAIN"


def test_second_measuring_is_held_against_the_first() -> None:
    again = made("base", "today-ssh" + methods.AGAIN, 36.0)
    assert page.noise_table(page.Results([*all_runs(), again])).rows[1][-1] == "1.00"


def test_tables_that_say_nothing_are_left_out() -> None:
    titles = [table.title for table in page.tables(page.Results(all_runs()))]
    assert "Did not work" not in titles
    assert "The same twice" not in titles


def test_rst_of_a_table_protects_its_words() -> None:
    assert document.rst(Table("t", [("a", "b"), ("x_", "")])) == (
        ".. list-table:: t\n   :header-rows: 1\n\n   * - a\n     - b\n   * - x\\_\n     - -\n"
    )


def test_block_of_a_guide_is_replaced_and_nothing_else() -> None:
    guide = document.GUIDE.read_text(encoding="utf-8")
    once = document.with_block(guide, "outage", "new words")
    assert "new words" in once
    assert document.with_block(once, "outage", "new words") == once
    assert once.count("end of bench") == guide.count("end of bench") == 3


def test_guide_without_the_block() -> None:
    with pytest.raises(ValueError, match="no place"):
        document.with_block("text", "outage", "words")


@pytest.mark.parametrize("plot", page.plots(page.Results(all_runs())))
def test_plots_are_well_formed(plot: str) -> None:
    assert ET.fromstring(plot).tag.endswith("svg")


def test_plot_of_nothing() -> None:
    assert svg.bars("t", "s", {"none": 0.0}) == svg.lines("t", "x", "y", {"none": []}) == ""


def test_longer_is_further() -> None:
    plot = ET.fromstring(svg.bars("t", "s", {"short": 1.0, "long": 90.0}))
    widths = [float(one.get("width", "0")) for one in plot.iter() if one.tag.endswith("rect")]
    assert widths[0] < widths[1]


def test_methods_take_turns() -> None:
    order = list(outage.turns(["a", "b", "c"], 2))
    assert order == [(1, "a"), (1, "b"), (1, "c"), (2, "b"), (2, "c"), (2, "a")]


def test_cells_differ_from_the_base_in_one_factor() -> None:
    factors = ("allocated_mib", "link_mbit", "content", "load", "backing")
    for cell in cells.CELLS[1:]:
        assert sum(getattr(cell, name) != getattr(cells.BASE, name) for name in factors) == 1


@pytest.mark.parametrize("cell", cells.CELLS, ids=lambda cell: str(cell.name))
def test_disk_has_room_for_what_is_allocated(cell: cells.Cell) -> None:
    held = cell.data_mib * 2 // 3 if cell.content == "mixed" else cell.data_mib
    assert held + cell.overlay_mib == cell.allocated_mib
    assert cell.root_gib * 1024 > cell.data_mib + cell.overlay_mib + 16


def test_trying_out_has_a_name_of_its_own() -> None:
    assert [cell.name for cell in cells.choose("base,slow", 128)] == ["base@128", "slow@128"]


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="no cell other"):
        cells.choose("base,other")
    with pytest.raises(ValueError, match="no method other"):
        methods.choose("kilo,other")
