# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian releases as their packages are, unpacked into the lab's cache; nothing is installed, no script of theirs runs.

Enough to run what is in them (chroot), and to read the files that they ship. It needs root, as the lab does.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kvmlab.config import cache_dir
from kvmlab.image import KEYRING
from kvmlab.machine import find_mirror, install_programs, require_root
from kvmlab.run import run_logged

PACKAGES = (
    "base-files",
    "base-passwd",
    "coreutils",
    "dash",
    "grep",
    "libvirt-daemon-system",
    "nova-common",
    "python3-osprofiler",
    "systemd",
)
NOT_NEEDED = ("usr/share/locale", "usr/share/man", "var/cache/apt", "var/lib/apt/lists")
SHIPPED = ("etc/libvirt", "usr/share/nova-common")
"""Where they ship configuration files."""
LAYOUT = 1
"""Raise it when the code below makes something else of the same packages."""
INSIDE = Path(__file__).resolve().with_name("inside")


@dataclass(frozen=True)
class Release:
    """One release of Debian, and which Nova it has."""

    suite: str
    nova: int

    @property
    def root(self) -> Path:
        """Where its packages are unpacked."""
        key = hashlib.sha256(json.dumps([LAYOUT, self.suite, PACKAGES, NOT_NEEDED]).encode()).hexdigest()[:12]
        return cache_dir() / f"packages-{self.suite}-{key}"

    def shipped(self, name: str) -> str | None:
        """A configuration file as its package has it; None when no package has one."""
        found = [path for place in SHIPPED if (path := self.root / place / name).is_file()]
        return found[0].read_text(encoding="utf-8") if found else None

    def inside(self, directory: Path) -> tuple[str, ...]:
        """The words in front of a command that is to run there, with *directory* as its /etc/nova."""
        return str(INSIDE), str(self.root), str(directory)

    def run(self, directory: Path, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command there; how it ended is the caller's business."""
        argv = [*self.inside(directory), *words]
        return subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=120, check=False)


RELEASES = (Release("bookworm", 26), Release("trixie", 31))


def unpack() -> None:
    """See to it that the packages of all releases are there; one run of the tests at a time."""
    require_root()
    with _alone():
        missing = [release for release in RELEASES if not release.root.is_dir()]
        if missing:
            install_programs()
        for release in missing:
            _unpack(release)


@contextmanager
def _alone() -> Iterator[None]:
    cache_dir().mkdir(parents=True, exist_ok=True)
    with (cache_dir() / "packages.lock").open("w") as handle:
        fcntl.flock(handle.fileno(), fcntl.LOCK_EX)
        yield


def _unpack(release: Release) -> None:
    mirror = find_mirror()
    part = release.root.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    log = cache_dir() / f"packages-{release.suite}.log"
    log.unlink(missing_ok=True)
    run_logged(
        [
            "mmdebstrap",
            "--mode=root",
            "--format=directory",
            "--variant=extract",
            *(f"--aptopt={option}" for option in mirror.options),
            f"--include={','.join(PACKAGES)}",
            release.suite,
            part,
            f"deb [signed-by={KEYRING}] {mirror.uri} {release.suite} main",
        ],
        log,
        timeout_s=1200,
    )
    _settle(part)
    # Nobody installs it, so nobody else compiles it: what imports Nova would take three times as long.
    compiling = ["python3", "-m", "compileall", "-q", "-j", str(os.cpu_count()), "/usr/lib/python3"]
    run_logged(["chroot", part, *compiling], log, timeout_s=600)
    part.rename(release.root)


def _settle(root: Path) -> None:
    """What maintainer scripts would have done, as far as it is wanted here; without what nobody reads."""
    for name in NOT_NEEDED:
        shutil.rmtree(root / name, ignore_errors=True)
    for name in ("passwd", "group"):
        shutil.copy(root / f"usr/share/base-passwd/{name}.master", root / f"etc/{name}")
    authorities = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
    (root / "etc/ssl/certs/ca-certificates.crt").write_text("".join(one.read_text() for one in authorities))
    for name in ("dev", "etc/nova", "proc", "tmp"):
        (root / name).mkdir(exist_ok=True)
