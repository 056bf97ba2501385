# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs commands at the same time and shows what they say as if they had been run one after the other.

COMMAND... + COMMAND... [+ COMMAND...]; all of them run to their end, and one that fails makes the whole fail.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

_LOOK_S = 0.1
"""How often their output is looked at."""
_NOT_STARTED = 127
"""As a shell says it of a command that it cannot run."""


class Part:
    """One of the commands, running since this was made, with its whole output in a file."""

    def __init__(self, words: Sequence[str], log: Path) -> None:
        self.name = shlex.join(words)
        self.log = log
        self.seconds = 0.0
        self.code: int | None = None
        self._began = time.monotonic()
        with log.open("wb") as output:
            try:
                # A session of its own: a Ctrl-C comes to it once, from us.
                self._process = subprocess.Popen(
                    words, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
                )
            except OSError as error:
                output.write(f"{error}\n".encode())
                self.code = _NOT_STARTED

    def ended(self) -> bool:
        """Whether it has; its exit code, and how long it took, are noted when it has just done so."""
        if self.code is None and (code := self._process.poll()) is not None:
            self.code = code if code >= 0 else 128 - code
            self.seconds = time.monotonic() - self._began
        return self.code is not None

    def tell(self, number: int) -> None:
        """Send the signal to it and all that it has started."""
        if not self.ended():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)


class Abreast:
    """The commands, and the signal that was to end them."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.signal = 0

    def stop(self, number: int, _frame: object) -> None:
        """Hand a signal on; what they still say is waited for."""
        self.signal = number
        for part in self.parts:
            part.tell(number)

    def start(self, commands: Sequence[Sequence[str]], scratch: Path) -> None:
        """Start all of them, or no more once a signal has come."""
        for number, words in enumerate(commands):
            if not self.signal:
                self.parts.append(Part(words, scratch / str(number)))
                if self.signal:  # it came while this one was not in the list yet
                    self.parts[-1].tell(self.signal)

    def show(self) -> None:
        """The first one's output as it comes, then the next one's from its beginning."""
        for part in self.parts:
            print(f"--- {part.name}", flush=True)
            with part.log.open("rb") as log:
                ended = False
                while not ended:
                    for one in self.parts:
                        one.ended()
                    ended = part.code is not None
                    sys.stdout.buffer.write(log.read())
                    sys.stdout.buffer.flush()
                    if not ended:
                        time.sleep(_LOOK_S)

    def result(self) -> int:
        """Say how long each took; 0 when all went well, else the first exit code that is another."""
        for part in self.parts:
            print(f"abreast: exit {part.code}, {part.seconds:.0f} s: {part.name}")
        failed = [part for part in self.parts if part.code != 0]
        if failed:
            print(f"abreast: failed: {'; '.join(part.name for part in failed)}", flush=True)
        if self.signal:
            return 128 + self.signal
        return (failed[0].code or 1) if failed else 0


def main(words: Sequence[str]) -> int:
    """Entry point."""
    commands = [list(group) for plus, group in itertools.groupby(words, lambda word: word == "+") if not plus]
    if len(commands) != words.count("+") + 1:
        print("usage: tools/abreast COMMAND... + COMMAND...", file=sys.stderr)
        return 2
    abreast = Abreast()
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, abreast.stop)
    with tempfile.TemporaryDirectory(prefix="abreast-") as scratch:
        abreast.start(commands, Path(scratch))
        abreast.show()
    return abreast.result()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
