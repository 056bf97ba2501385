# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the guest may have run where it is taken over: what it wrote there must not be thrown away. Pure.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import START, Entry, Event, Phase, Step

_PLACE = "place"
"""What the first effects of a take-over that give things their names are called, each with the disk's target."""

_NOT_STARTED = "LIBVIRT_FAILED"
"""With it the effect start ends only when libvirt said that it did not start the guest."""


def may_have_run(entries: Sequence[Entry], phase: Phase) -> bool:
    """Whether the guest may have run since its take-over in *phase*, by the journal of the side that takes it over.

    A start that libvirt refused is none, and neither is one that was undone. Any other failure (a deadline, a full
    disk, libvirt that went away) may have come between libvirt's answer and the line that says so. A failure of a later
    attempt says nothing of an earlier one. For a guest that was off, that its disks have their place is as much.
    """
    mine = earlier = False
    for one in entries:
        if one.phase is not phase:
            continue
        if one.step is Step.TAKE_OVER:
            earlier, mine = _after(one, earlier, mine)
        elif one.event is Event.END and _takes_back_the_start(one):
            mine = earlier = False
    return mine or earlier


def _after(one: Entry, earlier: bool, mine: bool) -> tuple[bool, bool]:
    """What is known after a line of a take-over: whether an earlier attempt may have started it, and this one."""
    what = (one.effect, one.event)
    if one.event is Event.FAIL:
        refused = one.result.get("code") == _NOT_STARTED
        return earlier, mine and not refused
    if what == ("", Event.BEGIN):
        return earlier or mine, False
    if what in ((START, Event.END), ("", Event.END)):
        return True, True
    return earlier, mine or what == (START, Event.BEGIN)


def _takes_back_the_start(one: Entry) -> bool:
    mine = one.step is Step.UNDO and one.result.get("step") == Step.TAKE_OVER.value
    return mine and (one.effect == START or one.effect.partition("_")[0] == _PLACE)
