# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What it takes to carry one disk over, without a guest that stops and starts: all of it, or what changed since.

The commands that others use copy the disk of a guest that is off. transfer=rsync moves that guest as it is, off;
transfer=mirror needs it running: the CPU of its start at the destination is left out, that of its running on the source
is not. Of our playbooks only the steps that carry bytes count for the wall.

A cell with a percentage has a copy at the destination already, and so many of the disk's clusters changed since.

Run as make bench BENCH=copy ARGS='--cells base --repeats 3'. --page writes the guide's tables from what was measured.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible_collections.kvmops.mobility.bench.moves import cells, document, methods, store, svg
from ansible_collections.kvmops.mobility.bench.moves.cells import Cell
from ansible_collections.kvmops.mobility.bench.moves.document import Table, number
from ansible_collections.kvmops.mobility.bench.moves.guests import (
    COPY,
    FAILURES,
    PREFIX,
    Guest,
    clean,
    hosts,
    remove,
    run_script,
    shape,
)
from ansible_collections.kvmops.mobility.bench.moves.meter import Cost, Meter
from ansible_collections.kvmops.mobility.bench.moves.page import Results, Run

RESULTS = store.OUTPUT / "copy.json"
CLUSTER = 65536
_MIB = 1024**2
_DATA_MIB = 2  # where the lab's content begins on a disk
_FAST = "'ssh -c aes128-gcm@openssh.com'"

WHOLE = {
    "scp": "scp -q -r {source} {target}",
    "rsync-zlib": "rsync --sparse --compress --compress-choice=zlib {source} {target}",
    "rsync-sparse": "rsync -r --sparse {source} {target}",
    "rsync-zstd": "rsync --whole-file --sparse --compress --compress-choice=zstd --compress-level=1"
    f" --rsh={_FAST} {{source}} {{target}}",
    "rsync-plain": f"rsync --whole-file --sparse --rsh={_FAST} {{source}} {{target}}",
}
DELTA = {
    "delta-zlib": "rsync --ignore-times --compress --compress-choice=zlib {source} {target}",
    "delta-default": "rsync --ignore-times {source} {target}",
    "delta-cluster": f"rsync --ignore-times --inplace --no-whole-file --block-size={CLUSTER}"
    f" --rsh={_FAST} {{source}} {{target}}",
}
CARRYING = ("presync", "export", "mirror", "copy")
"""The steps of our receipts that carry bytes, or wait for that."""


def command(method: str, guest: Guest) -> str:
    """What root types on the source."""
    target = f"{guest.job.address}:{guest.job.directory}{COPY}/disk"
    return {**WHOLE, **DELTA}[method].format(source=f"{guest.job.directory}/disk", target=target)


def changes(allocated_mib: int, percent: int) -> list[int]:
    """Where clusters of a disk that holds so much are changed, bytes; the same each time."""
    clusters = allocated_mib * _MIB // CLUSTER
    chosen = random.Random(percent).sample(range(clusters), max(1, clusters * percent // 100))
    return [_DATA_MIB * _MIB + one * CLUSTER for one in sorted(chosen)]


def written(at: int, salt: int) -> Iterator[str]:
    """What qemu-io is told for one cluster: no two get the same content, which rsync would find in the other one."""
    number = at // CLUSTER
    yield f"write -q -P {1 + (number + salt) % 255} {at} {CLUSTER}\n"
    for place in (1, 2):
        yield f"write -q -P {1 + number // 255**place % 255} {at + place * 4096} 4096\n"


def change(guest: Guest, percent: int) -> int:
    """Change so many of the clusters of a guest that is off; bytes."""
    places = changes(guest.cell.allocated_mib, percent)
    typed = "".join(line for at in places for line in written(at, percent))
    disk = f"{guest.job.directory}/disk"
    guest.source.exec(["qemu-io", "-f", "qcow2", disk], stdin=typed, timeout_s=3600)
    return len(places) * CLUSTER


def carry(guest: Guest, method: str, meter: Meter) -> dict[str, Any]:
    """One of the commands. Raises BenchError when it failed or the content differs."""
    guest.forget_cached()
    with meter.measure() as cost:
        run_script(guest.source, ["set -eu", command(method, guest)])
    guest.same(f"{guest.job.directory}/disk", f"{guest.job.directory}{COPY}/disk")
    return {**spent(cost), "wall_s": cost.wall_s}


def ours(guest: Guest, method: str, meter: Meter) -> dict[str, Any]:
    """One of our transfers. Raises BenchError, AssertionError."""
    if method == "ours-mirror":
        guest.on()
        guest.settle()
    guest.forget_cached()
    with meter.measure() as cost:
        moved = methods.move(method, guest)
    guest.compare()
    steps = {step["step"]: step["seconds"] for step in moved.steps}
    return {
        **spent(cost),
        "wall_s": sum(steps[name] or 0.0 for name in CARRYING if name in steps),
        "playbook_s": cost.wall_s,
        "transfer": moved.transfer,
        "steps": moved.steps,
    }


def spent(cost: Cost) -> dict[str, Any]:
    """The counters of a run: CPU without the controller's and without a guest's start."""
    hosts_s = sum(value for name, value in cost.cpu_s.items() if name != "controller")
    return {
        "wire_bytes": cost.wire_bytes,
        "cpu_both_s": hosts_s - cost.boot_cpu_s,
        "peak_both_mib": sum(cost.peak_mib.values()),
    }


def attempt(
    work: Callable[[Guest, str, Meter], dict[str, Any]], guest: Guest, method: str, meter: Meter
) -> dict[str, Any]:
    """A run with a failure as its result."""
    busy = store.machine()
    try:
        return {**busy, "ok": True, **work(guest, method, meter)}
    except FAILURES as error:
        return {**busy, "ok": False, "error": str(error)}


class Measuring:
    """One cell: its guest, off, and where the results go."""

    def __init__(self, guest: Guest, meter: Meter, output: Path) -> None:
        self._guest = guest
        self._meter = meter
        self._output = output
        self._commit = store.commit()
        self.well = True

    def whole(self, method: str, repeat: int) -> None:
        """The disk with all it holds."""
        self._there("rm -rf {copy}; mkdir {copy}")
        work = ours if method in methods.OURS else carry
        self._note(self._guest.cell.name, method, repeat, self._guest.allocated_bytes(), work)
        if method in methods.OURS:
            self._back(method)

    def _back(self, method: str) -> None:
        """The guest on the source and off, made anew when it does not go back."""
        guest = self._guest
        try:
            methods.back(method, guest)
        except FAILURES as error:
            print(f"bench: {guest.name} is made anew: {error}", file=sys.stderr)
            remove([guest.name], (guest.source, guest.destination))
            guest.create()
        if guest.runs():
            guest.off()

    def delta(self, wanted: Sequence[str], percent: int, repeat: int) -> None:
        """What changed since a first copy."""
        self._there("rm -rf {copy}; mkdir {copy}")
        first = WHOLE["rsync-plain"].format(
            source=f"{self._guest.job.directory}/disk",
            target=f"{self._guest.job.address}:{self._guest.job.directory}{COPY}/before",
        )
        run_script(self._guest.source, ["set -eu", first])
        changed = change(self._guest, percent)
        for method in wanted:
            self._there("cp --reflink=auto --sparse=always {copy}/before {copy}/disk")
            self._note(f"{self._guest.cell.name}+{percent}%", method, repeat, changed, carry)

    def _there(self, line: str) -> None:
        place = f"{self._guest.job.directory}{COPY}"
        run_script(self._guest.destination, ["set -eu", line.format(copy=place)])

    def _note(
        self, cell: str, method: str, repeat: int, wanted: int, work: Callable[[Guest, str, Meter], dict[str, Any]]
    ) -> None:
        found = attempt(work, self._guest, method, self._meter)
        key = {"cell": cell, "method": method, "repeat": repeat, "commit": self._commit}
        store.add(self._output, {**key, "setup": asdict(self._guest.cell), "wanted_bytes": wanted, **found})
        self.well = self.well and found["ok"]
        print(line(key, {**found, "wanted_bytes": wanted}), flush=True)


def line(key: Mapping[str, Any], run: Run) -> str:
    """One run as it is shown when it has ended."""
    head = f"{key['cell']:14} {key['method']:14} {key['repeat']}"
    if not run["ok"]:
        return f"{head}  FAILED: {run['error']}"
    return (
        f"{head}  {run['wall_s']:7.1f} s, {run['wire_bytes'] / _MIB:8.1f} MiB "
        f"({run['wire_bytes'] / run['wanted_bytes']:.2f}), CPU {run['cpu_both_s']:6.1f} s"
    )


def run(cell: Cell, wanted: Sequence[str], percents: Sequence[int], repeats: int, output: Path) -> bool:
    """Measure one cell; whether all went well."""
    source, destination = both = hosts()
    with clean(both), Meter(list(both)) as meter:
        guest = Guest(f"{PREFIX}{cell.name.replace('@', '-')}", cell, source, destination)
        guest.create()
        guest.off()
        shape(both, cell.link_mbit)
        measuring = Measuring(guest, meter, output)
        for repeat in range(1, repeats + 1):
            for method in wanted:
                if method not in DELTA:
                    measuring.whole(method, repeat)
            for percent in percents:
                measuring.delta([method for method in wanted if method in DELTA], percent, repeat)
    return measuring.well


def table(results: Results, cell: str) -> Table:
    """All methods in one cell: medians."""
    head = ("method", "wall s", "MiB on the wire", "per byte wanted", "CPU s, both hosts", "memory MiB", "runs")
    rows: list[Sequence[str]] = [head]
    for method in [*WHOLE, *methods.OURS, *DELTA]:
        there = results.of(cell, method)
        failed = len(results.failed(cell, method))
        if not there and not failed:
            continue
        wire, wanted = (results.middle(cell, method, name) for name in ("wire_bytes", "wanted_bytes"))
        rows.append(
            (
                methods.SAYS.get(method, method),
                number(results.middle(cell, method, "wall_s")),
                number(wire / _MIB if wire is not None else None, 0),
                number(wire / wanted if wire is not None and wanted else None, 2),
                number(results.middle(cell, method, "cpu_both_s")),
                number(results.middle(cell, method, "peak_both_mib"), 0),
                f"{len(there)}" + (f", {failed} failed" if failed else ""),
            )
        )
    return Table(title(results, cell), rows)


def title(results: Results, cell: str) -> str:
    """What a cell is, for people."""
    percent = cell.partition("+")[2]
    return results.title(cell) + (f"; {percent} of the clusters changed since a first copy" if percent else "")


def write(path: Path) -> int:
    """The guide's tables and the page, from the results in a file; 1 when there are none."""
    runs = store.newest(store.load(path))
    if not runs:
        print(f"bench: {path} has no results")
        return 1
    results = Results(runs)
    tables = [table(results, cell) for cell in dict.fromkeys(run["cell"] for run in runs)]
    plots = [
        svg.bars(one.title, "s", {row[0]: float(row[1]) for row in one.rows[1:] if row[1] != document.MISSING})
        for one in tables
    ]
    document.write("copy", "What it takes to carry a disk over", document.about(runs), tables, plots, path)
    return 0


def main() -> int:
    """Measure, or make the tables from what was measured."""
    every = [*WHOLE, *methods.OURS, *DELTA]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add = parser.add_argument
    add("--cells", default="base", help=f"of {', '.join(cell.name for cell in cells.CELLS)}; or all (default base)")
    add("--methods", default="all", help=f"of {', '.join(every)}; or all")
    add("--percents", default="1,10", help="of the clusters changed, for the delta (default 1,10)")
    add("--repeats", type=int, default=3)
    add("--allocated-mib", type=int, default=0, help="less on the disks, to try it out; kept apart from the real cells")
    add("--output", type=Path, default=RESULTS, help="where results are added to")
    add("--page", action="store_true", help="measure nothing; write the tables of the guide, and a page")
    options = parser.parse_args()
    if options.page:
        return write(options.output)
    wanted = every if options.methods == "all" else options.methods.split(",")
    unknown = set(wanted) - set(every)
    try:
        chosen = cells.choose(options.cells, options.allocated_mib)
    except ValueError as error:
        parser.error(str(error))
    if unknown or any(cell.load or cell.backing for cell in chosen):
        parser.error(f"methods are {', '.join(every)}; a cell with a load or a backing file cannot be measured here")
    percents = [int(word) for word in options.percents.split(",") if word]
    well = [run(cell, wanted, percents, options.repeats, options.output) for cell in chosen]
    return 0 if all(well) else 1


if __name__ == "__main__":
    sys.exit(main())
