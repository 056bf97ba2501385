# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What recover knows of a migration, and what it may decide: plain frozen data.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._migration.closing import Known


class Act(enum.Enum):
    """What recover does."""

    NOTHING = "nothing"
    RELEASE = "release"
    """Only a lock is left over."""
    UNDO = "undo"
    RESUME_MOVE = "resume_move"
    RESUME_CONFIRM = "resume_confirm"
    RESUME_REVERT = "resume_revert"
    RESUME_LIVE = "resume_live"
    """A live migration is watched on, or its books are completed."""
    UNDO_REVERT = "undo_revert"
    """The guest stays on the destination, or goes back there."""
    CLOSE = "close"
    """One side has not heard of the end."""
    WAIT = "wait"
    """Somebody is at work, or may be."""
    ASK = "ask"
    """The truth cannot be known from here; the operator has to say which side counts."""


class Prefer(enum.Enum):
    """Which side the operator says counts."""

    SOURCE = "source"
    DESTINATION = "destination"


@dataclass(frozen=True)
class Side:
    """One hypervisor now."""

    reachable: bool
    domain_state: str = ""
    """libvirt's state of the guest there, empty when it is not defined."""
    working: bool = False
    """The process of a step of this migration lives there."""
    copying: bool = False
    """The unit that copies runs there, or has ended and waits to be looked at."""
    mirroring: bool = False
    """libvirt has a block job for the guest there."""
    switched: bool = False
    """Of the source of a live migration: the guest may have run on the destination (post-copy)."""
    idle_s: float = 0.0
    """Since the run that has the guest was heard of there, by that hypervisor's clock, seconds."""

    @property
    def active(self) -> bool:
        """The guest has a QEMU process there."""
        return self.domain_state not in ("", "shut off")


@dataclass(frozen=True)
class Decision:
    """The truth in a sentence, and what follows."""

    act: Act
    why: str
    on_source: bool = False
    on_destination: bool = False
    debt: str = ""
    """What has to wait until a hypervisor is back, empty when nothing."""
    discard: bool = False
    """A revert that was to copy data back goes back to the old disks."""

    def as_result(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "act": self.act.value,
            "why": self.why,
            "on_source": self.on_source,
            "on_destination": self.on_destination,
            "debt": self.debt,
            "discard": self.discard,
        }


@dataclass(frozen=True)
class Case:
    """All that is known of one migration that may need recovery."""

    known: Known
    source: Side
    destination: Side
    prefer: Prefer | None = None
    takeover: bool = False
    quiet_s: float = 60.0
    """A run that was silent for so long has no living controller behind it."""

    def both(self, act: Act, why: str) -> Decision:
        """*act* on each hypervisor that answers; the other one is a debt."""
        migration = self.known.migration
        silent = [
            host
            for host, side in ((migration.source, self.source), (migration.destination, self.destination))
            if not side.reachable
        ]
        debt = f"run recover again when {silent[0]} is back" if silent else ""
        return Decision(act, why, self.source.reachable, self.destination.reachable, debt)
