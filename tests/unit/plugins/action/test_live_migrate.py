# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin that calls until a live migration is over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.action import live_migrate
from ansible_collections.kvmops.mobility.plugins.module_utils._live.model import Sample, Stage
from ansible_collections.kvmops.mobility.plugins.module_utils._live.monitor import Report
from ansible_collections.kvmops.mobility.tests.unit.controller import action

MIB = 2**20
_RETURNED = ("steps", "succeeded", "live_asked_at")


def told(stage: Stage | None, *done: str, ended: bool = False, **values: Any) -> dict[str, Any]:
    """What a call returns."""
    more: dict[str, Any] = {name: values.pop(name) for name in _RETURNED if name in values}
    sample = Sample(12.4, stage, **values) if stage else None
    return {"changed": True, "ended": ended, "state": Report(0.0, sample, done=list(done)).as_result(), **more}


class Calls:
    """A hypervisor that answers each call in turn."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: list[dict[str, Any]] = []
        self.answers: Iterator[dict[str, Any]] = iter(())
        self.arguments: dict[str, Any] = {}
        monkeypatch.setattr(live_migrate.ActionModule, "_execute_module", self.execute)

    def execute(self, *_arguments: Any, **options: Any) -> dict[str, Any]:
        self.sent.append(options["module_args"])
        return next(self.answers)

    def run(self, answers: Sequence[dict[str, Any]], **arguments: Any) -> dict[str, Any]:
        self.answers = iter(answers)
        task = action(live_migrate.ActionModule, delegate_to="c1", migration="id", **arguments)
        found = task.run(task_vars={})
        self.arguments = task._task.args
        return found


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    return Calls(monkeypatch)


def test_it_calls_until_it_is_over_and_says_how_far_it_is(calls: Calls, capsys: pytest.CaptureFixture[str]) -> None:
    memory: dict[str, Any] = {
        "iteration": 3,
        "memory_total": 256 * MIB,
        "memory_remaining": 5 * MIB,
        "memory_bytes_s": 17 * MIB,
        "dirty_bytes_s": 12 * MIB,
    }
    limits: dict[str, Any] = {"throttle_percent": 20, "downtime_limit_ms": 300}
    found = calls.run(
        [
            told(None, steps=[{"name": "start"}], live_asked_at=7.0),
            told(Stage.DISKS, "0.5 s: downtime limit 50 ms", disk_remaining=512 * MIB, disk_total=1024 * MIB),
            told(Stage.MEMORY, "0.5 s: downtime limit 50 ms", "9.0 s: guest paused: x", **memory, **limits),
            told(Stage.MEMORY, ended=True, succeeded=True, steps=[{"name": "end"}]),
        ]
    )
    assert (found["ended"], found["succeeded"], found["live_asked_at"]) == (True, True, 7.0)
    assert found["steps"] == [{"name": "start"}]
    assert [one.get("started") for one in calls.sent] == [None, True, True, True]
    assert calls.arguments == {"migration": "id"}
    assert capsys.readouterr().out.splitlines() == [
        "c1: live migration: nothing is copied yet",
        "c1: 0.5 s: downtime limit 50 ms",
        "c1: live migration: disks, 12 s, 512 MiB of 1 GiB of the disks left",
        "c1: 9.0 s: guest paused: x",
        "c1: live migration: memory, 12 s, iteration 3, 5 MiB of 256 MiB of the memory left, 17 MiB/s, dirtied at "
        "12 MiB/s, guest slowed down by 20 %, downtime limit 300 ms",
    ]


@pytest.mark.parametrize("answer", [{"failed": True, "code": "LIVE_FAILED", "msg": "x"}, {"changed": True}])
def test_a_failure_or_a_plan_ends_it(calls: Calls, answer: dict[str, Any]) -> None:
    found = calls.run([told(None), answer])
    assert found.get("code") == answer.get("code")
    assert len(calls.sent) == 2
    assert calls.arguments == {"migration": "id"}
