# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A case of the bench: an operation, the line of the journal at which it happens, and what happens."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass


class Fault(enum.Enum):
    """What happens."""

    CONTROLLER = "controller-kill"
    MODULE = "module-kill"
    SSH = "ssh-cut"
    LINK = "link-cut"
    LINK_10S = "link-cut-10s"
    DEST_LINK = "dest-link-cut"
    DEST_LINK_10S = "dest-link-cut-10s"
    DEST_POWER = "dest-power-loss"
    SOURCE_POWER = "source-power-loss"
    LIBVIRTD = "libvirtd-kill"
    DISK_FULL = "dest-disk-full"
    REFUSED = "dest-refuses-definition"
    ACPI = "guest-ignores-acpi"
    QEMU = "guest-crash"
    REBOOT = "guest-reboot"
    TUNNEL = "tunnel-kill"
    EXPORT = "export-kill"
    EXPORT_HANGS = "export-hangs"
    CANCEL = "job-cancel"
    MONITOR = "monitor-kill"
    DEST_LIBVIRTD = "dest-libvirtd-kill"
    ABORT = "abort"
    RETUNE = "retune"
    RETUNE_MONITOR = "retune-monitor-kill"
    NOTHING = "nothing"


class Travelling(enum.Enum):
    """How far a running guest is on its way when a fault happens. Behind the first three it is the policy that acts."""

    DISKS = "disks"
    MEMORY = "memory"
    POST_COPY = "post-copy"
    SWITCHING = "switching"
    """The watcher has told that it switches to post-copy, and has not asked libvirt."""
    SWITCHED = "switched"
    """It did, and the guest runs there."""
    PAUSING = "pausing"
    """The watcher has told that it pauses the guest, and has not asked libvirt."""
    PAUSED = "paused"
    """It did: the guest runs nowhere until it has arrived, or the job has failed."""
    GIVING_UP = "giving-up"
    """The watcher has told why it gives the migration up, and has not asked libvirt."""
    GIVEN_UP = "given-up"
    """It did, and looks no more for a while."""
    RAISING = "raising"
    """The watcher has told a higher downtime limit, and has not asked libvirt."""
    RAISED = "raised"
    """It did, and looks no more for a while."""
    HURRIED = "hurried"
    """Memory is on its way, and in a few seconds the time is up, after which post-copy is to end it."""
    HURRIED_TO_PAUSE = "hurried-to-pause"
    """The same, and a pause is to end it."""


SPLIT = frozenset({Travelling.POST_COPY, Travelling.SWITCHED})
"""A part of the guest's memory is on either side."""
HELD = frozenset({Travelling.SWITCHING, Travelling.PAUSING, Travelling.PAUSED})
"""The guest may have to wait for longer than a ceiling: a policy that was told to make it finish does that."""


_LONG_MIB, _SHORT_MIB = 64, 16
_DIRTIES_MIB: Mapping[Travelling | None, int] = {
    one: _LONG_MIB if one in (Travelling.MEMORY, Travelling.POST_COPY) else _SHORT_MIB
    for one in Travelling
    if one is not Travelling.DISKS
}
"""A stage that the bench waits for has to last, and a policy acts after a few rounds, which are not to."""


class Mirrored(enum.Enum):
    """How far a guest's mirror has to be when a fault happens."""

    COPYING = "copying"
    READY = "ready"


@dataclass(frozen=True)
class Trigger:
    """One line of a journal, on the source or the destination of the migration."""

    step: str
    role: str
    event: str
    effect: str = ""
    phase: str = "move"

    @property
    def line(self) -> dict[str, str]:
        """What the line says."""
        return {"phase": self.phase, "step": self.step, "event": self.event, "effect": self.effect}

    @property
    def point(self) -> str:
        """begin, during or end of its step."""
        return "during" if self.effect else self.event

    def __str__(self) -> str:
        effect = f".{self.effect}" if self.effect else ""
        return f"{self.step}{effect}:{self.event}@{self.role}"


BY_RSYNC = "resize-by-rsync"
"""The disks are copied while the guest is off."""
FORCED = "resize-forced"
"""The guest ignores every polite shutdown, writes on meanwhile, and is forced off in the end."""
LIVE = "live_migrate"
"""The guest goes on running, and its disk goes with it."""

MIRRORING = Trigger("mirror", "source", "begin", "mirror")
MIRRORED = Trigger("mirror", "source", "end")
STOPPING = Trigger("hand_over", "source", "begin", "stop")
TRAVELS = Trigger("live", "source", "begin", "live")
_LIVE_STEPS = ("prepare", "live", "arrive", "depart")


@dataclass(frozen=True)
class Kind:
    """What a guest has to be for a case."""

    loaded: bool
    """It writes records on its disk all the time."""
    ignores_acpi: bool
    """It cannot be shut down politely."""
    dirties: int
    """So many MiB of its memory it writes all the time, more than a slow link carries."""
    travels: bool
    """It is moved live, which leaves the log of its console where it was."""


@dataclass(frozen=True)
class Case:
    """One row. The word behind its operation's dash says how that is done, see C(BY_RSYNC) and C(FORCED)."""

    operation: str
    trigger: Trigger
    fault: Fault
    later_s: float = 0
    """The module goes on for so long before it happens: in the middle of an effect."""
    before: Trigger | None = None
    """recover: where the controller of the operation was killed that is to be recovered."""
    dead: bool = False
    """The host stays dead: recover is told prefer=source, and only then it comes back."""
    travelling: Travelling | None = None
    """The module goes on until the guest is so far on its way."""

    @property
    def id(self) -> str:
        """Its name."""
        before = f"[{self.before.phase}-{self.before}]" if self.before else ""
        later = f"+{self.later_s:g}s" if self.later_s else f"+{self.travelling.value}" if self.travelling else ""
        return f"{self.operation}{before}/{self.trigger}{later}/{self.fault.value}{'-for-good' if self.dead else ''}"

    @property
    def playbook(self) -> str:
        """What the operator runs."""
        return self.operation.partition("-")[0]

    @property
    def opens(self) -> bool:
        """Whether it begins with a guest of which no migration is open."""
        return self._phase == "move"

    @property
    def _phase(self) -> str:
        return (self.before or self.trigger).phase

    @property
    def live(self) -> bool:
        """Whether the guest is moved while it runs."""
        return self.operation == LIVE or (self.before is not None and self.before.step in _LIVE_STEPS)

    @property
    def kind(self) -> Kind:
        """Its guest. What a revert gives up on purpose would be called lost, so there it writes no records."""
        return Kind(
            loaded=self._phase != "revert",
            ignores_acpi=self.fault is Fault.ACPI or self.operation == FORCED,
            dirties=_DIRTIES_MIB.get(self.travelling, 0),
            travels=self.live,
        )

    @property
    def mirrored(self) -> Mirrored | None:
        """How far the mirror is at the fault, None where it is of no importance."""
        if self.before is not None or self.operation not in ("resize", FORCED):
            return None
        if self.trigger == MIRRORING and self.later_s:
            return Mirrored.COPYING
        return Mirrored.READY if self.trigger in (MIRRORED, STOPPING) and not self.later_s else None


def lines_of(step: str, role: str, effects: str, phase: str = "move") -> list[Trigger]:
    """Begin and end of a step, and begin or end of its effects ('stop< stop>': its begin, its end)."""
    inside = [
        Trigger(step, role, "begin" if word.endswith("<") else "end", word[:-1], phase) for word in effects.split()
    ]
    return [Trigger(step, role, "begin", "", phase), *inside, Trigger(step, role, "end", "", phase)]
