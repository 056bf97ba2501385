# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two processes of a guest that moves while it runs: whether both worked at once. Real processes, with threads named
like QEMU's virtual CPUs."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from kvmfaults.observer import Pair, cpu_ns

LOOK_S = 0.02
PATIENCE_S = 30
PROGRAM = """
import sys, threading, time
working = threading.Event()

def virtual_cpu():
    with open("/proc/thread-self/comm", "w") as name:
        name.write(sys.argv[1])
    print("up", flush=True)
    while True:
        working.wait()

threading.Thread(target=virtual_cpu, daemon=True).start()
for line in sys.stdin:
    if line == "work\\n":
        working.set()
    else:
        working.clear()
    print("done", flush=True)
"""


class Cpu:
    """A process with one virtual CPU, which waits until it is told to work."""

    def __init__(self, name: str = "CPU 0/TCG") -> None:
        argv = [sys.executable, "-c", PROGRAM, name]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = str(self.process.pid)
        self._answer()

    def tell(self, what: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        self._answer()

    def _answer(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() in ("up\n", "done\n")


@pytest.fixture
def two() -> Iterator[tuple[Cpu, Cpu]]:
    made = Cpu(), Cpu()
    yield made
    for one in made:
        one.process.kill()
        one.process.wait()


def looks(pair: Pair, two: tuple[Cpu, Cpu], times: int) -> list[bool]:
    found: list[bool] = []
    while len(found) < times:
        time.sleep(LOOK_S)
        found.append(pair.ran_at_once({one.pid for one in two}))
    return found


def test_both_at_work_are_found_out(two: tuple[Cpu, Cpu]) -> None:
    for one in two:
        one.tell("work")
    pair, until = Pair(), time.monotonic() + PATIENCE_S
    while not any(looks(pair, two, 5)):
        assert time.monotonic() < until


def test_one_that_waits_is_none(two: tuple[Cpu, Cpu]) -> None:
    two[0].tell("work")
    assert not any(looks(Pair(), two, 40))


def test_one_that_hands_over_to_the_other_is_none(two: tuple[Cpu, Cpu]) -> None:
    pair = Pair()
    here, there = two
    here.tell("work")
    found = looks(pair, two, 15)
    here.tell("wait")
    there.tell("work")
    assert not any(found + looks(pair, two, 15))


def test_only_virtual_cpus_count() -> None:
    other = Cpu("worker")
    try:
        other.tell("work")
        time.sleep(10 * LOOK_S)
        assert cpu_ns(other.pid) == 0
    finally:
        other.process.kill()
        other.process.wait()
    assert cpu_ns(other.pid) == 0
