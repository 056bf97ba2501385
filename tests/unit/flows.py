# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of the flows in their order, and the journals that they leave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import CLOSE, Entry, Event, Phase, Step

SOURCE, DESTINATION = 0, 1
MOVE: Sequence[tuple[int, Step, Phase]] = (
    (SOURCE, Step.CLAIM, Phase.MOVE),
    (DESTINATION, Step.CLAIM, Phase.MOVE),
    (SOURCE, Step.PRESYNC, Phase.MOVE),
    (SOURCE, Step.HAND_OVER, Phase.MOVE),
    (SOURCE, Step.COPY, Phase.MOVE),
    (DESTINATION, Step.TAKE_OVER, Phase.MOVE),
    (SOURCE, Step.RELEASE, Phase.MOVE),
    (DESTINATION, Step.RELEASE, Phase.MOVE),
)
CONFIRM: Sequence[tuple[int, Step, Phase]] = (
    (SOURCE, Step.CLAIM, Phase.CONFIRM),
    (DESTINATION, Step.CLAIM, Phase.CONFIRM),
    (DESTINATION, Step.EVIDENCE, Phase.CONFIRM),
    (SOURCE, Step.DISCARD, Phase.CONFIRM),
    (DESTINATION, Step.DISCARD, Phase.CONFIRM),
    (SOURCE, Step.RELEASE, Phase.CONFIRM),
    (DESTINATION, Step.RELEASE, Phase.CONFIRM),
)
REVERT: Sequence[tuple[int, Step, Phase]] = (
    (DESTINATION, Step.CLAIM, Phase.REVERT),
    (SOURCE, Step.CLAIM, Phase.REVERT),
    (DESTINATION, Step.HAND_OVER, Phase.REVERT),
    (SOURCE, Step.TAKE_OVER, Phase.REVERT),
    (DESTINATION, Step.DISCARD, Phase.REVERT),
    (SOURCE, Step.DISCARD, Phase.REVERT),
    (DESTINATION, Step.RELEASE, Phase.REVERT),
    (SOURCE, Step.RELEASE, Phase.REVERT),
)
LIVE: Sequence[tuple[int, Step, Phase]] = (
    (SOURCE, Step.CLAIM, Phase.MOVE),
    (DESTINATION, Step.CLAIM, Phase.MOVE),
    (DESTINATION, Step.PREPARE, Phase.MOVE),
    (SOURCE, Step.LIVE, Phase.MOVE),
    (DESTINATION, Step.ARRIVE, Phase.MOVE),
    (SOURCE, Step.DEPART, Phase.MOVE),
)
"""As the roles run them."""


def line(
    step: Step, event: Event = Event.END, phase: Phase = Phase.MOVE, effect: str = "", at: float = 0.0, **more: Any
) -> Entry:
    """One journal line; *more* are undo and result."""
    return Entry(at, phase, step, event, effect, more.get("undo"), more.get("result", {}))


def whole(step: Step, phase: Phase = Phase.MOVE, *effects: str) -> tuple[Entry, ...]:
    """The lines of a step that went well; the last thing an undo does is to close the book."""
    lines = [line(step, Event.BEGIN, phase)]
    for effect in (*effects, CLOSE) if step is Step.UNDO else effects:
        lines += [line(step, Event.BEGIN, phase, effect), line(step, Event.END, phase, effect)]
    return (*lines, line(step, Event.END, phase))


def journals(*flows: Sequence[tuple[int, Step, Phase]]) -> tuple[tuple[Entry, ...], tuple[Entry, ...]]:
    """The source's and the destination's journal after those flows went well."""
    found: tuple[list[Entry], list[Entry]] = ([], [])
    for flow in flows:
        for host, step, phase in flow:
            found[host].extend(whole(step, phase))
    return tuple(found[SOURCE]), tuple(found[DESTINATION])
