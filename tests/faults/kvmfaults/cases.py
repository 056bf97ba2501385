# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of all cases: here those of moves of a guest that is off at one time."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from . import live_cases
from .case import BY_RSYNC, FORCED, MIRRORED, MIRRORING, STOPPING, Case, Fault, Travelling, Trigger, lines_of

RESIZE = (
    *lines_of("claim", "source", "record> lock> definitions<"),
    *lines_of("claim", "destination", "record> lock> stage< stage>"),
    *lines_of("export", "destination", "image_vda> export_vda< export_vda>"),
    *lines_of("mirror", "source", "tunnel< tunnel> files< files> mirror< mirror>"),
    *lines_of("hand_over", "source", "autostart_off> stop< stop> fence< fence> carry< carry>"),
    *lines_of(
        "take_over",
        "destination",
        "evidence< evidence> own< check> grow_vda> place< place> define< define> start< start> autostart>",
    ),
    *lines_of("release", "source", ""),
    *lines_of("release", "destination", ""),
)
RSYNC = (
    *lines_of("hand_over", "source", "stop> fence>"),
    *lines_of("copy", "source", "copy< copy>"),
    *lines_of("take_over", "destination", "check> place> start>"),
)
MIGRATE = (
    *lines_of("hand_over", "source", "fence>"),
    *lines_of("take_over", "destination", "place> start>"),
)
CONFIRM = (
    *lines_of("claim", "source", "lock>", "confirm"),
    *lines_of("evidence", "destination", "", "confirm"),
    *lines_of("discard", "source", "undefine< undefine> remove< remove> forget>", "confirm"),
    *lines_of("discard", "destination", "", "confirm"),
)
REVERT = (
    *lines_of("claim", "destination", "lock>", "revert"),
    *lines_of("hand_over", "destination", "stop< stop> fence< fence>", "revert"),
    *lines_of("take_over", "source", "place< place> start< start> autostart>", "revert"),
    *lines_of("discard", "destination", "undefine> remove< remove>", "revert"),
    *lines_of("discard", "source", "", "revert"),
)

_COPYING = Trigger("copy", "source", "begin", "copy")
_FENCED = Trigger("hand_over", "source", "end", "fence")
_PLACED = Trigger("take_over", "destination", "end", "place")
_RUNS = Trigger("take_over", "destination", "end", "start")
_DISCARDING = Trigger("discard", "source", "begin", "", "confirm")
_TAKING_BACK = Trigger("take_over", "source", "begin", "", "revert")


def _undo(role: str, effects: str) -> list[Trigger]:
    return [one for one in lines_of("undo", role, effects) if one.effect]


RECOVER: tuple[tuple[Trigger, tuple[Trigger, ...]], ...] = (
    (
        MIRRORED,
        (*_undo("source", "tunnel< tunnel> lock>"), *_undo("destination", "export_vda< export_vda> stage<")),
    ),
    (
        _PLACED,
        (
            *_undo("destination", "place< place> stage< stage> lock> close>"),
            *_undo("source", "fence< fence> stop> autostart_off> lock> close>"),
        ),
    ),
    (_RUNS, (*lines_of("take_over", "destination", "autostart>"), Trigger("release", "destination", "begin"))),
    (_DISCARDING, (*lines_of("discard", "source", "undefine> remove>", "confirm"),)),
    (_TAKING_BACK, (*lines_of("take_over", "source", "place> start>", "revert"),)),
)

_HOSTS = (Fault.LINK, Fault.LINK_10S, Fault.DEST_POWER, Fault.SOURCE_POWER)
_PROCESSES = (Fault.CONTROLLER, Fault.MODULE, Fault.SSH)
_MIRROR = (Fault.TUNNEL, Fault.EXPORT, Fault.EXPORT_HANGS, Fault.CANCEL, Fault.DEST_LINK, Fault.DEST_LINK_10S)
_GUEST = (Fault.QEMU, Fault.REBOOT)


def table() -> tuple[Case, ...]:
    """Every case, in an order that spreads operations and faults."""
    cases = [*_moves(), *_mirrors(), *_copies(), *_closings(), *_recoveries(), *live_cases.table()]
    seen = {one.id: one for one in cases}
    return tuple(seen.values())


def _moves() -> Iterator[Case]:
    for number, trigger in enumerate(RESIZE):
        yield Case("resize", trigger, Fault.CONTROLLER)
        yield Case("resize", trigger, (Fault.MODULE, Fault.SSH)[number % 2])
    for trigger in (
        *lines_of("hand_over", "source", "stop> fence>"),
        *lines_of("take_over", "destination", "place> start>"),
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
    yield Case("resize", STOPPING, Fault.ACPI)
    for trigger in (Trigger("hand_over", "source", "begin"), STOPPING, _RUNS):
        yield Case("resize", trigger, Fault.QEMU)
    for number, trigger in enumerate(MIGRATE):
        yield Case("migrate", trigger, (*_PROCESSES, Fault.DEST_POWER, Fault.SOURCE_POWER)[number % 5])


def _mirrors() -> Iterator[Case]:
    """A mirror that ends before it is ready, while it is ready, and while the guest is being stopped."""
    everything = (*_MIRROR, *_HOSTS, *_PROCESSES, *_GUEST, Fault.DISK_FULL, Fault.LIBVIRTD)
    for fault in everything:
        yield Case("resize", MIRRORING, fault, later_s=0.5)
        yield Case("resize", MIRRORED, fault)
    for fault in (*_MIRROR, Fault.REBOOT):
        yield Case("resize", STOPPING, fault)
    yield Case(FORCED, STOPPING, Fault.NOTHING)
    for fault in (*_MIRROR, *_PROCESSES, *_HOSTS, *_GUEST, Fault.LIBVIRTD):
        yield Case(FORCED, STOPPING, fault, later_s=1.0)
    # The guest is off, and the export's word is not yet taken.
    for trigger in (Trigger("hand_over", "source", "end", "stop"), _FENCED, Trigger("hand_over", "source", "end")):
        yield Case("resize", trigger, Fault.EXPORT)
        yield Case("resize", trigger, Fault.EXPORT_HANGS)
    for trigger in lines_of("export", "destination", "export_vda>"):
        yield Case("resize", trigger, Fault.DEST_POWER)
        yield Case("resize", trigger, Fault.DISK_FULL)
    yield Case("resize", MIRRORED, Fault.DEST_POWER, dead=True)


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
    stages = {one.value: one for one in Travelling}
    delay = float(later.rstrip("s")) if later and later not in stages else 0
    trigger = Trigger(name, role, event, effect, phase)
    return Case(operation, trigger, Fault(what), later_s=delay, travelling=stages.get(later))
