# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The downtime limit by what is seen: as low as the guest lets it be, and never above the ceiling. Pure.

QEMU stops a guest when what is left of its memory can be sent within the limit. What is left at the begin of a round,
divided by how fast memory goes, is the limit that would have ended it there. While that gets less, waiting costs
nothing but time; once it does not, a limit just above the lowest of it ends the migration at the next dip.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.kvmops.mobility.plugins.module_utils._live.model import History, Round

DEVICES_MS = 40
"""State of devices, and the word from one host to the other: so much of a pause they are at the most (measured)."""
IN_FLIGHT_BYTES = 2 * 2**20
"""What sockets hold at the most when the guest is stopped: QEMU sent it, the other side has not got it (measured)."""
_LEAST_SHARE = 5
"""QEMU is told a fifth of the ceiling at least, however slow the link: less would hardly ever be enough."""
_FIRST_SHARE = 10
"""It begins with a tenth of the ceiling, as Nova does."""
_LEAST_MS = 30
CONTRACTS = 0.8
"""A round that begins with less than so much of the best one before it is a step towards the end."""
MARGIN, MARGIN_MS = 1.1, 10
"""Above what the best round needed: QEMU goes by its own estimate of the speed."""
_WINDOW_S = 20.0
"""Dips are looked for so far back: the period of most of what guests do again and again."""
_RAISE, _RAISE_S, _RAISE_ROUNDS = 1.15, 1.0, 2
"""A limit that should have done and did not is raised so much, after so long and so many rounds."""
_WORTH_IT = 1.05
"""A limit is not changed for less: what is known of the link is never quite the same twice."""
CLOSER = 0.9
"""Less is noise."""
_FEW_ROUNDS = 3
"""Fewer say nothing, however long they take."""
_MOST_THROTTLE = 99
"""QEMU's, in percent."""


def limit_ms(history: History, ceiling_ms: int) -> int:
    """The limit that is right now, ms: never above its share of *ceiling_ms*, never below an earlier one.

    Only a lower ceiling takes it down, which somebody wanted; a link that is slower for a moment does not.
    """
    asked = first_ms(ceiling_ms) if history.downtime_ms is None else min(history.downtime_ms, ceiling_ms - DEVICES_MS)
    if len(history.rounds) <= 1 or _contracts(history.rounds):
        return asked
    wanted = int(MARGIN * _best_ms(_lately(history, _WINDOW_S)) + MARGIN_MS)
    if wanted <= asked and _has_failed(history):
        wanted = int(_RAISE * asked) + 1
    found = min(highest_ms(ceiling_ms, history.bytes_s), wanted)
    return found if found >= _WORTH_IT * asked else asked


def first_ms(ceiling_ms: int) -> int:
    """The limit that it begins with."""
    return max(_LEAST_MS, ceiling_ms // _FIRST_SHARE)


def highest_ms(ceiling_ms: int, bytes_s: float) -> int:
    """The highest limit with which the pause stays within *ceiling_ms* on a link of *bytes_s*; 0: not known.

    QEMU means by its limit the time to send what is left. The pause is longer: by what is on its way, and by devices.
    """
    on_its_way_ms = 1000 * IN_FLIGHT_BYTES / bytes_s if bytes_s else 0.0
    return max(ceiling_ms // _LEAST_SHARE, int(ceiling_ms - DEVICES_MS - on_its_way_ms))


def seen(history: History) -> str:
    """What the last rounds say, for an operator; empty before there were two."""
    last = [f"{one.pause_s * 1000:.0f}" for one in history.rounds[-_FEW_ROUNDS:]]
    return f"the last rounds would have stopped it for {', '.join(last)} ms" if len(last) > 1 else ""


def _best_ms(rounds: Sequence[Round]) -> float:
    """The shortest pause that one of them would have had, ms; at most a day, which is more than any ceiling."""
    return min(86_400_000.0, 1000 * min(one.pause_s for one in rounds))


def _contracts(rounds: Sequence[Round]) -> bool:
    """Whether the last round is a step towards the end."""
    return rounds[-1].pause_s < CONTRACTS * min(one.pause_s for one in rounds[:-1])


def _lately(history: History, seconds: float) -> Sequence[Round]:
    """The rounds of the last *seconds*, and three at least where there are three."""
    since_s = history.samples[-1].elapsed_s - seconds
    young = [one for one in history.rounds if one.began_s >= since_s]
    return young if len(young) > _FEW_ROUNDS else history.rounds[-_FEW_ROUNDS:]


def _has_failed(history: History) -> bool:
    """Whether the limit had its time."""
    since = [one for one in history.rounds if one.began_s > history.asked_s]
    return len(since) >= _RAISE_ROUNDS and history.samples[-1].elapsed_s - history.asked_s >= _RAISE_S


@dataclass(frozen=True)
class Stuck:
    """What pre-copy would come to."""

    pause_ms: int
    """The pause that the best of the last rounds would have had."""

    def words(self, ceiling_ms: int) -> str:
        """Why it does not end, for an operator."""
        if self.pause_ms > ceiling_ms:
            return f"the guest would have to stop for about {self.pause_ms} ms, and {ceiling_ms} ms are allowed"
        return (
            f"what was left would have taken {self.pause_ms} ms at best, to which come what is on its way and the "
            f"devices, and {ceiling_ms} ms are allowed"
        )


def hopeless(history: History, ceiling_ms: int) -> Stuck | None:
    """Two rounds that say that waiting is of no use: enough for one that may go on in post-copy."""
    if len(history.rounds) <= 1 or _contracts(history.rounds):
        return None
    best_ms = _best_ms(history.rounds[-2:])
    return Stuck(int(best_ms)) if best_ms > highest_ms(ceiling_ms, history.bytes_s) else None


def stuck(history: History, ceiling_ms: int, stall_s: int) -> Stuck | None:
    """Whether it came no closer to its end for *stall_s* seconds and three rounds; 0: that does not matter.

    One that still slows the guest down more and more, or whose limit still rises, is not stuck.
    """
    if not stall_s or _still_slows(history):
        return None
    young = _lately(history, stall_s)
    older = history.rounds[: len(history.rounds) - len(young)]
    if len(young) < _FEW_ROUNDS or not older:
        return None
    best_ms = _best_ms(young)
    most = highest_ms(ceiling_ms, history.bytes_s)
    rises = best_ms <= most and (history.downtime_ms or 0) < most
    if rises or best_ms < CLOSER * _best_ms(older):
        return None
    return Stuck(int(best_ms))


def _still_slows(history: History) -> bool:
    return history.throttling and history.samples[-1].throttle_percent < _MOST_THROTTLE
