# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watching guests from outside: a process for each that notes when its console says what, on whatever host.

The consoles are files of the hosts' storage, read where the machine has that mounted: neither a host's link nor a
host's load comes between. A copy of a console that arrives with a move says nothing new and is ignored.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TextIO

from .config import LabError, ticks_dir
from .outage import LATE, Outage, Sighting, measure, parse_said, read
from .process import Proc, observe

PERIOD_S = 0.02
SEARCH_S = 0.2
LATE_S = 0.1
PACKAGES = Path(__file__).resolve().parent.parent

Consoles = Callable[[], list[tuple[str, Path]]]
"""Host and path of every console a guest may have at the moment."""


def log_of(name: str) -> Path:
    """What was seen of a guest."""
    return ticks_dir() / f"{name}.log"


def _process_file(name: str) -> Path:
    return ticks_dir() / f"{name}.json"


def watcher(name: str) -> Proc | None:
    """The process that watches a guest, None when there is none."""
    try:
        pid, start = json.loads(_process_file(name).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    proc = Proc(pid, start)
    return proc if proc.alive() else None


def start(name: str) -> None:
    """Begin to watch a guest, or go on with it; nothing to do when it is watched."""
    if watcher(name) is not None:
        return
    ticks_dir().mkdir(parents=True, exist_ok=True)
    log_of(name).touch()
    with (ticks_dir() / f"{name}.said").open("ab") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "kvmlab", "guest", "watch", name],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
            cwd="/",
            env={**os.environ, "PYTHONPATH": str(PACKAGES)},
        )
    proc = observe(process.pid)
    part = ticks_dir() / f".{name}.part"
    part.write_text(json.dumps([proc.pid, proc.start]))
    part.rename(_process_file(name))


def resume_all() -> None:
    """Watch every guest again that somebody watched, after the machine was off."""
    for file in ticks_dir().glob("*.log"):
        start(file.stem)


def stop(name: str) -> None:
    """No longer watch a guest, and forget what was seen."""
    proc = watcher(name)
    if proc is not None:
        proc.kill()
    for suffix in ("log", "json", "said"):
        (ticks_dir() / f"{name}.{suffix}").unlink(missing_ok=True)


def stop_all() -> None:
    """The same for all of them."""
    for file in [*ticks_dir().glob("*.json")]:
        stop(file.stem)


def seen(name: str, since: float = 0) -> Outage:
    """What a guest looked like from outside up to now."""
    if not log_of(name).exists():
        raise LabError(f"nobody watches guest {name!r}: make it with --ticks or --load")
    with log_of(name).open() as log:
        outage = measure(read(log), time.time(), since)
    if watcher(name) is None:
        outage.problems.append("its watcher has ended: `lab up` starts it again")
    if not outage.ticks:
        outage.problems.append("no tick was seen")
    return outage


def watch(name: str, consoles: Consoles) -> None:
    """Note what a guest says until its log is taken away."""
    os.nice(-10)
    log = log_of(name)
    with log.open() as old:
        notes = _Notes(read(old))
    files: dict[tuple[str, int], _Console] = {}
    # A step of the wall clock must not look like an outage.
    epoch = time.time() - time.monotonic()
    searched = looked = time.monotonic()
    found = consoles()
    with log.open("a", buffering=1) as target:
        while True:
            now = time.monotonic()
            if now - looked > LATE_S:
                print(Sighting(epoch + now, "-", LATE, "-", int((now - looked) * 1000)), file=target)
            looked = now
            if now - searched > SEARCH_S:
                found, searched = consoles(), now
                if not log.exists():
                    return
            for host, path in found:
                _look(files, host, path, lambda: epoch + time.monotonic(), notes, target)
            time.sleep(PERIOD_S)


class _Console:
    """One file, and how far it was read."""

    def __init__(self) -> None:
        self.offset = 0
        self.rest = b""

    def lines(self, path: Path, size: int) -> list[str]:
        """What was added, in whole lines; a file that became shorter, or is another now, from its beginning."""
        if size < self.offset:
            self.offset, self.rest = 0, b""
        with path.open("rb") as handle:
            handle.seek(self.offset)
            added = handle.read()
        self.offset += len(added)
        *whole, self.rest = (self.rest + added).split(b"\n")
        return [text.decode(errors="replace") for text in whole]


def _look(
    files: dict[tuple[str, int], _Console],
    host: str,
    path: Path,
    clock: Callable[[], float],
    notes: _Notes,
    target: TextIO,
) -> None:
    try:
        state = path.stat()
        console = files.setdefault((host, state.st_ino), _Console())
        if state.st_size == console.offset:
            return
        moment = clock()
        texts = console.lines(path, state.st_size)
    except OSError:
        # It has just been renamed, or its host lost power.
        return
    for text in texts:
        said = parse_said(text)
        if said is not None and notes.new(*said):
            print(Sighting(moment, host, *said), file=target)


class _Notes:
    """Which numbers of which boot were seen."""

    def __init__(self, before: Iterable[Sighting]) -> None:
        self._newest: dict[tuple[str, str], int] = {}
        for sighting in before:
            self.new(sighting.kind, sighting.boot, sighting.number)

    def new(self, kind: str, boot: str, number: int) -> bool:
        """Whether this was not said before."""
        newest = self._newest.get((kind, boot), -1)
        self._newest[kind, boot] = max(newest, number)
        return number > newest
