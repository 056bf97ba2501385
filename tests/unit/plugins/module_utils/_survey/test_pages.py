# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages of a process's memory, looked at from outside: a real one's."""

from __future__ import annotations

import mmap
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._survey.pages import PAGE, Pages, memory

SIZE_MIB = 16
MIB = 2**20
MAPS = """\
55d0c0000000-55d0c0100000 r--p 00000000 fe:00 1 /usr/bin/qemu-system-x86_64
7f0000000000-7f0040000000 rwxp 00000000 00:00 0
7f1000000000-7f1010000000 rw-p 00000000 00:00 0
7f2000000000-7f2000100000 rw-p 00000000 00:00 0
7f3000000000-7f3020000000 rw-s 00000000 00:11 2 /dev/hugepages/x
"""


@pytest.mark.parametrize(
    ("mib", "where"),
    [
        pytest.param(256, (0x7F1000000000, 0x7F1010000000), id="of that size, and not the larger one that can be run"),
        pytest.param(200, (0x7F1000000000, 0x7F100C800000), id="joined with a neighbour"),
        pytest.param(512, (0x7F3000000000, 0x7F3020000000), id="huge pages"),
        pytest.param(1024, None, id="in several stretches"),
    ],
)
def test_where_a_guests_memory_is(tmp_path: Path, mib: int, where: tuple[int, int] | None) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "maps").write_text(MAPS, encoding="ascii")
    assert memory(7, mib * MIB, str(tmp_path)) == where


def test_a_process_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="maps"):
        memory(7, MIB, str(tmp_path))
    with pytest.raises(OSError, match="mem"):
        Pages(7, (0, MIB), 4, str(tmp_path))


WRITER = f"""
import ctypes, mmap, sys
held = mmap.mmap(-1, {SIZE_MIB * MIB})
print(ctypes.addressof(ctypes.c_char.from_buffer(held)), flush=True)
for line in sys.stdin:
    first, last, value = map(int, line.split())
    for page in range(first, last):
        held[page * {PAGE}] = value
    print("done", flush=True)
"""


class Process:
    """One that has some memory, and writes to it when it is told to."""

    def __init__(self, running: subprocess.Popen[str]) -> None:
        self._running = running
        self.id = running.pid
        begin = int(self._said())
        self.where = (begin, begin + SIZE_MIB * MIB)

    def _pipe(self, one: IO[Any] | None) -> IO[Any]:
        assert one is not None
        return one

    def _said(self) -> str:
        return str(self._pipe(self._running.stdout).readline())

    def write(self, first_mib: float, last_mib: float, value: int) -> None:
        pages = (int(one * MIB) // PAGE for one in (first_mib, last_mib))
        print(*pages, value, file=self._pipe(self._running.stdin), flush=True)
        assert self._said() == "done\n"


@pytest.fixture
def process() -> Iterator[Process]:
    running = subprocess.Popen((sys.executable, "-c", WRITER), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Process(running)
    finally:
        running.kill()
        running.communicate()


def looked(process: Process, *writes: tuple[float, float], count: int = 1024) -> Pages:
    """Look, and again after each of *writes*, a tenth of a second apart."""
    pages = Pages(process.id, process.where, count)
    pages.look(0.0)
    for number, (first, last) in enumerate(writes, 1):
        process.write(first, last, number)
        pages.look(number / 10)
    return pages


def test_what_is_written_again_and_again_is_new_once(process: Process) -> None:
    process.write(0, 8, 99)
    pages = looked(process, *[(0, 4)] * 20)
    seen = pages.seen()
    assert [seconds for seconds, _amount in seen.dirtied] == [0.1, 0.2, 0.5, 1.0, 2.0]
    for _seconds, amount in seen.dirtied:
        assert amount == pytest.approx(4 * MIB, rel=0.05)
    assert seen.resident_bytes == pytest.approx(8 * MIB, rel=0.05)
    assert seen.grain_bytes == SIZE_MIB * MIB // 1024
    pages.close()


def test_a_sweep_is_new_all_the_time(process: Process) -> None:
    steps = [(number % 10 * 1.6, number % 10 * 1.6 + 1.6) for number in range(30)]
    process.write(0, SIZE_MIB, 99)
    found = dict(looked(process, *steps).seen().dirtied)
    assert found[0.1] == pytest.approx(1.6 * MIB, rel=0.1)
    assert found[0.5] == pytest.approx(8 * MIB, rel=0.1)
    assert found[1.0] == pytest.approx(16 * MIB, rel=0.02)
    assert found[2.0] == pytest.approx(16 * MIB, rel=0.02)


def present(process: Process) -> int:
    """How many pages of its memory are there; the process as a whole gets some of its own at any time."""
    begin, end = process.where
    with Path(f"/proc/{process.id}/pagemap").open("rb") as pages:
        pages.seek(begin // PAGE * 8)
        entries = struct.iter_unpack("<Q", pages.read((end - begin) // PAGE * 8))
    return sum(entry >> 63 for (entry,) in entries)


def test_what_the_guest_never_used_is_empty_and_stays_so(process: Process) -> None:
    pages = Pages(process.id, process.where, 256)
    pages.look(0.0)
    pages.look(0.1)
    for number in range(2, 6):
        pages.look(number / 10)
    assert pages.seen().resident_bytes == 0
    assert pages.seen().dirtied == ((0.1, 0), (0.2, 0), (0.5, 0))
    assert present(process) == 0
    process.write(0, SIZE_MIB, 7)
    assert present(process) == SIZE_MIB * MIB // PAGE
    pages.look(0.6)
    assert pages.seen().resident_bytes == pytest.approx(SIZE_MIB * MIB, rel=0.01)
    pages.close()


def test_a_machine_that_is_slow_has_longer_windows(process: Process) -> None:
    pages = Pages(process.id, process.where, 64)
    for number in range(9):
        pages.look(0.4 * number)
    assert [seconds for seconds, _amount in pages.seen().dirtied] == [0.4, 0.8, 2.0]
    assert pages.looks == 9
    pages.close()


def test_one_look_says_nothing_of_what_is_written(process: Process) -> None:
    pages = Pages(process.id, process.where, 10**9)
    pages.look(0.0)
    assert pages.seen().dirtied == ()
    assert pages.seen().grain_bytes == PAGE == mmap.PAGESIZE
    pages.close()


def test_it_ends_with_the_process(process: Process) -> None:
    pages = Pages(process.id, (0, MIB), 4)
    pages.look(0.0)  # nothing is there
    pages.close()
    other = Pages(process.id, process.where, 64)
    other.look(0.0)
    process.write(0, 1, 1)
    other.look(0.1)
    os.kill(process.id, 9)

    def look_on() -> None:
        for number in range(1000):
            other.look(float(number))

    with pytest.raises(ProcessLookupError):
        look_on()
    other.close()
