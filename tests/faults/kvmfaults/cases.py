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
    DEST_LINK = "dest-link-cut"
    DEST_LINK_10S = "dest-link-cut-10s"
    DEST_POWER = "dest-power-loss"
    SOURCE_POWER = "source-power-loss"
    LIBVIRTD = "libvirtd-kill"
    DISK_FULL = "dest-disk-full"
    REFUSED = "dest-refuses-definition"
    ACPI = "guest-ignores-acpi"
    QEMU = "guest-crash"
    REBOOT = "guest-reboot"
    TUNNEL = "tunnel-kill"
    EXPORT = "export-kill"
    EXPORT_HANGS = "export-hangs"
    CANCEL = "job-cancel"
    NOTHING = "nothing"


class Mirrored(enum.Enum):
    """How far a guest's mirror has to be when a fault happens."""

    COPYING = "copying"
    READY = "ready"


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
    """One row. The word behind its operation's dash says how that is done, see C(BY_RSYNC) and C(FORCED)."""

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
    def playbook(self) -> str:
        """What the operator runs."""
        return self.operation.partition("-")[0]

    @property
    def opens(self) -> bool:
        """Whether it begins with a guest of which no migration is open."""
        return self._phase == "move"

    @property
    def _phase(self) -> str:
        return (self.before or self.trigger).phase

    @property
    def loaded(self) -> bool:
        """Whether its guest writes records all the time. What a revert gives up on purpose would be called lost."""
        return self._phase != "revert"

    @property
    def ignores_acpi(self) -> bool:
        """Whether its guest cannot be shut down politely."""
        return self.fault is Fault.ACPI or self.operation == FORCED

    @property
    def mirrored(self) -> Mirrored | None:
        """How far the mirror is at the fault, None where it is of no importance."""
        if self.before is not None or self.operation not in ("resize", FORCED):
            return None
        if self.trigger == _MIRRORING and self.later_s:
            return Mirrored.COPYING
        return Mirrored.READY if self.trigger in (_MIRRORED, _STOPPING) and not self.later_s else None


def _lines(step: str, role: str, effects: str, phase: str = "move") -> list[Trigger]:
    """Begin and end of a step, and begin or end of its effects ('stop< stop>': its begin, its end)."""
    inside = [
        Trigger(step, role, "begin" if word.endswith("<") else "end", word[:-1], phase) for word in effects.split()
    ]
    return [Trigger(step, role, "begin", "", phase), *inside, Trigger(step, role, "end", "", phase)]


BY_RSYNC = "resize-by-rsync"
"""The disks are copied while the guest is off."""
FORCED = "resize-forced"
"""The guest ignores every polite shutdown, writes on meanwhile, and is forced off in the end."""

RESIZE = (
    *_lines("claim", "source", "record> lock> definitions<"),
    *_lines("claim", "destination", "record> lock> stage< stage>"),
    *_lines("export", "destination", "image_vda> export_vda< export_vda>"),
    *_lines("mirror", "source", "tunnel< tunnel> files< files> mirror< mirror>"),
    *_lines("hand_over", "source", "autostart_off> stop< stop> fence< fence> carry< carry>"),
    *_lines(
        "take_over",
        "destination",
        "evidence< evidence> own< check> grow_vda> place< place> define< define> start< start> autostart>",
    ),
    *_lines("release", "source", ""),
    *_lines("release", "destination", ""),
)
RSYNC = (
    *_lines("hand_over", "source", "stop> fence>"),
    *_lines("copy", "source", "copy< copy>"),
    *_lines("take_over", "destination", "check> place> start>"),
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
_MIRRORING = Trigger("mirror", "source", "begin", "mirror")
_MIRRORED = Trigger("mirror", "source", "end")
_STOPPING = Trigger("hand_over", "source", "begin", "stop")
_FENCED = Trigger("hand_over", "source", "end", "fence")
_PLACED = Trigger("take_over", "destination", "end", "place")
_RUNS = Trigger("take_over", "destination", "end", "start")
_DISCARDING = Trigger("discard", "source", "begin", "", "confirm")
_TAKING_BACK = Trigger("take_over", "source", "begin", "", "revert")


def _undo(role: str, effects: str) -> list[Trigger]:
    return [one for one in _lines("undo", role, effects) if one.effect]


RECOVER: tuple[tuple[Trigger, tuple[Trigger, ...]], ...] = (
    (
        _MIRRORED,
        (*_undo("source", "tunnel< tunnel> lock>"), *_undo("destination", "export_vda< export_vda> stage<")),
    ),
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
_MIRROR = (Fault.TUNNEL, Fault.EXPORT, Fault.EXPORT_HANGS, Fault.CANCEL, Fault.DEST_LINK, Fault.DEST_LINK_10S)
_GUEST = (Fault.QEMU, Fault.REBOOT)


def table() -> tuple[Case, ...]:
    """Every case, in an order that spreads operations and faults."""
    cases = [*_moves(), *_mirrors(), *_copies(), *_closings(), *_recoveries()]
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
    yield Case("resize", _FENCED, Fault.DEST_POWER, dead=True)
    yield Case("resize", _STOPPING, Fault.ACPI)
    for trigger in (Trigger("hand_over", "source", "begin"), _STOPPING, _RUNS):
        yield Case("resize", trigger, Fault.QEMU)
    for number, trigger in enumerate(MIGRATE):
        yield Case("migrate", trigger, (*_PROCESSES, Fault.DEST_POWER, Fault.SOURCE_POWER)[number % 5])


def _mirrors() -> Iterator[Case]:
    """A mirror that ends before it is ready, while it is ready, and while the guest is being stopped."""
    everything = (*_MIRROR, *_HOSTS, *_PROCESSES, *_GUEST, Fault.DISK_FULL, Fault.LIBVIRTD)
    for fault in everything:
        yield Case("resize", _MIRRORING, fault, later_s=0.5)
        yield Case("resize", _MIRRORED, fault)
    for fault in (*_MIRROR, Fault.REBOOT):
        yield Case("resize", _STOPPING, fault)
    yield Case(FORCED, _STOPPING, Fault.NOTHING)
    for fault in (*_MIRROR, *_PROCESSES, *_HOSTS, *_GUEST, Fault.LIBVIRTD):
        yield Case(FORCED, _STOPPING, fault, later_s=1.0)
    # The guest is off, and the export's word is not yet taken.
    for trigger in (Trigger("hand_over", "source", "end", "stop"), _FENCED, Trigger("hand_over", "source", "end")):
        yield Case("resize", trigger, Fault.EXPORT)
        yield Case("resize", trigger, Fault.EXPORT_HANGS)
    for trigger in _lines("export", "destination", "export_vda>"):
        yield Case("resize", trigger, Fault.DEST_POWER)
        yield Case("resize", trigger, Fault.DISK_FULL)
    yield Case("resize", _MIRRORED, Fault.DEST_POWER, dead=True)


def _copies() -> Iterator[Case]:
    for number, trigger in enumerate(RSYNC):
        yield Case(BY_RSYNC, trigger, Fault.CONTROLLER)
        yield Case(BY_RSYNC, trigger, (Fault.MODULE, Fault.SSH)[number % 2])
    for fault in (*_PROCESSES, *_HOSTS, Fault.DISK_FULL):
        yield Case(BY_RSYNC, _COPYING, fault, later_s=1.0)
    yield Case(BY_RSYNC, _COPYING, Fault.DEST_POWER, later_s=1.0, dead=True)


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
    lines = [("resize", RESIZE), (BY_RSYNC, RSYNC), ("migrate", MIGRATE), ("confirm", CONFIRM), ("revert", REVERT)]
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
    "resize-by-rsync/copy.copy:begin@source+1s/controller-kill",
    "resize/mirror.mirror:begin@source+0.5s/tunnel-kill",
    "resize/mirror:end@source/job-cancel",
    "resize-forced/hand_over.stop:begin@source+1s/export-hangs",
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
