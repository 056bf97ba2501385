# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a move costs, read from outside: bytes on the hosts' links, CPU seconds and memory of their processes.

The CPU of a host is that of a control group which all its processes are put into, and their children with them; the
emulators are among them. The memory is what the processes have of their own, without the emulators and without files.
"""

from __future__ import annotations

import contextlib
import os
import resource
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kvmlab.config import INSTANCE
from kvmlab.host import Host

_GROUPS = Path("/sys/fs/cgroup/cpuacct")
_SAMPLE_S = 0.5
_ROUNDS = 3
"""How often processes are put into a group: while that goes on, others are born."""
_MIB = 1024**2


@dataclass
class Cost:
    """What was spent between begin and end."""

    wall_s: float = 0.0
    sent_bytes: dict[str, int] = field(default_factory=dict)
    """By host: what left it over its link."""
    received_bytes: dict[str, int] = field(default_factory=dict)
    cpu_s: dict[str, float] = field(default_factory=dict)
    """By host, and C(controller) for what this program started."""
    peak_mib: dict[str, float] = field(default_factory=dict)
    """By host: above what there was at the beginning."""
    boot_cpu_s: float = 0.0
    """CPU seconds of the emulators on the last host, the destination: the guests' own start, a part of cpu_s."""

    @property
    def wire_bytes(self) -> int:
        """Both ways over the link of the first host, the source."""
        first = next(iter(self.sent_bytes))
        return self.sent_bytes[first] + self.received_bytes[first]


class Meter:
    """The counters of some hosts of the lab. It makes a control group for each, and takes them away at the end."""

    def __init__(self, hosts: list[Host]) -> None:
        self._hosts = hosts
        self._peak: dict[str, int] = {}
        self._done = threading.Event()

    def __enter__(self) -> Meter:
        for host in self._hosts:
            group = _group(host)
            group.mkdir(exist_ok=True)
            for _round in range(_ROUNDS):
                _move(_processes(host), group)
        return self

    def __exit__(self, *_error: object) -> None:
        for host in self._hosts:
            group = _group(host)
            for _round in range(_ROUNDS):
                _move(_members(group), _GROUPS)
            with contextlib.suppress(OSError):  # what is left of it is used by the next measurement
                group.rmdir()

    @contextlib.contextmanager
    def measure(self) -> Iterator[Cost]:
        """What is spent while the block runs is in the cost when it has ended."""
        cost = Cost()
        links, cpu = self._links(), self._cpu()
        memory = {host.name: _own_bytes(host) for host in self._hosts}
        self._peak = dict(memory)
        self._done.clear()
        sampler = threading.Thread(target=self._sample, daemon=True)
        sampler.start()
        began = time.monotonic()
        try:
            yield cost
        finally:
            cost.wall_s = time.monotonic() - began
            self._done.set()
            sampler.join()
            cost.cpu_s = {name: spent - cpu[name] for name, spent in self._cpu().items()}
            cost.boot_cpu_s = _emulators_s(self._hosts[-1])
            for name, (sent, received) in self._links().items():
                cost.sent_bytes[name] = sent - links[name][0]
                cost.received_bytes[name] = received - links[name][1]
            cost.peak_mib = {name: (peak - memory[name]) / _MIB for name, peak in self._peak.items()}

    def _sample(self) -> None:
        while not self._done.wait(_SAMPLE_S):
            for host in self._hosts:
                self._peak[host.name] = max(self._peak[host.name], _own_bytes(host))

    def _links(self) -> dict[str, tuple[int, int]]:
        return {host.name: link_bytes(host) for host in self._hosts}

    def _cpu(self) -> dict[str, float]:
        spent = {host.name: int((_group(host) / "cpuacct.usage").read_text()) / 1e9 for host in self._hosts}
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {**spent, "controller": children.ru_utime + children.ru_stime}


def _group(host: Host) -> Path:
    return _GROUPS / f"bench-{host.name}-{INSTANCE}"


def _members(group: Path) -> list[int]:
    return [int(word) for word in (group / "cgroup.procs").read_text().split()]


def _processes(host: Host) -> list[int]:
    """All processes of a host, as the machine numbers them: those in the PID namespace of its first one."""
    leader = host.leader()
    space = _space(leader.pid) if leader else ""
    pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
    return [pid for pid in pids if space and _space(pid) == space]


def _space(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:  # it has ended
        return ""


def _move(pids: list[int], group: Path) -> None:
    for pid in pids:
        with contextlib.suppress(OSError):  # it has ended
            (group / "cgroup.procs").write_text(str(pid))


def link_bytes(host: Host) -> tuple[int, int]:
    """Bytes that left the host and that came to it, counted at the machine's end of its link."""
    counters = Path("/sys/class/net") / host.port / "statistics"
    return int((counters / "rx_bytes").read_text()), int((counters / "tx_bytes").read_text())


def _own_bytes(host: Host) -> int:
    """Resident memory that belongs to no file, of all the host's processes but its guests' emulators."""
    return sum(_anonymous(pid) for pid in _members(_group(host)))


def _is_emulator(pid: int) -> bool:
    return Path(f"/proc/{pid}/comm").read_text().startswith("qemu-system")


def _emulators_s(host: Host) -> float:
    return sum(_spent_s(pid) for pid in _members(_group(host)))


def _spent_s(pid: int) -> float:
    try:
        if not _is_emulator(pid):
            return 0.0
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:  # it has ended
        return 0.0
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def _anonymous(pid: int) -> int:
    try:
        if _is_emulator(pid):
            return 0
        _size, resident, shared = Path(f"/proc/{pid}/statm").read_text().split()[:3]
    except OSError:  # it has ended
        return 0
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")
