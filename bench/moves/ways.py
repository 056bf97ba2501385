# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways to move a guest while it runs that are measured beside each other, and how each of them ended.

Every one is started in a thread, and looked at from outside through libvirt's job: the budget counts from where that
begins, whatever the way does before.
"""

from __future__ import annotations

import enum
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kvmlab.config import LabError
from kvmlab.virsh import VIRSH, virsh

from ansible_collections.kvmops.mobility.bench.moves.guests import INVENTORY, BenchError
from ansible_collections.kvmops.mobility.bench.moves.jobs import JobWatch
from ansible_collections.kvmops.mobility.bench.moves.live_cells import CEILING_MS, PROOF_S
from ansible_collections.kvmops.mobility.bench.moves.running import RunningGuest, migrate_words
from ansible_collections.kvmops.mobility.tests.e2e.play import Run, play

ANYWAY = {"forecast": "warn"}
"""A forecast that says no does not keep it from beginning."""


@dataclass(frozen=True)
class Way:
    """One method."""

    says: str
    policy: object = None
    """Of our playbook; None for virsh."""
    live: Mapping[str, object] = field(default_factory=dict)
    virsh: tuple[str, ...] = ()
    """What virsh is told besides."""
    limit_ms: int = 0
    """The downtime limit that virsh sets as soon as it goes on; 0: QEMU's own, 300 ms."""
    budget_s: float = 0
    """Its own budget, where it has one."""

    @property
    def ours(self) -> bool:
        """Whether it is our playbook."""
        return self.policy is not None


WAYS: dict[str, Way] = {
    "balanced": Way("balanced", "balanced"),
    "balanced-throttle": Way("balanced, may throttle", "balanced", {"auto_converge": True}),
    "balanced-post-copy": Way("balanced, may use post-copy", "balanced", {"post_copy": True}),
    "nova": Way("Nova's defaults", "nova", ANYWAY),
    "nova-fast": Way("Nova: 500 ms, 3 steps, 3 s", "fast", ANYWAY),
    "virsh": Way("virsh migrate"),
    "virsh-auto-converge": Way("virsh migrate --auto-converge", virsh=("--auto-converge",)),
    "balanced-anyway": Way("balanced, whatever the forecast", "balanced", ANYWAY),
    "must-finish": Way("must_finish", "must_finish", ANYWAY),
    "virsh-long": Way(f"virsh, {CEILING_MS} ms, {PROOF_S:.0f} s", limit_ms=CEILING_MS, budget_s=PROOF_S),
}
USUAL = tuple(WAYS)[:7]
"""The columns of the matrix."""
JUDGED = "balanced"
"""The one that the others are held against."""
MAY_SAY_NO = ("balanced", "balanced-throttle", "balanced-anyway", "nova", "nova-fast")
"""Those of ours that have nothing left that makes a guest get there."""
PROOFS = ("virsh-long", "must-finish")
"""What shows that a guest could not have got there within its ceiling by copying alone."""
OURS = tuple(name for name, way in WAYS.items() if way.ours)


def choose(names: str) -> list[str]:
    """Methods by their names, separated by commas; C(usual) for the columns of the matrix, C(all) for every one.

    Raises ValueError for an unknown name.
    """
    groups = {"usual": USUAL, "all": tuple(WAYS)}
    wanted = [one for name in names.split(",") for one in groups.get(name, (name,))]
    unknown = [name for name in wanted if name not in WAYS]
    if unknown:
        raise ValueError(f"no method {', '.join(unknown)}; there are {', '.join(WAYS)}, usual and all")
    return list(dict.fromkeys(wanted))


class Outcome(enum.Enum):
    """How one run ended."""

    FINISHED = "finished"
    REFUSED = "refused"
    """Before anything was sent: WILL_NOT_CONVERGE."""
    GAVE_UP = "gave up"
    """While it went on, of itself: LIVE_NOT_CONVERGING."""
    OVER = "budget over"
    """It was given up from outside."""
    FAILED = "failed"


def judge(states: tuple[str, str], words: str, *, began: bool, over: bool) -> Outcome:
    """How it ended: where the guest is counts first, then what was said. Pure.

    *states* are libvirt's words for the guest on the source and on the destination, *began* whether a job was seen,
    *over* whether it was given up from outside.
    """
    here, there = states
    if there == "running" and not here:
        return Outcome.FINISHED
    if there or here not in ("running", "paused"):
        return Outcome.FAILED
    if "WILL_NOT_CONVERGE" in words and not began:
        return Outcome.REFUSED
    if "LIVE_NOT_CONVERGING" in words:
        return Outcome.GAVE_UP
    return Outcome.OVER if over else Outcome.FAILED


@dataclass
class Carried:
    """What came of one run, as far as the method itself knows."""

    words: str = ""
    """Why it did not succeed, empty when it did."""
    run: Run | None = None
    wall_s: float = 0.0
    over: bool = False

    def receipt(self, guest: str) -> Mapping[str, Any]:
        """Our receipt, empty without one."""
        found: Mapping[str, Any] = (self.run.stats.get(f"kvmops_{guest}") or {}) if self.run else {}
        return found


def words_of(run: Run, guest: str) -> str:
    """Why our playbook did not succeed, with the codes."""
    blocked = []
    for planned in run.of("migration_plan")[-1:]:
        for one in planned.get("guests", ()):
            if one.get("subject") == guest:
                blocked = [found for found in one.get("findings", ()) if found.get("severity") == "block"]
    findings = [f"{one.get('code')}: {one.get('message')}" for one in blocked]
    return "; ".join(dict.fromkeys([*findings, *run.last_lines().values(), *run.failures()])) or run.output[-500:]


def outlook(run: Run | None, guest: str) -> dict[str, Any]:
    """What our plan forecast of the guest, empty where it said nothing."""
    if run is None:
        return {}
    places = [run.stats.get(f"kvmops_{guest}") or {}]
    places += [
        one for plan in run.of("migration_plan") for one in plan.get("guests", ()) if one.get("subject") == guest
    ]
    for place in places:
        live = (place.get("migration") or {}).get("live") or {}
        for said in (live.get("outlook"), place.get("outlook")):
            if isinstance(said, Mapping) and said.get("verdict"):
                return {name: said.get(name) for name in ("verdict", "total_s", "pause_ms", "why", "throttle_percent")}
    return {}


class _Thread:
    """A method at work."""

    def __init__(self, work: Callable[[], Carried]) -> None:
        self._work = work
        self.carried = Carried()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        began = time.monotonic()
        try:
            self.carried = self._work()
        except Exception as error:  # the thread's last chance to say why: it is a result
            self.carried = Carried(words=f"{type(error).__name__}: {error}")
        self.carried.wall_s = time.monotonic() - began

    def goes_on(self) -> bool:
        """Whether it has not come back, after a moment."""
        self._thread.join(0.1)
        return self._thread.is_alive()


def carry(name: str, guest: RunningGuest, watch: JobWatch, budget_s: float) -> Carried:
    """Move the guest by that method; its job is given up when it takes longer than the budget. Raises BenchError."""
    way = WAYS[name]
    budget_s = way.budget_s or budget_s
    patience_s = time.monotonic() + 2 * budget_s + 300
    work = _Thread((lambda: _ours(way, guest, budget_s)) if way.ours else (lambda: _virsh(way, guest, budget_s)))
    limited, over = not way.limit_ms, False
    while work.goes_on():
        began = watch.seen.began
        if began is not None and not limited:
            limited = _quietly(guest, "migrate-setmaxdowntime", guest.name, str(way.limit_ms))
        if began is not None and not over and time.time() - began > budget_s:
            # Not by abort.yml, which takes seconds of this machine's processors to begin.
            over = True
            _quietly(guest, "domjobabort", guest.name)
        if time.monotonic() > patience_s:
            raise BenchError(f"{name} does not come back")
    work.carried.over = over
    return work.carried


def _quietly(guest: RunningGuest, *words: str) -> bool:
    """Tell virsh on the source; whether it took it. A job that ends at this moment does not."""
    return guest.source.exec([*VIRSH, *words], check=False).returncode == 0


def _ours(way: Way, guest: RunningGuest, budget_s: float) -> Carried:
    wanted = {"vm": guest.name, "dest": guest.destination.name, "policy": way.policy}
    if way.live:
        wanted["live"] = dict(way.live)
    run = play("live_migrate", wanted, inventory=[INVENTORY], timeout_s=2 * budget_s + 240)
    return Carried("" if run.code == 0 else words_of(run, guest.name), run)


def _virsh(way: Way, guest: RunningGuest, budget_s: float) -> Carried:
    words = migrate_words(guest.name, guest.destination.address, *way.virsh)
    try:
        virsh(guest.source, *words, timeout_s=int(2 * budget_s + 240))
    except LabError as error:
        return Carried(str(error))
    return Carried()
