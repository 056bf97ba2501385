# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests that move while they run: made, seen to tick, and brought back, on storage that both hosts see.

Nothing of their disks is copied: what is measured is how their memory is carried.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kvmlab import watch
from kvmlab.config import IMAGES_DIR
from kvmlab.host import Host
from kvmlab.outage import TICK, Outage, Sighting, read
from kvmlab.run import wait_for
from kvmlab.virsh import guest_states, virsh

from ansible_collections.kvmops.mobility.bench.moves.guests import BenchError, remove, shape
from ansible_collections.kvmops.mobility.bench.moves.live_cells import LiveCell
from ansible_collections.kvmops.mobility.tests.e2e import lab as tests_lab

QEMU_CONF = "/etc/libvirt/qemu.conf"
_SHARED = "shared_filesystems"
_BOOT_S = 300
_SETTLE_S = 4.0
_SETTLED_S = 120.0
_TICKS = 10
"""So many, at least, while it is seen to settle."""
_BACK_S = 120
_REST_S = 10
_QEMU_LIMIT_MS = 300
"""QEMU's own downtime limit."""
_NO_LIMIT_MIB_S = (2**63 - 1) // 2**20
"""What libvirt takes for none."""


@contextlib.contextmanager
def believed(hosts: Sequence[Host]) -> Iterator[None]:
    """libvirt takes what the lab shares for shared; of itself it believes that of a few file systems only."""
    _forget_shared(hosts)
    for host in hosts:
        host.exec(["tee", "--append", QEMU_CONF], stdin=f"{_SHARED} = [ '{IMAGES_DIR}' ]\n")
        _restart(host)
    try:
        yield
    finally:
        _forget_shared(hosts)
        for host in hosts:
            _restart(host)


def _forget_shared(hosts: Sequence[Host]) -> None:
    for host in hosts:
        host.exec(["sed", "--in-place", f"/^{_SHARED} /d", QEMU_CONF])


def _restart(host: Host) -> None:
    host.exec(["systemctl", "restart", "libvirtd"])
    wait_for(f"libvirt on {host.name}", host.libvirt_answers, timeout_s=60)


@dataclass(frozen=True)
class Pulse:
    """How a guest ticked for a while."""

    seconds: float
    ticks: int
    longest_gap_s: float

    @property
    def rate(self) -> float:
        """Ticks a second."""
        return self.ticks / self.seconds if self.seconds else 0.0


class RunningGuest:
    """The guest of a cell: at first on the source, running, with ticks."""

    def __init__(self, name: str, cell: LiveCell, source: Host, destination: Host) -> None:
        self.name = name
        self.cell = cell
        self.source = source
        self.destination = destination

    def create(self) -> None:
        """Make it and wait until it ticks. Raises AssertionError with what the lab said."""
        load = ["--load", self.cell.load] if self.cell.load else []
        size = ["--memory-mib", str(self.cell.memory_mib), "--vcpus", str(self.cell.vcpus), "--data-mib", "1"]
        words = ["guest", "create", self.name, "--host", self.source.name, "--ticks", *size, *load]
        tests_lab.run(*words, timeout_s=_BOOT_S)
        tests_lab.run("guest", "share", self.name)

    def anew(self) -> None:
        """Another one in its place, whatever became of it."""
        remove([self.name], (self.source, self.destination))
        self.create()

    def states(self) -> tuple[str, str]:
        """What libvirt says of it on the source and on the destination, empty where it does not know it."""
        here, there = (guest_states(host).get(self.name, "") for host in (self.source, self.destination))
        return here, there

    def at_rest(self) -> tuple[str, str]:
        """The same once only one of them knows it; what is left of an attempt goes a moment later."""
        deadline = time.monotonic() + _REST_S
        while all(states := self.states()) and time.monotonic() < deadline:
            time.sleep(0.2)
        return states

    def settle(self) -> Pulse:
        """How it ticks on the source before a run, once it does so evenly. Raises BenchError."""
        deadline = time.monotonic() + _SETTLED_S
        while time.monotonic() < deadline:
            since = time.time()
            time.sleep(_SETTLE_S)
            now = time.time()
            seen = pulse(self.sightings(), since, now)
            if self.states() == ("running", "") and seen.ticks >= _TICKS and seen.longest_gap_s <= self.cell.quiet_s:
                return seen
        raise BenchError(f"{self.name} does not tick evenly on {self.source.name}")

    def sightings(self) -> list[Sighting]:
        """All ticks that were seen of it so far."""
        with watch.log_of(self.name).open() as log:
            return [seen for seen in read(log) if seen.kind == TICK]

    def outage(self, since: float) -> Outage:
        """The longest gap since then, once it ticks again. Raises BenchError when it does not."""
        asked = time.time()
        deadline = time.monotonic() + _BOOT_S
        while time.monotonic() < deadline:
            if pulse(self.sightings(), asked, time.time()).ticks >= 2:
                return watch.seen(self.name, since)
            time.sleep(0.2)
        raise BenchError(f"no tick of {self.name} for {_BOOT_S} s")

    def forget_moves(self) -> None:
        """Nothing that was learnt from one run helps or hinders the next."""
        for host in (self.source, self.destination):
            tests_lab.remote(host.name, "forget", [self.name])

    def back(self) -> None:
        """On the source, running, without a limit on the link. Raises LabError, BenchError."""
        shape((self.source, self.destination), 0)
        here, there = self.states()
        if there and not here:
            self._return()
        elif there or not here:
            raise BenchError(f"{self.name} is '{here}' on {self.source.name}, '{there}' on {self.destination.name}")
        if self.states()[0] == "paused":
            virsh(self.source, "resume", self.name)
        if here:
            # What one way told the emulator, it still knows when the next one begins; one that came back is a new one.
            virsh(self.source, "migrate-setmaxdowntime", self.name, str(_QEMU_LIMIT_MS))
            virsh(self.source, "migrate-setspeed", self.name, str(_NO_LIMIT_MIB_S))

    def _return(self) -> None:
        """Paused, since a guest that writes may not arrive otherwise."""
        if self.states()[1] == "running":
            virsh(self.destination, "suspend", self.name)
        words = migrate_words(self.name, self.source.address)
        virsh(self.destination, *words, timeout_s=_BACK_S)


def migrate_words(guest: str, address: str, *more: str) -> list[str]:
    """What virsh is told to carry a guest to the host with that address while it runs."""
    where = [f"qemu+ssh://root@{address}/system", "--migrateuri", f"tcp://{address}"]
    return ["migrate", "--live", "--p2p", "--undefinesource", "--persistent", *more, guest, *where]


def pulse(ticks: Sequence[Sighting], since: float, until: float) -> Pulse:
    """The ticks in that time, Unix seconds, and the longest silence in it. Pure."""
    times = [one.time for one in ticks if since <= one.time <= until]
    edges = [since, *times, until]
    gap = max(later - earlier for earlier, later in zip(edges, edges[1:]))
    return Pulse(until - since, len(times), gap)


def silence(ticks: Sequence[Sighting], since: float, until: float) -> float | None:
    """The longest time between two ticks of which a part is in that time, seconds; None without two. Pure."""
    pairs = zip(ticks, ticks[1:])
    return max((b.time - a.time for a, b in pairs if b.time >= since and a.time <= until), default=None)


def lost(ticks: Sequence[Sighting], before: Pulse, since: float, until: float) -> float | None:
    """Which share of the guest's own progress was lost in that time, against how it ticked before; never negative.

    Pure. None where it ticked not at all before, or there was no time.
    """
    expected = before.rate * (until - since)
    if expected <= 0:
        return None
    return max(0.0, 1 - pulse(ticks, since, until).ticks / expected)
