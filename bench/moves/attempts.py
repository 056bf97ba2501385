# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One guest moved once while it runs, and all that is measured of it; afterwards it is where it was."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kvmlab.host import Host

from ansible_collections.kvmops.mobility.bench.moves import jobs, store, ways
from ansible_collections.kvmops.mobility.bench.moves.guests import FAILURES, PREFIX, clean, hosts, remove, shape
from ansible_collections.kvmops.mobility.bench.moves.live_cells import LiveCell
from ansible_collections.kvmops.mobility.bench.moves.meter import link_bytes
from ansible_collections.kvmops.mobility.bench.moves.running import Pulse, RunningGuest, believed, lost, silence
from ansible_collections.kvmops.mobility.bench.moves.ways import JUDGED, Carried, Outcome

_AFTER_S = 2.0
"""So long after libvirt's job the guest's silence still is that of its move: what comes later is the end of the run."""


@contextmanager
def stage() -> Iterator[tuple[Host, Host]]:
    """Source and destination of a clean lab, with storage that both see."""
    both = hosts()
    with clean(both), believed(both):
        yield both


@contextmanager
def made(cell: LiveCell, both: tuple[Host, Host]) -> Iterator[RunningGuest]:
    """The guest of a cell."""
    guest = RunningGuest(f"{PREFIX}{cell.name.replace('@', '-')}", cell, *both)
    try:
        guest.create()
        yield guest
    finally:
        shape(both, 0)
        remove([guest.name], both)


def attempt(guest: RunningGuest, method: str, budget_s: float, period_s: float, *, curve: bool) -> dict[str, Any]:
    """Move it once by that method and bring it back; what went wrong is a result, too."""
    busy = store.machine()
    try:
        found = _measure(guest, method, budget_s, period_s, curve=curve)
    except FAILURES as error:
        found = {"ok": False, "outcome": Outcome.FAILED.value, "error": str(error)}
    _back(guest, found)
    return {**busy, **found}


def _back(guest: RunningGuest, found: Mapping[str, Any]) -> None:
    """Where it was for the next run; another guest where this one failed, since that one may be silent for good."""
    why = found["error"]
    if found["outcome"] != Outcome.FAILED.value:
        try:
            guest.back()
        except FAILURES as error:
            why = str(error)
        else:
            return
    print(f"bench: {guest.name} is made anew: {why}", file=sys.stderr)
    guest.anew()


def _measure(guest: RunningGuest, method: str, budget_s: float, period_s: float, *, curve: bool) -> dict[str, Any]:
    guest.forget_moves()
    before = guest.settle()
    shape((guest.source, guest.destination), guest.cell.link_mbit)
    allowed_s = ways.WAYS[method].budget_s or budget_s
    since = time.time()
    sent = sum(link_bytes(guest.source))
    with jobs.JobWatch(guest.source.name, guest.name, period_s, 2 * allowed_s + 600) as watch:
        carried = ways.carry(method, guest, watch, budget_s)
    wire = sum(link_bytes(guest.source)) - sent
    seen = watch.seen
    outcome = ways.judge(guest.at_rest(), carried.words, began=seen.began is not None, over=carried.over)
    result = {
        "ok": outcome is not Outcome.FAILED,
        "outcome": outcome.value,
        "error": carried.words,
        "budget_s": allowed_s,
        "wall_s": carried.wall_s,
        "wire_bytes": wire,
        **seen.figures(),
        **_felt(guest, before, seen, since),
        **_told(carried, guest.name),
    }
    if curve:
        said = carried.run.output.splitlines() if carried.run else []
        result |= {"curve": seen.curve(), "progress": jobs.from_progress(said)}
    return result


def _felt(guest: RunningGuest, before: Pulse, seen: jobs.Seen, since: float) -> dict[str, Any]:
    """What the guest had of it, by its ticks; with what it was like before."""
    outage = guest.outage(since)
    gap = progress = None
    if seen.began is not None and seen.seconds is not None:
        ticks, ended = guest.sightings(), seen.began + seen.seconds
        gap = silence(ticks, seen.began, ended + _AFTER_S)
        progress = lost(ticks, before, seen.began, ended)
    return {
        "outage_ms": None if gap is None else 1000 * gap,
        "gap_before_ms": 1000 * before.longest_gap_s,
        "ticks_before_s": before.rate,
        "lost": progress,
        "watcher_late_s": outage.watcher_late_s,
        "boots": outage.boots,
    }


def _told(carried: Carried, guest: str) -> dict[str, Any]:
    """What our playbook forecast and did, empty for the others."""
    if carried.run is None:
        return {}
    receipt = carried.receipt(guest)
    told = receipt.get("carried") or {}
    return {
        "forecast": ways.outlook(carried.run, guest),
        "done": list(told.get("done") or ()),
        "receipt_downtime_ms": told.get("downtime_ms"),
    }


def keep(output: Path, cell: LiveCell, method: str, repeat: int, code: str, found: dict[str, Any]) -> dict[str, Any]:
    """Put one run into the file; the whole of it."""
    run = {"cell": cell.name, "method": method, "repeat": repeat, "commit": code, "setup": asdict(cell), **found}
    store.add(output, run)
    return run


def stuck(runs: Sequence[Mapping[str, Any]]) -> bool:
    """Whether copying alone was said not to get there: that has to be shown. Pure."""
    no = (Outcome.REFUSED.value, Outcome.GAVE_UP.value)
    return any(run["outcome"] in no and run["method"] == JUDGED for run in runs)
