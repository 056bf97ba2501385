# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a live migration converges: our policies, Nova's, and virsh, on the same guest over the same link.

A cell is what the guest writes by what the link carries: 20@160 is 20 MiB/s over 160 Mbit/s, 0@0 an idle guest without
a limit. Every method moves the same guest from the lab's first host to its second, and it goes back without being
measured. A run that takes longer than its budget is given up from outside. Where balanced says that it cannot be, virsh
tries it for long with the whole ceiling. Results of several calls add up in one file; --page makes the guide's tables.

Run as make bench BENCH=live ARGS='--cells 20@160,5@80'. All cells together take hours.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Any

from kvmlab.host import Host

from ansible_collections.kvmops.mobility.bench.moves import asked, attempts, live_cells, matrix, store
from ansible_collections.kvmops.mobility.bench.moves.guests import FAILURES
from ansible_collections.kvmops.mobility.bench.moves.live_cells import LiveCell
from ansible_collections.kvmops.mobility.bench.outage import turns

RESULTS = store.OUTPUT / "live.json"


def measure(cell: LiveCell, both: tuple[Host, Host], options: argparse.Namespace) -> bool:
    """All methods in one cell; whether none of them failed. A cell that cannot be measured does not stop the others."""
    code = store.commit()
    runs: list[dict[str, Any]] = []
    try:
        with attempts.made(cell, both) as guest:
            for repeat, method in order(runs, options):
                found = attempts.attempt(guest, method, options.budget, options.period, curve=options.curves)
                runs.append(attempts.keep(options.output, cell, method, repeat, code, found))
                print(matrix.line(runs[-1]), flush=True)
    except FAILURES as error:
        print(f"bench: {cell.name}: {error}", file=sys.stderr)
        return False
    return all(run["ok"] and (matrix.ended(run) or not options.hold) for run in runs)


def order(runs: list[dict[str, Any]], options: argparse.Namespace) -> Iterator[tuple[int, str]]:
    """The methods in turn; then, when *runs* has come to call for it, the proofs that were not among them."""
    yield from turns(options.methods, options.repeats)
    if attempts.stuck(runs):
        yield from ((1, proof) for proof in options.proof if proof not in options.methods)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """What was asked for; cells and methods as such."""
    parser = asked.parser(__doc__, "usual", live_cells.BUDGET_S, RESULTS)
    add = parser.add_argument
    names = ", ".join(one.name for one in live_cells.CELLS)
    add("--cells", default="all", help=f"of {names}; tuning, subset, all (default all)")
    add("--period", type=float, default=0.5, help="seconds between two looks at libvirt's job (default 0.5)")
    add("--curves", action="store_true", help="keep how each run went, too, and not only how it ended")
    add("--hold", action="store_true", help="a run that does not end by itself, or may not end so, is a failure")
    return asked.understand(parser, arguments, live_cells.CELLS)


def main() -> int:
    """Measure what was asked for, or make the tables and the page from what was measured."""
    options = parse()
    if options.page:
        return matrix.write(options.output)
    with attempts.stage() as both:
        well = [measure(cell, both, options) for cell in options.cells]
    return 0 if all(well) else 1


if __name__ == "__main__":
    sys.exit(main())
