# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watches the machine all the time: a guest must never run twice, on whatever hosts.

Two QEMU processes are enough to say so, unless the guest is moved while it runs: then one of them waits, and its
virtual CPUs get no time.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Set
from pathlib import Path

INTERVAL_S = 0.1
_YOUNG_S = 3.0
_RAN_NS = 300_000
"""More than the virtual CPUs of a guest that waits get between two looks, less than those of one that writes."""
_WINDOW = 20
_AT_ONCE = 5
"""So many of the last looks may not show both at work. Where one hands over to the other, two may."""


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


def cpu_ns(pid: str) -> int:
    """How much time the virtual CPUs of a QEMU process have had."""
    total = 0
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            if (task / "comm").read_text().startswith("CPU "):
                total += int((task / "schedstat").read_text().split()[0])
        except OSError:
            continue
    return total


class Pair:
    """Two or more processes of one guest, and when they were at work together."""

    def __init__(self) -> None:
        self._had: dict[str, int] = {}
        self._looks: deque[bool] = deque(maxlen=_WINDOW)

    def ran_at_once(self, pids: Set[str]) -> bool:
        """Look once more; whether by now that cannot be one who handed over to the other."""
        has = {pid: cpu_ns(pid) for pid in pids}
        ran = [pid for pid, now in has.items() if now - self._had.get(pid, now) > _RAN_NS]
        self._had = has
        self._looks.append(len(ran) > 1)
        return sum(self._looks) >= _AT_ONCE


class Observer(threading.Thread):
    """Sees all QEMU processes; only new processes cost more than a look at /proc."""

    def __init__(self) -> None:
        super().__init__(name="observer", daemon=True)
        self._seen: dict[str, str | None] = {}
        self._since: dict[str, float] = {}
        self._running: dict[str, set[str]] = {}
        self._twice: set[str] = set()
        self._pairs: dict[str, Pair] = {}
        self._ran_twice: set[str] = set()
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
        several = {uuid: pids for uuid, pids in running.items() if len(pids) > 1}
        self._pairs = {uuid: self._pairs.get(uuid) or Pair() for uuid in several}
        at_once = {uuid for uuid, pids in several.items() if self._pairs[uuid].ran_at_once(pids)}
        with self._lock:
            self._seen, self._running = known, running
            self._samples += 1
            self._twice |= set(several)
            self._ran_twice |= at_once

    def processes(self, uuid: str) -> set[str]:
        """The guest's QEMU processes at the last look."""
        with self._lock:
            return set(self._running.get(uuid, ()))

    def twice(self, uuid: str, *, live: bool) -> bool:
        """Whether the guest ever had two, or, moved *live*, ran in both; asking forgets it."""
        with self._lock:
            found = uuid in (self._ran_twice if live else self._twice)
            self._ran_twice.discard(uuid)
            self._twice.discard(uuid)
            return found

    @property
    def samples(self) -> int:
        """How often it has looked: a watcher that died would show."""
        return self._samples
