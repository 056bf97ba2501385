# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the journals tell of a revert."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._migration import reverting
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import Data
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Entry, Event, Phase, Step
from ansible_collections.kvmops.mobility.tests.unit.flows import MOVE, REVERT, journals, line, whole

MOVED, _THERE = journals(MOVE)


def claimed(**result: object) -> Entry:
    return line(Step.CLAIM, phase=Phase.REVERT, result=result)


def of(step: Step, event: Event, effect: str = "", **more: Any) -> Entry:
    return line(step, event, Phase.REVERT, effect, **more)


TAKING = of(Step.TAKE_OVER, Event.BEGIN)


@pytest.mark.parametrize(
    ("entries", "data"),
    [
        ((), Data.DISCARD),
        (MOVED, Data.DISCARD),
        (whole(Step.CLAIM, Phase.REVERT), Data.DISCARD),
        ((claimed(data="copy_back"),), Data.COPY_BACK),
        ((claimed(data="copy_back"), claimed(data="discard")), Data.DISCARD),
        ((claimed(data="discard"), claimed(data="copy_back"), TAKING), Data.COPY_BACK),
    ],
)
def test_the_last_claim_counts(entries: tuple[Entry, ...], data: Data) -> None:
    assert reverting.data(entries) is data


def test_sizes_are_those_that_were_told_last() -> None:
    assert reverting.sizes((*MOVED, claimed(data="copy_back", sizes={}))) == {}
    told = (claimed(sizes={"vda": 1}), claimed(sizes={"vda": 2, "vdb": 3}), claimed(started=True))
    assert reverting.sizes(told) == {"vda": 2, "vdb": 3}


def test_what_an_attempt_left_is_what_can_be_taken_back() -> None:
    made = of(Step.EXPORT, Event.BEGIN, "stage", undo={"kind": "remove", "path": "/x"})
    ended = of(Step.UNDO, Event.END, "stage", result={"step": Step.EXPORT.value})
    assert reverting.left_over((made,), (Step.EXPORT,))
    assert not reverting.left_over((made,), (Step.MIRROR,))
    assert not reverting.left_over((made, ended), (Step.EXPORT,))
    assert not reverting.left_over(journals(MOVE, REVERT)[0], tuple(Step))
