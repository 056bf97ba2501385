# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes known by pid *and* start time, so that a reused pid is never taken for ours."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from .config import LabError
from .run import wait_for


@dataclass(frozen=True)
class Proc:
    """One process, for as long as it lives."""

    pid: int
    start: int

    def alive(self) -> bool:
        """Whether this very process still runs (a zombie does not)."""
        return start_time(self.pid) == self.start

    def kill(self) -> None:
        """End it for certain and wait until it is gone."""
        if not self.alive():
            return
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        wait_for(f"process {self.pid} to end", lambda: not self.alive(), timeout_s=20)


def start_time(pid: int) -> int | None:
    """The kernel's start time of a running process, None when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command name may hold blanks and brackets: count fields after the last bracket.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def observe(pid: int) -> Proc:
    """A handle on a process that runs now."""
    start = start_time(pid)
    if start is None:
        raise LabError(f"process {pid} ended at once")
    return Proc(pid, start)


def children(pid: int) -> list[int]:
    """The direct children of a process."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def find_by_argument(program: str, argument: str) -> Proc | None:
    """A running program that was given exactly this argument."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if Path(words[0]).name == program and argument in words:
            start = start_time(int(entry.name))
            if start is not None:
                return Proc(int(entry.name), start)
    return None
