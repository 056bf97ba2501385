# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin that calls until every disk is ready."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.action import disk_mirror
from ansible_collections.kvmops.mobility.tests.unit.clock import Clock
from ansible_collections.kvmops.mobility.tests.unit.controller import action

GIB = 2**30
CALL_S = 15.0


def told(left: float, *started: str, done: float = 0, **more: Any) -> dict[str, Any]:
    """What a call returns with *left* GiB still to be copied."""
    return {
        "changed": True,
        "ready": left == 0,
        "started": list(started or ("vda",)),
        "done_bytes": round(done * GIB),
        "total_bytes": round((done + left) * GIB),
        "rate_bytes_s": GIB // 8,
        **more,
    }


class Calls:
    """A hypervisor that answers each call in turn, the last answer for ever; each takes fifteen seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = Clock()
        self.sent: list[dict[str, Any]] = []
        self.answers: Iterator[dict[str, Any]] = iter(())
        self.arguments: dict[str, Any] = {}
        monkeypatch.setattr(disk_mirror, "time", SimpleNamespace(monotonic=self.clock))
        monkeypatch.setattr(disk_mirror.ActionModule, "_execute_module", self.execute)

    def execute(self, *_arguments: Any, **options: Any) -> dict[str, Any]:
        self.clock.sleep(CALL_S)
        self.sent.append(options["module_args"])
        return next(self.answers)

    def run(self, answers: Sequence[dict[str, Any]], **arguments: Any) -> dict[str, Any]:
        self.answers = iter(answers)
        task = action(disk_mirror.ActionModule, delegate_to="c1", migration="id", **arguments)
        found = task.run(task_vars={})
        self.arguments = task._task.args
        return found


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    return Calls(monkeypatch)


def test_it_calls_until_all_is_ready_and_says_how_far_it_is(calls: Calls, capsys: pytest.CaptureFixture[str]) -> None:
    files, steps = {"console.log": [1, 2, 3]}, [{"name": "tunnel"}]
    found = calls.run(
        [
            told(3, files=files, steps=steps, done=1),
            told(1, done=3, steps=[{"name": "ready"}]),
            told(0, "vda", "vdb", done=4, steps=[{"name": "ready"}]),
        ]
    )
    assert (found["ready"], found["started"], found["done_bytes"]) == (True, ["vda", "vdb"], 4 * GIB)
    assert (found["files"], found["steps"]) == (files, steps)  # those of the first call
    assert [one.get("started") for one in calls.sent] == [None, ["vda"], ["vda"]]
    assert capsys.readouterr().out.splitlines() == [
        "c1: mirrored 25 % (1 GiB of 4 GiB, 128 MiB a second)",
        "c1: mirrored 75 % (3 GiB of 4 GiB, 128 MiB a second)",
    ]
    assert calls.arguments == {"migration": "id"}


@pytest.mark.parametrize("answer", [{"failed": True, "code": "MIRROR_FAILED", "msg": "x"}, {"changed": True}])
def test_a_failure_or_a_plan_ends_it(calls: Calls, answer: dict[str, Any]) -> None:
    found = calls.run([told(3), answer])
    assert found.get("code") == answer.get("code")
    assert len(calls.sent) == 2
    assert calls.arguments == {"migration": "id"}


def test_one_that_comes_no_closer_is_given_up(calls: Calls) -> None:
    found = calls.run([told(3, done=number) for number in range(99)], patience_s=60)
    assert (found["failed"], found["code"]) == (True, "MIRROR_NOT_CONVERGING")
    assert "for 60 s" in found["msg"]
    assert "throttle" in found["remedy"]
    assert 60 <= len(calls.sent) * CALL_S <= 60 + 3 * CALL_S
    assert all("write_limit_bytes_s" not in one for one in calls.sent)


def test_one_that_comes_closer_is_not(calls: Calls) -> None:
    found = calls.run([told((99 - number) / 10, done=number / 10) for number in range(100)], patience_s=60)
    assert (found["ready"], len(calls.sent)) == (True, 100)


def test_a_guest_that_may_be_throttled_writes_half_as_fast_as_the_link(calls: Calls) -> None:
    answers = [told(3, done=number * 1.5) for number in range(6)] + [told(0)]
    found = calls.run(answers, patience_s=60, throttle=True)
    assert found["ready"] is True
    assert [one.get("write_limit_bytes_s") for one in calls.sent] == [None] * 6 + [round(GIB / 10 / 2)]
    assert calls.arguments == {"migration": "id", "patience_s": 60, "throttle": True}


def test_one_that_is_throttled_in_vain_is_given_up(calls: Calls) -> None:
    found = calls.run([told(3, done=number) for number in range(99)], patience_s=60, throttle=True)
    assert found["code"] == "MIRROR_NOT_CONVERGING"
    assert len({one["write_limit_bytes_s"] for one in calls.sent if "write_limit_bytes_s" in one}) == 1


def test_a_disk_that_is_started_later_is_not_the_guest_that_writes(calls: Calls) -> None:
    """Two disks at once: when the first two are nearly there, the third one is still to be copied whole."""
    answers = [told(2, "vda", "vdb"), told(0.1, "vda", "vdb"), told(0.01, "vda", "vdb", "vdc")]
    answers += [told(20 - number, "vda", "vdb", "vdc") for number in range(21)]
    found = calls.run(answers, patience_s=60)
    assert found.get("code") is None
    assert found["ready"] is True


def test_the_first_call_also_sends_files_and_may_take_its_time(calls: Calls) -> None:
    calls.run([told(0)])
    assert calls.sent[0]["deadline_s"] > 3600
