# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
import json
import os
import sys
from pathlib import Path

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._command import Completed
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import CommandFailed, TimedOut
from ansible_collections.kvmops.mobility.plugins.module_utils._unit import transient
from ansible_collections.kvmops.mobility.plugins.module_utils._unit.transient import Phase, Unit
from ansible_collections.kvmops.mobility.tests.unit.clock import Clock

NAME = "kvmops-id-copy"
ARGV = ("rsync", "a b", "--", "c2:/x/")
SHOW = ["systemctl", "show", f"{NAME}.service", "--property=LoadState,ActiveState,SubState,ExecMainStatus"]
FORGET = [["systemctl", "stop", f"{NAME}.service"], ["systemctl", "reset-failed", f"{NAME}.service"]]
ABSENT = "LoadState=not-found\nActiveState=inactive\nSubState=dead\nExecMainStatus=0\n"
STARTING = "LoadState=loaded\nActiveState=activating\nSubState=start\nExecMainStatus=0\n"
RUNNING = "LoadState=loaded\nActiveState=active\nSubState=running\nExecMainStatus=0\n"
STOPPING = "LoadState=loaded\nActiveState=deactivating\nSubState=stop-sigterm\nExecMainStatus=0\n"
WENT_WELL = "LoadState=loaded\nActiveState=active\nSubState=exited\nExecMainStatus=0\n"
FAILED = "LoadState=loaded\nActiveState=failed\nSubState=failed\nExecMainStatus=23\n"
PROGRAM = f"""#!{sys.executable}
import json, os, sys
home = os.path.dirname(os.path.abspath(sys.argv[0]))
with open(home + "/calls", "a") as calls:
    calls.write(json.dumps([os.path.basename(sys.argv[0]), *sys.argv[1:]]) + "\\n")
if sys.argv[1] == "show":
    with open(home + "/answers") as answers:
        first, *rest = json.load(answers)
    print(first, end="")
    if rest:
        with open(home + "/answers", "w") as answers:
            json.dump(rest, answers)
"""


class Systemd:
    """Answers each question after a unit in turn, the last one for ever; remembers what it was told."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.unit = Unit(NAME, str(home))
        self.clock = Clock()
        for name in ("systemctl", "systemd-run"):
            (home / name).write_text(PROGRAM, encoding="ascii")
            (home / name).chmod(0o755)

    def says(self, *answers: str) -> None:
        (self.home / "answers").write_text(json.dumps(answers), encoding="ascii")

    def told(self) -> list[list[str]]:
        """All but the questions."""
        calls = [json.loads(one) for one in (self.home / "calls").read_text(encoding="ascii").splitlines()]
        assert all(one == SHOW for one in calls if one[1] == "show")
        return [one for one in calls if one[1] != "show"]

    def carry_out(self, timeout_s: float = 60) -> Completed:
        return transient.carry_out(self.unit, ARGV, timeout_s, self.clock, self.clock.sleep)


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return Systemd(tmp_path)


def test_its_name() -> None:
    assert transient.name_of("id", "copy") == NAME


@pytest.mark.parametrize(
    ("shown", "phase"),
    [
        (ABSENT, Phase.ABSENT),
        ("", Phase.ABSENT),
        (STARTING, Phase.RUNNING),
        (RUNNING, Phase.RUNNING),
        (STOPPING, Phase.RUNNING),
        (WENT_WELL, Phase.ENDED),
        (FAILED, Phase.ENDED),
    ],
)
def test_where_it_stands(systemd: Systemd, shown: str, phase: Phase) -> None:
    systemd.says(shown)
    assert transient.phase(NAME) is phase
    assert systemd.told() == []


def test_it_is_started_waited_for_and_forgotten(systemd: Systemd) -> None:
    systemd.says(ABSENT, STARTING, RUNNING, WENT_WELL)
    systemd.unit.output.write_text("out\n", encoding="utf-8")
    done = systemd.carry_out()
    assert (done.argv, done.code, done.stdout, done.stderr) == (ARGV, 0, "out\n", "")
    start, *rest = systemd.told()
    assert rest == FORGET
    assert start[:4] == ["systemd-run", "--quiet", f"--unit={NAME}", "--setenv=LC_ALL=C"]
    assert start[start.index("--") + 1 :] == list(ARGV)
    assert {"--property=Type=exec", "--property=RemainAfterExit=yes", "--property=UMask=0077"} <= set(start)
    assert f"--property=StandardOutput=truncate:{systemd.unit.output}" in start
    assert f"--property=StandardError=truncate:{systemd.unit.errors}" in start


def test_what_systemd_would_expand_in_a_command_stays(systemd: Systemd) -> None:
    transient.start_service(systemd.unit, ("cp", "/a/${HOME}$$", "/b/50%h:x"))
    (start,) = systemd.told()
    assert start[start.index("--") + 1 :] == ["cp", "/a/$${HOME}$$$$", "/b/50%h:x"]


@pytest.mark.parametrize("answers", [(RUNNING, RUNNING, WENT_WELL), (WENT_WELL,)], ids=["it runs", "it has ended"])
def test_one_that_is_there_is_not_started_again(systemd: Systemd, answers: tuple[str, ...]) -> None:
    systemd.says(*answers)
    assert systemd.carry_out().code == 0
    assert systemd.told() == FORGET


def test_its_failure_is_told_as_that_of_a_child(systemd: Systemd) -> None:
    systemd.says(RUNNING, FAILED)
    systemd.unit.errors.write_text("No space left on device\n", encoding="utf-8")
    with pytest.raises(CommandFailed, match="No space left") as error:
        systemd.carry_out()
    assert (error.value.code, error.value.subject) == ("COMMAND_FAILED", "rsync")
    assert systemd.told() == FORGET


def test_it_goes_on_when_nobody_waits_any_more(systemd: Systemd) -> None:
    systemd.says(RUNNING)
    with pytest.raises(TimedOut, match=r"goes on after 0\.3 s") as error:
        systemd.carry_out(0.3)
    assert (error.value.code, error.value.subject) == ("COMMAND_TIMED_OUT", NAME)
    assert f"systemctl stop {NAME}" in error.value.remedy
    assert systemd.told() == []


@pytest.mark.parametrize(("shown", "calls"), [(ABSENT, []), (RUNNING, FORGET), (FAILED, FORGET)])
def test_forgetting(systemd: Systemd, shown: str, calls: list[list[str]]) -> None:
    systemd.says(shown)
    assert transient.forget(NAME) is bool(calls)
    assert systemd.told() == calls


# --- a service ---------------------------------------------------------------------------------------------------


def test_a_service_is_started_and_never_again(systemd: Systemd) -> None:
    transient.start_service(systemd.unit, ARGV, ("User=kvmops", "LimitCORE=0"))
    (start,) = systemd.told()
    assert start[:4] == ["systemd-run", "--quiet", f"--unit={NAME}", "--setenv=LC_ALL=C"]
    assert start[start.index("--") + 1 :] == list(ARGV)
    properties = [one.partition("=")[2] for one in start if one.startswith("--property=")]
    assert properties == [
        "Type=exec",
        f"StandardOutput=truncate:{systemd.unit.output}",
        f"StandardError=truncate:{systemd.unit.errors}",
        "UMask=0077",
        "TimeoutStopSec=5",
        "User=kvmops",
        "LimitCORE=0",
    ]


def test_a_program_is_its_standard_input_whatever_it_holds(systemd: Systemd) -> None:
    program = "print('é %s \\x')\n"
    transient.start_service(systemd.unit, ("python3", "-"), program=program)
    (start,) = systemd.told()
    (given,) = (one for one in start if one.startswith("--property=StandardInputData="))
    assert base64.b64decode(given.split("=", 2)[2]).decode() == program


def test_a_service_that_systemd_refuses(systemd: Systemd) -> None:
    (systemd.home / "systemd-run").write_text("#!/bin/sh\necho already exists >&2\nexit 1\n", encoding="ascii")
    with pytest.raises(CommandFailed, match="already exists"):
        transient.start_service(systemd.unit, ARGV)


def test_its_last_words(systemd: Systemd) -> None:
    assert transient.words(systemd.unit) == ""
    systemd.unit.errors.write_bytes(b"x" * 2000 + b" the end \xff\n")
    said = transient.words(systemd.unit)
    assert said.endswith("x the end \ufffd")
    assert len(said) == 1024
