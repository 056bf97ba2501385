# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two hosts and the guest a worker plays with, and the ways to hurt them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Set
from functools import partial
from pathlib import Path
from typing import Any

from kvmlab import guest, lab, trouble
from kvmlab.config import GIB, LabError
from kvmlab.domain import GuestSpec
from kvmlab.host import Host
from kvmlab.load import Load
from kvmlab.run import wait_for
from kvmlab.virsh import guest_states, virsh

from . import hook, travel
from .case import Kind, Mirrored

GUEST = "fault"
EMULATOR = "usr/bin/qemu-system-x86_64"
_HOOK = Path(hook.__file__)
_LIBVIRT_S = 30
_DATA_MIB = 4
"""An emulated guest adds them up again after each case."""
_DISK = "vda"
_MIRROR_S = 30
_DIES_S, _WATCHER_S, _LOOK_S = 0.5, 60, 2.0
PLAIN = Kind(loaded=False, ignores_acpi=False, dirties=0, travels=False)


class Stage:
    """One lab of two hosts."""

    def __init__(self) -> None:
        self.hosts = {one.name: one for one in lab.all_hosts()}
        self.uuid = ""

    # -- setting up

    def ready(self) -> None:
        """Both hosts up, with the hook in their Python."""
        lab.up()
        for host in self.hosts.values():
            self._install_hook(host)

    def _install_hook(self, host: Host) -> None:
        for python in (host.root / "usr/lib").glob("python3.*"):
            packages = host.root / "usr/local/lib" / python.name / "dist-packages"
            packages.mkdir(parents=True, exist_ok=True)
            (packages / "kvmfaults_hook.py").write_text(_HOOK.read_text())
            (packages / "kvmfaults.pth").write_text("import kvmfaults_hook\n")
        self._inside(host, hook.DIRECTORY).mkdir(exist_ok=True)

    def fresh(self) -> None:
        """A lab of which nothing is left over."""
        lab.down()
        self.hosts = {one.name: one for one in lab.all_hosts()}
        self.ready()

    def make_guest(self, host: str, kind: Kind = PLAIN) -> None:
        """The guest, running, started by its host when that boots."""
        self.uuid = str(uuid.uuid4())
        load = Load(disk=1, memory=kind.dirties) if kind.loaded else None
        spec = GuestSpec(
            GUEST, self.uuid, data_mib=_DATA_MIB, ignore_acpi=kind.ignores_acpi, ticks=kind.loaded, load=load
        )
        guest.create(spec, self.hosts[host], lab.all_hosts(), start=True)
        virsh(self.hosts[host], "autostart", GUEST)

    def drop_guest(self) -> None:
        """Nothing of it stays, its migrations' records included."""
        guest.destroy(GUEST, lab.all_hosts())
        for host in self.hosts.values():
            for directory in ("migrations", "locks"):
                host.exec(["rm", "-rf", f"/var/lib/kvmops/{directory}"])

    # -- the hook

    def _inside(self, host: Host, path: str) -> Path:
        """A file in the host's /run, which is a file system only the host itself has mounted."""
        leader = host.leader()
        if leader is None:
            raise LabError(f"host {host.name} is down")
        return Path(f"/proc/{leader.pid}/root{path}")

    def arm(self, host: str, wanted: Mapping[str, str]) -> None:
        """Stop whoever writes that next: a line of a journal, or words in a file of a live migration's watcher."""
        self.disarm()
        armed = self._inside(self.hosts[host], hook.ARMED)
        armed.parent.mkdir(exist_ok=True)
        part = armed.with_suffix(".part")
        part.write_text(json.dumps(wanted))
        part.rename(armed)

    def disarm(self) -> None:
        """Stop nothing any more."""
        for host in self.hosts.values():
            if host.leader() is not None:
                for name in (hook.ARMED, hook.STOPPED, hook.TAKEN):
                    self._inside(host, name).unlink(missing_ok=True)

    def stopped(self, host: str) -> Mapping[str, Any] | None:
        """The process that stopped there, None when none has."""
        with contextlib.suppress(FileNotFoundError, LabError):
            found: dict[str, Any] = json.loads(self._inside(self.hosts[host], hook.STOPPED).read_text())
            return found
        return None

    def journal(self, host: str, path: str) -> list[dict[str, Any]]:
        """A journal as the machine sees it; *path* is the host's name for it."""
        file = self.hosts[host].storage.records / Path(path).relative_to("/var/lib/kvmops")
        return [json.loads(line) for line in file.read_text().split("\n")[:-1] if line] if file.exists() else []

    def signal(self, host: str, pid: int, number: signal.Signals) -> None:
        """Send a signal to a process of a host, by the host's number for it."""
        self.hosts[host].exec(["kill", f"-{number.value}", str(pid)], check=False)

    # -- hurting

    def power_loss(self, host: str) -> None:
        """The host is off."""
        self.hosts[host].crash()

    def boot(self, host: str) -> None:
        """And on again."""
        lab.boot(host)
        self._inside(self.hosts[host], hook.DIRECTORY).mkdir(exist_ok=True)

    def cut(self, host: str, seconds: float | None) -> None:
        """Its link is dead."""
        trouble.cut(self.hosts[host], seconds)

    def knows_agent(self, host: str) -> bool:
        """Whether libvirt there knows that the guest's agent is at its end of the channel."""
        channels = ET.fromstring(virsh(self.hosts[host], "dumpxml", GUEST)).iterfind("devices/channel/target")
        return any(one.get("state") == "connected" for one in channels)

    def restart_libvirtd(self, host: str) -> None:
        """Its guests go on."""
        self.hosts[host].exec(["systemctl", "restart", "libvirtd.service"])

    def kill_libvirtd(self, host: str) -> None:
        """Its libvirtd is killed; systemd starts it again at the next call."""
        # Not the whole control group: where nobody gives guests a slice of their own, QEMU is in it.
        self.hosts[host].exec(
            ["systemctl", "kill", "--kill-whom=main", "--signal=KILL", "libvirtd.service"], check=False
        )

    def fill(self, host: str) -> None:
        """No block is left on its storage."""
        filler = self.hosts[host].storage.point / "filler"
        with filler.open("ab") as handle:
            step, size = 1 << 40, 0
            while step >= 4096:
                try:
                    os.posix_fallocate(handle.fileno(), size, step)
                    size += step
                except OSError:
                    step //= 2

    def refuse_definitions(self, host: str) -> None:
        """Its libvirt cannot find the emulator a definition names."""
        emulator = self.hosts[host].root / EMULATOR
        emulator.rename(emulator.with_suffix(".away"))

    def kill_qemu(self, pids: Set[str]) -> None:
        """The guest's process dies. Raises LabError when it had none."""
        if not pids:
            raise LabError("the guest has no process")
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)

    def of_host(self, host: str, pids: Set[str]) -> set[str]:
        """Those of the machine's processes that are the host's."""
        leader = self.hosts[host].leader()
        return {pid for pid in pids if leader is not None and _namespace(pid) == _namespace(str(leader.pid))}

    def reset_guest(self, host: str) -> None:
        """The guest boots anew, in the same process."""
        virsh(self.hosts[host], "reset", GUEST)

    def cancel_mirror(self, host: str) -> None:
        """Somebody ends the guest's mirror."""
        virsh(self.hosts[host], "blockjob", GUEST, _DISK, "--abort")

    def kill_tunnel(self, host: str, migration: str) -> None:
        """The ssh of the mirror dies. Raises LabError when it was not there."""
        self._kill_unit(host, f"kvmops-{migration}-tunnel")

    def kill_export(self, host: str, migration: str) -> None:
        """All of an export dies. Raises LabError when it was not there."""
        self._kill_unit(host, f"kvmops-{migration}-export-{_DISK}")

    def kill_monitor(self, host: str, migration: str) -> None:
        """The unit that watches a live migration dies. Raises LabError when it was not there."""
        self._kill_unit(host, f"kvmops-{migration}-live")

    def await_monitor(self, host: str, migration: str) -> None:
        """Wait until another one watches, and has had a look, or there is nothing to watch any more."""
        unit = f"kvmops-{migration}-live.service"

        def is_watched() -> bool:
            shown = self.hosts[host].exec(["systemctl", "is-active", unit], check=False).stdout.strip()
            return shown == "active" or not travel.has_job(self.hosts[host], GUEST)

        time.sleep(_DIES_S)
        wait_for("another watcher", is_watched, timeout_s=_WATCHER_S, interval_s=0.1)
        time.sleep(_LOOK_S)

    def _kill_unit(self, host: str, unit: str) -> None:
        self.hosts[host].exec(["systemctl", "kill", "--kill-whom=all", "--signal=KILL", f"{unit}.service"])

    def hang_export(self, host: str) -> None:
        """qemu-nbd says nothing more and keeps its connections. Raises LabError when there is none."""
        listing = self.hosts[host].exec(["ps", "-eo", "pid,comm"]).stdout.splitlines()
        servers = [line.split()[0] for line in listing if line.split()[1] == "qemu-nbd"]
        self.hosts[host].exec(["kill", "-STOP", *servers])

    def repair(self) -> list[str]:
        """Take every trouble away; the hosts that had to be booted."""
        booted = []
        for name, host in self.hosts.items():
            if host.leader() is None:
                self.boot(name)
                booted.append(name)
            trouble.put_right(host)
            (host.storage.point / "filler").unlink(missing_ok=True)
            away = (host.root / EMULATOR).with_suffix(".away")
            if away.exists():
                away.rename(host.root / EMULATOR)
        for host in self.hosts.values():
            wait_for(f"libvirt on {host.name}", host.libvirt_answers, timeout_s=_LIBVIRT_S)
        return booted

    def settle(self) -> None:
        """Wait until what an interrupted controller left running on the hosts has ended."""
        for host in self.hosts.values():
            with contextlib.suppress(LabError):
                wait_for(f"modules on {host.name}", partial(_idle, host), timeout_s=90, interval_s=0.5)

    # -- looking

    def states(self) -> dict[str, str]:
        """libvirt's state of the guest on each host that has it defined."""
        found = {name: guest_states(host).get(GUEST) for name, host in self.hosts.items()}
        return {name: state for name, state in found.items() if state is not None}

    def mirror(self, host: str) -> Mirrored | None:
        """How far the mirror of the guest's disk is there, None when it has none."""
        disks = ET.fromstring(virsh(self.hosts[host], "dumpxml", GUEST)).iterfind("devices/disk/mirror")
        found = [Mirrored.READY if one.get("ready") == "yes" else Mirrored.COPYING for one in disks]
        return found[0] if found else None

    def await_mirror(self, host: str) -> None:
        """Wait until it has begun."""
        wait_for("the mirror", lambda: self.mirror(host) is not None, timeout_s=_MIRROR_S, interval_s=0.05)

    def sockets(self, host: str) -> list[str]:
        """What of a mirror is still in the host's file systems."""
        finds = (
            ("/run", "-maxdepth", "1", "-name", "kvmops-*"),
            ("/var/lib/libvirt/qemu", "-name", "kvmops-*"),
            ("/var/lib/kvmops", "-type", "s"),
        )
        return [one for words in finds for one in self.hosts[host].exec(["find", *words]).stdout.splitlines()]

    def slow_down(self, mbit: int) -> None:
        """Limit both links, so that a guest stays as far on its way for a while; 0 takes the limits away."""
        for host in self.hosts.values():
            if host.leader() is not None:
                trouble.shape(host, mbit)

    def autostart(self, host: str) -> bool:
        """Whether the host starts the guest when it boots."""
        return any(
            line.split(":")[0] == "Autostart" and line.split()[-1] == "enable"
            for line in virsh(self.hosts[host], "dominfo", GUEST).splitlines()
        )

    def root_gib(self, host: str) -> int:
        """The size of its root disk."""
        disk = self.hosts[host].storage.images / GUEST / "disk"
        with disk.open("rb") as image:
            # qcow2: the virtual size is a big-endian number at offset 24
            return int.from_bytes(image.read(32)[24:32], "big") // GIB

    def evidence(self) -> str:
        """What QEMU and libvirt of both hosts said, before everything is made anew."""
        said = []
        for name, host in self.hosts.items():
            for argv in (["tail", "-n15", f"/var/log/libvirt/qemu/{GUEST}.log"], ["virsh", "list", "--all"]):
                with contextlib.suppress(LabError):
                    said.append(f"\n===== {name}: {' '.join(argv)}\n{host.exec(argv, check=False).stdout}")
            migrations = host.storage.records / "migrations"
            for journal in (*migrations.glob("*/journal.jsonl"), *migrations.glob("*/*.err")):
                with contextlib.suppress(OSError):
                    said.append(f"\n===== {name}: {journal.name} of {journal.parent.name}\n{journal.read_text()}")
        return "".join(said)

    def told(self, host: str, migration: str) -> Mapping[str, Any]:
        """What the watcher of a live migration has told there, empty where that is gone."""
        file = self.hosts[host].storage.records / "migrations" / migration / "live.json"
        with contextlib.suppress(OSError, ValueError):
            found: dict[str, Any] = json.loads(file.read_text())
            return found
        return {}

    def start(self, host: str) -> None:
        """Start the guest by hand."""
        virsh(self.hosts[host], "start", GUEST)
        time.sleep(1)


def _namespace(pid: str) -> str:
    """Of its process numbers; empty for one that has ended."""
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""


def _idle(host: Host) -> bool:
    """Whether no module and no copy of ours is at work in the host."""
    listing = host.exec(["ps", "-eo", "args"], check=False).stdout
    # A module comes through standard input: its command line is the interpreter's alone.
    lines = [line.strip() for line in listing.splitlines()]
    return not any(line == "/usr/bin/python3" or "rsync --recursive" in line for line in lines)
