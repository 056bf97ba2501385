# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was asked: plain frozen data, made on the controller.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from ansible_collections.kvmops.mobility.plugins.module_utils._live.options import Options
from ansible_collections.kvmops.mobility.plugins.module_utils._live.policy import Policy


class Operation(enum.Enum):
    """What an operator can ask for one guest."""

    RESIZE = "resize"
    MIGRATE = "migrate"
    LIVE_MIGRATE = "live_migrate"
    CONFIRM = "confirm"
    REVERT = "revert"
    ABORT = "abort"
    FORCE_COMPLETE = "force_complete"
    RETUNE = "retune"

    @property
    def moves(self) -> bool:
        """Whether it begins a migration; the others are about one that there is."""
        return self in (Operation.RESIZE, Operation.MIGRATE, Operation.LIVE_MIGRATE)

    @property
    def controls(self) -> bool:
        """Whether it is an order to a live migration that goes on."""
        return self in (Operation.ABORT, Operation.FORCE_COMPLETE, Operation.RETUNE)


class Transfer(enum.Enum):
    """How the contents of the disks get to the destination."""

    MIRROR = "mirror"
    """While the guest runs, every write goes to both hosts; nothing is left to send when it stops."""
    RSYNC = "rsync"
    """Files: most of them while the guest runs, what changed since when it is off."""


class Verify(enum.Enum):
    """How the copy is compared with the source before the guest is started from it."""

    QUICK = "quick"
    FULL = "full"


class Data(enum.Enum):
    """What becomes of what the guest wrote since the move, when it is reverted."""

    DISCARD = "discard"
    """The old disks, as they were when the move began."""
    COPY_BACK = "copy_back"
    """The old host, vCPUs and memory, with the disks as they are now."""


class ClaimRule(enum.Enum):
    """How free capacity is counted.

    C(placement): (total - reserved) * ratio - used, as OpenStack placement does.
    C(kilo): total * ratio - used, as Nova did up to Kilo (seen in its claim logs).
    """

    PLACEMENT = "placement"
    KILO = "kilo"


@dataclass(frozen=True)
class Flavor:
    """A named target size. Units are in the names; OpenStack's C(root_gib) 0 is refused."""

    name: str
    vcpus: int
    memory_mib: int
    root_gib: int
    ephemeral_gib: int = 0
    swap_mib: int = 0


@dataclass(frozen=True)
class Capacity:
    """Allocation ratios and what is kept for the hypervisor itself.

    The defaults are those of current Nova (4.0 / 1.0 / 1.0, 512 MiB).
    """

    rule: ClaimRule = ClaimRule.PLACEMENT
    cpu_ratio: float = 4.0
    memory_ratio: float = 1.0
    disk_ratio: float = 1.0
    reserved_vcpus: int = 0
    reserved_memory_mib: int = 512
    reserved_disk_gib: int = 0


@dataclass(frozen=True)
class Stop:
    """How a running guest is stopped."""

    timeout_s: int = 60
    retry_interval_s: int = 10
    on_timeout: str = "abort"
    """abort: the guest goes on and nothing moves; force: the plug is pulled."""


class Together(enum.Enum):
    """Nova's policies of a server group: who may be on one hypervisor."""

    AFFINITY = "affinity"
    ANTI_AFFINITY = "anti-affinity"
    SOFT_AFFINITY = "soft-affinity"
    SOFT_ANTI_AFFINITY = "soft-anti-affinity"

    @property
    def soft(self) -> bool:
        """Whether it is a wish only."""
        return self in (Together.SOFT_AFFINITY, Together.SOFT_ANTI_AFFINITY)

    @property
    def apart(self) -> bool:
        """Whether they are kept from each other."""
        return self in (Together.ANTI_AFFINITY, Together.SOFT_ANTI_AFFINITY)


@dataclass(frozen=True)
class Group:
    """Guests that belong on one hypervisor, or never on the same."""

    name: str
    policy: Together
    guests: tuple[str, ...]
    """Names or UUIDs as typed."""


class Forecasting(enum.Enum):
    """What is made of the forecast of a live migration."""

    REFUSE = "refuse"
    """One that clearly cannot end as its policy wants it to is not begun."""
    WARN = "warn"
    """It is begun all the same."""
    OFF = "off"
    """Nothing is measured."""


@dataclass(frozen=True)
class LiveRequest:
    """What a live migration is asked for besides."""

    policy: Policy
    options: Options
    """As typed, but for *copy_disks*."""
    copy_disks: bool | None = None
    """None: those are copied that only one of the hypervisors sees."""
    announce: bool = False
    forecast: Forecasting = Forecasting.REFUSE


@dataclass(frozen=True)
class Request:
    """What the operator asked for, validated and typed. One request may name many guests."""

    operation: Operation
    guests: tuple[str, ...]
    """Names or UUIDs as typed."""
    flavor: Flavor | None
    vcpus: int | None
    memory_mib: int | None
    root_gib: int | None
    destination: str | None
    """Inventory name, 'auto', or None where the operation has none."""
    root_disk: str | None
    allow_managed: bool
    capacity: Capacity
    stop: Stop
    transfer: Transfer | None = None
    """The one that was asked for; None: the best that can be had."""
    verify: Verify = Verify.QUICK
    live: LiveRequest | None = None
    """Of a live migration alone."""
    groups: tuple[Group, ...] = ()

    @property
    def names_a_size(self) -> bool:
        """Whether a target size was given at all."""
        return self.flavor is not None or any(v is not None for v in (self.vcpus, self.memory_mib, self.root_gib))
