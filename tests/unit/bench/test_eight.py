# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Eight guests that leave at once: what is wanted of them, and the tables."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.kvmops.mobility.bench import eight
from ansible_collections.kvmops.mobility.tests.e2e.play import Run
from ansible_collections.kvmops.mobility.tests.unit.matrix_runs import drained

MIB = 2**20


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
