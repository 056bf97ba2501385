# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running a program: an argument vector in, its output out, an error with its last words otherwise.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import CommandFailed, TimedOut

_LAST_WORDS = 2000
_LEAVE_S = 5
"""What a program has to end by itself when it is told to."""


@dataclass(frozen=True)
class Completed:
    """How a program ended."""

    argv: tuple[str, ...]
    code: int
    stdout: str
    stderr: str


def run(
    argv: Sequence[str],
    *,
    timeout_s: float,
    accept: Sequence[int] = (0,),
    environment: Mapping[str, str] | None = None,
    stdin: IO[bytes] | None = None,
) -> Completed:
    """Run *argv* without a shell, in the C locale so that its words can be read, with more in its *environment*.

    It reads *stdin*, a file; without one, nothing.

    Raises CommandFailed (COMMAND_MISSING, COMMAND_FAILED with the exit code and the last words) and
    TimedOut (COMMAND_TIMED_OUT); the program is ended in that case.
    """
    variables = _environment(environment)
    try:
        done = subprocess.run(
            list(argv),
            capture_output=True,
            check=False,
            env=variables,
            stdin=stdin or subprocess.DEVNULL,
            text=True,
            errors="replace",
            timeout=timeout_s,
        )
    except FileNotFoundError:
        raise _missing(argv) from None
    except subprocess.TimeoutExpired:
        raise TimedOut(
            "COMMAND_TIMED_OUT",
            argv[0],
            f"did not end within {timeout_s:g} s: {' '.join(argv)}.",
            "Look at the hypervisor's storage and load, then run it again.",
        ) from None
    completed = Completed(tuple(argv), done.returncode, done.stdout, done.stderr)
    if completed.code not in accept:
        raise failed(completed)
    return completed


def _environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C", "LANG": "C", **(more or {})}


def _missing(argv: Sequence[str]) -> CommandFailed:
    return CommandFailed("COMMAND_MISSING", argv[0], "is not installed here.", "Install it on this hypervisor.")


class Child:
    """A program that runs beside us."""

    def __init__(self, process: subprocess.Popen[bytes], said: IO[bytes]) -> None:
        self._process = process
        self._said = said

    def ended(self) -> bool:
        """Whether it does not run any more."""
        return self._process.poll() is not None

    def words(self) -> str:
        """The last of what it printed."""
        self._said.seek(0)
        return self._said.read().decode(errors="replace").strip()[-_LAST_WORDS:]

    def end(self) -> None:
        """End it, and be sure of it."""
        self._process.terminate()
        try:
            self._process.wait(_LEAVE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def running(argv: Sequence[str]) -> Iterator[Child]:
    """Run *argv* beside the block, however that ends. Raises CommandFailed(COMMAND_MISSING)."""
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(
                list(argv), env=_environment(), stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT
            )
        except FileNotFoundError:
            raise _missing(argv) from None
        child = Child(process, said)
        try:
            yield child
        finally:
            child.end()


def failed(done: Completed) -> CommandFailed:
    """The error that a program's end is: its exit code and its last words."""
    words = (done.stderr or done.stdout).strip()[-_LAST_WORDS:]
    return CommandFailed(
        "COMMAND_FAILED",
        done.argv[0],
        f"ended with {done.code}: {words}",
        f"The command was: {' '.join(done.argv)}.",
        returncode=done.code,
    )
