# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One host: an overlay on the shared root file system, booted by systemd-nspawn."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path

from .config import (
    ALL_HOSTS,
    BOOT_DIR,
    BRIDGE,
    EMULATOR_WRAPPER,
    GUEST_BRIDGE,
    IMAGES_DIR,
    INITRD,
    KERNEL,
    NETWORK,
    RECORDS_DIR,
    HostSpec,
    LabError,
    run_dir,
)
from .image import Image
from .mounts import is_mounted, unmount_below
from .process import Proc, children, find_by_argument, observe
from .run import run, wait_for
from .storage import Storage

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NSPAWN_RUN = Path("/run/systemd/nspawn")
MACHINE_IDS = uuid.UUID("6b766d6c-6162-5000-8000-000000000000")


class Host:
    """A host of the lab, whatever state it is in."""

    def __init__(self, spec: HostSpec) -> None:
        self.name = spec.name
        self.address = spec.address
        self.machine = spec.machine
        self.port = spec.port
        self.directory = run_dir() / "hosts" / spec.name
        self.root = self.directory / "root"
        self.console = self.directory / "console.log"
        self.storage = Storage(self.directory / "storage.img", self.directory / "storage")
        self._state_file = self.directory / "host.json"
        self._prepared = self.directory / "prepared"

    # -- what is recorded about it

    def _state(self) -> dict[str, list[int]]:
        try:
            state: dict[str, list[int]] = json.loads(self._state_file.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        return state

    def _record(self, role: str, proc: Proc) -> None:
        state = {**self._state(), role: [proc.pid, proc.start]}
        part = self._state_file.with_suffix(".part")
        part.write_text(json.dumps(state))
        part.rename(self._state_file)

    def _proc(self, role: str) -> Proc | None:
        words = self._state().get(role)
        proc = Proc(words[0], words[1]) if words else None
        return proc if proc and proc.alive() else None

    def nspawn(self) -> Proc | None:
        """The process that holds the host, also if an aborted run did not record it."""
        return self._proc("nspawn") or find_by_argument("systemd-nspawn", self._root_argument())

    def leader(self) -> Proc | None:
        """The host's own PID 1, seen from the machine."""
        known = self._proc("leader")
        if known is not None:
            return known
        # After a reboot inside the host, nspawn goes on with another PID 1.
        nspawn = self._proc("nspawn")
        return self._proc("leader") if nspawn is not None and self._find_leader(nspawn) else None

    def _root_argument(self) -> str:
        return f"--directory={self.root}"

    # -- how it is

    def running(self) -> bool:
        """Whether its processes and its file systems are all there."""
        return (
            self._proc("nspawn") is not None
            and self.leader() is not None
            and is_mounted(self.root)
            and self.storage.mounted()
        )

    def answers(self) -> bool:
        """Whether its sshd greets."""
        try:
            with socket.create_connection((self.address, 22), timeout=2) as link:
                return link.recv(4) == b"SSH-"
        except OSError:
            return False

    def libvirt_answers(self) -> bool:
        """Whether libvirt takes calls."""
        return self.exec(["virsh", "-c", "qemu:///system", "uri"], check=False).returncode == 0

    def exec(
        self,
        argv: Sequence[str],
        *,
        stdin: str | None = None,
        check: bool = True,
        timeout_s: int = 60,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program inside the host, also when the host's network is gone."""
        leader = self.leader()
        if leader is None:
            raise LabError(f"host {self.name} is down")
        enter = ["nsenter", f"--target={leader.pid}", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"]
        clean = ["env", "-i", f"PATH={PATH}", "HOME=/root", "LANG=C.UTF-8"]
        bound = ["timeout", "--kill-after=2", str(timeout_s)]
        try:
            return run([*enter, *clean, *bound, *argv], stdin=stdin, check=check, timeout_s=timeout_s + 10)
        except LabError as error:
            raise LabError(f"on {self.name}: {error}") from error

    def outside(self, file: str) -> Path:
        """A file of the host as the machine sees it."""
        path = Path(file)
        if path.is_relative_to(IMAGES_DIR):
            return self.storage.images / path.relative_to(IMAGES_DIR)
        return self.root / file.lstrip("/")

    # -- making it

    def _made_of(self) -> Image | None:
        """The image it was made with; it keeps that, and its guests, until `down`."""
        if not self._prepared.exists():
            return None
        image = Image(self._prepared.read_text())
        if image.root.is_dir():
            return image
        self._prepared.unlink()
        return None

    def mount(self, image: Image) -> bool:
        """Mount what it is made of; True when it is a new host that has to be prepared."""
        image = self._made_of() or image
        if not self._prepared.exists():
            # Half made: nothing of it can be trusted.
            self.remove()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.storage.ensure()
        if not is_mounted(self.root):
            for name in ("upper", "work", "root"):
                (self.directory / name).mkdir(exist_ok=True)
            layers = f"lowerdir={image.root},upperdir={self.directory}/upper,workdir={self.directory}/work"
            run(["mount", "-t", "overlay", "overlay", "-o", layers, self.root])
        return not self._prepared.exists()

    def prepare(self) -> None:
        """Give the host what distinguishes it from its neighbour."""
        etc = self.root / "etc"
        (etc / "hostname").write_text(f"{self.name}\n")
        # A machine-id of its own also keeps systemd from applying presets at first boot, which
        # would switch on libvirt's TLS and TCP sockets and with them stop libvirtd.
        machine_id = uuid.uuid5(MACHINE_IDS, self.name)
        (etc / "machine-id").write_text(f"{machine_id.hex}\n")
        names = "".join(f"{spec.address} {spec.name}\n" for spec in ALL_HOSTS)
        (etc / "hosts").write_text(f"127.0.0.1 localhost\n{names}")
        # Nobody needs a service manager of root's own, and after a crash its stop can take 90 s: the control groups
        # of a host outlive it.
        (etc / "systemd/system/user@.service").symlink_to("/dev/null")
        self._write_network(etc / "systemd/network")
        self._write_libvirt(etc / "libvirt")
        self._wrap_emulator()

    def _write_network(self, directory: Path) -> None:
        length = NETWORK.split("/")[1]
        # The name sorts before systemd's own 80-container-host0.network, or networkd ignores it.
        (directory / "10-kvmlab.network").write_text(
            f"[Match]\nName=host0\n\n[Network]\nAddress={self.address}/{length}\nLinkLocalAddressing=no\n"
        )
        (directory / "20-guests.netdev").write_text(f"[NetDev]\nName={GUEST_BRIDGE}\nKind=bridge\n")
        (directory / "20-guests.network").write_text(
            f"[Match]\nName={GUEST_BRIDGE}\n\n"
            "[Network]\nConfigureWithoutCarrier=yes\nLinkLocalAddressing=no\n\n"
            "[Link]\nActivationPolicy=always-up\n"
        )

    def _write_libvirt(self, directory: Path) -> None:
        with (directory / "qemu.conf").open("a") as conf:
            # No AppArmor in a container, and its control groups are read-only.
            conf.write('\nsecurity_driver = "none"\ncgroup_controllers = []\n')
        with (directory / "libvirtd.conf").open("a") as conf:
            # All hosts see the same firmware; with one UUID libvirt refuses to migrate between them.
            conf.write('\nhost_uuid_source = "machine-id"\n')

    def _wrap_emulator(self) -> None:
        """Let every emulator run its vCPUs in one thread.

        With a thread for each, QEMU 10.0 now and then dies of an assertion (iotlb_to_section) when one vCPU maps
        memory while another runs: a fault of the emulation, which has no place in tests of something else.
        """
        emulator = self.root / "usr/bin/qemu-system-x86_64"
        emulator.rename(emulator.with_name(f"{emulator.name}.real"))
        emulator.write_text(EMULATOR_WRAPPER)
        emulator.chmod(0o755)

    def settle(self, image: Image) -> None:
        """Note that everything of it is in place; before this it is made anew by the next `up`."""
        self._prepared.write_text(image.key)

    def place_boot_files(self, image: Image, initrd: Path) -> None:
        """Put the guests' kernel and initramfs where every host has them."""
        boot = self.root / BOOT_DIR.lstrip("/")
        stamp = boot / "kvmlab-version"
        version = f"{image.key} {initrd.name}"
        if stamp.exists() and stamp.read_text() == version:
            return
        boot.mkdir(parents=True, exist_ok=True)
        for source, place in ((image.guest / "vmlinux", KERNEL), (initrd, INITRD)):
            target = self.root / place.lstrip("/")
            part = target.with_suffix(".part")
            shutil.copy(source, part)
            part.chmod(0o644)
            part.rename(target)
        stamp.write_text(version)

    def boot(self) -> None:
        """Start it, in a session of its own so that it outlives this command."""
        with self.console.open("ab") as console:
            process = subprocess.Popen(
                [
                    "systemd-nspawn",
                    "--quiet",
                    self._root_argument(),
                    "--boot",
                    "--register=no",
                    "--keep-unit",
                    f"--machine={self.machine}",
                    f"--hostname={self.name}",
                    f"--network-bridge={BRIDGE}",
                    "--capability=all",
                    "--link-journal=no",
                    "--resolv-conf=off",
                    "--timezone=off",
                    f"--bind={self.storage.images}:{IMAGES_DIR}",
                    f"--bind={self.storage.records}:{RECORDS_DIR}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
                cwd="/",
                env={"PATH": PATH, "TERM": "dumb"},
            )
        nspawn = observe(process.pid)
        self._record("nspawn", nspawn)
        wait_for(
            f"PID 1 of {self.name} (see {self.console})",
            lambda: self._find_leader(nspawn) or not nspawn.alive(),
            timeout_s=30,
        )
        if self.leader() is None:
            raise LabError(f"{self.name} did not start, see {self.console}")

    def _find_leader(self, nspawn: Proc) -> bool:
        for pid in children(nspawn.pid):
            try:
                name = Path(f"/proc/{pid}/comm").read_text().strip()
            except (FileNotFoundError, ProcessLookupError):
                continue
            # Until it has become systemd it is nspawn still preparing the container.
            if name == "systemd":
                self._record("leader", observe(pid))
                return True
        return False

    def wait_ready(self) -> None:
        """Wait until it can be used over ssh and libvirt."""
        wait_for(f"sshd on {self.name} ({self.address})", self.answers, timeout_s=60)
        wait_for(f"libvirt on {self.name}", self.libvirt_answers, timeout_s=60)

    # -- ending it

    def made(self) -> bool:
        """Whether it exists, running or not."""
        return self._prepared.exists()

    def crash(self) -> None:
        """What a power loss does: what its storage had not been told to keep is gone; it stays off."""
        self.storage.forget_unsynced()
        self.kill()
        self.storage.release()
        self.storage.ensure()

    def kill(self) -> None:
        """End it at once, as pulling the mains plug does; what it had written stays."""
        nspawn = self.nspawn()
        leader = self.leader()
        # When PID 1 goes, the kernel ends everything in its PID namespace.
        if leader is not None:
            leader.kill()
        if nspawn is not None:
            for pid in children(nspawn.pid):
                # One that has ended since is what is wanted.
                with contextlib.suppress(LabError):
                    observe(pid).kill()
            nspawn.kill()
        self._state_file.unlink(missing_ok=True)
        self._clean_after_nspawn()

    def _clean_after_nspawn(self) -> None:
        """Remove what nspawn leaves in /run when it is killed: a lock and a directory."""
        shutil.rmtree(NSPAWN_RUN / "propagate" / self.machine, ignore_errors=True)
        if self.root.is_dir():
            root = self.root.stat()
            (NSPAWN_RUN / f"locks/inode-{root.st_dev}:{root.st_ino}").unlink(missing_ok=True)

    def remove(self) -> None:
        """End it and take away everything of it."""
        self.kill()
        if not self.directory.exists():
            return
        self.storage.release()
        unmount_below(self.directory)
        shutil.rmtree(self.directory)
