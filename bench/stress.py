# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people try live migration with: a guest under stress, moved in every way, and how each of them went.

The guest has 4 CPUs and 1024 MiB; in it Debian's stress runs with 4 workers for the CPU, 3 for 300 MiB each and 2 that
sync, beside 4 disk writers, as in the article that this collection learnt from. In the cell minutely it rests for 20 s
of each minute, as the article's crontab had it. The methods and what is measured are those of make bench BENCH=live;
besides, how each run went is kept: what was left, sent and written, the limit and the throttling, by libvirt's count
and by the lines that our playbook shows.

Run as make bench BENCH=stress. --page makes the guide's table, and a page with plots.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ansible_collections.kvmops.mobility.bench import live
from ansible_collections.kvmops.mobility.bench.moves import (
    asked,
    attempts,
    document,
    live_cells,
    matrix,
    store,
    svg,
    ways,
)
from ansible_collections.kvmops.mobility.bench.moves.jobs import CURVES, Curve
from ansible_collections.kvmops.mobility.bench.moves.matrix import Results

RESULTS = store.OUTPUT / "stress.json"
BUDGET_S = 180.0
METHODS = (*ways.USUAL, "balanced-anyway")
RATES = {"sent_mib_s": "sent", "dirty_mib_s": "written by the guest"}
BESIDE = {"limit_ms": "downtime limit, ms", "throttle_percent": "throttling, %"}
"""What can be seen of all methods in one plot."""


def points(curve: Curve | None, name: str) -> list[tuple[float, float]]:
    """One measure of a curve against the seconds; none without a curve."""
    return list(zip(curve["s"], curve[name])) if curve else []


def method_plots(results: Results, cell: str, method: str) -> list[str]:
    """How one method went, of several runs the first: what was left, as our own lines had it too, and the rates."""
    run = results.of(cell, method)[0]
    curve, said = run.get("curve"), ways.WAYS[method].says
    name = CURVES[0]
    left = {"by libvirt's job": points(curve, name), "by the playbook's lines": points(run.get("progress"), name)}
    rates = {words: points(curve, name) for name, words in RATES.items()}
    return [
        svg.curves(f"{cell}, {said}: MiB left", "seconds", "MiB", left),
        svg.curves(f"{cell}, {said}: MiB/s", "seconds", "MiB/s", rates),
    ]


def cell_plots(results: Results, cell: str) -> list[str]:
    """The plots of a cell, those of all methods together first."""
    methods = results.methods(cell)
    drawn = []
    for name, words in BESIDE.items():
        series = {ways.WAYS[method].says: points(results.of(cell, method)[0].get("curve"), name) for method in methods}
        drawn.append(svg.curves(f"{cell}: {words}", "seconds", words, series))
    drawn += [plot for method in methods for plot in method_plots(results, cell, method)]
    return [plot for plot in drawn if plot]


def write(path: Path) -> int:
    """The guide's table, and the page with the plots, from the results in a file; 1 when there are none."""
    runs = store.newest(store.load(path))
    if not runs:
        print(f"bench: {path} has no results")
        return 1
    results = Results(runs)
    tables = [matrix.method_table(results, cell) for cell in results.cells()]
    failures = matrix.failure_table(results)
    tables += [failures] if len(failures.rows) > 1 else []
    drawn = [plot for cell in results.cells() for plot in cell_plots(results, cell)]
    title = "A guest under stress"
    document.write("stress", title, document.about(runs), tables, drawn, path, document.CONVERGE)
    return 0


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """What was asked for; cells and methods as such."""
    parser = asked.parser(__doc__, ",".join(METHODS), BUDGET_S, RESULTS)
    names = ", ".join(one.name for one in live_cells.HARD)
    parser.add_argument("--cells", default=live_cells.STRESS, help=f"of {names} (default {live_cells.STRESS})")
    options = asked.understand(parser, arguments, live_cells.HARD)
    options.period, options.curves, options.hold = 0.25, True, False
    return options


def main() -> int:
    """Measure what was asked for, or make the table and the plots from what was measured."""
    options = parse()
    if options.page:
        return write(options.output)
    with attempts.stage() as both:
        well = [live.measure(cell, both, options) for cell in options.cells]
    return 0 if all(well) else 1


if __name__ == "__main__":
    sys.exit(main())
