# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks that run at the same time are as strict as one after the other: tools/abreast.py, and what is built on it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from ansible_collections.kvmops.mobility.tests.unit.repository import ROOT

SCRIPT = ROOT / "tools/abreast.py"
CHECKS = ("lint", "unit", "sanity", "e2e", "converge", "molecule-usual", "faults-subset", "faults-proofs", "build")
SAY = "import sys; print(sys.argv[1]); sys.exit(int(sys.argv[2]))"
FAKE_PYTEST = '#!/bin/sh\necho "pytest in lab ${KVMLAB_INSTANCE-0}: $*"\ncase "$*" in *"$RED"*) exit 5 ;; esac\n'
"""Fails as pytest does when it has found no test, where the part's words have $RED in them."""


def abreast(*parts: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run the parts at once."""
    words = [word for part in parts for word in ("+", *part)][1:]
    return run(sys.executable, str(SCRIPT), *words)


def run(*words: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command with both its outputs in one, which has to end soon."""
    return subprocess.run(
        words,
        cwd=cwd,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )


def say(word: str, code: int = 0) -> list[str]:
    """A part that prints a word and ends with that exit code."""
    return [sys.executable, "-c", SAY, word, str(code)]


def test_all_green_is_green() -> None:
    done = abreast(say("one"), say("two"))
    assert done.returncode == 0, done.stdout
    assert "failed" not in done.stdout


@pytest.mark.parametrize("red", [0, 1, 2])
def test_one_red_part_makes_it_red_and_is_named_last(red: int) -> None:
    done = abreast(*(say(f"part-{number}", 5 if number == red else 0) for number in range(3)))
    assert done.returncode == 5
    last = done.stdout.splitlines()[-1]
    assert last.startswith("abreast: failed: ")
    assert re.findall(r"part-\d", last) == [f"part-{red}"]
    assert all(f"\npart-{number}\n" in done.stdout for number in range(3))


def test_a_part_that_is_killed_or_cannot_start_is_red() -> None:
    assert abreast(["sh", "-c", "kill -9 $$"], say("fine")).returncode == 128 + 9
    done = abreast(say("fine"), ["/nowhere/at-all"])
    assert done.returncode == 127
    assert "No such file" in done.stdout


@pytest.mark.parametrize("words", [[], ["true", "+"], ["+", "true"], ["true", "+", "+", "true"]])
def test_an_empty_part_is_no_success(words: list[str]) -> None:
    done = run(sys.executable, str(SCRIPT), *words)
    assert done.returncode == 2
    assert "usage" in done.stdout


def test_they_run_at_once_and_their_outputs_are_not_mixed(tmp_path: Path) -> None:
    """Each waits for the other, so that neither could end before the other has begun."""
    wait = 'echo begin "$1"; : >"$1"; until [ -e "$2" ]; do sleep 0.05; done; echo end "$1"'
    one, other = str(tmp_path / "one"), str(tmp_path / "other")
    done = abreast(["sh", "-c", wait, "sh", one, other], ["sh", "-c", wait, "sh", other, one])
    said = [line for line in done.stdout.splitlines() if line.startswith(("begin", "end"))]
    assert said == [f"begin {one}", f"end {one}", f"begin {other}", f"end {other}"]


def test_a_signal_reaches_every_part_and_what_it_says_then_is_shown(tmp_path: Path) -> None:
    begun = [tmp_path / "one", tmp_path / "two"]
    script = 'trap "echo tidied up; exit 1" INT; : >"$1"; while :; do sleep 0.05; done'
    words = [word for path in begun for word in ("+", "sh", "-c", script, "sh", str(path))][1:]
    process = subprocess.Popen([sys.executable, str(SCRIPT), *words], stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while not all(path.exists() for path in begun) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said, _nothing = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGINT
    assert said.count("\ntidied up\n") == 2


@pytest.fixture
def workshop(tmp_path: Path) -> Path:
    """Our tools in a directory that has neither .venv nor lab, with a Makefile of its own."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("abreast", "abreast.py", "stages", "e2e"):
        shutil.copy(ROOT / "tools" / name, tools)
    tools.joinpath("environment").write_text('cd "$(dirname "${BASH_SOURCE[0]}")/.." || return\n')
    for name, text in (("lab", '#!/bin/sh\necho "lab ${KVMLAB_INSTANCE-0} $*"\n'), ("pytest", FAKE_PYTEST)):
        tools.joinpath(name).write_text(text)
        tools.joinpath(name).chmod(0o755)
    targets = "".join(f"{name}:\n\t@echo {name} was made\n" for name in ("one", "two", "three"))
    tmp_path.joinpath("Makefile").write_text(f"{targets}red:\n\t@exit 3\n")
    return tmp_path


def test_stages_go_on_after_those_that_ran_at_once(workshop: Path) -> None:
    done = run("tools/stages", "one+two", "three", cwd=workshop)
    assert done.returncode == 0, done.stdout
    assert all(f"\n{name} was made\n" in done.stdout for name in ("one", "two", "three"))


@pytest.mark.parametrize("stage", ["red+one", "one+red", "red"])
def test_stages_stop_behind_a_red_one(workshop: Path, stage: str) -> None:
    done = run("tools/stages", stage, "three", cwd=workshop)
    assert done.returncode != 0
    assert "three was made" not in done.stdout
    assert re.search(rf"^{re.escape(stage)} +\d+ failed$", done.stdout, re.MULTILINE)


def e2e(workshop: Path, *words: str, red: str = "nothing", instance: str = "0") -> subprocess.CompletedProcess[str]:
    """tools/e2e with a pytest that only says how it was called."""
    path = f"{workshop / 'tools'}:{os.environ['PATH']}"
    return run("tools/e2e", *words, cwd=workshop, PATH=path, RED=red, KVMLAB_INSTANCE=instance)


def needs_no_lab(words: list[str]) -> bool:
    """Whether all tests that pytest is called for so say that they do without."""
    files = [ROOT / word for word in words if word.endswith(".py") and not word.startswith("--")]
    return bool(files) and all("\npytestmark = pytest.mark.without_lab\n" in one.read_text("utf-8") for one in files)


def test_the_parts_of_e2e_share_no_lab_and_leave_out_no_test(workshop: Path) -> None:
    done = e2e(workshop)
    assert done.returncode == 0, done.stdout
    calls = re.findall(r"^pytest in lab (\d+): (.*)$", done.stdout, re.MULTILINE)
    on_a_lab = [(instance, words) for instance, words in calls if not needs_no_lab(words.split())]
    assert len({instance for instance, _words in on_a_lab}) == len(on_a_lab) == len(calls) - 1 == 2
    rest = next(words.split() for _instance, words in calls if "tests/e2e" in words.split())
    ours = [word for _instance, words in calls for word in words.split() if word.endswith(".py")]
    away = [word.partition("=")[2] for word in rest if word.startswith("--ignore=")]
    assert sorted(away) == sorted(word for word in ours if not word.startswith("--"))
    assert all((ROOT / name).is_file() for name in away)
    second = next(instance for instance, words in on_a_lab if words.split() != rest)
    assert f"\nlab {second} down\n" in done.stdout


@pytest.mark.parametrize("red", ["--ignore", "e2e/test_table.py "])
def test_e2e_is_red_when_either_part_finds_nothing(workshop: Path, red: str) -> None:
    assert e2e(workshop, red=red).returncode == 5


def test_e2e_with_arguments_is_one_pytest(workshop: Path) -> None:
    done = e2e(workshop, "-k", "word")
    assert re.findall(r"^pytest in .*$", done.stdout, re.MULTILINE) == ["pytest in lab 0: tests/e2e -k word"]
    assert e2e(workshop, "-k", "word", red="word").returncode == 5


def test_e2e_on_a_lab_that_was_asked_for_uses_no_other(workshop: Path) -> None:
    done = e2e(workshop, instance="7")
    assert set(re.findall(r"lab (\d+)", done.stdout)) == {"7"}


def test_make_test_has_every_stage_once_and_says_which_run_at_once() -> None:
    """As its line in the Makefile says, in that order."""
    lines = (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("test:"))
    stages = lines[at + 1].partition("@tools/stages ")[2].split()
    assert lines[at].partition("what CI runs: ")[2].startswith(", ".join(one.replace("+", " ") for one in stages))
    names = [name for stage in stages for name in stage.split("+")]
    assert sorted(names) == sorted(CHECKS)
