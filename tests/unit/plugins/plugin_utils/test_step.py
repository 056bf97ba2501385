# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from ansible.errors import AnsibleConnectionFailure

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.plugin_utils import _step
from ansible_collections.kvmops.mobility.plugins.plugin_utils._step import ControllerAction, StepAction
from ansible_collections.kvmops.mobility.tests.unit.controller import action
from ansible_collections.kvmops.mobility.tests.unit.repository import ROOT

Answer = Callable[[], dict[str, Any]]


class Remote(StepAction):
    """A step whose hypervisor answers as the test says: Ansible's own way there needs one."""

    DEADLINE_S = 7
    HEARTBEAT_S: ClassVar[float] = 0.1
    LABEL = "copying disks"
    answer: ClassVar[Answer]

    def _execute_module(self, *_arguments: Any, **options: Any) -> dict[str, Any]:
        self.sent, self.module = options["module_args"], options.get("module_name")
        return type(self).answer()


def answering(answer: Answer) -> type[Remote]:
    return type("Answering", (Remote,), {"answer": staticmethod(answer)})


def raising(error: Exception) -> Answer:
    def answer() -> dict[str, Any]:
        raise error

    return answer


def run(answer: Answer, delegate_to: str | None = "c1", **arguments: Any) -> dict[str, Any]:
    return action(answering(answer), delegate_to=delegate_to, **arguments).run(
        task_vars={"inventory_hostname": "guest-6c8f0f0e"}
    )


def test_a_modules_result_with_where_and_when() -> None:
    before = time.time()
    found = run(lambda: {"changed": True, "parked": "/x"})
    assert (found["changed"], found["parked"], found["ran_on"]) == (True, "/x", "c1")
    clock = found["controller_clock"]
    assert before <= clock["began"] <= clock["ended"] <= time.time()
    assert "failed" not in found


def test_without_delegation_it_runs_on_the_play_host() -> None:
    assert run(lambda: {}, delegate_to=None)["ran_on"] == "guest-6c8f0f0e"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(raising(AnsibleConnectionFailure("ssh: no route\n  to host")), id="the connection fails"),
        pytest.param(lambda: {"unreachable": True, "msg": "ssh: no route to host"}, id="the result is unreachable"),
        pytest.param(raising(TimeoutError("ssh: no route to host")), id="no answer in time"),
    ],
)
def test_unreachable_is_an_ordinary_failure_so_that_rescue_runs(answer: Answer) -> None:
    found = run(answer)
    assert "unreachable" not in found
    assert found["failed"] is True
    assert (found["code"], found["subject"]) == ("HOST_UNREACHABLE", "c1")
    assert found["msg"].startswith("HOST_UNREACHABLE: c1: did not answer: ssh: no route to host")
    assert found["remedy"] in found["msg"]


@pytest.mark.parametrize(("text", "code"), [("changed-ed25519", "HOST_KEY_CHANGED"), ("unknown", "HOST_KEY_UNKNOWN")])
def test_a_host_that_ssh_does_not_believe_is_not_merely_silent(text: str, code: str) -> None:
    said = (ROOT / f"tests/unit/data/ssh/{text}.txt").read_text(encoding="utf-8")
    found = run(lambda: {"unreachable": True, "msg": f"Failed to connect to the host via ssh: {said}"})
    assert (found["code"], found["subject"]) == (code, "c1")
    assert found["reason"].startswith(f"{code}: ")
    assert 'kvmops.mobility.repair_trust -e \'{"fingerprints": {"c1": "SHA256:..."}}\'' in found["remedy"]
    assert "@@@" not in found["msg"]
    assert ("known_hosts:" in found["msg"]) is (code == "HOST_KEY_CHANGED")


def test_a_failure_keeps_its_code() -> None:
    found = run(lambda: {"failed": True, "code": "BUSY", "msg": "BUSY: web1", "remedy": "Wait."})
    assert (found["code"], found["remedy"]) == ("BUSY", "Wait.")


def test_a_module_that_was_killed_gets_one() -> None:
    found = run(lambda: {"failed": True, "msg": "MODULE FAILURE", "rc": 137})
    assert (found["code"], found["msg"]) == ("MODULE_FAILED", "MODULE FAILURE")
    assert "c1" in found["remedy"]


def test_what_a_move_calls_goes_as_one_module() -> None:
    shown = {"invocation": {"module_args": {"module": "domain_info", "arguments": {"deadline_s": 7}}}}
    plugin = action(answering(lambda: dict(shown)), delegate_to="c1")
    plugin._task.action = "kvmops.mobility.domain_info"
    found = plugin.run(task_vars={})
    assert plugin.module == "kvmops.mobility.migration_step"
    assert plugin.sent == {"module": "domain_info", "arguments": {"deadline_s": 7}}
    assert found["invocation"] == {"module_args": {"deadline_s": 7}}


@pytest.mark.parametrize(("given", "sent"), [({}, 7), ({"deadline_s": 99}, 99), ({"deadline_s": "5"}, "5")])
def test_the_deadline_goes_to_the_hypervisor(given: dict[str, Any], sent: object) -> None:
    plugin = action(answering(lambda: {}), delegate_to="c1", name="web1", **given)
    plugin.run(task_vars={})
    assert plugin.sent == {"name": "web1", "deadline_s": sent}


def test_a_hypervisor_that_no_longer_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_step, "_GRACE_S", 0)

    def sleep() -> dict[str, Any]:
        time.sleep(20)
        return {}

    began = time.monotonic()
    found = run(sleep, deadline_s=1)
    assert time.monotonic() - began < 10
    assert found["code"] == "HOST_UNREACHABLE"
    assert "no answer within 1 s" in found["msg"]


@pytest.mark.parametrize("deadline_s", [0, 60])
def test_no_alarm_is_left(deadline_s: int) -> None:
    handler = signal.getsignal(signal.SIGALRM)
    seen: list[int] = []

    def look() -> dict[str, Any]:
        seen.append(signal.alarm(0))
        signal.alarm(seen[0])
        return {}

    run(look, deadline_s=deadline_s)
    assert bool(seen[0]) is bool(deadline_s)
    assert signal.alarm(0) == 0
    assert signal.getsignal(signal.SIGALRM) is handler


def test_a_tasks_own_timeout_keeps_its_alarm() -> None:
    plugin = action(answering(lambda: {"left": signal.alarm(0)}), delegate_to="c1", deadline_s=60)
    plugin._task.timeout = 5
    signal.alarm(30)
    try:
        left = plugin.run(task_vars={})["left"]
    finally:
        signal.alarm(0)
    assert 0 < left <= 30


def test_slow_work_shows_that_it_lives(capsys: pytest.CaptureFixture[str]) -> None:
    def slow() -> dict[str, Any]:
        time.sleep(0.35)
        return {}

    run(slow)
    lines = [one for one in capsys.readouterr().out.splitlines() if "still" in one]
    assert 2 <= len(lines) <= 3
    assert all("c1: still copying disks" in one for one in lines)


def test_quick_work_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    run(lambda: {})
    time.sleep(0.25)
    assert "still" not in capsys.readouterr().out


def test_the_heartbeat_ends_with_a_failure_too(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="a mistake"):
        run(raising(ValueError("a mistake")))
    capsys.readouterr()
    time.sleep(0.25)
    assert "still" not in capsys.readouterr().out


class Local(ControllerAction):
    """Works, or refuses."""

    def work(self, arguments: Any, variables: Any) -> dict[str, Any]:
        if arguments["name"] == "bad":
            raise Refused("VALUE_INVALID", "name", "is bad.", "Give another.", allowed=["good"])
        self.show(["one line", variables["more"]])
        return {"changed": False, "name": arguments["name"]}


def test_the_controllers_own_work(capsys: pytest.CaptureFixture[str]) -> None:
    found = action(Local, name="good").run(task_vars={"more": "another"})
    assert found == {"changed": False, "name": "good"}
    assert capsys.readouterr().out == "one line\nanother\n"


def test_its_refusals_have_a_code() -> None:
    found = action(Local, name="bad").run(task_vars={})
    assert found["failed"] is True
    assert (found["code"], found["subject"], found["allowed"]) == ("VALUE_INVALID", "name", ["good"])
    assert found["msg"] == "VALUE_INVALID: name: is bad. Give another."
