# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lives in the hosts' Python, not in the collection: stops a module right behind one line of its journal.

A C(.pth) file beside it imports it into every Python of the host. It does nothing until a file says which line is
waited for; then the process whose journal has just got that line stops itself (SIGSTOP), and the bench outside has all
the time it needs to do its worst. It hooks the close of the journal, not its fsync, so that a journal without fsync is
found out by the power loss and not by this file.
"""

from __future__ import annotations

import json
import os
import signal

DIRECTORY = "/run/kvmfaults"
ARMED = f"{DIRECTORY}/armed.json"
TAKEN = f"{DIRECTORY}/taken.json"
STOPPED = f"{DIRECTORY}/stopped.json"


def _last_line(path: str) -> dict[str, object]:
    with open(path, encoding="utf-8") as journal:
        lines = journal.read().splitlines()
    line: dict[str, object] = json.loads(lines[-1])
    return line


def _matches(path: str) -> bool:
    try:
        with open(ARMED, encoding="utf-8") as armed:
            wanted: dict[str, object] = json.load(armed)
    except FileNotFoundError:
        return False
    line = _last_line(path)
    return all(line.get(key) == value for key, value in wanted.items())


def _stop_when_wanted(path: str) -> None:
    if not _matches(path):
        return
    os.rename(ARMED, TAKEN)
    scratch = f"{STOPPED}.new"
    with open(scratch, "w", encoding="utf-8") as stopped:
        json.dump({"pid": os.getpid(), "journal": path}, stopped)
    os.rename(scratch, STOPPED)
    os.kill(os.getpid(), signal.SIGSTOP)


def install() -> None:
    """Watch every journal this process closes."""
    close = os.close

    def watched(fd: int) -> None:
        try:
            name = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            name = ""
        close(fd)
        if name.endswith("/journal.jsonl"):
            _stop_when_wanted(name)

    os.close = watched


if os.path.isdir(DIRECTORY):
    install()
