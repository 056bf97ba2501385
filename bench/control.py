# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the playbooks cost beside the bytes: a resize of guests with empty disks, one and several at once.

Run as make bench BENCH=control. What counts is the time besides the guest's own stop and start, and how that of sixteen
guests compares with that of one. --page writes the guide's table from what was measured.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from ansible_collections.kvmops.mobility.bench.moves import document, store, svg
from ansible_collections.kvmops.mobility.bench.moves.document import Table, number
from ansible_collections.kvmops.mobility.bench.moves.guests import (
    FAILURES,
    PREFIX,
    BenchError,
    clean,
    hosts,
    remove,
    run_play,
)
from ansible_collections.kvmops.mobility.bench.moves.meter import Meter
from ansible_collections.kvmops.mobility.bench.moves.page import Results, Run
from ansible_collections.kvmops.mobility.tests.e2e import lab as tests_lab
from ansible_collections.kvmops.mobility.tests.e2e import play

RESULTS = store.OUTPUT / "control.json"
METHOD = "resize"
BESIDES_S = 8.0
MANY, TIMES = 16, 4
_DATA_MIB, _MEMORY_MIB = 1, 272
_BOOT_S = 300


def cell(count: int) -> str:
    """What so many guests at once are called."""
    return f"guests{count}"


def create(names: Sequence[str], host: str) -> None:
    """Guests with next to nothing on their disks, a few at a time. Raises AssertionError."""
    words = ("--host", host, "--data-mib", str(_DATA_MIB))
    tests_lab.parallel(lambda name: tests_lab.run("guest", "create", name, *words, timeout_s=_BOOT_S), names)


def measure(names: Sequence[str], destination: str, meter: Meter) -> dict[str, Any]:
    """Resize them all in one run of the playbook. Raises BenchError."""
    with meter.measure() as cost:
        done = run_play("resize", {"vm": list(names), "dest": destination, "memory_mib": _MEMORY_MIB})
    return {
        "wall_s": cost.wall_s,
        **counted(done, names),
        "cpu_controller_s": cost.cpu_s["controller"],
        # The guests' own start is none of the playbook's.
        "cpu_hosts_s": sum(spent for name, spent in cost.cpu_s.items() if name != "controller") - cost.boot_cpu_s,
        "wire_bytes": cost.wire_bytes,
        "peak_both_mib": sum(cost.peak_mib.values()),
    }


def counted(done: play.Run, names: Sequence[str]) -> dict[str, Any]:
    """Tasks, each counted for each host, and the guests' outages: medians, and the longest. Raises BenchError."""
    outages = [done.receipt(name)["outage"] for name in names]
    if not all(outages):
        raise BenchError("a guest has no outage in its receipt")
    own = [one["guest_stop"] + one["guest_start"] for one in outages]
    return {
        "tasks": len(done.results),
        "outage_s": median([one["total"] for one in outages]),
        "longest_outage_s": max(one["total"] for one in outages),
        "between_s": median([one["ours"] for one in outages]),
        "own_s": median(own),
    }


def attempt(count: int, repeat: int, output: Path) -> bool:
    """Make guests, resize them, take them away; the result is in the file. Whether it went well."""
    source, destination = both = hosts()
    names = [f"{PREFIX}k{at}" for at in range(1, count + 1)]
    with clean(both), Meter(list(both)) as meter:
        busy = store.machine()
        try:
            create(names, source.name)
            found = {"ok": True, **measure(names, destination.name, meter)}
        except FAILURES as error:
            found = {"ok": False, "error": str(error)}
        remove(names, both)
    key = {"cell": cell(count), "method": METHOD, "repeat": repeat, "commit": store.commit()}
    store.add(output, {**key, "setup": {"says": f"{count} at once"}, **busy, **found})
    print(line(count, found), flush=True)
    return bool(found["ok"])


def line(count: int, run: Run) -> str:
    """One run as it is shown when it has ended."""
    if not run["ok"]:
        return f"{count:3} guests  FAILED: {run['error']}"
    return (
        f"{count:3} guests  wall {run['wall_s']:6.1f} s, besides {run['wall_s'] - run['own_s']:6.1f} s, "
        f"{run['tasks']} tasks, CPU {run['cpu_controller_s']:.1f} s controller, {run['cpu_hosts_s']:.1f} s hosts, "
        f"outage {run['outage_s']:.1f} s"
    )


def counts(results: Results) -> list[int]:
    """How many guests at once there are results for."""
    return sorted(int(name.removeprefix("guests")) for name in results.cells())


def besides(results: Results, count: int) -> float | None:
    """The whole run without the guest's own stop and start: the median, seconds."""
    found = [run["wall_s"] - run["own_s"] for run in results.of(cell(count), METHOD)]
    return median(found) if found else None


def tables(results: Results) -> list[Table]:
    """Medians, and what was wanted."""
    head = ("guests at once", "wall s", "besides s", "times one", "tasks", "CPU s, controller")
    rows: list[Sequence[str]] = [(*head, "CPU s, hosts", "median outage s", "longest outage s", "runs")]
    one = results.middle(cell(1), METHOD, "wall_s")
    for count in counts(results):
        name = cell(count)
        wall = results.middle(name, METHOD, "wall_s")
        measures = ("cpu_controller_s", "cpu_hosts_s", "outage_s", "longest_outage_s")
        rows.append(
            (
                str(count),
                number(wall),
                number(besides(results, count)),
                number(wall / one if wall is not None and one else None),
                number(results.middle(name, METHOD, "tasks"), 0),
                *(number(results.middle(name, METHOD, measure)) for measure in measures),
                str(len(results.of(name, METHOD))),
            )
        )
    return [Table("Resize of guests with empty disks, onto the other hypervisor", rows), wanted(results)]


def wanted(results: Results) -> Table:
    """The two limits, and whether they were kept."""
    alone, many = besides(results, 1), results.middle(cell(MANY), METHOD, "wall_s")
    one = results.middle(cell(1), METHOD, "wall_s")
    ratio = many / one if many is not None and one else None
    rows = [("wanted", "measured", "met")]
    rows.append(
        (f"one guest besides its stop and start: at most {BESIDES_S:g} s", number(alone), _met(alone, BESIDES_S))
    )
    rows.append((f"{MANY} guests: less than {TIMES} times one", number(ratio), _met(ratio, TIMES)))
    return Table("What was wanted of the playbooks", rows)


def _met(value: float | None, limit: float) -> str:
    return "not measured" if value is None else "yes" if value < limit else "no"


def write(path: Path) -> int:
    """The guide's tables and the page, from the results in a file; 1 when there are none."""
    runs = store.newest(store.load(path))
    if not runs:
        print(f"bench: {path} has no results")
        return 1
    results = Results(runs)
    walls = {f"{count} at once": results.middle(cell(count), METHOD, "wall_s") or 0.0 for count in counts(results)}
    plot = svg.bars("Wall", "s", walls)
    document.write("control", "What the playbooks cost", document.about(runs), tables(results), [plot], path)
    return 0


def main() -> int:
    """Measure, or make the tables from what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add = parser.add_argument
    add("--guests", default=f"1,4,{MANY}", help=f"how many at once, separated by commas (default 1,4,{MANY})")
    add("--repeats", type=int, default=3)
    add("--output", type=Path, default=RESULTS, help="where results are added to")
    add("--page", action="store_true", help="measure nothing; write the tables of the guide, and a page")
    options = parser.parse_args()
    if options.page:
        return write(options.output)
    many = [int(word) for word in options.guests.split(",")]
    well = [attempt(count, repeat + 1, options.output) for repeat in range(options.repeats) for count in many]
    return 0 if all(well) else 1


if __name__ == "__main__":
    sys.exit(main())
