# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of one migration on one hypervisor: what was begun, what it made, how to take it back.

Append-only, one JSON object a line, on disk before the effect it announces begins. It is the only source
of a migration's status.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._migration.store import Store
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.unreadable import (
    MALFORMED,
    SCHEMA,
    check_schema,
    told,
    unreadable,
)

JOURNAL = "journal.jsonl"
"""Its name in the directory of a migration."""


class Event(enum.Enum):
    """What a journal line says of its step or effect."""

    BEGIN = "begin"
    END = "end"
    FAIL = "fail"


class Step(enum.Enum):
    """The steps of the flows; each is one module call on one hypervisor."""

    CLAIM = "claim"
    LOCK = "lock"
    EXPORT = "export"
    MIRROR = "mirror"
    PRESYNC = "presync"
    HAND_OVER = "hand_over"
    COPY = "copy"
    DIGEST = "digest"
    TAKE_OVER = "take_over"
    PREPARE = "prepare"
    LIVE = "live"
    ARRIVE = "arrive"
    DEPART = "depart"
    RELEASE = "release"
    EVIDENCE = "evidence"
    DISCARD = "discard"
    UNDO = "undo"


CLOSE = "close"
"""The last effect of an undo that took everything back."""
START = "start"
"""The effect of a take-over from which on the guest may have written to its new disks."""


class Phase(enum.Enum):
    """What the operator asked for when the step ran."""

    MOVE = "move"
    CONFIRM = "confirm"
    REVERT = "revert"


@dataclass(frozen=True)
class Entry:
    """One line. An empty *effect* means the line is about the step as a whole."""

    at: float
    """Unix time on this hypervisor, seconds."""
    phase: Phase
    step: Step
    event: Event
    effect: str = ""
    undo: Mapping[str, Any] | None = None
    """How to take the effect back: a kind and its arguments, see _migration/undo.py."""
    result: Mapping[str, Any] = field(default_factory=dict)

    def as_result(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "schema": SCHEMA,
            **asdict(self),
            "phase": self.phase.value,
            "step": self.step.value,
            "event": self.event.value,
        }

    @classmethod
    def from_result(cls, data: Mapping[str, Any]) -> Entry:
        """The inverse of C(as_result())."""
        return cls(
            at=float(data["at"]),
            phase=Phase(data["phase"]),
            step=Step(data["step"]),
            event=Event(data["event"]),
            effect=str(data.get("effect", "")),
            undo=data.get("undo"),
            result=dict(data.get("result", {})),
        )


def parse(text: str, path: Path = Path(JOURNAL)) -> tuple[Entry, ...]:
    """The entries of a journal file. A torn last line (power lost while it was written) never took effect: dropped.

    Raises Unreadable for any other line that this version does not know: what it says may change what the rest means.
    """
    lines = text.split("\n")[:-1]
    return tuple(_entry(line, number, path) for number, line in enumerate(lines, 1) if line)


def _entry(line: str, number: int, path: Path) -> Entry:
    try:
        data = json.loads(line)
        check_schema(data, path)
        return Entry.from_result(data)
    except MALFORMED as error:
        raise unreadable(path, f"line {number}: {told(error)}") from None


def read(store: Store, migration_id: str) -> tuple[Entry, ...]:
    """The journal of *migration_id* on this hypervisor, empty when there is none. Raises Unreadable."""
    path = store.migration(migration_id) / JOURNAL
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise unreadable(path, told(error)) from None
    return parse(text, path)


def pending_undo(entries: Sequence[Entry], phase: Phase) -> tuple[Entry, ...]:
    """The effects of *phase* that were begun and not taken back, last first: what an undo has to work through.

    An effect that was begun without an end counts: it may have happened. The undo step names in its result the
    step whose effect it took back.
    """
    open_effects: dict[tuple[Step, str], Entry] = {}
    for entry in entries:
        if entry.phase is not phase or not entry.effect:
            continue
        key = (entry.step, entry.effect)
        if entry.event is Event.BEGIN and entry.undo is not None:
            open_effects.pop(key, None)
            open_effects[key] = entry
        elif entry.step is Step.UNDO and entry.event is Event.END:
            open_effects.pop((Step(entry.result["step"]), entry.effect), None)
    return tuple(reversed(tuple(open_effects.values())))
