# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Distributes cases over several labs and adds up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from . import results
from .case import Case


class Queue:
    """Cases that wait, given out so that a guest needs few moves between two of them."""

    def __init__(self, cases: Sequence[Case], minutes: float) -> None:
        self._cases = list(cases)
        self._until = time.monotonic() + 60 * minutes
        self._returned: set[str] = set()
        self._lock = threading.Lock()

    def give_back(self, case: Case) -> bool:
        """A worker died with it: another one may try, once."""
        with self._lock:
            again = case.id not in self._returned
            self._returned.add(case.id)
            if again:
                self._cases.append(case)
            return again

    def take(self, waiting: bool, guest: object) -> Case | None:
        """The next case that can begin where the guest is now and as it is, else the next one."""
        with self._lock:
            if not self._cases or time.monotonic() >= self._until:
                return None
            same = [one for one in self._cases if asdict(one.kind) == guest] or self._cases
            fitting = [one for one in same if one.opens is not waiting]
            case = (fitting or same)[0]
            self._cases.remove(case)
            return case


class Lab(threading.Thread):
    """One worker process with a lab of its own."""

    def __init__(self, instance: int, queue: Queue, options: Sequence[str], book: Book) -> None:
        super().__init__(name=f"lab {instance}")
        self._queue = queue
        self._book = book
        self._instance = instance
        self._options = options

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "kvmfaults", "--worker", *self._options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "KVMLAB_INSTANCE": str(self._instance)},
        )

    def run(self) -> None:
        """Give out cases as long as there are any."""
        process = self._start()
        waiting, guest = False, None
        while (case := self._queue.take(waiting, guest)) is not None:
            answer = _ask(process, case)
            if answer is None:
                process.kill()
                process.wait(30)
                process = self._start()
                if self._queue.give_back(case):
                    continue
                answer = {"case": case.id, "landed": False, "held": False, "lost": ["the worker died twice"]}
            waiting, guest = answer.pop("waiting", False), answer.pop("guest", None)
            self._book.add(answer)
        process.communicate(timeout=300)


def _ask(process: subprocess.Popen[str], case: Case) -> dict[str, Any] | None:
    """The result of one case, None when the worker died."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(case.id + "\n")
        process.stdin.flush()
    except BrokenPipeError:
        return None
    answer = process.stdout.readline()
    return json.loads(answer) if answer else None


def _show(number: int, result: dict[str, Any]) -> None:
    word = "held" if result["held"] else "MISSED" if not result["landed"] else "BROKEN"
    longest = result.get("fsync_s")
    wrote = "" if longest is None else f", a write took up to {longest} s"
    print(
        f"{number:4} {word:6} {result.get('seconds', 0):6.1f} s  {result['case']}  {result.get('status', '')}{wrote}",
        flush=True,
    )
    for kind in results.KINDS:
        for problem in result.get(kind, ()):
            print(f"            {kind}: {problem}", flush=True)
    if not result["held"]:
        print(f"            see {result.get('log', '')}", flush=True)


class Book:
    """What came of the cases so far; kept on the disk with each new one, when it has a name."""

    def __init__(self, name: str | None) -> None:
        self._name = name
        self._began = time.monotonic()
        self._commit = results.commit()
        self._lock = threading.Lock()
        self.results: list[dict[str, Any]] = []

    @property
    def seconds(self) -> float:
        """Since the first case was given out."""
        return time.monotonic() - self._began

    def add(self, result: dict[str, Any]) -> None:
        """Note, show and keep one result."""
        with self._lock:
            self.results.append(result)
            _show(len(self.results), result)
            if self._name is not None:
                results.keep(self._name, self._commit, self.seconds, self.results)


@dataclass(frozen=True)
class Options:
    """How cases are run."""

    jobs: int
    first: int
    """Number of the first lab."""
    collections: Path
    minutes: float
    """After that no case is begun."""
    name: str | None
    """Under which the results are kept."""


def run(cases: Sequence[Case], options: Options) -> Book:
    """Run the cases and say what came of them."""
    logs = Path(tempfile.mkdtemp(prefix="kvmfaults-"))
    print(f"{len(cases)} cases on {options.jobs} labs, logs in {logs}", flush=True)
    book = Book(options.name)
    queue = Queue(cases, options.minutes)
    words = ["--collections", str(options.collections), "--logs", str(logs)]
    labs = [Lab(options.first + number, queue, words, book) for number in range(options.jobs)]
    for one in labs:
        one.start()
    for one in labs:
        one.join()
    summary = results.summary(book.results)
    print(f"{book.seconds:.0f} s; {len(cases) - summary['cases']} of {len(cases)} cases were not begun")
    print(results.line(summary))
    return book
