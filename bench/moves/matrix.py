# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The results of live migrations for people: a line as they come, the matrix, goals, forecasts. Pure but write()."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from ansible_collections.kvmops.mobility.bench.moves import document, store, svg
from ansible_collections.kvmops.mobility.bench.moves.document import MISSING, Table, number
from ansible_collections.kvmops.mobility.bench.moves.live_cells import CEILING_MS, CELLS, HARD, TOLERANCE, TUNING
from ansible_collections.kvmops.mobility.bench.moves.page import Goal
from ansible_collections.kvmops.mobility.bench.moves.ways import JUDGED, MAY_SAY_NO, OURS, PROOFS, WAYS, Outcome

_MIB = 1024**2
FASTER = 0.5
"""Of Nova's time, where Nova needs a second step."""
NOT_SLOWER = 1.1
TOTAL_ERROR, PAUSE_ERROR = 0.2, 0.3
"""What the medians of the forecast's errors may be."""
_POST_COPY = "post-copy:"
_FORCED = (_POST_COPY, "guest paused:")
"""What our receipt says of one that was made to finish."""

Run = Mapping[str, Any]


def finished(run: Run) -> bool:
    """Whether the guest arrived."""
    return bool(run["outcome"] == Outcome.FINISHED.value)


def line(run: Run) -> str:
    """One run as it is shown when it has ended."""
    head = f"{run['cell']:8} {run['method']:19} {run['repeat']}  {run['outcome']:11}"
    if run["outcome"] == Outcome.FAILED.value:
        return f"{head}  {run['error']}"
    lost = run.get("lost")
    forecast = run.get("forecast") or {}
    said = f", forecast {forecast['verdict']}" if forecast else ""
    return (
        f"{head}  job {number(run.get('job_s')):>6} s, wall {run['wall_s']:6.1f} s, "
        f"downtime {number(run.get('downtime_ms'), 0):>5} ms, outage {number(run.get('outage_ms'), 0):>5} ms, "
        f"{run['wire_bytes'] / _MIB:7.1f} MiB, lost {number(None if lost is None else 100 * lost, 0)} %{said}"
    )


@dataclass(frozen=True)
class Results:
    """The runs that are compared: of each cell those of one commit."""

    runs: Sequence[Run]

    def of(self, cell: str, method: str) -> list[Run]:
        """All runs of a method in a cell."""
        return [run for run in self.runs if (run["cell"], run["method"]) == (cell, method)]

    def cells(self) -> list[str]:
        """The cells there are, in their order."""
        there = {run["cell"] for run in self.runs}
        return [cell.name for cell in (*CELLS, *HARD) if cell.name in there]

    def methods(self, cell: str = "") -> list[str]:
        """The methods there are, in their order."""
        there = {run["method"] for run in self.runs if cell in ("", run["cell"])}
        return [name for name in WAYS if name in there]

    def says(self, cell: str) -> str:
        """A cell for people."""
        return next(f"{cell}: {run['setup']['says']}" for run in self.runs if run["cell"] == cell)


def middle(runs: Sequence[Run], name: str) -> float | None:
    """The median of a measure where it is known."""
    found = [float(run[name]) for run in runs if run.get(name) is not None]
    return median(found) if found else None


def how(runs: Sequence[Run], said: Callable[[Sequence[Run]], str]) -> str:
    """How the runs of a method in a cell ended: what *said* of those that arrived, and how the others did not."""
    there = [run for run in runs if finished(run)]
    words = [said(there)] if there else []
    words += [_not_there(run) for run in runs if not finished(run)]
    return ", ".join(dict.fromkeys(words)) or MISSING


def _not_there(run: Run) -> str:
    if run["outcome"] == Outcome.GAVE_UP.value:
        return f"gave up, {number(run.get('job_s'), 0)} s"
    if run["outcome"] == Outcome.OVER.value:
        return f"over {number(run.get('budget_s'), 0)} s"
    return str(run["outcome"])


def table(results: Results, title: str, said: Callable[[Sequence[Run]], str], *, everyone: bool = False) -> Table:
    """Cells by methods. *everyone*: of runs that did not arrive, too, where they had begun."""
    methods = results.methods()
    rows: list[Sequence[str]] = [("cell", *(WAYS[name].says for name in methods))]
    for cell in results.cells():
        every = [results.of(cell, name) for name in methods]
        words = [said(_begun(runs)) if everyone and _begun(runs) else how(runs, said) for runs in every]
        rows.append((cell, *words))
    return Table(title, rows)


def _begun(runs: Sequence[Run]) -> list[Run]:
    return [run for run in runs if run.get("job_s") is not None]


def _times(runs: Sequence[Run]) -> str:
    return f"{number(middle(runs, 'job_s'))} s, {number(middle(runs, 'downtime_ms'), 0)} ms"


def _silence(runs: Sequence[Run]) -> str:
    return number(middle(runs, "outage_ms"), 0)


def _wall(runs: Sequence[Run]) -> str:
    return number(middle(runs, "wall_s"))


def _share(runs: Sequence[Run]) -> str:
    found = middle(runs, "lost")
    return MISSING if found is None else f"{100 * found:.0f} %"


def _mebibytes(runs: Sequence[Run]) -> str:
    found = middle(runs, "wire_bytes")
    return number(None if found is None else found / _MIB, 0)


def cell_table(results: Results) -> Table:
    """What the cells are, and what the guest really wrote by QEMU's count."""
    rows: list[Sequence[str]] = [
        ("cell", "guest and link", "MiB/s written, by QEMU's count", "silent before a run, ms")
    ]
    for cell in results.cells():
        runs = [run for run in results.runs if run["cell"] == cell]
        wrote, silent = middle(runs, "dirty_mib_s"), middle(runs, "gap_before_ms")
        rows.append((cell, results.says(cell).partition(": ")[2], number(wrote), number(silent, 0)))
    return Table("The cells", rows)


def tables_of(results: Results) -> list[Table]:
    """The matrix, one measure at a time."""
    return [
        table(results, "How it ended: libvirt's seconds and downtime", _times),
        table(
            results, "The longest silence of the guest's ticks, ms", lambda runs: number(middle(runs, "outage_ms"), 0)
        ),
        table(
            results,
            "The whole run with all that comes before and after, s",
            lambda runs: number(middle(runs, "wall_s")),
        ),
        table(results, "MiB on the wire", _mebibytes, everyone=True),
        table(results, "The guest's own progress that was lost", _share, everyone=True),
    ]


def method_table(results: Results, cell: str) -> Table:
    """All that was measured of each method in one cell."""
    head = ("method", "how it ended", "job s", "downtime ms", "silence of the ticks ms", "MiB on the wire", "rounds")
    rows: list[Sequence[str]] = [(*head, "most throttling", "progress lost", "whole run s")]
    for name in results.methods(cell):
        runs = results.of(cell, name)
        throttled = middle(runs, "throttle_percent")
        rows.append(
            (
                WAYS[name].says,
                ", ".join(dict.fromkeys(str(run["outcome"]) for run in runs)),
                number(middle(runs, "job_s")),
                number(middle(runs, "downtime_ms"), 0),
                number(middle(runs, "outage_ms"), 0),
                _mebibytes(runs),
                number(middle(runs, "iterations"), 0),
                MISSING if throttled is None else f"{throttled:.0f} %",
                _share(runs),
                _wall(runs),
            )
        )
    return Table(results.says(cell), rows)


def within(results: Results, cell: str) -> Goal:
    """Whether balanced got there within its ceiling, or was right to say that it cannot be."""
    runs = results.of(cell, JUDGED)
    limit = CEILING_MS * TOLERANCE
    says = f"{cell}: there within {limit:.0f} ms, or rightly refused"
    if not runs:
        return Goal(says, "", None)
    if all(finished(run) for run in runs):
        longest = max(float(run.get("downtime_ms") or 0) for run in runs)
        return Goal(says, f"{longest:.0f} ms", longest <= limit)
    if any(run["outcome"] in (Outcome.OVER.value, Outcome.FAILED.value) for run in runs):
        return Goal(says, how(runs, _times), False)
    proofs = [run for name in PROOFS for run in results.of(cell, name)]
    shown = [cannot(run) for run in proofs]
    words = "; ".join([how(runs, _times), *(f"{WAYS[run['method']].says}: {how([run], _forced)}" for run in proofs)])
    return Goal(says, words, all(shown) if shown else None)


def cannot(run: Run) -> bool:
    """Whether a proof shows that copying alone does not get there within the ceiling."""
    return not finished(run) or was_forced(run) or float(run.get("downtime_ms") or 0) > CEILING_MS * TOLERANCE


def ended(run: Run) -> bool:
    """Whether it ended by itself, and as it may: there, or for one that nothing helps by saying that it cannot be."""
    said = run.get("outcome") in (Outcome.REFUSED.value, Outcome.GAVE_UP.value)
    return finished(run) or (said and run["method"] in MAY_SAY_NO)


def was_forced(run: Run) -> bool:
    """Whether it was made to finish."""
    return _did(run, _FORCED)


def _did(run: Run, words: Sequence[str]) -> bool:
    return any(word in one for one in run.get("done") or () for word in words)


def _forced(runs: Sequence[Run]) -> str:
    return f"{'made to finish, ' if any(was_forced(run) for run in runs) else ''}{_times(runs)}"


def against_nova(results: Results, cell: str) -> Goal | None:
    """balanced's time against Nova's; None where one of them was not measured or balanced did not get there."""
    ours, nova = results.of(cell, JUDGED), results.of(cell, "nova")
    if not ours or not nova or not all(finished(run) for run in ours):
        return None
    mine = middle(ours, "job_s")
    if mine is None:
        return None
    if all(finished(run) for run in nova):
        theirs = middle(nova, "job_s") or 0.0
        limit = theirs * (FASTER if theirs > _FIRST_STEP_S else NOT_SLOWER)
    else:  # it would have taken longer than this
        theirs = min(float(run.get("budget_s") or 0) for run in nova if not finished(run))
        limit = theirs * FASTER
    more = "" if all(finished(run) for run in nova) else "more than "
    says = f"{cell}: at most {limit:.1f} s, beside Nova's {more}{theirs:.1f} s"
    return Goal(says, f"{mine:.1f} s", mine <= limit)


_FIRST_STEP_S = 150.0
"""So long Nova's first downtime limit lasts for a guest of up to 2 GiB."""


def goals(results: Results) -> list[Goal]:
    """Everything that was wanted."""
    found = [within(results, cell) for cell in results.cells()]
    found += [one for cell in results.cells() if (one := against_nova(results, cell))]
    total, pause = errors(results)
    return [
        *found,
        _median("forecast of the total, median error", total, TOTAL_ERROR),
        _median("forecast of the pause, median error", pause, PAUSE_ERROR),
    ]


def _median(says: str, found: Sequence[float], limit: float) -> Goal:
    says = f"{says}: at most {100 * limit:.0f} %"
    return Goal(says, f"{100 * median(found):.0f} %" if found else "", median(found) <= limit if found else None)


def goal_table(results: Results) -> Table:
    """The same as a table."""
    words = {True: "yes", False: "no", None: "not measured"}
    rows = [("wanted", "measured", "met"), *((one.says, one.measured, words[one.met]) for one in goals(results))]
    return Table("What was wanted of balanced", rows)


# -- the forecast


def held_out(results: Results) -> list[Run]:
    """Runs with a forecast, in cells that it was not tuned on."""
    return [run for run in results.runs if run["method"] in OURS and run.get("forecast") and run["cell"] not in TUNING]


def error_of(run: Run, said: str, measured: str) -> float | None:
    """How far a forecast was from what came of it, as a share of that; None where there is only one of them."""
    forecast = (run.get("forecast") or {}).get(said)
    outcome = run.get(measured)
    if forecast is None or not outcome or not _by_its_policy(run):
        return None
    if measured == "downtime_ms" and _did(run, (_POST_COPY,)):
        return None  # libvirt counts until the source has handed over, and what is on its way then comes later
    return abs(float(forecast) - float(outcome)) / float(outcome)


def errors(results: Results) -> tuple[list[float], list[float]]:
    """Those of the total time and of the pause, where it was held out."""
    runs = held_out(results)
    pairs = (("total_s", "job_s"), ("pause_ms", "downtime_ms"))
    total, pause = ([found for run in runs if (found := error_of(run, *pair)) is not None] for pair in pairs)
    return total, pause


def right(run: Run) -> bool | None:
    """Whether the verdict was: None where it said that it does not know, or nobody tried."""
    verdict = str(run["forecast"]["verdict"]).lower()
    if verdict not in ("converges", "does_not", "does not") or run["outcome"] == Outcome.REFUSED.value:
        return None
    return (verdict == "converges") == _by_its_policy(run)


def _by_its_policy(run: Run) -> bool:
    """Whether it got there as the forecast means it: made to finish only where the policy has that end."""
    return finished(run) and not (was_forced(run) and run["method"] in MAY_SAY_NO)


def forecast_table(results: Results) -> Table:
    """Forecast against outcome, by method."""
    head = ("method", "forecasts", "verdict was right", "median error, total", "median error, pause")
    rows: list[Sequence[str]] = [head]
    for name in OURS:
        mine = Results([run for run in results.runs if run["method"] == name])
        runs = held_out(mine)
        if runs:
            judged = [one for run in runs if (one := right(run)) is not None]
            words = [f"{100 * median(one):.0f} %" if one else MISSING for one in errors(mine)]
            rows.append((WAYS[name].says, str(len(runs)), f"{sum(judged)} of {len(judged)}", *words))
    return Table("Forecast against outcome, cells it was not tuned on", rows)


def forecast_list(results: Results) -> Table:
    """Each forecast beside what came of it."""
    rows: list[Sequence[str]] = [("cell", "method", "verdict", "total s", "was", "pause ms", "was")]
    for run in sorted(held_out(results), key=lambda run: results.cells().index(run["cell"])):
        said = run["forecast"]
        ended = number(run.get("job_s")) if finished(run) else _not_there(run)
        total, pause = number(said.get("total_s")), number(said.get("pause_ms"), 0)
        was = number(run.get("downtime_ms"), 0)
        rows.append((run["cell"], WAYS[run["method"]].says, str(said["verdict"]), total, ended, pause, was))
    return Table("Each of these forecasts", rows)


def failure_table(results: Results) -> Table:
    """Runs that failed, with what they said."""
    rows: list[Sequence[str]] = [("cell", "method", "what it said")]
    for run in results.runs:
        if run["outcome"] == Outcome.FAILED.value:
            rows.append((run["cell"], WAYS[run["method"]].says, str(run["error"])[:300]))
    return Table("Did not work", rows)


def tables(results: Results) -> list[Table]:
    """All of them; those without rows are left out."""
    every = [cell_table(results), *tables_of(results), goal_table(results)]
    every += [forecast_table(results), forecast_list(results), failure_table(results)]
    return [one for one in every if len(one.rows) > 1]


def plots(results: Results) -> list[str]:
    """Each cell's total times, of those that got there."""
    drawn = []
    for cell in results.cells():
        values = {
            WAYS[name].says: middle(_arrived(results, cell, name), "job_s") or 0.0 for name in results.methods(cell)
        }
        drawn.append(svg.bars(f"Seconds until it was there, {results.says(cell)}", "s", values))
    return [one for one in drawn if one]


def _arrived(results: Results, cell: str, method: str) -> list[Run]:
    return [run for run in results.of(cell, method) if finished(run)]


def write(path: Path) -> int:
    """The guide's tables, and the page with the plots, from the results in a file; 1 when there are none."""
    runs = store.newest(store.load(path))
    if not runs:
        print(f"bench: {path} has no results")
        return 1
    results = Results(runs)
    tuned = f"The forecast was tuned on {', '.join(TUNING)} only." if held_out(results) else ""
    about = f"{document.about(runs)} {tuned}".strip()
    title = "Whether a live migration converges"
    document.write("live", title, about, tables(results), plots(results), path, document.CONVERGE)
    return 0
