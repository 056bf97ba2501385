# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the journals tell of a revert: what becomes of the newer data, and how far it came. Pure.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import Data
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import (
    Entry,
    Event,
    Phase,
    Step,
    pending_undo,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.starting import may_have_run


def _claims(entries: Sequence[Entry]) -> list[Mapping[str, Any]]:
    wanted = (Phase.REVERT, Step.CLAIM, Event.END, "")
    return [e.result for e in entries if (e.phase, e.step, e.event, e.effect) == wanted]


def data(entries: Sequence[Entry]) -> Data:
    """What the last claim of a revert was told; a journal of before there was a choice says nothing."""
    claims = _claims(entries)
    return Data(claims[-1].get("data", Data.DISCARD.value)) if claims else Data.DISCARD


def sizes(entries: Sequence[Entry]) -> dict[str, int]:
    """Virtual size of each disk that comes back, bytes, by target, as the last claim with them was told."""
    told = [one["sizes"] for one in _claims(entries) if one.get("sizes")]
    return {target: int(size) for target, size in told[-1].items()} if told else {}


def left_over(entries: Sequence[Entry], steps: Collection[Step]) -> bool:
    """Whether an earlier attempt made something in one of *steps* that was not taken back."""
    return any(one.step in steps for one in pending_undo(entries, Phase.REVERT))


def taken(entries: Sequence[Entry]) -> bool:
    """Whether the source, whose journal this is, has the guest for good: with data that is nowhere else."""
    whole = [e for e in entries if (e.phase, e.step, e.effect) == (Phase.REVERT, Step.TAKE_OVER, "")]
    ended = bool(whole) and whole[-1].event is Event.END
    return ended and may_have_run(entries, Phase.REVERT) and data(entries) is Data.COPY_BACK
