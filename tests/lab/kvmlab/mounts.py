# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mounts and loop devices below the lab's runtime directory."""

from __future__ import annotations

import re
from pathlib import Path

from .config import LabError
from .run import run, say, wait_for


def mounts_below(directory: Path) -> list[Path]:
    """Mount points below a directory, in the order they were made."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        # mountinfo writes blanks and the like as octal escapes
        point = re.sub(r"\\([0-7]{3})", lambda m: chr(int(m.group(1), 8)), line.split()[4])
        if Path(point).is_relative_to(directory):
            found.append(Path(point))
    return found


def is_mounted(point: Path) -> bool:
    """Whether something is mounted exactly there."""
    return point in mounts_below(point)


def share_mounts(directory: Path) -> None:
    """Let what is unmounted below a directory be unmounted for the hosts that started meanwhile, too.

    systemd-nspawn gives each host a copy of all mounts, out of sight: a host's file system would live on in its
    neighbours after a crash, with everything it was to forget. Mounts that are there already stay as they are.
    """
    if mounts_below(directory):
        return
    directory.mkdir(parents=True, exist_ok=True)
    run(["mount", "--bind", directory, directory])
    run(["mount", "--make-shared", directory])


def unmount_below(directory: Path) -> None:
    """Unmount everything below a directory, the last mounted first."""
    for point in reversed(mounts_below(directory)):
        _unmount(point)


def _unmount(point: Path) -> None:
    try:
        # The last file of a host that was killed may be let go a moment after its process.
        wait_for(
            f"{point} to be free",
            lambda: run(["umount", point], check=False).returncode == 0,
            timeout_s=10,
            interval_s=0.2,
        )
    except LabError as error:
        say(f"{error}; unmounting it lazily")
        run(["umount", "--lazy", point])


def detach_loops(file: Path) -> None:
    """Detach loop devices an aborted run left on a backing file."""
    if not file.exists():
        return
    for line in run(["losetup", "--associated", file]).stdout.splitlines():
        run(["losetup", "--detach", line.split(":")[0]])
