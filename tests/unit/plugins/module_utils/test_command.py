# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils import _command
from ansible_collections.kvmops.mobility.plugins.module_utils._command import run, running
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import CommandFailed, TimedOut


def python(code: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code, *arguments)


def test_what_a_program_says() -> None:
    done = run(python("import sys; print('out'); print('err', file=sys.stderr)"), timeout_s=20)
    assert (done.code, done.stdout, done.stderr) == (0, "out\n", "err\n")
    assert done.argv[0] == sys.executable


def test_arguments_are_not_read_by_a_shell() -> None:
    words = ("$HOME", "a b", "; rm x", "`id`", "*")
    assert run(python("import sys; print(sys.argv[1:])", *words), timeout_s=20).stdout == f"{list(words)}\n"


def test_it_speaks_plain_english_and_has_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    code = "import os, sys; print(os.environ['LC_ALL'], os.environ['LANG'], repr(sys.stdin.read()))"
    assert run(python(code), timeout_s=20).stdout == "C C ''\n"


def test_what_is_not_text_does_no_harm() -> None:
    assert run(python("import os; os.write(1, bytes([255]))"), timeout_s=20).stdout == "\ufffd"


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(CommandFailed) as error:
        run(("no-such-program-here", "--version"), timeout_s=20)
    assert (error.value.code, error.value.subject) == ("COMMAND_MISSING", "no-such-program-here")


@pytest.mark.parametrize("stream", ["stderr", "stdout"])
def test_a_program_that_fails_is_quoted(stream: str) -> None:
    argv = python(f"import sys; print('x' * 3000 + ' last words', file=sys.{stream}); sys.exit(3)")
    with pytest.raises(CommandFailed, match=r"ended with 3: x+ last words") as error:
        run(argv, timeout_s=20)
    assert error.value.code == "COMMAND_FAILED"
    assert error.value.facts == {"returncode": 3}
    assert " ".join(argv) in error.value.remedy
    assert len(error.value.message) < 2100


def test_an_exit_code_that_is_expected() -> None:
    assert run(python("raise SystemExit(3)"), timeout_s=20, accept=(0, 3)).code == 3


def test_a_program_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    code = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(60)"
    began = time.monotonic()
    with pytest.raises(TimedOut, match=r"within 0\.5 s") as error:
        run(python(code, str(pid)), timeout_s=0.5)
    assert time.monotonic() - began < 10
    assert error.value.code == "COMMAND_TIMED_OUT"
    assert not pid.exists() or not os.path.exists(f"/proc/{pid.read_text(encoding='ascii')}")


def test_a_program_beside_us_ends_with_the_block() -> None:
    with contextlib.suppress(ZeroDivisionError), running(("sleep", "60")) as child:
        assert not child.ended()
        raise ZeroDivisionError
    assert child.ended()


def test_one_that_ignores_it_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_command, "_LEAVE_S", 0.2)
    with running(("bash", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done")) as child:
        deadline = time.monotonic() + 10
        while child.words() != "ready" and time.monotonic() < deadline:
            time.sleep(0.02)
    assert child.ended()


def test_what_it_said_can_be_read() -> None:
    with running(("sh", "-c", "echo no >&2; exit 3")) as child:
        deadline = time.monotonic() + 10
        while not child.ended() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert child.words() == "no"


def test_one_beside_us_that_is_not_there() -> None:
    with pytest.raises(CommandFailed) as error, running(("no-such-program",)):
        pass
    assert error.value.code == "COMMAND_MISSING"


def test_a_program_reads_what_it_is_given(tmp_path: Path) -> None:
    (tmp_path / "given").write_bytes(b"words")
    with (tmp_path / "given").open("rb") as given:
        assert run(("cat",), timeout_s=20, stdin=given).stdout == "words"
