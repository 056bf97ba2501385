# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ends connections of a guest's QEMU to the other side that have been silent for long.

A link that is cut tells nobody. libvirt gives a migration up when libvirt on the other side does not answer for some 25
seconds, and has QEMU let go of the disks that it copies. QEMU flushes them first, over a connection on which no answer
comes any more, and does nothing else until the kernel gives that up, which takes a quarter of an hour
(net.ipv4.tcp_retries2): a guest that was paused stays so, and libvirt gets no answer either. Found by faults on hosts:
the process waited for the answer to 32 bytes, and the guest ran on within three seconds of the connection's end.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType

from ansible_collections.kvmops.mobility.plugins.module_utils._command import Completed, run
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import CommandFailed, TimedOut

SILENT_S = 30.0
"""As long as libvirt, as it is shipped, waits for a sign of life at the most: six times five seconds."""
PERIOD_S = 2.0
_SS_S = 10.0
_LINE = re.compile(r"^(?:ESTAB|FIN-WAIT-1)\s+\d+\s+(?P<waiting>\d+)\s+(?P<local>\S+)\s+(?P<peer>\S+)\s")
_ACKNOWLEDGED = re.compile(r"\blastack:(\d+)")

Run = Callable[[Sequence[str]], Completed]


@dataclass(frozen=True)
class Connection:
    """One of a process's, as ss(8) has it."""

    local: str
    peer: str
    held: bool
    """The process has it still; else the kernel alone tries to bring it to its end."""
    waits: bool
    """Something that was sent, or is to be, has not been acknowledged."""
    acknowledged_s: float
    """So long ago something came from the other side's kernel for the last time."""


def connections(said: str, process_id: int) -> Iterator[Connection]:
    """Those of that process, and of none, in the words of C(ss -tinpHO)."""
    for line in said.splitlines():
        found, held = _LINE.match(line), f",pid={process_id}," in line
        if found and (held or "users:" not in line):
            since = _ACKNOWLEDGED.search(line)
            acknowledged_s = int(since[1]) / 1000 if since else 0.0
            yield Connection(found["local"], found["peer"], held, int(found["waiting"]) > 0, acknowledged_s)


def run_ss(argv: Sequence[str]) -> Completed:
    """Raises CommandFailed and TimedOut."""
    return run(argv, timeout_s=_SS_S)


class Silence:
    """What one process's connections to one address wait for."""

    def __init__(self, process_id: int, address: str, monotonic: Callable[[], float], call: Run = run_ss) -> None:
        self._process_id = process_id
        self._address = address
        self._monotonic = monotonic
        self._call = call
        self._since: float | None = None
        """Since then something waits, and nothing came on any of them."""

    def look(self) -> list[str]:
        """End what waits when nothing came for C(SILENT_S); a line for each. Raises CommandFailed and TimedOut."""
        said = self._call(("ss", "-tinpHO", "dst", self._address)).stdout
        now = self._monotonic()
        found = list(connections(said, self._process_id))
        if not any(one.waits for one in found):
            self._since = None
            return []
        # One that is idle has heard nothing for long, too: it is a silence only from when one of them waits.
        heard_at = now - min(one.acknowledged_s for one in found)
        self._since = now if self._since is None else max(self._since, heard_at)
        if now - self._since < SILENT_S:
            return []
        return [self.end(one) for one in found if one.held and one.waits]

    def end(self, one: Connection) -> str:
        """End that connection; says so, or why it could not be done."""
        words = f"its connection to {one.peer}, from where nothing came for {SILENT_S:.0f} s,"
        try:
            # It shows what it ended, and is silent about what the kernel does not let it end.
            if self._call(("ss", "-K", "-tnH", "src", one.local, "dst", one.peer)).stdout.strip():
                return f"{words} was ended"
            why = "the kernel did not do that (it takes INET_DIAG_DESTROY), or it is over"
        except (CommandFailed, TimedOut) as error:
            why = " ".join(error.message.split())
        self._since = None  # it is tried again as late
        return f"{words} was not ended: {why}"


class Vigil:
    """Looks at it beside what goes on: who asks libvirt may get no answer for as long as this is needed."""

    def __init__(self, silence: Silence | None, wanted: Callable[[], bool], period_s: float = PERIOD_S) -> None:
        """*silence* is None where the process is not known; it acts only while it is *wanted*."""
        self._silence = silence
        self._wanted = wanted
        self._period_s = period_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._said: list[str] = []
        self._known: set[str] = set()
        """What was said is not said again."""

    def __enter__(self) -> Vigil:
        if self._silence is not None:
            self._thread.start()
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        self._over.set()

    def heard(self) -> list[str]:
        """What was done since the last call, in words."""
        said = self._said[:]
        del self._said[: len(said)]
        return said

    def _watch(self) -> None:
        while self._silence is not None and not self._over.wait(self._period_s):
            if not self._wanted():
                continue
            for words in self._looked(self._silence):
                if words not in self._known:
                    self._known.add(words)
                    self._said.append(words)

    @staticmethod
    def _looked(silence: Silence) -> list[str]:
        """Without ss it is as it was before: the kernel gives a connection up, much later."""
        try:
            return silence.look()
        except (CommandFailed, TimedOut) as error:
            return [f"its connections cannot be looked at: {error.subject}: {' '.join(error.message.split())}"]
        except OSError as error:  # no process could be made, for example
            return [f"its connections cannot be looked at: {error.strerror}"]
