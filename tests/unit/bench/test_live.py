# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which cells of the matrix are measured, by which methods, and who may end in which way."""

from __future__ import annotations

from typing import Any

import pytest
from kvmlab.load import memory_needed_mib, parse_load

from ansible_collections.kvmops.mobility.bench import eight, live, stress
from ansible_collections.kvmops.mobility.bench.moves import (
    live_cells,
    matrix,
    ways,
)
from ansible_collections.kvmops.mobility.bench.moves.ways import Outcome
from ansible_collections.kvmops.mobility.tests.unit.matrix_runs import made

MIB = 2**20


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
    assert set(vars(stress.parse([]))) == set(vars(live.parse([]))), "they are measured by the same function"
    with pytest.raises(SystemExit):
        live.parse(["--cells", "nowhere"])
    with pytest.raises(SystemExit):
        eight.parse(["--methods", "nothing"])


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
