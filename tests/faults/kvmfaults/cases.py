# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table: operation, the line of the journal at which it happens, and what happens."""

from __future__ import annotations

import enum
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace


class Fault(enum.Enum):
    """What happens."""

    CONTROLLER = "controller-kill"
    MODULE = "module-kill"
    SSH = "ssh-cut"
    LINK = "link-cut"
    LINK_10S = "link-cut-10s"
    DEST_POWER = "dest-power-loss"
    SOURCE_POWER = "source-power-loss"
    LIBVIRTD = "libvirtd-kill"
    DISK_FULL = "dest-disk-full"
    REFUSED = "dest-refuses-definition"
    ACPI = "guest-ignores-acpi"
    QEMU = "guest-crash"


@dataclass(frozen=True)
class Trigger:
    """One line of a journal, on the source or the destination of the migration."""

    step: str
    role: str
    event: str
    effect: str = ""
    phase: str = "move"

    @property
    def line(self) -> dict[str, str]:
        """What the line says."""
        return {"phase": self.phase, "step": self.step, "event": self.event, "effect": self.effect}

    @property
    def point(self) -> str:
        """begin, during or end of its step."""
        return "during" if self.effect else self.event

    def __str__(self) -> str:
        effect = f".{self.effect}" if self.effect else ""
        return f"{self.step}{effect}:{self.event}@{self.role}"


@dataclass(frozen=True)
class Case:
    """One row."""

    operation: str
    trigger: Trigger
    fault: Fault
    later_s: float = 0
    """The module goes on for so long before it happens: in the middle of an effect."""
    before: Trigger | None = None
    """recover: where the controller of the operation was killed that is to be recovered."""
    dead: bool = False
    """The host stays dead: recover is told prefer=source, and only then it comes back."""

    @property
    def id(self) -> str:
        """Its name."""
        before = f"[{self.before.phase}-{self.before}]" if self.before else ""
        later = f"+{self.later_s:g}s" if self.later_s else ""
        return f"{self.operation}{before}/{self.trigger}{later}/{self.fault.value}{'-for-good' if self.dead else ''}"

    @property
    def opens(self) -> bool:
        """Whether it begins with a guest of which no migration is open."""
        phase = (self.before or self.trigger).phase
        return phase == "move"


def _lines(step: str, role: str, effects: str, phase: str = "move") -> list[Trigger]:
    """Begin and end of a step, and begin or end of its effects ('stop< stop>': its begin, its end)."""
    inside = [
        Trigger(step, role, "begin" if word.endswith("<") else "end", word[:-1], phase) for word in effects.split()
    ]
    return [Trigger(step, role, "begin", "", phase), *inside, Trigger(step, role, "end", "", phase)]


RESIZE = (
    *_lines("claim", "source", "record> lock> definitions<"),
    *_lines("claim", "destination", "record> lock> stage< stage>"),
    *_lines("hand_over", "source", "autostart_off> stop< stop> fence< fence>"),
    *_lines("copy", "source", "copy< copy>"),
    *_lines("take_over", "destination", "own< check> grow_vda> place< place> define< define> start< start> autostart>"),
    *_lines("release", "source", ""),
    *_lines("release", "destination", ""),
)
MIGRATE = (
    *_lines("hand_over", "source", "fence>"),
    *_lines("take_over", "destination", "place> start>"),
)
CONFIRM = (
    *_lines("claim", "source", "lock>", "confirm"),
    *_lines("evidence", "destination", "", "confirm"),
    *_lines("discard", "source", "undefine< undefine> remove< remove> forget>", "confirm"),
    *_lines("discard", "destination", "", "confirm"),
)
REVERT = (
    *_lines("claim", "destination", "lock>", "revert"),
    *_lines("hand_over", "destination", "stop< stop> fence< fence>", "revert"),
    *_lines("take_over", "source", "place< place> start< start> autostart>", "revert"),
    *_lines("discard", "destination", "undefine> remove< remove>", "revert"),
    *_lines("discard", "source", "", "revert"),
)

_COPYING = Trigger("copy", "source", "begin", "copy")
_FENCED = Trigger("hand_over", "source", "end", "fence")
_PLACED = Trigger("take_over", "destination", "end", "place")
_RUNS = Trigger("take_over", "destination", "end", "start")
_DISCARDING = Trigger("discard", "source", "begin", "", "confirm")
_TAKING_BACK = Trigger("take_over", "source", "begin", "", "revert")


def _undo(role: str, effects: str) -> list[Trigger]:
    return [one for one in _lines("undo", role, effects) if one.effect]


RECOVER: tuple[tuple[Trigger, tuple[Trigger, ...]], ...] = (
    (
        _PLACED,
        (
            *_undo("destination", "place< place> stage< stage> lock> close>"),
            *_undo("source", "fence< fence> stop> autostart_off> lock> close>"),
        ),
    ),
    (_RUNS, (*_lines("take_over", "destination", "autostart>"), Trigger("release", "destination", "begin"))),
    (_DISCARDING, (*_lines("discard", "source", "undefine> remove>", "confirm"),)),
    (_TAKING_BACK, (*_lines("take_over", "source", "place> start>", "revert"),)),
)

_HOSTS = (Fault.LINK, Fault.LINK_10S, Fault.DEST_POWER, Fault.SOURCE_POWER)
_PROCESSES = (Fault.CONTROLLER, Fault.MODULE, Fault.SSH)


def table() -> tuple[Case, ...]:
    """Every case, in an order that spreads operations and faults."""
    cases = [*_moves(), *_closings(), *_recoveries()]
    seen = {one.id: one for one in cases}
    return tuple(seen.values())


def _moves() -> Iterator[Case]:
    for number, trigger in enumerate(RESIZE):
        yield Case("resize", trigger, Fault.CONTROLLER)
        yield Case("resize", trigger, (Fault.MODULE, Fault.SSH)[number % 2])
    for trigger in (
        *_lines("hand_over", "source", "stop> fence>"),
        *_lines("take_over", "destination", "place> start>"),
    ):
        yield Case("resize", trigger, Fault.MODULE)
        yield Case("resize", trigger, Fault.SOURCE_POWER)
        yield Case("resize", trigger, Fault.DEST_POWER)
        yield Case("resize", trigger, Fault.LIBVIRTD)
    for fault in (*_PROCESSES, *_HOSTS, Fault.DISK_FULL):
        yield Case("resize", _COPYING, fault, later_s=1.0)
    for trigger in (
        _FENCED,
        Trigger("claim", "destination", "end"),
        Trigger("take_over", "destination", "begin"),
        _RUNS,
    ):
        yield Case("resize", trigger, Fault.LINK)
        yield Case("resize", trigger, Fault.LINK_10S)
    for trigger in (Trigger("claim", "destination", "end"), Trigger("take_over", "destination", "begin")):
        yield Case("resize", trigger, Fault.DISK_FULL)
        yield Case("resize", trigger, Fault.REFUSED)
    for trigger in (Trigger("claim", "destination", "begin"), Trigger("claim", "source", "end")):
        yield Case("resize", trigger, Fault.SOURCE_POWER)
        yield Case("resize", trigger, Fault.DEST_POWER)
    yield Case("resize", Trigger("take_over", "destination", "begin"), Fault.DEST_POWER, dead=True)
    yield Case("resize", _COPYING, Fault.DEST_POWER, later_s=1.0, dead=True)
    yield Case("resize", _FENCED, Fault.DEST_POWER, dead=True)
    yield Case("resize", Trigger("hand_over", "source", "begin", "stop"), Fault.ACPI)
    for trigger in (Trigger("hand_over", "source", "begin"), Trigger("hand_over", "source", "begin", "stop"), _RUNS):
        yield Case("resize", trigger, Fault.QEMU)
    for number, trigger in enumerate(MIGRATE):
        yield Case("migrate", trigger, (*_PROCESSES, Fault.DEST_POWER, Fault.SOURCE_POWER)[number % 5])


def _closings() -> Iterator[Case]:
    for operation, triggers in (("confirm", CONFIRM), ("revert", REVERT)):
        for number, trigger in enumerate(triggers):
            yield Case(operation, trigger, Fault.CONTROLLER)
            others = (Fault.MODULE, Fault.SSH, Fault.SOURCE_POWER, Fault.DEST_POWER, Fault.LINK_10S, Fault.LIBVIRTD)
            yield Case(operation, trigger, others[number % len(others)])
    yield Case("confirm", Trigger("evidence", "destination", "begin", "", "confirm"), Fault.QEMU)
    yield Case("revert", Trigger("hand_over", "destination", "begin", "", "revert"), Fault.QEMU)
    yield Case("confirm", _DISCARDING, Fault.LINK)
    yield Case("revert", _TAKING_BACK, Fault.LINK)


def _recoveries() -> Iterator[Case]:
    others = (Fault.MODULE, Fault.SSH, Fault.CONTROLLER, Fault.SOURCE_POWER, Fault.DEST_POWER, Fault.LINK_10S)
    for before, triggers in RECOVER:
        for number, trigger in enumerate(triggers):
            yield Case("recover", trigger, others[number % len(others)], before=before)


def spread(cases: Sequence[Case], seed: int = 7) -> list[Case]:
    """The same cases, so mixed that each part of the list has some of everything."""
    mixed = list(cases)
    random.Random(seed).shuffle(mixed)
    return mixed


def drawn(seed: int, count: int) -> list[Case]:
    """Cases by lot: any line of any operation with any fault that can happen there."""
    lot = random.Random(seed)
    lines = [("resize", RESIZE), ("migrate", MIGRATE), ("confirm", CONFIRM), ("revert", REVERT)]
    cases = []
    for _number in range(count):
        operation, triggers = lot.choice(lines)
        trigger = lot.choice(triggers)
        fault = lot.choice((*_PROCESSES, *_HOSTS, Fault.LIBVIRTD))
        cases.append(replace(Case(operation, trigger, fault), later_s=lot.choice((0.0, 0.0, 0.05, 0.3))))
    return cases


SUBSET = (
    "resize/hand_over.fence:end@source/source-power-loss",
    "resize/take_over.place:end@destination/dest-power-loss",
    "resize/copy.copy:begin@source+1s/controller-kill",
    "resize/take_over.define:begin@destination/controller-kill",
    "resize/hand_over.stop:end@source/module-kill",
    "resize/take_over:begin@destination/dest-refuses-definition",
    "resize/claim:end@destination/dest-disk-full",
    "confirm/discard.remove:begin@source/controller-kill",
    "revert/take_over.place:end@source/controller-kill",
    "revert/discard:begin@source/controller-kill",
    "recover[move-take_over.place:end@destination]/undo.fence:end@source/ssh-cut",
)
"""For `make test`: each mechanism once."""


def named(ids: Iterable[str]) -> list[Case]:
    """The cases of those names. Raises KeyError for a name the table does not have."""
    known = {one.id: one for one in table()}
    return [known[one] for one in ids]


def parse(identity: str) -> Case:
    """The case of that name: of the table, or any other that is spelt like one."""
    known = {one.id: one for one in table()}
    if identity in known:
        return known[identity]
    operation, where, what = identity.split("/")
    line, _plus, later = where.partition("+")
    step, _colon, rest = line.partition(":")
    event, _at, role = rest.partition("@")
    name, _dot, effect = step.partition(".")
    phase = operation if operation in ("confirm", "revert") else "move"
    delay = float(later.rstrip("s")) if later else 0
    return Case(operation, Trigger(name, role, event, effect, phase), Fault(what), later_s=delay)
