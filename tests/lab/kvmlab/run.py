# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running programs and waiting for things, both bounded."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from .config import LabError


def say(line: str) -> None:
    """One line about what takes time or went wrong; stdout is kept for answers."""
    print(f"lab: {line}", file=sys.stderr, flush=True)


def run(
    argv: Sequence[str | Path],
    *,
    stdin: str | None = None,
    check: bool = True,
    timeout_s: float = 60,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and return what it said; a failure names the command."""
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except FileNotFoundError as error:
        raise LabError(f"{words[0]} is not installed: run `lab up` first") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"`{' '.join(words)}` had not ended after {timeout_s:g} s") from error
    if check and done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "no output")[-2000:]
        raise LabError(f"`{' '.join(words)}` failed with {done.returncode}: {said}")
    return done


def run_logged(argv: Sequence[str | Path], log: Path, *, timeout_s: float) -> None:
    """Run a long, chatty program with its output in a file; the end of it is shown on failure."""
    # If this program is killed, the long one must not go on working where the next run starts.
    words = ["setpriv", "--pdeathsig", "TERM", *(str(word) for word in argv)]
    with log.open("ab") as output:
        try:
            code = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=timeout_s,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired as error:
            raise LabError(f"{words[3]} had not ended after {timeout_s:g} s, see {log}") from error
    if code != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise LabError(f"{words[3]} failed with {code}; {log} ends with:\n{tail}")


def wait_for(
    what: str,
    probe: Callable[[], bool],
    *,
    timeout_s: float,
    interval_s: float = 0.1,
) -> None:
    """Poll until the probe holds; the error says what was waited for and how long."""
    deadline = time.monotonic() + timeout_s
    while not probe():
        if time.monotonic() > deadline:
            raise LabError(f"waited {timeout_s:g} s for {what}")
        time.sleep(interval_s)
