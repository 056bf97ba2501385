# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of the table in which the guest is moved while it runs."""

from __future__ import annotations

from collections.abc import Iterator

from .case import LIVE, TRAVELS, Case, Fault, Travelling, Trigger, lines_of

MOVE = (
    *lines_of("claim", "source", "record> lock>"),
    *lines_of("claim", "destination", "record> lock>"),
    *lines_of("prepare", "destination", "image_vda< image_vda> place_vda< place_vda>"),
    *lines_of("live", "source", "autostart_off> start< start> live<"),
    *lines_of("arrive", "destination", "autostart> clock< seen>"),
    *lines_of("depart", "source", "settle> remove_vda< remove_vda> unit>"),
    *lines_of("release", "source", ""),
    *lines_of("release", "destination", ""),
)
_PREPARED = Trigger("prepare", "destination", "end")
_ASKED = Trigger("live", "source", "end", "start")
_SEEN = Trigger("arrive", "destination", "end")

_PROCESSES = (Fault.CONTROLLER, Fault.MODULE, Fault.SSH, Fault.MONITOR)
_LIBVIRT = (Fault.LIBVIRTD, Fault.DEST_LIBVIRTD)
_LINKS = (Fault.LINK, Fault.LINK_10S, Fault.DEST_LINK, Fault.DEST_LINK_10S)
_POWER = (Fault.SOURCE_POWER, Fault.DEST_POWER)
BEFORE_POST_COPY = (*_PROCESSES, *_LIBVIRT, *_LINKS, *_POWER, Fault.QEMU, Fault.ABORT)
IN_POST_COPY = (*_PROCESSES, Fault.LIBVIRTD, *_LINKS, Fault.ABORT)
"""Without what takes a host or a process away: its part of the guest's memory is nowhere else then. A libvirtd that is
killed on the destination is among that: libvirt 11.3, started again, ends the guest's process there. So it does
when it loses that on the source before the guest's devices are there: the guest has C(SWITCHED) once they are."""
BY_POLICY = {
    Travelling.SWITCHING: (
        *(Fault.MONITOR, Fault.CONTROLLER, Fault.ABORT),
        *(*_LIBVIRT, Fault.DEST_LINK, Fault.DEST_LINK_10S),
    ),
    Travelling.SWITCHED: (Fault.MONITOR, Fault.CONTROLLER, Fault.ABORT, Fault.LIBVIRTD, *_LINKS),
    Travelling.PAUSING: (Fault.MONITOR, Fault.CONTROLLER, Fault.ABORT, Fault.LIBVIRTD, Fault.DEST_LINK),
    Travelling.PAUSED: (
        *(Fault.MONITOR, Fault.CONTROLLER, Fault.ABORT),
        *(*_LIBVIRT, *_LINKS, Fault.DEST_POWER),
    ),
    Travelling.GIVING_UP: (Fault.MONITOR, Fault.CONTROLLER, Fault.LIBVIRTD, Fault.DEST_LINK),
    Travelling.GIVEN_UP: (Fault.MONITOR, Fault.CONTROLLER, Fault.LINK, Fault.DEST_LINK),
    Travelling.RAISING: (Fault.MONITOR, Fault.RETUNE),
    Travelling.RAISED: (Fault.MONITOR, Fault.CONTROLLER, Fault.RETUNE, Fault.RETUNE_MONITOR),
    Travelling.HURRIED: (Fault.DEST_LINK,),
    Travelling.HURRIED_TO_PAUSE: (Fault.DEST_LINK,),
}
"""What happens at the moments at which a policy that goes by its forecast acts by itself."""


def table() -> Iterator[Case]:
    """Every case of it."""
    yield from _lines()
    yield from _on_its_way()
    yield from _by_policy()
    yield from _troubles()
    yield from _recoveries()


def _lines() -> Iterator[Case]:
    for number, trigger in enumerate(MOVE):
        yield Case(LIVE, trigger, Fault.CONTROLLER)
        yield Case(LIVE, trigger, (Fault.MODULE, Fault.SSH)[number % 2])


def _on_its_way() -> Iterator[Case]:
    for stage in (Travelling.DISKS, Travelling.MEMORY):
        for fault in BEFORE_POST_COPY:
            yield Case(LIVE, TRAVELS, fault, travelling=stage)
    yield Case(LIVE, TRAVELS, Fault.DISK_FULL, travelling=Travelling.DISKS)
    yield Case(LIVE, TRAVELS, Fault.DEST_POWER, travelling=Travelling.MEMORY, dead=True)
    for fault in IN_POST_COPY:
        yield Case(LIVE, TRAVELS, fault, travelling=Travelling.POST_COPY)


def _by_policy() -> Iterator[Case]:
    for stage, faults in BY_POLICY.items():
        for fault in faults:
            yield Case(LIVE, TRAVELS, fault, travelling=stage)
    yield Case(LIVE, TRAVELS, Fault.DEST_POWER, travelling=Travelling.PAUSED, dead=True)


def _troubles() -> Iterator[Case]:
    yield Case(LIVE, Trigger("claim", "destination", "end"), Fault.DISK_FULL)
    yield Case(LIVE, _PREPARED, Fault.REFUSED)
    for trigger in (_PREPARED, _SEEN):
        for fault in (*_LIBVIRT, *_LINKS, *_POWER):
            yield Case(LIVE, trigger, fault)
    for trigger in (Trigger("prepare", "destination", "end", "place_vda"), Trigger("depart", "source", "begin")):
        for fault in _POWER:
            yield Case(LIVE, trigger, fault)


def _recoveries() -> Iterator[Case]:
    others = (Fault.MODULE, Fault.SSH, Fault.CONTROLLER, Fault.SOURCE_POWER, Fault.DEST_POWER, Fault.LINK_10S)
    undone = (
        *_undo("destination", "place_vda< place_vda> image_vda> lock> close>"),
        *_undo("source", "lock> close>"),
    )
    for number, trigger in enumerate(undone):
        yield Case("recover", trigger, others[number % len(others)], before=_PREPARED)
    gone_on = (*lines_of("arrive", "destination", "autostart>"), *lines_of("depart", "source", "remove_vda>"))
    for number, trigger in enumerate(gone_on):
        yield Case("recover", trigger, others[number % len(others)], before=_ASKED)


def _undo(role: str, effects: str) -> list[Trigger]:
    return [one for one in lines_of("undo", role, effects) if one.effect]
