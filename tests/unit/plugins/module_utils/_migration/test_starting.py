# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the guest may have run where it is taken over."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import START, Entry, Event, Phase, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.starting import may_have_run
from ansible_collections.kvmops.mobility.tests.unit.flows import MOVE, journals, line

MOVED, THERE = journals(MOVE)


def of(step: Step, event: Event, effect: str = "", **more: Any) -> Entry:
    return line(step, event, Phase.REVERT, effect, **more)


def taken_back(effect: str) -> Entry:
    return of(Step.UNDO, Event.END, effect, result={"step": Step.TAKE_OVER.value})


TAKING = of(Step.TAKE_OVER, Event.BEGIN)
PLACED = of(Step.TAKE_OVER, Event.END, "place")
STARTING = of(Step.TAKE_OVER, Event.BEGIN, START)
RUNS = of(Step.TAKE_OVER, Event.END, START)
TAKEN = of(Step.TAKE_OVER, Event.END)
FAILED = of(Step.TAKE_OVER, Event.FAIL, result={"code": "LIBVIRT_FAILED"})
OVERDUE = of(Step.TAKE_OVER, Event.FAIL, result={"code": "DEADLINE"})
DISK_FULL = of(Step.TAKE_OVER, Event.FAIL, result={"code": "FILE_SYSTEM_FAILED"})
LIBVIRT_GONE = of(Step.TAKE_OVER, Event.FAIL, result={"code": "LIBVIRT_UNAVAILABLE"})
NOT_RUNNING_YET = of(Step.TAKE_OVER, Event.FAIL, result={"code": "GUEST_DID_NOT_START"})


@pytest.mark.parametrize(
    ("entries", "started"),
    [
        (MOVED, False),
        ((TAKING, PLACED), False),
        ((TAKING, PLACED, STARTING), True),
        ((TAKING, PLACED, STARTING, FAILED), False),
        ((TAKING, STARTING, RUNS), True),
        ((TAKING, STARTING, RUNS, FAILED), True),
        ((TAKING, PLACED, TAKEN), True),
        ((TAKING, STARTING, RUNS, TAKEN, taken_back("autostart")), True),
        ((TAKING, STARTING, RUNS, TAKEN, taken_back(START)), False),
        ((TAKING, PLACED, TAKEN, taken_back("place_vda")), False),
        ((TAKING, STARTING, RUNS, TAKEN, taken_back(START), TAKING, STARTING, FAILED), False),
        ((TAKING, STARTING, RUNS, TAKEN, taken_back(START), TAKING, STARTING), True),
        ((TAKING, STARTING, TAKING, FAILED), True),
        ((TAKING, STARTING, FAILED, TAKING, FAILED), False),
        ((TAKING, STARTING, TAKING, STARTING, FAILED), True),
        ((TAKING, PLACED, STARTING, OVERDUE), True),
        ((TAKING, PLACED, STARTING, DISK_FULL), True),
        ((TAKING, PLACED, STARTING, LIBVIRT_GONE), True),
        ((TAKING, PLACED, STARTING, NOT_RUNNING_YET), True),
        ((TAKING, PLACED, STARTING, OVERDUE, TAKING, STARTING, FAILED), True),
        ((TAKING, PLACED, OVERDUE), False),
        ((TAKING, STARTING, OVERDUE, taken_back(START)), False),
    ],
)
def test_a_revert(entries: tuple[Entry, ...], started: bool) -> None:
    assert may_have_run(entries, Phase.REVERT) is started


def test_a_move_is_told_apart_from_its_revert() -> None:
    assert may_have_run(THERE, Phase.MOVE)
    assert not may_have_run(THERE, Phase.REVERT)
    assert not may_have_run(MOVED, Phase.MOVE)
