# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Telling one process from another that got its number later, also after a reboot.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_STARTTIME_FIELD = 19
"""Of /proc/PID/stat, counted behind the command name: ticks since boot, see proc_pid_stat(5)."""


@dataclass(frozen=True)
class Identity:
    """A process, for good: its number alone is reused."""

    pid: int
    started: int
    """Clock ticks between boot and its start."""
    boot: str
    """The kernel's id of this boot."""

    def as_result(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    @classmethod
    def from_result(cls, data: Mapping[str, Any]) -> Identity:
        """The inverse of C(as_result())."""
        return cls(int(data["pid"]), int(data["started"]), str(data["boot"]))


def myself() -> Identity:
    """The calling process."""
    return Identity(os.getpid(), _started(os.getpid()) or 0, _boot())


def the_boot() -> Identity:
    """The first process: another one after each boot, also of a container."""
    return Identity(1, _started(1) or 0, _boot())


def lives(process: Identity) -> bool:
    """Whether that very process still exists."""
    return process.boot == _boot() and _started(process.pid) == process.started


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _started(pid: int) -> int | None:
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return int(status.rpartition(")")[2].split()[_STARTTIME_FIELD])
