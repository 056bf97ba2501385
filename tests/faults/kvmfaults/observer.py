# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watches the machine all the time: a guest must never have two QEMU processes, on whatever hosts."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

INTERVAL_S = 0.1
_YOUNG_S = 3.0


def _arguments(pid: str) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def _uuid(arguments: list[str]) -> str | None:
    if not arguments or "qemu-system" not in arguments[0] or "-uuid" not in arguments:
        return None
    return arguments[arguments.index("-uuid") + 1]


def _ended(pid: str) -> bool:
    """Gone, or a zombie: it runs nothing any more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


class Observer(threading.Thread):
    """Sees all QEMU processes; only new processes cost more than a look at /proc."""

    def __init__(self) -> None:
        super().__init__(name="observer", daemon=True)
        self._seen: dict[str, str | None] = {}
        self._since: dict[str, float] = {}
        self._running: dict[str, set[str]] = {}
        self._twice: set[str] = set()
        self._samples = 0
        self._lock = threading.Lock()

    def run(self) -> None:
        """Look again and again."""
        while True:
            self._look()
            time.sleep(INTERVAL_S)

    def _look(self) -> None:
        now = time.monotonic()
        there = {name for name in os.listdir("/proc") if name.isdigit()}
        self._since = {pid: self._since.get(pid, now) for pid in there}
        known = {pid: uuid for pid, uuid in self._seen.items() if pid in there}
        for pid in there:
            # A process becomes QEMU by exec: a young one is looked at again.
            if known.get(pid) is None and (pid not in known or now - self._since[pid] < _YOUNG_S):
                known[pid] = _uuid(_arguments(pid))
        running: dict[str, set[str]] = {}
        for pid, uuid in known.items():
            if uuid is not None and not _ended(pid):
                running.setdefault(uuid, set()).add(pid)
        with self._lock:
            self._seen, self._running = known, running
            self._samples += 1
            self._twice |= {uuid for uuid, pids in running.items() if len(pids) > 1}

    def processes(self, uuid: str) -> set[str]:
        """The guest's QEMU processes at the last look."""
        with self._lock:
            return set(self._running.get(uuid, ()))

    def twice(self, uuid: str) -> bool:
        """Whether the guest ever had two; asking forgets it."""
        with self._lock:
            found = uuid in self._twice
            self._twice.discard(uuid)
            return found

    @property
    def samples(self) -> int:
        """How often it has looked: a watcher that died would show."""
        return self._samples
