# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The root file system all hosts share, and the parts small guests are made of.

Built once into the cache under a name that is a hash of what defines it, so a changed
definition is built anew and an unchanged one never.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .config import LabError, cache_dir
from .machine import Mirror, find_mirror
from .mounts import unmount_below
from .run import run, run_logged, say

SUITES = ("trixie", "bookworm")
"""Releases of Debian that the hosts can be; the first unless KVMLAB_SUITE says another."""
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
PACKAGES = (
    "systemd-sysv",
    "dbus",
    "libpam-systemd",
    "openssh-server",
    "python3",
    "iproute2",
    "udev",
    "libvirt-daemon-system",
    "libvirt-clients",
    "qemu-system-x86",
    "qemu-utils",
    "rsync",
    "python3-libvirt",
    "netcat-openbsd",
    "sasl2-bin",
    "libsasl2-modules",
    "nftables",
    "ufw",
    "firewalld",
)
# libvirt depends on systemd-container, but with machined on the bus a guest that migrated away
# leaves its scope behind and cannot come back; without its bus file libvirt does without it.
EXCLUDED = (
    "/usr/share/dbus-1/system-services/org.freedesktop.machine1.service",
    "/usr/share/doc/*",
    "/usr/share/man/*",
    "/usr/share/locale/*",
)
# machined as above; the timers would only steal time from the guests.
MASKED = (
    "systemd-machined.service",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
)
OFF = ("firewalld.service", "ufw.service", "nftables.service", "saslauthd.service")
"""There, and off until a test switches one on."""
GUEST_PACKAGES = ("busybox-static", "qemu-guest-agent", "stress")
GUEST_KERNEL = "linux-image-cloud-amd64"
GUEST_MODULES = (
    "button",
    "evdev",
    "virtio_pci",
    "virtio_blk",
    "virtio_net",
    "virtio_console",
    "virtio_balloon",
    "virtio-rng",
)
SIGNATURE_MARK = b"~Module signature appended~\n"
UNPACKERS = {b"\x28\xb5\x2f\xfd": "zstd", b"\x02\x21\x4c\x18": "lz4"}
"""By what a packed kernel begins with."""
LAYOUT = 3  # raise when the code below makes something else of the same lists


@dataclass(frozen=True)
class Image:
    """One built image in the cache."""

    key: str

    @property
    def directory(self) -> Path:
        """Where it is kept."""
        return cache_dir() / f"image-{self.key}"

    @property
    def root(self) -> Path:
        """The root file system every host has as its lower layer."""
        return self.directory / "root"

    @property
    def guest(self) -> Path:
        """Kernel, modules, agent, busybox and stress for guests."""
        return self.directory / "guest"


def suite() -> str:
    """The release that the hosts are. Raises LabError for one that is not known to work."""
    wanted = os.environ.get("KVMLAB_SUITE") or SUITES[0]
    if wanted not in SUITES:
        raise LabError(f"KVMLAB_SUITE={wanted}: give one of {', '.join(SUITES)}")
    return wanted


def wanted_image() -> Image:
    """The image this version of the lab is about, built or not."""
    definition = [
        LAYOUT,
        suite(),
        PACKAGES,
        EXCLUDED,
        MASKED,
        OFF,
        GUEST_PACKAGES,
        GUEST_KERNEL,
        GUEST_MODULES,
    ]
    return Image(hashlib.sha256(json.dumps(definition).encode()).hexdigest()[:12])


def ensure_image() -> Image:
    """Return the image, building it when the cache does not have it."""
    image = wanted_image()
    if not image.directory.is_dir():
        _build(image)
    return image


def _build(image: Image) -> None:
    work = image.directory.with_suffix(".part")
    if work.exists():
        # A build that was killed may have left the machine's /proc and /dev mounted below.
        unmount_below(work)
        shutil.rmtree(work)
    work.mkdir(parents=True)
    log = cache_dir() / "image.log"
    log.unlink(missing_ok=True)
    say(f"building the hosts' root file system ({suite()}, about a minute, log in {log})")
    root = work / "root"
    _bootstrap(root, find_mirror(), log)
    _settle(root)
    say("collecting kernel, agent and busybox for the guests")
    _collect_guest_parts(root, work / "guest", log)
    shutil.rmtree(root / "var/lib/apt/lists")
    work.rename(image.directory)


def _bootstrap(root: Path, mirror: Mirror, log: Path) -> None:
    excludes = [f"--dpkgopt=path-exclude={pattern}" for pattern in EXCLUDED]
    options = [f"--aptopt={option}" for option in mirror.options]
    run_logged(
        [
            "mmdebstrap",
            "--mode=root",
            "--format=directory",
            "--variant=minbase",
            # The lists find the guests' packages afterwards.
            "--skip=cleanup/apt/lists",
            '--aptopt=Acquire::Languages "none"',
            *options,
            *excludes,
            f"--include={','.join(PACKAGES)}",
            suite(),
            root,
            f"deb [signed-by={KEYRING}] {mirror.uri} {suite()} main",
        ],
        log,
        timeout_s=1200,
    )


def _settle(root: Path) -> None:
    """Take out what every host must have of its own and switch on what all of them need."""
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    units = root / "etc/systemd/system"
    for unit in MASKED:
        (units / unit).unlink(missing_ok=True)
        (units / unit).symlink_to("/dev/null")
    run(["systemctl", f"--root={root}", "disable", *OFF])
    networkd = "/usr/lib/systemd/system/systemd-networkd.service"
    (units / "multi-user.target.wants/systemd-networkd.service").symlink_to(networkd)
    # The resolver of the build machine means nothing on the lab's network.
    (root / "etc/resolv.conf").write_text("")


def _collect_guest_parts(root: Path, guest: Path, log: Path) -> None:
    unpacked = guest / "unpacked"
    unpacked.mkdir(parents=True)
    for package in _download(root, guest, log):
        run(["dpkg-deb", "--extract", package, unpacked])
        package.unlink()
    _merge_usr(unpacked)
    (vmlinuz,) = unpacked.glob("boot/vmlinuz-*")
    _unpack_kernel(vmlinuz, guest / "vmlinux")
    _order_modules(unpacked, guest)
    shutil.copy(unpacked / "usr/bin/busybox", guest / "busybox")
    for place in ("usr/sbin/qemu-ga", "usr/bin/stress"):
        _copy_with_libraries(root, unpacked, place, guest / "agent")
    shutil.rmtree(unpacked)


def _merge_usr(unpacked: Path) -> None:
    """Packages of Debian 12 still have files outside /usr."""
    for name in ("bin", "sbin", "lib"):
        if (unpacked / name).is_dir():
            shutil.copytree(unpacked / name, unpacked / "usr" / name, dirs_exist_ok=True, symlinks=True)
            shutil.rmtree(unpacked / name)


def _download(root: Path, guest: Path, log: Path) -> list[Path]:
    """Fetch the guests' packages with the lists and keys the root file system was made with."""
    options = [
        "-o",
        f"Dir={root}",
        "-o",
        f"Dir::State::status={root}/var/lib/dpkg/status",
        "-o",
        "APT::Sandbox::User=root",
    ]
    depends = run(["apt-cache", *options, "depends", GUEST_KERNEL]).stdout
    kernel = re.search(r"Depends: (linux-image-\S+)", depends)
    if kernel is None:
        raise LabError(f"{GUEST_KERNEL} names no kernel package in {suite()}")
    here = Path.cwd()
    os.chdir(guest)  # apt-get download knows no other way to say where to
    try:
        names = [kernel.group(1), *GUEST_PACKAGES]
        run_logged(["apt-get", *options, "download", *names], log, timeout_s=600)
    finally:
        os.chdir(here)
    return sorted(guest.glob("*.deb"))


def _unpack_kernel(vmlinuz: Path, target: Path) -> None:
    """Take the kernel proper out of its self-extracting image.

    QEMU starts it directly (PVH); unpacking itself would take an emulated CPU two seconds.
    """
    image = vmlinuz.read_bytes()
    # Documented in the kernel's x86 boot protocol: sectors of set-up code, then the payload.
    base = (image[0x1F1] + 1) * 512
    offset, length = struct.unpack_from("<II", image, 0x248)
    packed = target.with_suffix(".packed")
    # The last four bytes are the unpacked size, not part of the stream.
    packed.write_bytes(image[base + offset : base + offset + length - 4])
    program = UNPACKERS.get(image[base + offset : base + offset + 4])
    if program is None:
        raise LabError(f"{vmlinuz.name} is packed in a way that is not known here")
    with packed.open("rb") as given, target.open("wb") as unpacked:
        subprocess.run([program, "--decompress", "--quiet", "--stdout"], stdin=given, stdout=unpacked, check=True)
    packed.unlink()
    with target.open("rb") as kernel:
        if kernel.read(4) != b"\x7fELF":
            raise LabError(f"{vmlinuz.name} does not hold an ELF kernel")


def _strip_signature(module: Path) -> None:
    """Cut the signature off: checking it takes an emulated CPU longer than loading the module."""
    data = module.read_bytes()
    if data.endswith(SIGNATURE_MARK):
        # the kernel's struct module_signature: its last field is the signature's length
        (length,) = struct.unpack_from(">I", data, len(data) - len(SIGNATURE_MARK) - 4)
        module.write_bytes(data[: -(len(SIGNATURE_MARK) + 12 + length)])


def _order_modules(unpacked: Path, guest: Path) -> None:
    """Copy the modules under numbered names: loading them in name order satisfies each of them."""
    (modules,) = (unpacked / "usr/lib/modules").iterdir()
    # kmod looks below lib/modules of the directory it is given.
    (unpacked / "lib").symlink_to("usr/lib")
    run(["depmod", "--basedir", unpacked, modules.name])
    files: list[str] = []
    for name in GUEST_MODULES:
        shown = run(
            ["modprobe", f"--dirname={unpacked}", f"--set-version={modules.name}", "--show-depends", name]
        ).stdout
        for line in shown.splitlines():
            verb, _space, rest = line.partition(" ")
            if verb == "insmod" and rest.strip() not in files:
                files.append(rest.strip())
    target = guest / "modules"
    target.mkdir()
    for number, file in enumerate(files):
        shutil.copy(file, target / f"{number:02}-{Path(file).name}")
    # Loading plain modules needs no decompressor in the guest.
    packed = sorted(target.glob("*.xz"))
    if packed:
        run(["xz", "--decompress", *packed])
    for module in target.iterdir():
        _strip_signature(module)


def _copy_with_libraries(root: Path, unpacked: Path, place: str, target: Path) -> None:
    """Copy a program and what it is linked with, each to its own place below target."""
    program = unpacked / place
    inside = root / "tmp" / program.name
    shutil.copy(program, inside)
    listing = run(["chroot", root, "ldd", f"/tmp/{program.name}"]).stdout
    inside.unlink()
    if "not found" in listing:
        raise LabError(f"the root file system lacks a library of {program.name}:\n{listing}")
    libraries = [name.lstrip("/") for name in re.findall(r"(/\S+) \(0x", listing)]
    for inner, source in {place: program, **{name: root / name for name in libraries}}.items():
        where = target / inner
        where.parent.mkdir(parents=True, exist_ok=True)
        run(["cp", "--dereference", source, where])
