# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The records a lab guest writes: their layout, and finding out lost and torn ones."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from kvmlab.config import LabError
from kvmlab.load import (
    FIRST,
    LINE_BYTES,
    LINES,
    SLOT_BYTES,
    SPARE_MIB,
    Load,
    Run,
    judge,
    line,
    memory_needed_mib,
    parse_load,
    parse_runs,
    runs_of,
    write_ring,
)
from kvmlab.seed import Seed

from ansible_collections.kvmops.mobility.tests.unit.repository import ROOT

SLOTS = 256
SALT = "0a1b2c3d"
NEWEST_MADE = FIRST + SLOTS - 1


def ring(newest: int, *, slots: int = SLOTS) -> list[Run]:
    """A ring without a fault after so many records."""
    return [(LINES, line(newest - (newest - slot) % slots, SALT)) for slot in range(slots)]


def torn(runs: list[Run], slot: int, number: int) -> list[Run]:
    """The same with the first sector of one slot overwritten by a newer record."""
    _count, old = runs[slot]
    return [*runs[:slot], (8, line(number, SALT)), (LINES - 8, old), *runs[slot + 1 :]]


def test_a_new_ring_is_full_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "ring"
    write_ring(path, Seed("app1/disk", 1 << 20, f"{SALT}{'0' * 56}"), Load(disk=1))
    content = path.read_bytes()
    assert len(content) == SLOTS * SLOT_BYTES
    assert judge(runs_of(content), SLOTS, SALT, None) == (NEWEST_MADE, [])


def test_the_guest_writes_the_same_lines() -> None:
    script = (ROOT / "tests/lab/guest/load").read_text()
    (check,) = re.findall(r"^ +check=.*$", script, re.MULTILINE)
    (text,) = re.findall(r'^ +line=".*"$', script, re.MULTILINE)
    program = f'number={FIRST + 77}; salt={SALT}\n{check}\n{text}\necho "$line"'
    said = subprocess.run(["sh", "-c", program], capture_output=True, text=True, check=True).stdout
    assert said == f"{line(FIRST + 77, SALT)}\n"
    assert len(said) == LINE_BYTES


@pytest.mark.parametrize("behind", [0, 1, 5])
def test_what_came_back_and_what_was_written_since_is_well(behind: int) -> None:
    newest = NEWEST_MADE + 1000
    assert judge(ring(newest), SLOTS, SALT, newest - behind) == (newest, [])


def test_the_record_that_had_not_come_back_may_be_torn() -> None:
    acknowledged = NEWEST_MADE + 1000
    runs = torn(ring(acknowledged), (acknowledged + 1) % SLOTS, acknowledged + 1)
    assert judge(runs, SLOTS, SALT, acknowledged) == (acknowledged, [])


def test_a_torn_record_that_had_come_back_is_found() -> None:
    acknowledged = NEWEST_MADE + 1000
    runs = torn(ring(acknowledged), (acknowledged - 3) % SLOTS, acknowledged)
    newest, problems = judge(runs, SLOTS, SALT, acknowledged)
    assert newest == acknowledged
    assert problems == [f"1 acknowledged records of the load are lost or torn: {acknowledged - 3}"]


def test_an_older_disk_is_found() -> None:
    acknowledged = NEWEST_MADE + 1000
    newest, problems = judge(ring(acknowledged - 2), SLOTS, SALT, acknowledged)
    assert newest == acknowledged - 2
    assert f"record {acknowledged} of the load was acknowledged" in problems[0]
    assert "2 acknowledged records" in problems[1]


def test_one_lost_write_among_newer_ones_is_found() -> None:
    acknowledged = NEWEST_MADE + 1000
    runs = ring(acknowledged)
    lost = acknowledged - 100
    runs[lost % SLOTS] = (LINES, line(lost - SLOTS, SALT))
    assert judge(runs, SLOTS, SALT, acknowledged)[1] == [f"1 acknowledged records of the load are lost or torn: {lost}"]


def test_a_record_in_another_place_or_of_another_disk_is_none() -> None:
    newest = NEWEST_MADE + 10
    runs = ring(newest)
    runs[3], runs[5] = (LINES, runs[4][1]), (LINES, line(newest, "ffffffff"))
    assert "2 acknowledged records" in judge(runs, SLOTS, SALT, newest)[1][0]


def test_a_ring_that_is_gone_is_found() -> None:
    assert judge([], SLOTS, SALT, None)[1] == [f"the load's ring has 0 records, not {SLOTS}"]
    assert judge([(SLOTS * LINES, "")], SLOTS, SALT, None)[1] == ["the load's ring holds no whole record"]


def test_runs_as_the_guest_counts_them() -> None:
    assert parse_runs(f"     64 {line(FIRST, SALT)}\n      8 x y\nodd\n") == [
        (64, line(FIRST, SALT)),
        (8, "x y"),
        (1, "odd"),
    ]


def test_a_load_in_words() -> None:
    load = parse_load("memory=64,cpu=1,disk=4")
    assert load == Load(memory=64, disk=4, cpu=1)
    assert str(load) == "memory=64,disk=4,cpu=1"
    assert load.slots == 4 * SLOTS


def test_a_hard_load_in_words() -> None:
    load = parse_load("stress=300,lull=20,hot=64")
    assert load == Load(stress=300, lull=20, hot=64)
    assert parse_load(str(load)) == load
    assert load.slots == 0


@pytest.mark.parametrize(
    ("load", "mib"),
    [
        (Load(cpu=4, disk=16), 0),
        (Load(memory=20), 20 + 3 + 1 + SPARE_MIB),
        (Load(hot=120, memory=8), 120 + 15 + 1 + 8 + 1 + 1 + SPARE_MIB),
        (Load(stress=300, disk=4), 900 + SPARE_MIB),
    ],
)
def test_memory_that_a_load_needs(load: Load, mib: int) -> None:
    assert memory_needed_mib(load) == mib


def test_the_guest_writes_as_much_memory_as_it_is_told() -> None:
    """An eighth at a time, in pages: 5 MiB are 5 MiB."""
    script = (ROOT / "tests/lab/guest/load").read_text()
    (piece,) = re.findall(r"^ +(piece=.*) #", script, re.MULTILINE)
    for block in (4, 64):
        program = f"set 5 {block}; {piece}; echo $((8 * piece * {block << 10}))"
        said = subprocess.run(["sh", "-c", program], capture_output=True, text=True, check=True).stdout
        assert int(said) == 5 << 20


def test_the_guest_knows_every_part_of_a_load() -> None:
    script = (ROOT / "tests/lab/guest/load").read_text()
    known = set(re.findall(r"^ +(\w+)=\*\)", script, re.MULTILINE))
    assert known == {part.partition("=")[0] for part in str(Load(1, 1, 1, 1, 1, 1)).split(",")}


@pytest.mark.parametrize("words", ["", "memory", "lull=51", "disk=0", "disk=17", "net=1", "cpu=1,cpu=2", "cpu=-1"])
def test_a_load_that_cannot_be(words: str) -> None:
    with pytest.raises(LabError, match="give memory=MIB"):
        parse_load(words)
