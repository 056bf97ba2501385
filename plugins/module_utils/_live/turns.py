# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose turn it is, where several live migrations leave one hypervisor over one link. Pure.

Each that sends its memory at the same time has a part of the link, and none of them may be fast enough for its guest.
So one has the link, and the others send a trickle until it is their turn. Everybody who watches one of them comes to
the same answer from the same reports; nobody is asked for it.

Only memory takes turns. libvirt limits the copies of disks when they begin and cannot change that while the migration
goes on, and QEMU limits post-copy by itself.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._live.model import Sample, Stage

ASKED_EVERY_S = 1.0
"""How often each watcher asks, and tells the others."""
STALE_S = 5.0
"""Whoever told nothing for so long has no watcher any more, and no turn."""
STILL_S = 15.0
"""Whoever has the link and came no closer to its end for so long lets the others go first."""
_STILL_ROUNDS = 3
"""So many rounds have to end meanwhile: one over a large memory takes minutes, and nothing is known before its end."""
_CLOSER = 0.95
"""A round that begins with less than this of any before it came closer."""
_NEARER = 0.5
"""Who has the link keeps it, unless another one needs less than this of its time to its end."""
_TRICKLE = 0.05
"""What all who wait may take together, of the budget."""
_LEAST_MIB_S = 1
"""libvirt counts in whole MiB/s, and 0 would be no limit."""
_NOMINAL_MIB_S = 1024
"""What a link carries that nobody knows: only to compare who is nearer to the end."""
_MIB = 2**20

_ON_THE_LINK = (Stage.DISKS, Stage.MEMORY, Stage.POST_COPY)
_CAN_LEAD = (Stage.MEMORY, Stage.POST_COPY)

_URGENT, _USUAL, _LATER = range(3)


@dataclass(frozen=True)
class Leaving:
    """One that leaves this hypervisor, as its watcher told it last."""

    id: str
    name: str
    """The guest's."""
    stage: Stage
    left_bytes: int = 0
    """Memory that is still to be sent; of one that has the link the least that it was, since each round adds to it."""
    own_mib_s: int = 0
    """What the operator lets it take; 0: no limit."""
    budget_mib_s: int = 0
    """What all together may take here, as far as it was told; 0: nobody knows."""
    urgent: bool = False
    """The guest stands still until its memory is there, or fetches it from here."""
    leads: bool = False
    """It has the link."""
    lost_at: float | None = None
    """When it lost the link since it came no closer to its end, Unix time; None: it did not."""
    age_s: float = 0.0
    """How long ago it was told."""

    def as_result(self) -> dict[str, Any]:
        """Plain JSON, without its age."""
        told = {**asdict(self), "stage": self.stage.value}
        del told["age_s"]
        return told

    @classmethod
    def from_result(cls, data: Mapping[str, Any], age_s: float) -> Leaving:
        """The inverse of C(as_result()); whatever a newer version adds is left out."""
        known = {one.name for one in fields(cls)}
        values = {key: value for key, value in data.items() if key in known}
        return cls(**{**values, "stage": Stage(values["stage"]), "age_s": age_s})


@dataclass(frozen=True)
class Turn:
    """What one may take now."""

    leads: bool = False
    share_mib_s: int = 0
    """As far as the others are concerned; 0: no limit."""
    mib_s: int | None = None
    """The same, within what its operator lets it take. None: there is nothing now that could be limited."""
    holder: str = ""
    """The guest that has the link, empty where nobody has."""
    anew: bool = False
    """libvirt has to be told also what it was told before: somebody else may have told it something."""

    @property
    def waiting(self) -> bool:
        """It sends a trickle until it is its turn."""
        return self.mib_s is not None and not self.leads

    @property
    def words(self) -> str:
        """For who reads what was done."""
        rate = f"{self.mib_s} MiB/s" if self.mib_s else "no limit"
        return f"waits for its turn (with {self.holder}): {rate}" if self.waiting else f"has the link: {rate}"


def least(*limits_mib_s: int) -> int:
    """The least of several limits, of which 0 is none."""
    return min((one for one in limits_mib_s if one), default=0)


def trickle_mib_s(budget_mib_s: int, waiting: int) -> int:
    """What each of so many may take that wait."""
    return max(_LEAST_MIB_S, int(budget_mib_s * _TRICKLE) // max(1, waiting))


def take_turns(everybody: Iterable[Leaving]) -> dict[str, Turn]:
    """The turns, by id, of all who leave."""
    told = list(everybody)
    fresh = [one for one in told if one.age_s < STALE_S and one.stage in _ON_THE_LINK]
    budget = least(*(one.budget_mib_s for one in fresh))
    line = _line(fresh, budget)
    holder = line[0].name if line else ""
    shares = dict(_shares(line, fresh, budget))
    turns = {one.id: Turn(holder=holder) for one in told}
    for number, one in enumerate(line):
        share = shares[one.id]
        limited = least(share, one.own_mib_s) if one.stage is Stage.MEMORY else None
        turns[one.id] = Turn(number == 0, share, limited, holder)
    return turns


def _line(fresh: Sequence[Leaving], budget: int) -> list[Leaving]:
    """Who has the link, and behind it who comes next."""
    line = sorted((one for one in fresh if one.stage in _CAN_LEAD), key=lambda one: _place(one, budget))
    holders = [one for one in line if one.leads]
    if not holders or _overtakes(line[0], holders[0], budget):
        return line
    return [holders[0], *(one for one in line if one is not holders[0])]


def _place(one: Leaving, budget: int) -> tuple[int, float, str]:
    """Who is nearest to its end comes first, who came no closer last: of these who lost the link first."""
    rank = _rank(one)
    return rank, (one.lost_at or 0.0) if rank == _LATER else _seconds(one, budget), one.id


def _rank(one: Leaving) -> int:
    if one.urgent or one.stage is Stage.POST_COPY:
        return _URGENT
    return _USUAL if one.lost_at is None else _LATER


def _seconds(one: Leaving, budget: int) -> float:
    """Until what is left now would be sent, with all that it may ever have."""
    return one.left_bytes / _MIB / (least(one.own_mib_s, budget) or _NOMINAL_MIB_S)


def _overtakes(first: Leaving, holder: Leaving, budget: int) -> bool:
    """Whether the *first* in the line takes the link from who has it: not for a little."""
    rank = _rank(first)
    if rank != _rank(holder) or rank == _LATER:
        return True
    return rank == _USUAL and _seconds(first, budget) < _NEARER * _seconds(holder, budget)


def _shares(line: Sequence[Leaving], fresh: Sequence[Leaving], budget: int) -> Iterator[tuple[str, int]]:
    """By id, what each in the line may take; 0: no limit."""
    if len(fresh) == 1 or not line:
        yield from ((one.id, budget) for one in line)
    elif budget:
        yield from _parts(line, fresh, budget)
    else:
        yield from _unknown(line)


def _parts(line: Sequence[Leaving], fresh: Sequence[Leaving], budget: int) -> Iterator[tuple[str, int]]:
    """All but the others' trickle for the first; what it may not take is for the next one, and so on.

    Disks have a trickle, too: their memory comes, and is sent before somebody has looked.
    """
    trickle = trickle_mib_s(budget, len(fresh) - 1)
    floors = {one.id: least(trickle, one.own_mib_s) for one in fresh}
    rest = budget - sum(floors.values())
    for one in line:
        share = max(trickle, floors[one.id] + rest)
        taken = least(share, one.own_mib_s) if one.stage is Stage.MEMORY else share
        rest = max(0, rest - (taken - floors[one.id]))
        yield one.id, share


def _unknown(line: Sequence[Leaving]) -> Iterator[tuple[str, int]]:
    """All for the first; while an operator holds that back, the next one may have what it leaves."""
    free = True
    for one in line:
        yield one.id, 0 if free else _LEAST_MIB_S
        free = free and bool(one.own_mib_s) and one.stage is Stage.MEMORY


class Approach:
    """Whether one that has the link comes closer to its end, from when it got it.

    What is left falls to nearly nothing in each round, and is then as much as the guest has written meanwhile: only
    what the rounds begin with says whether the next one will be shorter.
    """

    def __init__(self, now_s: float) -> None:
        self._closer_at_s = self._moved_at_s = now_s
        self._round: int | None = None
        self._began_with = 0
        self._left_bytes: int | None = None
        self._best: int | None = None
        self._in_vain = 0
        self.least_bytes: int | None = None
        """Least that was left since."""
        self.came_closer = False
        """A round began with less than those before it."""

    def see(self, seen: Sample) -> None:
        """Each look, as often as somebody looks."""
        left = seen.memory_remaining
        if seen.iteration != self._round:
            if self._round is not None:
                self._end(seen.elapsed_s)
            self._round, self._began_with = seen.iteration, 0
        if left != self._left_bytes:
            self._left_bytes, self._moved_at_s = left, seen.elapsed_s
        self._began_with = max(self._began_with, left)
        self.least_bytes = left if self.least_bytes is None else min(self.least_bytes, left)

    def _end(self, now_s: float) -> None:
        """Of a round."""
        if self._best is not None and self._began_with >= _CLOSER * self._best:
            self._in_vain += 1
            return
        self.came_closer = self._best is not None
        self._best, self._closer_at_s, self._in_vain = self._began_with, now_s, 0

    def stands_still(self, now_s: float) -> bool:
        """Whether the others are to go first: it goes round and round, or its part of the link is silent."""
        in_vain = self._in_vain >= _STILL_ROUNDS and now_s - self._closer_at_s >= STILL_S
        return in_vain or now_s - self._moved_at_s >= STILL_S
