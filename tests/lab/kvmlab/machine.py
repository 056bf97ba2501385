# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the machine under the lab must have: programs, one kernel setting, a mirror."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from .config import LabError, cache_dir, run_dir
from .run import run, run_logged, say

# program -> Debian package; looked up by program, because that is what can be missing.
PROGRAMS = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "mkfs.xfs": "xfsprogs",
    "ip": "iproute2",
    "ssh": "openssh-client",
    "cpio": "cpio",
    "modprobe": "kmod",
    "genisoimage": "genisoimage",
    "zstd": "zstd",
    "lz4": "lz4",
    "xz": "xz-utils",
    "nsenter": "util-linux",
    "mount": "mount",
}
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
USERFAULTFD = Path("/proc/sys/vm/unprivileged_userfaultfd")


def require_root() -> None:
    """Hosts, mounts and bridges need root; say so before anything is half done."""
    if os.geteuid() != 0:
        raise LabError("the lab needs root")


def install_programs() -> None:
    """Install the packages of missing programs, and only those."""
    path = f"{os.environ.get('PATH', '')}:{SBIN}"
    os.environ["PATH"] = path
    missing = sorted({pkg for prog, pkg in PROGRAMS.items() if shutil.which(prog) is None})
    if not missing:
        return
    say(f"installing {', '.join(missing)}")
    log = cache_dir() / "apt.log"
    apt_update(log)
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    run_logged(["apt-get", "install", "--yes", "--no-install-recommends", *missing], log, timeout_s=600)


def apt_update(log: Path) -> None:
    """Refresh the machine's package lists."""
    run_logged(["apt-get", "update"], log, timeout_s=300)


@dataclass(frozen=True)
class Mirror:
    """Where this machine gets Debian from, and how it wants that done."""

    uri: str
    options: tuple[str, ...]


def find_mirror() -> Mirror:
    """The archive apt on this machine uses for Debian itself, whatever else is configured."""
    uri = _debian_uri()
    if uri is None:
        apt_update(cache_dir() / "apt.log")
        uri = _debian_uri()
    if uri is None:
        raise LabError("apt on this machine knows no Debian archive (apt-get indextargets)")
    return Mirror(uri, _apt_options())


def _debian_uri() -> str | None:
    layout = "$(ORIGIN)|$(LABEL)|$(REPO_URI)"
    listing = run(["apt-get", "indextargets", "--format", layout, "Created-By: Packages"]).stdout
    for line in listing.splitlines():
        origin, label, uri = line.split("|")
        # Third-party archives have another origin, security updates another label.
        if origin == "Debian" and label == "Debian":
            return uri
    return None


def _apt_options() -> tuple[str, ...]:
    """Proxies, certificates and time checks the machine set for apt."""
    kept = ("Acquire::http::", "Acquire::https::", "Acquire::Check-")
    dump = run(["apt-config", "dump", "--no-empty"]).stdout
    return tuple(line for line in dump.splitlines() if line.startswith(kept))


def allow_userfaultfd() -> None:
    """Let QEMU use userfaultfd (post-copy); libvirt ships the same sysctl for real hosts."""
    if not USERFAULTFD.exists() or USERFAULTFD.read_text().strip() == "1":
        return
    saved = run_dir() / "userfaultfd.was"
    saved.write_text(USERFAULTFD.read_text())
    USERFAULTFD.write_text("1\n")


def restore_userfaultfd() -> None:
    """Put the kernel setting back to what `up` found, or leave that to another lab that is still there."""
    saved = run_dir() / "userfaultfd.was"
    if not saved.exists():
        return
    others = [one.parent for one in run_dir().parent.glob("kvmlab*/hosts") if one.parent != run_dir()]
    if others:
        (others[0] / saved.name).write_text(saved.read_text())
    else:
        USERFAULTFD.write_text(saved.read_text())
    saved.unlink()
