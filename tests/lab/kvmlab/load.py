# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Work a guest does by itself, and judging the records it writes.

The records are a ring behind the seeded content of its first disk. Each fills a slot of 4 KiB with one line of
64 bytes 64 times over,

    KVMLOAD1 NUMBER CHECK SALT ........................

with a NUMBER that counts on over every boot, a CHECK that follows from it, and a SALT that is the beginning of the
seeded content's checksum: every sector shows to which write on which disk it belongs. The ring is made full.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

from .config import MIB, LabError
from .seed import DATA_OFFSET, Seed

MAGIC = "KVMLOAD1"
SLOT_BYTES = 4096
LINE_BYTES = 64
LINES = SLOT_BYTES // LINE_BYTES
FIRST = 1_000_000_000
"""The number of the ring's first record: with ten digits from the start, numbers sort as words do."""

MOST_DISK_MIB = 16
MOST_CPUS = 16
MOST_LULL_S = 50
SPARE_MIB = 112
"""What a guest needs of its memory for itself."""
STRESS_WORKERS = 3
"""So many of them use memory, each as much."""
STRESS_DISK_MIB = (512, 768)
"""From where to where of its first disk a stressed guest writes."""

Run = tuple[int, str]
"""Equal lines that follow each other: how many, and the line without its end."""


@dataclass(frozen=True)
class Load:
    """What a guest keeps doing: MiB of memory written, MiB of disk written in, CPUs kept busy, and worse."""

    memory: int = 0
    disk: int = 0
    cpu: int = 0
    hot: int = 0
    """MiB of memory written as fast as one CPU can."""
    stress: int = 0
    """MiB of memory for each of three workers, beside four for the CPU, two that sync and four that write."""
    lull: int = 0
    """Seconds of each minute in which the stress rests."""

    @property
    def slots(self) -> int:
        """How many records its ring holds."""
        return self.disk * MIB // SLOT_BYTES

    def __str__(self) -> str:
        return ",".join(f"{name}={amount}" for name, amount in asdict(self).items() if amount)


def parse_load(words: str) -> Load:
    """Read `memory=MIB,disk=MIB,cpu=N,hot=MIB,stress=MIB,lull=S`, each part of which may be missing."""
    most = {one: 1 << 20 for one in ("memory", "hot", "stress")}
    most |= {"disk": MOST_DISK_MIB, "cpu": MOST_CPUS, "lull": MOST_LULL_S}
    amounts: dict[str, int] = {}
    for part in words.split(","):
        name, _equals, amount = part.partition("=")
        if name not in most or name in amounts or not amount.isdecimal() or not 1 <= int(amount) <= most[name]:
            wanted = (
                f"memory=MIB,disk=MIB,cpu=N,hot=MIB,stress=MIB,lull=S with up to {MOST_DISK_MIB} MiB of disk, "
                f"{MOST_CPUS} CPUs and {MOST_LULL_S} s"
            )
            raise LabError(f"load {words!r}: give {wanted}")
        amounts[name] = int(amount)
    return Load(**amounts)


def memory_needed_mib(load: Load) -> int:
    """The smallest guest that can do this."""
    needed = sum(mib + (mib + 7) // 8 + 1 for mib in (load.memory, load.hot) if mib) + STRESS_WORKERS * load.stress
    return needed + SPARE_MIB if needed else 0


def ring_offset(seed: Seed) -> int:
    """Where on the disk the records begin."""
    return DATA_OFFSET + seed.length


def salt_of(seed: Seed) -> str:
    """What the records of one disk have in common."""
    return seed.sha256[:8]


def line(number: int, salt: str) -> str:
    """The one line a record consists of, without its end."""
    check = 1_000_000_000 + (number * 2654435761 + int(salt, 16)) % 9_000_000_000
    return f"{MAGIC} {number} {check} {salt} ".ljust(LINE_BYTES - 1, ".")


def write_ring(path: Path, seed: Seed, load: Load) -> None:
    """Make a file of what the ring holds before the first record."""
    salt = salt_of(seed)
    with path.open("wb") as ring:
        for slot in range(load.slots):
            ring.write(f"{line(_made(slot, load.slots), salt)}\n".encode() * LINES)


def _made(slot: int, slots: int) -> int:
    """The number a slot is made with: the first that belongs there."""
    return FIRST + (slot - FIRST) % slots


def runs_of(content: bytes) -> list[Run]:
    """The runs of equal lines in a ring that was read from its image."""
    pieces = (content[at : at + LINE_BYTES - 1] for at in range(0, len(content), LINE_BYTES))
    return [(len(list(same)), piece.decode(errors="replace")) for piece, same in groupby(pieces)]


def parse_runs(listing: str) -> list[Run]:
    """The same, as `uniq -c` in the guest says it."""
    runs = []
    for entry in listing.splitlines():
        count, _blank, rest = entry.strip().partition(" ")
        runs.append((int(count), rest) if count.isdecimal() else (1, entry))
    return runs


def judge(runs: Sequence[Run], slots: int, salt: str, acknowledged: int | None) -> tuple[int | None, list[str]]:
    """The newest whole record, and what is wrong when so many had been acknowledged before they were read."""
    numbers = [_number(lines, slot, slots, salt) for slot, lines in enumerate(_slots(runs))]
    if len(numbers) != slots:
        return None, [f"the load's ring has {len(numbers)} records, not {slots}"]
    newest = max((number for number in numbers if number is not None), default=None)
    if newest is None:
        return None, ["the load's ring holds no whole record"]
    promised = FIRST + slots - 1 if acknowledged is None else acknowledged
    problems = []
    if newest < promised:
        problems.append(f"record {promised} of the load was acknowledged, the newest on the disk is {newest}")
    # What was begun last may be torn; it cannot be further than one beyond what came back.
    begun = max(newest, promised) + 1
    lost = []
    for slot, number in enumerate(numbers):
        wanted = promised - (promised - slot) % slots
        if (number is None and wanted + slots > begun) or (number is not None and number < wanted):
            lost.append(wanted)
    if lost:
        some = ", ".join(str(number) for number in sorted(lost)[-3:])
        problems.append(f"{len(lost)} acknowledged records of the load are lost or torn: {some}")
    return newest, problems


def _slots(runs: Sequence[Run]) -> Iterator[list[str]]:
    """The runs' lines slot by slot, each different line of a slot once."""
    current: list[str] = []
    room = LINES
    for count, text in runs:
        left = count
        while left:
            taken = min(left, room)
            current.append(text)
            left -= taken
            room -= taken
            if room == 0:
                yield current
                current, room = [], LINES


def _number(lines: list[str], slot: int, slots: int, salt: str) -> int | None:
    """The number of a whole record in its place, None for a torn or damaged one."""
    words = lines[0].split()
    if len(lines) != 1 or len(words) < 2 or not words[1].isdecimal():
        return None
    number = int(words[1])
    return number if number % slots == slot and lines[0] == line(number, salt) else None
