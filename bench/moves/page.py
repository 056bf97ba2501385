# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The results of moves for people: a line as they come, tables of medians, goals, plots. Pure but for write()."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from ansible_collections.kvmops.mobility.bench.moves import cells, document, stats, store, svg
from ansible_collections.kvmops.mobility.bench.moves.document import Table, number
from ansible_collections.kvmops.mobility.bench.moves.methods import AGAIN, SAYS, TODAY, says

_GIB, _MIB = 1024**3, 1024**2
BEST = "ours-mirror"
"""What the others are held against."""
OVERHEAD = 1.05
BETWEEN_S = 1.5
CPU_OF = ("c1", "c2", "controller")
"""Whose CPU is told: the lab's source and destination, and what the measurement itself started."""

Run = Mapping[str, Any]


def line(key: Run, run: Run) -> str:
    """One run as it is shown when it has ended."""
    head = f"{key['cell']:14} {key['method']:17} {key['repeat']}"
    if not run["ok"]:
        return f"{head}  FAILED: {run['error']}"
    return (
        f"{head}  outage {run['outage_s']:7.2f} s, between {number(run['between_s'], 2):>6} s, "
        f"wall {run['wall_s']:7.1f} s, {run['wire_bytes'] / _MIB:8.1f} MiB, CPU {run['cpu_both_s']:6.1f} s, "
        f"+{run['peak_both_mib']:.0f} MiB"
    )


@dataclass(frozen=True)
class Results:
    """The runs that are compared: of each cell those of one commit."""

    runs: Sequence[Run]

    def of(self, cell: str, method: str) -> list[Run]:
        """The runs of a method that went well."""
        return [run for run in self.runs if (run["cell"], run["method"]) == (cell, method) and run["ok"]]

    def failed(self, cell: str, method: str) -> list[Run]:
        """Those that did not."""
        return [run for run in self.runs if (run["cell"], run["method"]) == (cell, method) and not run["ok"]]

    def values(self, cell: str, method: str, name: str) -> list[float]:
        """One measure of them, where it is known."""
        return [float(run[name]) for run in self.of(cell, method) if run.get(name) is not None]

    def middle(self, cell: str, method: str, name: str) -> float | None:
        """Its median."""
        found = self.values(cell, method, name)
        return median(found) if found else None

    def cells(self) -> list[str]:
        """The cells there are, in the order in which they are described, others behind them."""
        known = [cell.name for cell in cells.CELLS]
        there = dict.fromkeys(run["cell"] for run in self.runs)
        return [name for name in known if name in there] + [name for name in there if name not in known]

    def methods(self, cell: str) -> list[str]:
        """The methods measured in a cell, a second measuring of one behind it."""
        there = {run["method"] for run in self.runs if run["cell"] == cell}
        return [name for base in SAYS for name in (base, base + AGAIN) if name in there]

    def title(self, cell: str) -> str:
        """What a cell is, for people."""
        setup = next(run["setup"] for run in self.runs if run["cell"] == cell)
        return f"{cell}: {setup['says']}"

    def best_today(self, cell: str, name: str) -> float | None:
        """The smaller median of Nova's two ways of today."""
        found = [value for method in TODAY if (value := self.middle(cell, method, name)) is not None]
        return min(found) if found else None


def outage_table(results: Results, cell: str) -> Table:
    """The outages of all methods in one cell with their parts: medians, and how they compare with the mirror."""
    head = ("method", "outage s", "guest stop s", "without stop and start s", "libvirt start s", "guest boot s")
    rows: list[Sequence[str]] = [(*head, "times the mirror's", "noise", "runs")]
    ours = results.values(cell, BEST, "between_s")
    for method in results.methods(cell):
        noisy = stats.noise(results.values(cell, method, "outage_s"))
        parts = ("guest_stop_s", "between_s", "guest_start_s", "boot_s")
        rows.append(
            (
                says(method),
                number(results.middle(cell, method, "outage_s")),
                *(number(results.middle(cell, method, part), 2) for part in parts),
                number(stats.ratio(results.values(cell, method, "between_s"), ours)),
                document.MISSING if noisy is None else f"{100 * noisy:.0f} %",
                _count(results, cell, method),
            )
        )
    return Table(results.title(cell), rows)


def cost_table(results: Results, cell: str) -> Table:
    """What all methods cost in one cell: medians."""
    head = ("method", "wall s", "MiB on the wire", "per byte allocated", "CPU s, source", "CPU s, destination")
    rows: list[Sequence[str]] = [(*head, "CPU s, controller", "memory MiB")]
    for method in results.methods(cell):
        if results.of(cell, method):
            wire = results.middle(cell, method, "wire_bytes")
            spent = [median([run["cpu_s"][host] for run in results.of(cell, method)]) for host in CPU_OF]
            rows.append(
                (
                    says(method),
                    number(results.middle(cell, method, "wall_s")),
                    number(wire / _MIB if wire is not None else None, 0),
                    number(_per_byte(results, cell, method), 2),
                    *(number(one) for one in spent),
                    number(results.middle(cell, method, "peak_both_mib"), 0),
                )
            )
    return Table(f"{cell}: what it costs", rows)


def _count(results: Results, cell: str, method: str) -> str:
    failed = len(results.failed(cell, method))
    return f"{len(results.of(cell, method))}" + (f", {failed} failed" if failed else "")


def _per_byte(results: Results, cell: str, method: str) -> float | None:
    """Bytes on the wire by bytes that the image takes on storage."""
    found = [run["wire_bytes"] / run["allocated_bytes"] for run in results.of(cell, method) if run["allocated_bytes"]]
    return median(found) if found else None


def by_size(results: Results, method: str, name: str) -> list[tuple[float, float]]:
    """A measure against the GiB allocated, of every run in the cells that differ in nothing else."""
    return [
        (run["allocated_bytes"] / _GIB, float(run[name]))
        for cell in cells.SIZES
        for run in results.of(cell, method)
        if run.get(name) is not None
    ]


def slope_table(results: Results) -> Table:
    """How much longer the outage, but for the guest's own stop and start, gets with each GiB."""
    rows: list[Sequence[str]] = [("method", "s for each GiB", "95 % from", "to", "agrees with 0", "s at 0 GiB", "runs")]
    for method in SAYS:
        several = sum(1 for cell in cells.SIZES if results.of(cell, method)) > 1
        found = stats.fit(by_size(results, method, "between_s")) if several else None
        if found is not None:
            numbers = [number(value, 3) for value in (found.slope, found.low, found.high)]
            level = "yes" if found.level else "no"
            rows.append((says(method), *numbers, level, number(found.intercept, 2), str(found.points)))
    return Table("The outage without stop and start against the size", rows)


def noise_table(results: Results) -> Table:
    """The same method measured twice: what differs is noise."""
    rows = [("cell", "method", "outage s", "again s", "ratio")]
    for cell in results.cells():
        for method in results.methods(cell):
            again = results.values(cell, method + AGAIN, "outage_s")
            first = results.values(cell, method, "outage_s")
            if again and first:
                numbers = number(median(first)), number(median(again)), number(stats.ratio(again, first), 2)
                rows.append((cell, says(method), *numbers))
    return Table("The same twice", rows)


@dataclass(frozen=True)
class Goal:
    """What was wanted, and what came of it."""

    says: str
    measured: str
    met: bool | None
    """None when it was not measured."""


def goals(results: Results) -> list[Goal]:
    """Everything that was wanted of the mirror."""
    between = "outage without stop and start"
    found = [
        _at_most(f"{between}, {cell}: at most {BETWEEN_S} s", results.middle(cell, BEST, "between_s"), BETWEEN_S)
        for cell in cells.SIZES
    ]
    fitted = stats.fit(by_size(results, BEST, "between_s"))
    measured = "" if fitted is None else f"{fitted.low:.3f} to {fitted.high:.3f} s for each GiB"
    found.append(Goal(f"{between} does not grow with the disk", measured, None if fitted is None else fitted.level))
    base, large = (results.middle(cell, BEST, "between_s") for cell in ("base", "size16"))
    found += [
        _times(
            "base: 15 times shorter than Nova today at its best",
            results.best_today("base", "between_s"),
            base,
            15,
        ),
        _times("base: 60 times shorter than Nova Kilo", results.middle("base", "kilo", "between_s"), base, 60),
        _times(
            "size16: 50 times shorter than Nova today at its best",
            results.best_today("size16", "between_s"),
            large,
            50,
        ),
    ]
    for cell in results.cells():
        limit = results.best_today(cell, "wall_s")
        found.append(
            _at_most(f"{cell}: bytes at most {OVERHEAD} for each allocated", _per_byte(results, cell, BEST), OVERHEAD)
        )
        if limit is not None:
            found.append(
                _at_most(
                    f"{cell}: wall at most Nova's best, {limit:.1f} s", results.middle(cell, BEST, "wall_s"), limit
                )
            )
    return found


def _at_most(words: str, value: float | None, limit: float) -> Goal:
    return Goal(words, "" if value is None else f"{value:.2f}", None if value is None else value <= limit)


def _times(words: str, theirs: float | None, ours: float | None, limit: float) -> Goal:
    if theirs is None or not ours:
        return Goal(words, "", None)
    return Goal(words, f"{theirs / ours:.1f} times", theirs / ours >= limit)


def goal_table(results: Results) -> Table:
    """The same as a table."""
    words = {True: "yes", False: "no", None: "not measured"}
    rows = [("wanted", "measured", "met"), *((one.says, one.measured, words[one.met]) for one in goals(results))]
    return Table("What was wanted of transfer=mirror", rows)


def failure_table(results: Results) -> Table:
    """Runs that failed, with what they said."""
    rows = [("cell", "method", "what it said")]
    for cell in results.cells():
        for method in results.methods(cell):
            rows += [(cell, says(method), run["error"]) for run in results.failed(cell, method)[:1]]
    return Table("Did not work", rows)


def tables(results: Results) -> list[Table]:
    """All of them; those without rows are left out."""
    every = [make(results, cell) for cell in results.cells() for make in (outage_table, cost_table)]
    every += [slope_table(results), noise_table(results), goal_table(results), failure_table(results)]
    return [table for table in every if len(table.rows) > 1]


def plots(results: Results) -> list[str]:
    """The outage against the size, and each cell's outages."""
    series = {says(name): _middles(results, name) for name in SAYS if by_size(results, name, "outage_s")}
    drawn = [svg.lines("Outage against the size, both logarithmic", "GiB allocated", "seconds", series)]
    for cell in results.cells():
        values = {says(name): results.middle(cell, name, "outage_s") or 0.0 for name in results.methods(cell)}
        drawn.append(svg.bars(f"Outage, {results.title(cell)}", "s", values))
    return [one for one in drawn if one]


def _middles(results: Results, method: str) -> list[tuple[float, float]]:
    """Median outages against the GiB allocated."""
    found = []
    for cell in cells.SIZES:
        outage, allocated = (results.middle(cell, method, name) for name in ("outage_s", "allocated_bytes"))
        if outage is not None and allocated is not None:
            found.append((allocated / _GIB, outage))
    return found


def write(path: Path) -> int:
    """The guide's tables, and the page with the plots, from the results in a file; 1 when there are none."""
    runs = store.newest(store.load(path))
    if not runs:
        print(f"bench: {path} has no results")
        return 1
    results = Results(runs)
    document.write("outage", "How long a guest is away", document.about(runs), tables(results), plots(results), path)
    return 0
