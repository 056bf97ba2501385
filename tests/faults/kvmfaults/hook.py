# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lives in the hosts' Python, not in the collection: stops a module right behind one line of its journal, or the
watcher of a live migration right behind what it has told in a file.

A C(.pth) file beside it imports it into every Python of the host. It does nothing until a file says which line is
waited for; then the process whose journal has just got that line stops itself (SIGSTOP), and the bench outside has all
the time it needs to do its worst. It hooks the close of the journal, not its fsync, so that a journal without fsync is
found out by the power loss and not by this file. Other files are replaced whole: there it hooks that.
"""

from __future__ import annotations

import json
import os
import re
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
    if "file" in wanted:
        return wanted["file"] == os.path.basename(path) and re.search(str(wanted["words"]), _text(path)) is not None
    if not path.endswith("/journal.jsonl"):
        return False
    line = _last_line(path)
    return all(line.get(key) == value for key, value in wanted.items())


def _text(path: str) -> str:
    with open(path, encoding="utf-8") as told:
        return told.read()


def _stop_when_wanted(path: str) -> None:
    if not _matches(path):
        return
    try:
        os.rename(ARMED, TAKEN)
    except FileNotFoundError:  # another process was faster
        return
    scratch = f"{STOPPED}.new"
    with open(scratch, "w", encoding="utf-8") as stopped:
        json.dump({"pid": os.getpid(), "journal": path}, stopped)
    os.rename(scratch, STOPPED)
    os.kill(os.getpid(), signal.SIGSTOP)


def install() -> None:
    """Watch every journal this process closes, and every file of its that it replaces."""
    close, replace = os.close, os.replace

    def replaced(source: str, target: str, **more: object) -> None:
        replace(source, target, **more)  # type: ignore[arg-type] # os.replace takes descriptors of directories
        if str(target).endswith(".json"):
            _stop_when_wanted(str(target))

    def watched(fd: int) -> None:
        try:
            name = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            name = ""
        close(fd)
        if name.endswith("/journal.jsonl"):
            _stop_when_wanted(name)

    os.close = watched
    os.replace = replaced  # type: ignore[assignment] # it takes paths of every kind


if os.path.isdir(DIRECTORY):
    install()
