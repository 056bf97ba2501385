# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guests' initramfs: busybox, the modules, a real guest agent and the lab's own scripts."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from pathlib import Path

from .config import cache_dir
from .image import Image
from .run import run, say

SCRIPTS = Path(__file__).resolve().parent.parent / "guest"
# script -> where the guest has it
PLACES = {
    "init": "init",
    "facts": "bin/kvmlab-facts",
    "ticks": "bin/kvmlab-ticks",
    "load": "bin/kvmlab-load",
    "shutdown": "sbin/shutdown",
    "power-button": "etc/acpi/PWRF/00000080",
}
DIRECTORIES = ("bin", "dev", "proc", "sys", "run", "tmp", "sbin", "usr/bin", "var/run", "etc", "root")


def ensure_initrd(image: Image) -> Path:
    """Return the initramfs for this image and these scripts, building it when it is not cached."""
    digest = hashlib.sha256(image.key.encode())
    for name in sorted(PLACES):
        digest.update((SCRIPTS / name).read_bytes())
    digest.update(repr((PLACES, DIRECTORIES)).encode())
    target = cache_dir() / f"initrd-{digest.hexdigest()[:12]}"
    if not target.exists():
        say("building the guests' initramfs")
        _build(image, target)
    return target


def _build(image: Image, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=cache_dir()) as scratch:
        tree = Path(scratch) / "tree"
        shutil.copytree(image.guest / "agent", tree, symlinks=True)
        for name in DIRECTORIES:
            (tree / name).mkdir(parents=True, exist_ok=True)
        shutil.copytree(image.guest / "modules", tree / "modules")
        _install(image.guest / "busybox", tree / "bin/busybox")
        for name, place in PLACES.items():
            _install(SCRIPTS / name, tree / place)
        _link_applets(tree)
        (tree / "etc/os-release").write_text('ID=kvmlab\nNAME="kvmlab"\nPRETTY_NAME="kvmlab guest"\n')
        (tree / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
        (tree / "etc/group").write_text("root:x:0:\n")
        # The kernel opens this before the first script has mounted anything.
        os.mknod(tree / "dev/console", 0o600 | stat.S_IFCHR, os.makedev(5, 1))
        _pack(tree, target)


def _link_applets(tree: Path) -> None:
    """Give busybox all its names here, where that costs nothing."""
    for place in run([tree / "bin/busybox", "--list-full"]).stdout.split():
        link = tree / place
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to("/bin/busybox")


def _install(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)
    target.chmod(0o755)


def _pack(tree: Path, target: Path) -> None:
    # Left uncompressed: an emulated CPU unpacks slowly, and reading the file costs nothing.
    names = sorted(str(path.relative_to(tree)) for path in tree.rglob("*"))
    part = target.with_suffix(".part")
    run(
        ["cpio", "--create", "--format=newc", "--quiet", f"--directory={tree}", f"--file={part}"],
        stdin="".join(f"{name}\n" for name in names),
    )
    part.rename(target)
