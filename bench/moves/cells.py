# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is moved, over which link: a base cell, and cells that differ from it in one factor each. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

_ROOM_MIB = 64


@dataclass(frozen=True)
class Cell:
    """One set-up in which every method is measured."""

    name: str
    says: str
    """What is different from the base, for people."""
    allocated_mib: int = 4096
    """What its disk holds; with a backing file, a quarter of it is in the overlay."""
    link_mbit: int = 1000
    """Each way; 0 for no limit."""
    content: str = "mixed"
    load: str = ""
    """What the guest does meanwhile, as the lab's `guest create --load` has it."""
    backing: bool = False

    @property
    def writing(self) -> bool:
        """Whether the guest changes its disk meanwhile, so that the copy cannot be compared with the source."""
        return "disk=" in self.load

    @property
    def overlay_mib(self) -> int:
        """What of it is in the overlay."""
        return self.allocated_mib // 4 if self.backing else 0

    @property
    def data_mib(self) -> int:
        """The lab's content that takes the rest of it: a third of what is mixed are holes."""
        rest = self.allocated_mib - self.overlay_mib
        return rest * 3 // 2 if self.content == "mixed" else rest

    @property
    def root_gib(self) -> int:
        """The size of a disk that has room for it, and for what the guest writes behind it."""
        return (self.data_mib + self.overlay_mib + _ROOM_MIB) // 1024 + 1

    def smaller(self, allocated_mib: int) -> Cell:
        """The same with less on the disk, under a name of its own: to try things out."""
        says = f"{self.says}; but {allocated_mib} MiB allocated"
        return replace(self, name=f"{self.name}@{allocated_mib}", says=says, allocated_mib=allocated_mib)


BASE = Cell("base", "4 GiB allocated, mixed content, 1 Gbit/s, idle guest, no backing file")
CELLS = (
    BASE,
    replace(BASE, name="size1", says="1 GiB allocated", allocated_mib=1024),
    replace(BASE, name="size16", says="16 GiB allocated", allocated_mib=16384),
    replace(BASE, name="unlimited", says="no limit on the link", link_mbit=0),
    replace(BASE, name="slow", says="200 Mbit/s", link_mbit=200),
    replace(BASE, name="writing", says="the guest writes and fsyncs", load="disk=4"),
    replace(BASE, name="backing", says="a quarter is an overlay, the rest its backing file", backing=True),
    replace(BASE, name="compressible", says="compressible content", content="compressible"),
)
SIZES = ("size1", "base", "size16")
"""The cells that differ in nothing but how much the disk holds."""


def choose(names: str, allocated_mib: int = 0) -> list[Cell]:
    """The cells with these names, separated by commas; C(all) for every one. Raises ValueError for an unknown name."""
    known = {cell.name: cell for cell in CELLS}
    wanted = list(known) if names == "all" else names.split(",")
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise ValueError(f"no cell {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name].smaller(allocated_mib) if allocated_mib else known[name] for name in wanted]
