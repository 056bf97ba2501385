# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a guest is away when it is moved: Nova's ways, by hand, and this collection's, on the same guest and link.

Every method moves the same guest from the lab's first host to its second; then it goes back with the disk it had.
Methods take turns, in each repeat in another order. Outages are timed from outside by the guest's ticks. Results of
several calls add up in one file; --page makes tables for the documents and a page with plots from it.

Run as make bench BENCH=outage ARGS='--cells base --repeats 3'. All cells together take hours.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible_collections.kvmops.mobility.bench.moves import cells, methods, page, store
from ansible_collections.kvmops.mobility.bench.moves.cells import Cell
from ansible_collections.kvmops.mobility.bench.moves.guests import (
    FAILURES,
    PREFIX,
    Guest,
    clean,
    hosts,
    remove,
    shape,
)
from ansible_collections.kvmops.mobility.bench.moves.meter import Cost, Meter

RESULTS = store.OUTPUT / "outage.json"


def turns(wanted: list[str], repeats: int) -> Iterator[tuple[int, str]]:
    """Every method once in each repeat, each time beginning with another one."""
    for repeat in range(repeats):
        first = repeat % len(wanted)
        for method in wanted[first:] + wanted[:first]:
            yield repeat + 1, method


def measure(guest: Guest, method: str, meter: Meter) -> dict[str, Any]:
    """Move the guest once and say what that took. Raises BenchError when it failed or the content differs."""
    since = time.time()
    with meter.measure() as cost:
        began = time.monotonic()
        moved = methods.move(method, guest)
        wall_s = time.monotonic() - began
        seen = guest.outage_since(since)
    outage_s = seen.longest_gap_s or 0.0
    parts = [one for one in (moved.guest_stop_s, moved.between_s, moved.guest_start_s) if one is not None]
    return {
        "outage_s": outage_s,
        "guest_stop_s": moved.guest_stop_s,
        "between_s": moved.between_s,
        "guest_start_s": moved.guest_start_s,
        "boot_s": outage_s - sum(parts) if len(parts) == 3 else None,
        "wall_s": wall_s,
        **spent(cost),
        "longest_fsync_s": seen.longest_fsync_s,
        "watcher_late_s": seen.watcher_late_s,
        "transfer": moved.transfer,
        "bytes_said": moved.bytes_said,
        "steps": moved.steps,
        "verified": guest.compare(),
    }


def spent(cost: Cost) -> dict[str, Any]:
    """The counters of a run, and their sums."""
    counters = {name: value for name, value in asdict(cost).items() if name != "wall_s"}
    both = [value for name, value in cost.cpu_s.items() if name != "controller"]
    return {
        "wire_bytes": cost.wire_bytes,
        "cpu_both_s": sum(both),
        "peak_both_mib": sum(cost.peak_mib.values()),
        **counters,
    }


def attempt(guest: Guest, method: str, meter: Meter) -> dict[str, Any]:
    """The same, with a failure as its result; afterwards the guest is back, or was made anew."""
    guest.settle()
    busy = store.machine()
    allocated = guest.allocated_bytes()
    try:
        result = {"ok": True, **measure(guest, method, meter)}
    except FAILURES as error:
        result = {"ok": False, "error": str(error)}
    try:
        methods.back(method, guest)
        guest.settle()
    except FAILURES as error:
        print(f"bench: {guest.name} is made anew: {error}", file=sys.stderr)
        remove([guest.name], (guest.source, guest.destination))
        guest.create()
    return {**busy, "allocated_bytes": allocated, **result}


def run(cell: Cell, wanted: list[str], repeats: int, output: Path) -> bool:
    """Measure one cell; whether all went well. Each result is in the file as soon as it is known."""
    source, destination = both = hosts()
    code = store.commit()
    well = True
    with clean(both), Meter(list(both)) as meter:
        guest = Guest(f"{PREFIX}{cell.name.replace('@', '-')}", cell, source, destination)
        guest.create()
        shape(both, cell.link_mbit)
        for repeat, method in turns(wanted, repeats):
            found = attempt(guest, method, meter)
            key = {"cell": cell.name, "method": method, "repeat": repeat, "commit": code}
            store.add(output, {**key, "setup": asdict(cell), **found})
            well = well and found["ok"]
            print(page.line(key, found), flush=True)
    return well


def survive(cell: Cell, wanted: list[str], repeats: int, output: Path) -> bool:
    """The same; a cell that cannot be measured does not stop those that come after it."""
    try:
        return run(cell, wanted, repeats, output)
    except FAILURES as error:
        print(f"bench: {cell.name}: {error}", file=sys.stderr)
        return False


def main() -> int:
    """Measure what was asked for, or make the tables and the page from what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add = parser.add_argument
    add("--cells", default="base", help=f"of {', '.join(cell.name for cell in cells.CELLS)}; or all (default base)")
    add("--methods", default="all", help=f"of {', '.join(methods.SAYS)}, each also with {methods.AGAIN}; or all")
    add("--aa", default="today-ssh", help="the method that is measured twice to tell what is noise; empty for none")
    add("--repeats", type=int, default=3)
    add("--allocated-mib", type=int, default=0, help="less on the disks, to try it out; kept apart from the real cells")
    add("--output", type=Path, default=RESULTS, help="where results are added to")
    add("--page", action="store_true", help="measure nothing; write the tables of the guide, and a page with plots")
    options = parser.parse_args()
    if options.page:
        return page.write(options.output)
    try:
        chosen = cells.choose(options.cells, options.allocated_mib)
        wanted = methods.choose(options.methods)
    except ValueError as error:
        parser.error(str(error))
    if options.aa and options.aa in wanted and options.aa + methods.AGAIN not in wanted:
        wanted.append(options.aa + methods.AGAIN)
    well = [survive(cell, wanted, options.repeats, options.output) for cell in chosen]
    return 0 if all(well) else 1


if __name__ == "__main__":
    sys.exit(main())
