# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of live migrations that nobody measured."""

from __future__ import annotations

from typing import Any

from ansible_collections.kvmops.mobility.bench.moves import live_cells

MIB = 2**20


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
