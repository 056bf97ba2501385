# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One live migration among those that leave this hypervisor: what it tells the others, and what it hears of them.

Each has a watcher of its own, and they know each other by a file beside each record. A watcher that died tells nothing
any more, and the others go on without it.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._live.book import Book
from ansible_collections.kvmops.mobility.plugins.module_utils._live.model import Sample, Stage
from ansible_collections.kvmops.mobility.plugins.module_utils._live.turns import (
    ASKED_EVERY_S,
    STALE_S,
    Approach,
    Leaving,
    Turn,
    take_turns,
)

_OVER = (Stage.ENDING, Stage.POST_COPY_PAUSED)
"""Nothing of it is on the link, or comes to it by itself."""


class Neighbours:
    """Asked with each look, answers once a second."""

    def __init__(self, book: Book, name: str, planned_mib_s: int, clock: Callable[[], float]) -> None:
        """*name* is the guest's, *planned_mib_s* what libvirt was asked for it with; 0: no limit."""
        ordered = book.ordered()
        self._book = book
        self._name = name
        self._budget_mib_s = ordered.budget_mib_s if ordered else 0
        self._planned_mib_s = planned_mib_s
        self._clock = clock
        earlier = book.turn()
        told = _heard(earlier, clock())
        self._lost_at = told.lost_at if told is not None else None
        self._leads = told is not None and told.leads and told.age_s < STALE_S
        """An earlier watcher had the link for it, and nobody has it since."""
        self._known_mib_s = planned_mib_s if earlier is None else None
        """What the operator let it take when libvirt was told last; None: another watcher has told it something."""
        self._approach: Approach | None = None
        """While it has the link."""
        self._asked_at = 0.0
        self._asked_of: tuple[Stage, bool] | None = None
        self._there = earlier is not None

    def share(self, seen: Sample | None, urgent: bool) -> Turn | None:
        """Whose turn it is; None: as before. *urgent*: the guest stands still for it."""
        if seen is None or seen.stage in _OVER:
            self.leave()
            return None
        if self._leads:
            self._leads, self._approach = False, Approach(seen.elapsed_s)
        if self._approach is not None:
            self._approach.see(seen)
        now = self._clock()
        if self._asked_of == (seen.stage, urgent) and 0 <= now - self._asked_at < ASKED_EVERY_S:
            return None
        self._asked_at, self._asked_of = now, (seen.stage, urgent)
        return self._ask(seen, urgent, now)

    def leave(self) -> None:
        """Let the others know that it needs the link no more."""
        if self._there:
            self._book.forget_turn()
        self._there, self._approach, self._asked_of = False, None, None

    def _ask(self, seen: Sample, urgent: bool, now: float) -> Turn:
        own = self._book.bandwidth_mib_s(self._planned_mib_s)
        self._judge(seen, now)
        mine = Leaving(
            id=self._book.id,
            name=self._name,
            stage=seen.stage,
            left_bytes=self._left(seen),
            own_mib_s=own,
            budget_mib_s=self._budget_mib_s,
            urgent=urgent,
            leads=self._approach is not None,
            lost_at=self._lost_at,
        )
        turn = take_turns((mine, *self._others(now)))[mine.id]
        self._follow(turn, seen)
        told = replace(mine, leads=turn.leads, left_bytes=self._left(seen))
        self._book.tell_turn({"at": now, "share_mib_s": turn.share_mib_s, "leaving": told.as_result()})
        self._there = True
        if turn.mib_s is None:
            return turn
        anew, self._known_mib_s = own != self._known_mib_s, own
        return replace(turn, anew=anew)

    def _judge(self, seen: Sample, now: float) -> None:
        """Give the link up where it was of no use."""
        if self._approach is None:
            return
        if self._approach.came_closer:
            self._lost_at = None
        if self._approach.stands_still(seen.elapsed_s):
            self._lost_at, self._approach = now, None

    def _left(self, seen: Sample) -> int:
        known = self._approach.least_bytes if self._approach is not None else None
        return seen.memory_remaining if known is None else known

    def _follow(self, turn: Turn, seen: Sample) -> None:
        if not turn.leads:
            self._approach = None
        elif self._approach is None:
            self._approach = Approach(seen.elapsed_s)
            self._approach.see(seen)

    def _others(self, now: float) -> Iterator[Leaving]:
        try:
            books = self._book.others()
        except (OSError, TypeError, ValueError):  # a lock that a power loss has torn, or of another version
            return
        for book in books:
            told = _heard(book.turn(), now)
            if told is not None:
                yield told


def _heard(told: Mapping[str, Any] | None, now: float) -> Leaving | None:
    """What another watcher has told; None for nothing, and for what only another version understands."""
    try:
        return None if told is None else Leaving.from_result(told["leaving"], now - float(told["at"]))
    except (KeyError, TypeError, ValueError):
        return None


def allowed_mib_s(book: Book, now: float) -> int:
    """What its watcher lets one take now because of the others; 0: no limit, or nobody watches."""
    told = book.turn()
    if told is None or now - float(told["at"]) >= STALE_S:
        return 0
    return int(told["share_mib_s"])
