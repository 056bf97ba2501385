# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests that leave a hypervisor at the same time, over a link that is too narrow for all of them at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby

import pytest

from ansible_collections.kvmops.mobility.tests.e2e import lab
from ansible_collections.kvmops.mobility.tests.e2e.lab import PREFIX
from ansible_collections.kvmops.mobility.tests.e2e.play import Run, play

FLEET = tuple(f"{PREFIX}fleet{number}" for number in range(3))
LINK_MBIT = 160
BUDGET_MIB_S = 18
CEILING_MS = 500
POLICY = {"name": "balanced", "max_downtime_ms": CEILING_MS}
HAS, WAITS = "has the link: ", "waits for its turn (with "


@pytest.fixture
def fleet() -> Iterator[tuple[str, ...]]:
    """Guests that each write so much that they come through with the whole link, not with a third of it."""
    lab.parallel(lambda name: lab.create(name, "--ticks", "--load", "memory=8"), FLEET)
    try:
        lab.shape(LINK_MBIT)
        yield FLEET
    finally:
        lab.shape(0, check=False)
        lab.destroy(*FLEET)


def turns(done: Run, guest: str) -> list[str]:
    """What its receipt says of its turns, each once."""
    lines = [one.partition(": ")[2] for one in done.receipt(guest)["carried"]["done"]]
    told = [one for one in lines if one.startswith((HAS, WAITS))]
    assert not [one for one in told if "refused" in one]
    return [kind for kind, _same in groupby(told, key=lambda one: HAS if one.startswith(HAS) else WAITS)]


def limits_of(done: Run, guest: str) -> list[int]:
    """The downtime limits that it had, ms."""
    return [
        int(found)
        for found in re.findall(r"downtime limit (\d+) ms", "\n".join(done.receipt(guest)["carried"]["done"]))
    ]


def test_three_guests_leave_at_once_and_take_turns(fleet: tuple[str, ...]) -> None:
    drain = {
        "vm": list(fleet),
        "dest": "c2",
        "policy": POLICY,
        "live_migrate_slots": 3,
        "live_migrate_budget_mib_s": BUDGET_MIB_S,
    }
    done = play("live_migrate", drain, timeout_s=400)
    assert done.code == 0, done.output
    for name, view in lab.verify_all(fleet).items():
        assert (view.host, view.state, view.problems, view.defined_on) == ("c2", "running", (), ("c2",)), name

    limits = {name: limits_of(done, name) for name in fleet}  # how long they stood is measured by the bench, in quiet
    assert all(found and max(found) <= CEILING_MS for found in limits.values()), limits

    seen = {name: turns(done, name) for name in fleet}
    assert all(kinds and kinds[-1] == HAS for kinds in seen.values()), seen
    assert sum(WAITS in kinds for kinds in seen.values()) >= 2, seen  # not all of them at the same time
    waited_for = re.findall(re.escape(WAITS) + r"([^)]+)\)", done.output)
    assert set(waited_for) <= set(fleet)
    assert waited_for
