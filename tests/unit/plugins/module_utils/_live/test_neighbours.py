# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watchers that share one state directory, and guests that write while they go."""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.kvmops.mobility.plugins.module_utils._live import neighbours
from ansible_collections.kvmops.mobility.plugins.module_utils._live.book import Book, Ordered
from ansible_collections.kvmops.mobility.plugins.module_utils._live.model import Sample, Stage
from ansible_collections.kvmops.mobility.plugins.module_utils._live.neighbours import Neighbours, allowed_mib_s
from ansible_collections.kvmops.mobility.plugins.module_utils._live.turns import (
    ASKED_EVERY_S,
    STALE_S,
    STILL_S,
    Leaving,
    Turn,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import lock
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.store import Store
from ansible_collections.kvmops.mobility.tests.unit.clock import Clock

MIB = 2**20


class Watchers:
    """Some migrations that leave one hypervisor, each with its record's directory, its lock and its watcher."""

    def __init__(self, store: Store, budget_mib_s: int = 38, names: str = "ab") -> None:
        self.store = store
        self.clock = Clock()
        self.began = self.clock()
        self.books = {name: Book(store, name) for name in names}
        for name, book in self.books.items():
            lock.take(store, lock.Lock(f"uuid-{name}", name, "root@control", "live_migrate", self.began, "5e5e"))
            book.order(Ordered("test:///", "", "", 120.0, budget_mib_s))
        self.watchers = {name: self.watch(name) for name in names}

    def watch(self, name: str, planned_mib_s: int = 0) -> Neighbours:
        return Neighbours(self.books[name], f"vm-{name}", planned_mib_s, self.clock)

    def sees(self, name: str, left_mib: float = 100, *, urgent: bool = False, **values: Any) -> Turn | None:
        stage = values.pop("stage", Stage.MEMORY)
        left = int(left_mib * MIB)
        seen = Sample(self.clock() - self.began, stage, iteration=1, memory_remaining=left, **values)
        return self.watchers[name].share(seen, urgent)

    def turn(self, name: str, left_mib: float = 100, **values: Any) -> Turn:
        self.clock.sleep(ASKED_EVERY_S)
        found = self.sees(name, left_mib, **values)
        assert found is not None
        return found


@pytest.fixture
def two(store: Store) -> Watchers:
    return Watchers(store)


def test_the_second_waits_with_the_name_of_the_first(two: Watchers) -> None:
    assert two.turn("a").words == "has the link: 38 MiB/s"
    assert two.turn("b").words == "waits for its turn (with vm-a): 1 MiB/s"
    assert two.turn("a").words == "has the link: 37 MiB/s"


def test_it_is_asked_once_a_second_and_when_the_stage_changes(two: Watchers) -> None:
    assert two.turn("a", stage=Stage.PREPARING).mib_s is None
    assert two.sees("a", stage=Stage.PREPARING) is None
    found = two.sees("a")
    assert found is not None
    assert found.mib_s == 38
    two.clock.sleep(ASKED_EVERY_S / 2)
    assert two.sees("a") is None
    assert two.sees("a", urgent=True) is not None


def test_the_link_is_free_when_the_job_is_gone(two: Watchers) -> None:
    two.turn("a")
    assert two.turn("b").waiting
    assert two.watchers["a"].share(None, False) is None
    assert two.books["a"].turn() is None
    assert two.turn("b").words == "has the link: 38 MiB/s"
    two.watchers["a"].share(None, False)  # once more is no harm


@pytest.mark.parametrize("stage", [Stage.ENDING, Stage.POST_COPY_PAUSED])
def test_the_link_is_free_when_nothing_is_sent_any_more(two: Watchers, stage: Stage) -> None:
    two.turn("a")
    two.sees("a", stage=stage)
    assert two.turn("b").leads


def test_a_watcher_that_died_gives_the_link_up_within_seconds(two: Watchers) -> None:
    two.turn("a")
    began = two.clock()
    while not two.turn("b").leads:
        assert two.clock() - began < STALE_S + 2 * ASKED_EVERY_S
    assert two.turn("b").mib_s == 38


def test_another_watcher_tells_libvirt_anew_what_the_dead_one_may_have_told(two: Watchers) -> None:
    two.turn("a")
    two.turn("b")
    two.watchers["b"] = two.watch("b")
    assert two.turn("b").anew
    assert not two.turn("b").anew


def test_another_watcher_keeps_the_link_for_it(two: Watchers) -> None:
    two.turn("a", 100)
    two.turn("b", 60)
    two.watchers["a"] = two.watch("a")
    assert two.turn("a", 100).leads
    assert two.turn("b", 60).waiting
    two.clock.sleep(STALE_S)
    assert two.turn("b", 60).leads
    two.watchers["a"] = two.watch("a")
    assert two.turn("a", 100).waiting


def test_the_first_watcher_needs_not_to(two: Watchers) -> None:
    assert not two.turn("a").anew


def test_one_that_lost_the_link_remembers_it_over_its_watchers_death(two: Watchers) -> None:
    two.turn("a", 50)
    began = two.clock()
    while not two.turn("b", 100).leads:  # nothing goes over the link of the first
        two.turn("a", 50)
        assert two.clock() - began < STILL_S + 3 * ASKED_EVERY_S
    assert two.clock() - began >= STILL_S
    two.watchers["a"] = two.watch("a")
    assert not two.turn("a", 1).leads


def test_a_retune_is_told_anew_and_stays_within_the_turn(two: Watchers) -> None:
    two.turn("a")
    assert two.turn("b", 1000).mib_s == 1
    assert allowed_mib_s(two.books["b"], two.clock()) == 1
    two.books["b"].tune(None, 200)
    found = two.turn("b", 1000)
    assert (found.mib_s, found.anew) == (1, True)
    two.books["a"].tune(None, 9)
    found = two.turn("a")
    assert (found.mib_s, found.anew) == (9, True)
    assert two.turn("b", 1000).mib_s == 29  # what the other one leaves


def test_what_was_retuned_before_its_memory_came_is_told_with_it(two: Watchers) -> None:
    two.watchers["a"] = two.watch("a", planned_mib_s=5)
    assert two.turn("a", stage=Stage.DISKS).mib_s is None
    two.books["a"].tune(None, 7)
    assert not two.turn("a", stage=Stage.DISKS).anew
    found = two.turn("a")
    assert (found.mib_s, found.anew) == (7, True)


def test_nobody_limits_what_nobody_watches(two: Watchers) -> None:
    assert allowed_mib_s(two.books["a"], two.clock()) == 0
    two.turn("a")
    two.turn("b")
    two.clock.sleep(STALE_S)
    assert allowed_mib_s(two.books["b"], two.clock()) == 0


def test_without_a_lock_nobody_is_a_neighbour(two: Watchers) -> None:
    two.turn("a")
    lock.release(two.store, "uuid-a", "a", "5e5e")
    assert two.turn("b").leads


@pytest.mark.parametrize("torn", ["", "{", "[]", '{"at": 1}', '{"at": 1, "leaving": {"stage": "dreaming"}}'])
def test_what_cannot_be_understood_is_not_heard(two: Watchers, torn: str) -> None:
    two.turn("a")
    (two.store.migration("a") / "turn.json").write_text(torn, encoding="utf-8")
    assert two.turn("b").leads


def test_a_torn_lock_is_no_end_of_the_watch(two: Watchers) -> None:
    two.turn("a")
    two.store.lock("uuid-a").write_text("{", encoding="utf-8")
    assert two.turn("b").leads


def test_a_paused_guest_goes_first(two: Watchers) -> None:
    two.turn("a", 10)
    assert two.turn("b", 1000, urgent=True).leads
    assert two.turn("a", 10).words == "waits for its turn (with vm-b): 1 MiB/s"


def test_the_lead_does_not_flip_when_a_round_begins(two: Watchers) -> None:
    for left in (100, 60, 20, 1):
        assert two.turn("a", left).leads
    assert not two.turn("b", 30).leads
    assert two.turn("a", 100).leads  # what was written meanwhile
    assert not two.turn("b", 30).leads


# --- a simulation --------------------------------------------------------------------------------------------------

LOOK_S = 0.25
PREPARE_S, CLEAR_UP_S = 2.0, 1.0
"""What a move takes before its memory is sent and after it, for whatever it is."""
CEILING_S = 0.5


class Board:
    """Books without files, for many rounds."""

    def __init__(self, migration_id: str, budget_mib_s: int, boards: dict[str, Board]) -> None:
        self.id = migration_id
        self._ordered = Ordered("", "", "", 120.0, budget_mib_s)
        self._told: Mapping[str, Any] | None = None
        self._boards = boards
        boards[migration_id] = self

    def ordered(self) -> Ordered:
        return self._ordered

    def turn(self) -> Mapping[str, Any] | None:
        return self._told

    def tell_turn(self, told: Mapping[str, Any]) -> None:
        self._told = told

    def forget_turn(self) -> None:
        self._told = None

    def others(self) -> list[Board]:
        return [one for one in self._boards.values() if one is not self]

    def bandwidth_mib_s(self, planned: int) -> int:
        return planned


@dataclass(frozen=True)
class Writes:
    """A guest: MiB that are not empty, MiB that it writes again and again, MiB/s."""

    resident: float
    hot: float
    rate: float


class Guest:
    """QEMU's rounds over its memory: what was written meanwhile is sent in the next one."""

    def __init__(self, name: str, writes: Writes, watcher: Neighbours) -> None:
        self.name = name
        self.writes = writes
        self.watcher = watcher
        self.left = writes.resident
        self.written = 0.0
        self.round = 1
        self.mib_s = 0
        self.leads = False
        self.led_at: list[float] = []
        self.pause_s: float | None = None
        self.ended_at: float | None = None

    def look(self, at: float) -> None:
        """Its watcher's."""
        stage = Stage.MEMORY if at >= PREPARE_S else Stage.PREPARING
        left = int(self.left * MIB)
        turn = self.watcher.share(Sample(at, stage, iteration=self.round, memory_remaining=left), False)
        if turn is not None and turn.mib_s is not None:
            self.mib_s, self.leads = turn.mib_s, turn.leads
        if self.leads:
            self.led_at.append(at)

    def send(self, at: float, mib_s: float) -> None:
        self.written = min(self.writes.hot, self.written + self.writes.rate * LOOK_S)
        self.left -= mib_s * LOOK_S
        if self.left > 0:
            return
        if self.written <= mib_s * CEILING_S:
            self.pause_s, self.ended_at = self.written / mib_s, at + LOOK_S + CLEAR_UP_S
            self.watcher.share(None, False)
            return
        self.left, self.written, self.round = self.written, 0.0, self.round + 1


def simulate(guests: Sequence[Writes], budget: int, *, until_s: float = 4000.0) -> list[Guest]:
    """All at once, until all have ended or it takes too long. What they take together never exceeds the link."""
    clock, boards = Clock(0.0), dict[str, Board]()
    books = [Board(f"{number:02}", budget, boards) for number, _one in enumerate(guests)]
    there = [
        Guest(book.id, writes, Neighbours(book, book.id, 0, clock))  # type: ignore[arg-type]  # a book without files
        for book, writes in zip(books, guests)
    ]
    while clock() < until_s and (on := [one for one in there if one.ended_at is None]):
        for one in on:
            one.look(clock())
        sending = [one for one in on if clock() >= PREPARE_S]
        asked = sum(one.mib_s for one in sending)
        for one in sending:
            one.send(clock(), one.mib_s * min(1.0, budget / asked))
        clock.sleep(LOOK_S)
    return there


def one_after_another(guests: Sequence[Writes], budget: int) -> list[Guest]:
    return [simulate([one], budget)[0] for one in guests]


def total_s(guests: Sequence[Guest]) -> float:
    ends = [one.ended_at for one in guests]
    assert None not in ends
    return max(end for end in ends if end is not None)


def sum_s(guests: Sequence[Guest]) -> float:
    return sum(one.ended_at or 0.0 for one in guests)


@st.composite
def fleets(draw: st.DrawFn) -> tuple[list[Writes], int]:
    """Guests each of which would converge on that link alone, also with what the others' trickle leaves of it."""
    budget = draw(st.integers(19, 120))
    many = draw(st.integers(2, 6))
    guests = []
    for _one in range(many):
        resident = draw(st.integers(40, 1500))
        hot = draw(st.floats(0, resident / 4))
        guests.append(Writes(resident, hot, draw(st.floats(0, (budget - many) * 0.6))))
    return guests, budget


def shares(everybody: Iterable[Leaving]) -> dict[str, Turn]:
    """What a link does by itself: the same part for each."""
    told = list(everybody)
    each = max(1, told[0].budget_mib_s // len(told))
    return {one.id: Turn(True, each, each, one.name) for one in told}


@settings(max_examples=60)
@given(fleets())
def test_everybody_arrives_and_turns_cost_no_more_than_the_trickle(fleet: tuple[list[Writes], int]) -> None:
    guests, budget = fleet
    together, alone = simulate(guests, budget), one_after_another(guests, budget)
    assert all(one.ended_at is not None for one in together)
    assert total_s(together) <= sum_s(alone) * 1.05
    for one in together:
        assert one.pause_s is not None
        assert one.pause_s <= CEILING_S


def test_turns_are_faster_than_one_after_another_and_parts_of_a_link_do_not_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chance = random.Random(1)
    ratios, stuck = [], 0
    for _fleet in range(20):
        budget, many = chance.randint(19, 120), chance.randint(2, 6)
        sizes = [chance.randint(40, 500) for _guest in range(many)]
        guests = [Writes(size, chance.uniform(0, size / 4), chance.uniform(0, (budget - many) * 0.6)) for size in sizes]
        ratios.append(total_s(simulate(guests, budget)) / sum_s(one_after_another(guests, budget)))
        with monkeypatch.context() as patch:
            patch.setattr(neighbours, "take_turns", shares)
            stuck += any(one.ended_at is None for one in simulate(guests, budget, until_s=300.0))
    assert statistics.median(ratios) < 0.95
    assert max(ratios) < 1.02
    assert stuck >= 5


def test_eight_at_once_over_320_mbit() -> None:
    guests, budget = [Writes(100.0 + 10 * number, 20.0, 8.0) for number in range(8)], 38
    together, alone = simulate(guests, budget), one_after_another(guests, budget)
    assert total_s(together) <= sum_s(alone)
    for one, same in zip(together, alone):
        assert one.pause_s is not None
        assert same.pause_s is not None
        assert one.pause_s <= min(CEILING_S, same.pause_s * 38 / 31 + LOOK_S / 4)  # the trickles are seven


def test_one_that_never_ends_keeps_nobody_from_it() -> None:
    """It writes faster than the link carries; it is nearest to its end at first, and has the link again at the end."""
    endless = Writes(60.0, 60.0, 200.0)
    found = simulate([endless, Writes(400, 10, 5), Writes(600, 10, 5)], 38, until_s=120.0)
    assert found[0].ended_at is None
    assert found[0].led_at[0] < 5.0
    ends = [one.ended_at for one in found[1:]]
    assert all(end is not None and end < 80.0 for end in ends)
    assert max(found[0].led_at) > 115.0


def test_several_that_never_end_have_the_link_by_turns() -> None:
    endless = Writes(60.0, 60.0, 200.0)
    found = simulate([endless] * 3, 38, until_s=200.0)
    for one in found:
        share = len(one.led_at) * LOOK_S / 200.0
        assert 0.2 < share < 0.5
