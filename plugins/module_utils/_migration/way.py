# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way that a guest's disks take: from the source to the destination in a move, back in a revert. Pure.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import Verify
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Phase
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import (
    CHECKED_FORMATS,
    DiskPlan,
    Layout,
    Migration,
    Parking,
)


@dataclass(frozen=True)
class Way:
    """Who gives the guest sets its disks aside there; on the one who takes it their copy grows."""

    migration: Migration
    back: bool

    @classmethod
    def of(cls, migration: Migration, phase: Phase) -> Way:
        """The way of *phase*; a confirm moves nothing."""
        return cls(migration, phase is Phase.REVERT)

    @property
    def taker(self) -> str:
        """Inventory name of the one who takes the guest."""
        return self.migration.source if self.back else self.migration.destination

    @property
    def address(self) -> str:
        """Where ssh of the one who gives reaches the one who takes."""
        return self.migration.source_address if self.back else self.migration.destination_address

    @property
    def giver_address(self) -> str:
        """Where the one who gives is reached itself; empty in records of before that was asked."""
        return self.migration.destination_address if self.back else self.migration.source_address

    @property
    def asides(self) -> tuple[str, ...]:
        """The directories that hold what is set aside where the guest was; nothing else is in them."""
        return self.migration.reverted_in if self.back else self.migration.parked_in

    @property
    def arrivals(self) -> tuple[str, ...]:
        """The directories where the copy grows, the first the one of the root disk."""
        return self.migration.returning_in if self.back else self.migration.staged_in

    @property
    def arrival(self) -> str:
        """The first of C(arrivals)."""
        return self.arrivals[0]

    def aside(self, parking: Parking) -> str:
        """What *parking* is called where the guest was."""
        return parking.reverted if self.back else parking.parked

    def arriving(self, parking: Parking) -> str:
        """What *parking* is called while its copy grows."""
        return parking.returning if self.back else parking.staged

    def left(self, disk: DiskPlan) -> str:
        """Where *disk* is once it is set aside."""
        return self._of(disk, {one.place: self.aside(one) for one in self.migration.parkings})

    def grows(self, disk: DiskPlan) -> str:
        """Where the copy of *disk* grows."""
        return self._of(disk, {one.place: self.arriving(one) for one in self.migration.parkings})

    @property
    def is_counted(self) -> bool:
        """Whether what the guest sees on each disk is counted on both sides; it is not when the disks come back."""
        return self.migration.verify is Verify.FULL and not self.back

    @property
    def vouched_for(self) -> frozenset[str]:
        """What is not compared byte by byte after the copy, since something else vouches for it; see C(told_as()).

        Where the disks are counted, that does; with quick, QEMU checks images in formats that have a check. With full
        what comes back is compared whole.
        """
        migration = self.migration
        quick = migration.verify is Verify.QUICK
        disks = (one for one in migration.carried if self.is_counted or (quick and one.format in CHECKED_FORMATS))
        return frozenset(self.told_as(self.grows(one)) for one in disks)

    def told_as(self, grown: str) -> str:
        """What a copied file is called by: by name, and by path in each further directory, because two directories may
        have files of one name."""
        where, name = posixpath.split(grown)
        return name if where == self.arrival else grown

    def _of(self, disk: DiskPlan, names: dict[str, str]) -> str:
        if self.migration.layout is Layout.FILES:
            return names[disk.path]
        return posixpath.join(names[self.migration.directory], posixpath.basename(disk.path))
