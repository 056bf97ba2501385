# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which guest moves while it runs, over which link: how much it writes by how much is carried. Pure."""

from __future__ import annotations

from dataclasses import dataclass

CEILING_MS = 500
"""The longest that a guest may be stopped."""
TOLERANCE = 1.2
"""What comes on top of it before it counts as broken."""
BUDGET_S = 120.0
"""How long libvirt's job may take; then it is given up from outside."""
PROOF_S = 300.0
"""How long one is tried that others say cannot end."""
_LOADS = {"0": "", "5": "memory=5", "20": "memory=22", "max": "hot=120"}
"""A round over the memory takes the lab's guest 0.9 s for 5 MiB, and 1.1 s for 22."""
DIRTY = tuple(_LOADS)
LINKS = (0, 320, 160, 80)
_WORDS = {"0": "idle", "5": "5 MiB/s written", "20": "20 MiB/s written", "max": "120 MiB written as fast as it can"}


@dataclass(frozen=True)
class LiveCell:
    """One guest and one link, the same for every method."""

    name: str
    says: str
    link_mbit: int
    """Each way; 0 for no limit."""
    load: str = ""
    """What the guest does, as the lab's `guest create --load` has it."""
    memory_mib: int = 256
    vcpus: int = 1
    quiet_s: float = 1.0
    """It has settled when it was silent for no longer, for some seconds."""


def _cell(dirty: str, link: int) -> LiveCell:
    limit = f"{link} Mbit/s" if link else "no limit on the link"
    return LiveCell(f"{dirty}@{link}", f"{_WORDS[dirty]}, {limit}", link, _LOADS[dirty])


CELLS = tuple(_cell(dirty, link) for dirty in DIRTY for link in LINKS)
TUNING = tuple(f"{dirty}@{link}" for dirty in ("5", "20") for link in LINKS)
"""The cells that the forecast may be tuned on: what is said of its errors leaves them out."""
SUBSET = ("0@320", "5@80", "20@160")
"""One that ends at once, one that needs a longer stop, and one that cannot end."""

STRESS = "stress"
HARD = tuple(
    LiveCell(
        name,
        f"4 CPU workers, 3 times 300 of 1024 MiB, 2 that sync, 4 disk writers, {when}, 320 Mbit/s",
        320,
        load,
        memory_mib=1024,
        vcpus=4,
        quiet_s=10.0,
    )
    for name, when, load in (
        (STRESS, "all the time", "stress=300"),
        ("minutely", "40 s of each minute", "stress=300,lull=20"),
    )
)
"""The article's experiment, and the same with the rests that its crontab leaves."""


def choose(names: str, known: tuple[LiveCell, ...] = CELLS) -> list[LiveCell]:
    """The cells with these names, separated by commas; C(all), C(tuning) and C(subset) stand for several.

    Raises ValueError for an unknown name.
    """
    cells = {cell.name: cell for cell in known}
    groups = {"all": tuple(cells), "tuning": TUNING, "subset": SUBSET}
    wanted = [one for name in names.split(",") for one in groups.get(name, (name,))]
    unknown = [name for name in wanted if name not in cells]
    if unknown:
        raise ValueError(f"no cell {', '.join(unknown)}; there are {', '.join(cells)}, and all")
    return [cells[name] for name in dict.fromkeys(wanted)]
