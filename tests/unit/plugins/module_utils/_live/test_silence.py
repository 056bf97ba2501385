# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a connection on which nothing comes any more is ended, in the words of a real ss."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Sequence

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._command import Completed
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import CommandFailed, TimedOut
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.transport import host
from ansible_collections.kvmops.mobility.plugins.module_utils._live.silence import (
    SILENT_S,
    Connection,
    Silence,
    Vigil,
    connections,
    run_ss,
)
from ansible_collections.kvmops.mobility.tests.unit.clock import Clock

MEMORY = "198.51.100.71:51040 198.51.100.72:49152"
DISKS = "198.51.100.71:52554 198.51.100.72:49153"


def line(pair: str, waiting: int, acknowledged_s: float, process_id: int | None = 280, state: str = "ESTAB") -> str:
    users = f'users:(("qemu-system-x86",pid={process_id},fd=93)) ' if process_id else ""
    told = f"cubic wscale:7,7 rto:204 backoff:3 lastsnd:192 lastrcv:192 lastack:{int(acknowledged_s * 1000)} rcv_wnd:1"
    return f"{state} 0      {waiting} {pair} {users}{told}"


class Ss:
    """What there is, and what was ended."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.lines: Callable[[], Sequence[str]] = tuple
        self.ended: list[tuple[str, ...]] = []
        self.shows = "ESTAB 0 32 198.51.100.71:52554 198.51.100.72:49153\n"
        """What -K has ended."""
        self.refusals: list[CommandFailed | TimedOut] = []
        self.silence = Silence(280, "198.51.100.72", self.clock, self)

    def __call__(self, argv: Sequence[str]) -> Completed:
        if "-K" not in argv:
            assert argv == ("ss", "-tinpHO", "dst", "198.51.100.72")
            return Completed(tuple(argv), 0, "\n".join(self.lines()), "")
        for error in self.refusals:
            raise error
        self.ended.append(tuple(argv[3:]))
        return Completed(tuple(argv), 0, self.shows, "")

    def passes(self, seconds: int, lines: Callable[[], Sequence[str]]) -> list[str]:
        self.lines = lines
        said = []
        for _number in range(seconds):
            self.clock.sleep(1.0)
            said += self.silence.look()
        return said

    def cut(self) -> Callable[[], float]:
        """How long nothing came, from now on."""
        began = self.clock()
        return lambda: self.clock() - began


@pytest.fixture
def ss() -> Ss:
    return Ss()


def test_what_ss_says() -> None:
    said = "\n".join(
        [
            line(MEMORY, 2361688, 31.4),
            line(DISKS, 0, 60.0),
            line(DISKS, 5, 1.0, process_id=2800),
            line(MEMORY, 7, 2.5, process_id=None, state="FIN-WAIT-1"),
            line(MEMORY, 7, 2.5, state="SYN-SENT"),
            "",
        ]
    )
    (local, peer), (another, disks) = MEMORY.split(), DISKS.split()
    assert list(connections(said, 280)) == [
        Connection(local, peer, held=True, waits=True, acknowledged_s=31.4),
        Connection(another, disks, held=True, waits=False, acknowledged_s=60.0),
        Connection(local, peer, held=False, waits=True, acknowledged_s=2.5),
    ]


def test_a_slow_link_is_not_silent(ss: Ss) -> None:
    assert ss.passes(300, lambda: [line(MEMORY, 2**21, ss.clock() % 29)]) == []


def test_what_was_idle_for_long_is_not_silent(ss: Ss) -> None:
    since = ss.cut()
    assert ss.passes(100, lambda: [line(DISKS, 0, since())]) == []
    assert ss.passes(20, lambda: [line(DISKS, 32, since())]) == []
    assert ss.ended == []


def test_silent_for_as_long_as_libvirt_waits(ss: Ss) -> None:
    since = ss.cut()
    assert ss.passes(int(SILENT_S), lambda: [line(MEMORY, 9, since())]) == []
    assert ss.passes(1, lambda: [line(MEMORY, 9, since())]) == [
        "its connection to 198.51.100.72:49152, from where nothing came for 30 s, was ended"
    ]
    local, peer = MEMORY.split()
    assert ss.ended == [("src", local, "dst", peer)]


def test_the_silence_of_the_memory_is_that_of_the_disks(ss: Ss) -> None:
    """libvirt gives it up after 28 seconds; QEMU drops the memory's connection, and flushes the disks on theirs."""
    since = ss.cut()
    ss.passes(28, lambda: [line(MEMORY, 2**21, since()), line(DISKS, 0, since())])
    left = line(MEMORY, 2**21, 30, process_id=None, state="FIN-WAIT-1")
    ss.passes(4, lambda: [left, line(DISKS, 32, since())])
    assert ss.ended[0] == ("src", DISKS.split()[0], "dst", DISKS.split()[1])


def test_a_link_that_is_back_in_time(ss: Ss) -> None:
    for _number in range(3):
        since = ss.cut()
        ss.passes(25, lambda: [line(MEMORY, 9, since())])  # noqa: B023 - called before the next one is made
    ss.passes(1, lambda: [line(MEMORY, 0, 0.1)])
    assert ss.ended == []


@pytest.mark.parametrize("kind", [CommandFailed, TimedOut])
def test_a_kernel_that_does_not_end_them_is_asked_again(ss: Ss, kind: type[CommandFailed | TimedOut]) -> None:
    ss.refusals = [kind("COMMAND_FAILED", "ss", "Operation not\nsupported", "")]
    since = ss.cut()
    said = ss.passes(70, lambda: [line(MEMORY, 9, since())])
    assert len(said) == 2
    assert said[0].endswith("was not ended: Operation not supported")


def test_a_kernel_that_cannot_end_them_says_nothing(ss: Ss) -> None:
    """ss is well all the same: nothing is said to have been ended that was not."""
    ss.shows = ""
    since = ss.cut()
    said = ss.passes(70, lambda: [line(MEMORY, 9, since())])
    assert len(said) == 2
    assert "was not ended: the kernel did not do that" in said[0]


def heard(vigil: Vigil, wanted: int) -> list[str]:
    said: list[str] = []
    deadline = time.monotonic() + 10
    while len(said) < wanted and time.monotonic() < deadline:
        said += vigil.heard()
        time.sleep(0.01)
    return said


class Looks:
    """Says a number each time it is asked, or that it cannot."""

    def __init__(self) -> None:
        self.count = 0
        self.troubles = {
            2: TimedOut("COMMAND_TIMED_OUT", "ss", "did not end", ""),
            4: CommandFailed("COMMAND_FAILED", "ss", "failed with 1.", ""),
            6: OSError(11, "Resource temporarily unavailable"),
        }

    def look(self) -> list[str]:
        self.count += 1
        if self.count in self.troubles:
            raise self.troubles[self.count]
        return [str(min(self.count, 7))]


def test_it_is_looked_at_beside_what_goes_on_whatever_happens_once() -> None:
    looks = Looks()
    with Vigil(looks, lambda: True, 0.001) as vigil:  # type: ignore[arg-type] # all that it asks of a Silence
        said = heard(vigil, 7)
    assert said == [
        "1",
        "its connections cannot be looked at: ss: did not end",
        "3",
        "its connections cannot be looked at: ss: failed with 1.",
        "5",
        "its connections cannot be looked at: Resource temporarily unavailable",
        "7",
    ], "and each of them only once"


def test_nothing_is_done_while_it_is_not_wanted() -> None:
    looks, asked = Looks(), threading.Event()

    def wanted() -> bool:
        asked.set()
        return False

    with Vigil(looks, wanted, 0.001) as vigil:  # type: ignore[arg-type] # all that it asks of a Silence
        assert asked.wait(10)
        assert vigil.heard() == []
    assert looks.count == 0


def test_without_a_process_there_is_nothing_to_look_at() -> None:
    with Vigil(None, lambda: True, 0.001) as vigil:
        assert vigil.heard() == []


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_real_connection_is_found_and_ended(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as server:
        port = server.getsockname()[1]
        client = socket.create_connection((address, port))
        accepted, _address = server.accept()
        with client, accepted:
            said = run_ss(("ss", "-tinpHO", "dst", host(address))).stdout
            (one,) = [one for one in connections(said, os.getpid()) if one.peer.endswith(f":{port}")]
            assert (one.held, one.waits) == (True, False)
            assert one.acknowledged_s < 60
            silence = Silence(os.getpid(), host(address), time.monotonic)
            assert silence.end(one).endswith("was ended")
            with pytest.raises(OSError, match=r"abort|reset"):
                client.recv(1)
