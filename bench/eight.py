# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A hypervisor is drained: eight guests leave it over one link, all at once and one after another.

One run of live_migrate for all of them, with live_migrate_slots=8 or 1. At once also without the budget, so that each
takes what it gets. What counts is when the last one is there, and whether each was stopped for no longer than its
ceiling, by libvirt's count; the silence of its ticks is told beside.

Run as make bench BENCH=eight. --page makes the guide's tables from what was measured.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kvmlab.host import Host

from ansible_collections.kvmops.mobility.bench.moves import attempts, document, store, svg
from ansible_collections.kvmops.mobility.bench.moves.document import MISSING, Table, number
from ansible_collections.kvmops.mobility.bench.moves.guests import FAILURES, INVENTORY, PREFIX, remove, shape
from ansible_collections.kvmops.mobility.bench.moves.live_cells import CEILING_MS, TOLERANCE, LiveCell
from ansible_collections.kvmops.mobility.bench.moves.matrix import middle
from ansible_collections.kvmops.mobility.bench.moves.meter import link_bytes
from ansible_collections.kvmops.mobility.bench.moves.page import Goal, Run
from ansible_collections.kvmops.mobility.bench.moves.running import RunningGuest
from ansible_collections.kvmops.mobility.bench.outage import turns
from ansible_collections.kvmops.mobility.tests.e2e import lab as tests_lab
from ansible_collections.kvmops.mobility.tests.e2e import play

RESULTS = store.OUTPUT / "eight.json"
LINK_MBIT = 320
CARRIED_MIB_S = LINK_MBIT * 10**6 // 8 // 2**20
"""What the link carries."""
LOADS = (5, 5, 2, 2, 0, 0, 0, 0)
"""MiB a second that each of them writes: two processors emulate them all."""
WAYS: dict[str, tuple[str, dict[str, int]]] = {
    "one-by-one": ("one after another", {"live_migrate_slots": 1}),
    "at-once": (
        "all at once, with a budget",
        {"live_migrate_slots": len(LOADS), "live_migrate_budget_mib_s": CARRIED_MIB_S},
    ),
    "at-once-unshared": ("all at once, each takes what it gets", {"live_migrate_slots": len(LOADS)}),
}
SERIAL, TOGETHER = "one-by-one", "at-once"
_PLAY_S = 3600
_MIB = 2**20


def guests(loads: Sequence[int], both: tuple[Host, Host]) -> list[RunningGuest]:
    """One for each load, none of them made yet."""
    cells = [LiveCell(f"e{at}", "", LINK_MBIT, f"memory={load}" if load else "") for at, load in enumerate(loads, 1)]
    return [RunningGuest(f"{PREFIX}{cell.name}", cell, *both) for cell in cells]


@contextmanager
def made(loads: Sequence[int], both: tuple[Host, Host]) -> Iterator[list[RunningGuest]]:
    """All of them, on the source."""
    every = guests(loads, both)
    try:
        tests_lab.parallel(lambda one: one.create(), every, workers=2)
        yield every
    finally:
        shape(both, 0)
        remove([one.name for one in every], both)


def measure(every: Sequence[RunningGuest], way: str, both: tuple[Host, Host]) -> dict[str, Any]:
    """Drain the source once. Raises BenchError and the like."""
    for one in every:
        one.forget_moves()
    before = {one.name: one.settle() for one in every}
    shape(both, LINK_MBIT)
    since = time.time()
    sent = sum(link_bytes(both[0]))
    asked = {"vm": [one.name for one in every], "dest": both[1].name, **WAYS[way][1]}
    done = play.play("live_migrate", asked, inventory=[INVENTORY], timeout_s=_PLAY_S)
    wall_s = time.time() - since
    told = [
        {**from_receipt(done, one.name), "load": one.cell.load, "there": one.at_rest() == ("", "running")}
        for one in every
    ]
    for one, said in zip(every, told):
        seen = one.outage(since)
        said["outage_ms"] = None if seen.longest_gap_s is None else 1000 * seen.longest_gap_s
        said["gap_before_ms"] = 1000 * before[one.name].longest_gap_s
    problems = [f"{said['guest']}: {said['error'] or 'not there'}" for said in told if not said["there"]]
    return {
        "ok": not problems,
        "error": "; ".join(problems),
        "wall_s": wall_s,
        "carried_s": span(told),
        "wire_bytes": sum(link_bytes(both[0])) - sent,
        "guests": told,
    }


def from_receipt(done: play.Run, guest: str) -> dict[str, Any]:
    """What our receipt says of one of them."""
    receipt = done.stats.get(f"kvmops_{guest}") or {}
    carried = receipt.get("carried") or {}
    steps = receipt.get("steps") or ()
    return {
        "guest": guest,
        "error": done.last_lines().get(guest, "") if done.code else "",
        "downtime_ms": carried.get("downtime_ms"),
        "seconds": carried.get("seconds"),
        "iterations": carried.get("iterations"),
        "done": list(carried.get("done") or ()),
        "live_s": next((step.get("seconds") for step in steps if step.get("step") == "live"), None),
    }


def span(told: Sequence[Run]) -> float | None:
    """The sum of libvirt's times, which one after another is the least that it takes; None where one is missing."""
    found = [one.get("seconds") for one in told]
    return None if None in found else sum(float(str(one)) for one in found)


def attempt(every: Sequence[RunningGuest], way: str, both: tuple[Host, Host]) -> dict[str, Any]:
    """The same, with a failure as its result; afterwards all of them are back."""
    busy = store.machine()
    try:
        found = measure(every, way, both)
    except FAILURES as error:
        found = {"ok": False, "error": str(error)}
    shape(both, 0)
    for one in every:
        try:
            one.back()
        except FAILURES as error:
            print(f"bench: {one.name} is made anew: {error}", file=sys.stderr)
            one.anew()
    return {**busy, **found}


def line(run: Run) -> str:
    """One run as it is shown when it has ended."""
    head = f"{run['method']:17} {run['repeat']}"
    if not run["ok"]:
        return f"{head}  FAILED: {run['error']}"
    longest = _most(run, "downtime_ms")
    return (
        f"{head}  wall {run['wall_s']:6.1f} s, {len(run['guests'])} there, longest downtime {number(longest, 0)} ms, "
        f"longest silence {number(_most(run, 'outage_ms'), 0)} ms, {run['wire_bytes'] / _MIB:.0f} MiB"
    )


def _most(run: Run, name: str) -> float | None:
    found = [float(one[name]) for one in run.get("guests", ()) if one.get(name) is not None]
    return max(found, default=None)


def of(runs: Sequence[Run], way: str) -> list[Run]:
    """The runs of one way that went well."""
    return [run for run in runs if run["method"] == way and run["ok"]]


def table(runs: Sequence[Run]) -> Table:
    """The ways beside each other."""
    head = ("way", "all there after s", "longest downtime ms", "longest silence of ticks ms", "MiB on the wire", "runs")
    rows: list[Sequence[str]] = [head]
    for way, (says, _variables) in WAYS.items():
        mine = of(runs, way)
        failed = sum(run["method"] == way and not run["ok"] for run in runs)
        if mine or failed:
            wire = middle(mine, "wire_bytes")
            longest = [max((_most(run, name) or 0.0 for run in mine), default=None) for name in _PAUSES]
            rows.append(
                (
                    says,
                    number(middle(mine, "wall_s")),
                    *(number(one, 0) for one in longest),
                    number(None if wire is None else wire / _MIB, 0),
                    f"{len(mine)}" + (f", {failed} failed" if failed else ""),
                )
            )
    return Table(f"Eight guests over {LINK_MBIT} Mbit/s", rows)


_PAUSES = ("downtime_ms", "outage_ms")


def guest_table(runs: Sequence[Run], way: str) -> Table:
    """Each guest of the first run of a way."""
    head = ("guest", "writes", "there", "libvirt's s", "rounds", "downtime ms", "silence of ticks ms", "before ms")
    rows: list[Sequence[str]] = [head]
    mine = [run for run in runs if run["method"] == way and run.get("guests")]
    for one in mine[0]["guests"] if mine else ():
        rows.append(
            (
                one["guest"],
                one["load"].replace("memory=", "") + " MiB/s" if one["load"] else MISSING,
                "yes" if one["there"] else one["error"] or "no",
                number(one.get("seconds")),
                number(one.get("iterations"), 0),
                number(one.get("downtime_ms"), 0),
                number(one.get("outage_ms"), 0),
                number(one.get("gap_before_ms"), 0),
            )
        )
    return Table(f"Each of them, {WAYS[way][0]}", rows)


def goals(runs: Sequence[Run]) -> list[Goal]:
    """What was wanted of all at once."""
    tried = [run for run in runs if run["method"] == TOGETHER]
    mine, serial = (middle(of(runs, way), "wall_s") for way in (TOGETHER, SERIAL))
    limit = CEILING_MS * TOLERANCE
    pauses = [pause for run in tried if (pause := _most(run, "downtime_ms")) is not None]
    there = [sum(bool(one["there"]) for one in run.get("guests", ())) for run in tried]
    beside = f", {serial:.1f} s" if serial is not None else ""
    return [
        Goal(
            "all of them arrive", f"{min(there)}" if there else "", all(run["ok"] for run in tried) if tried else None
        ),
        Goal(
            f"no slower than one after another{beside}",
            f"{mine:.1f} s" if mine is not None else "",
            mine <= serial if mine is not None and serial is not None else None,
        ),
        Goal(
            f"none stops for more than {limit:.0f} ms",
            f"{max(pauses):.0f} ms" if pauses else "",
            max(pauses) <= limit if pauses else None,
        ),
    ]


def goal_table(runs: Sequence[Run]) -> Table:
    """The same as a table."""
    words = {True: "yes", False: "no", None: "not measured"}
    rows = [("wanted", "measured", "met"), *((one.says, one.measured, words[one.met]) for one in goals(runs))]
    return Table("What was wanted of all at once", rows)


def write(path: Path) -> int:
    """The guide's tables and the page, from the results in a file; 1 when there are none."""
    runs = store.newest(store.load(path))
    if not runs:
        print(f"bench: {path} has no results")
        return 1
    every = [table(runs), *(guest_table(runs, way) for way in WAYS), goal_table(runs)]
    tables = [one for one in every if len(one.rows) > 1]
    walls = {says: middle(of(runs, way), "wall_s") or 0.0 for way, (says, _variables) in WAYS.items()}
    plot = svg.bars("All of them there after", "s", walls)
    title = "Eight guests at once"
    document.write("eight", title, document.about(runs), tables, [plot], path, document.CONVERGE)
    return 0


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add = parser.add_argument
    add("--methods", default="all", help=f"of {', '.join(WAYS)}; or all")
    add("--loads", default=",".join(map(str, LOADS)), help="MiB/s that each guest writes (default %(default)s)")
    add("--repeats", type=int, default=1)
    add("--output", type=Path, default=RESULTS, help="where results are added to")
    add("--page", action="store_true", help="measure nothing; write the guide's tables, and a page")
    options = parser.parse_args(arguments)
    options.methods = list(WAYS) if options.methods == "all" else options.methods.split(",")
    unknown = [name for name in options.methods if name not in WAYS]
    if unknown:
        parser.error(f"no method {', '.join(unknown)}; there are {', '.join(WAYS)}")
    options.loads = [int(word) for word in options.loads.split(",")]
    return options


def main() -> int:
    """Measure what was asked for, or make the tables and the page from what was measured."""
    options = parse()
    if options.page:
        return write(options.output)
    code, well = store.commit(), True
    says = f"{len(options.loads)} guests that write {', '.join(map(str, options.loads))} MiB/s"
    with attempts.stage() as both, made(options.loads, both) as every:
        for repeat, way in turns(options.methods, options.repeats):
            found = attempt(every, way, both)
            key = {"cell": f"guests{len(every)}", "method": way, "repeat": repeat, "commit": code}
            run = {**key, "setup": {"says": says}, **found}
            store.add(options.output, run)
            print(line(run), flush=True)
            well = well and found["ok"]
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
