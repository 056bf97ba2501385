# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file system of a host's own that holds its images and its migration records.

It is a loop mount of a sparse file, apart from the host's root, so that a power loss
which drops unwritten data can be played on it alone.
"""

from __future__ import annotations

import fcntl
import os
import struct
from dataclasses import dataclass
from pathlib import Path

from .config import STORAGE_BYTES
from .mounts import detach_loops, is_mounted, unmount_below
from .run import run

XFS_IOC_GOINGDOWN = 0x8004587D
XFS_FSOP_GOING_FLAGS_NOLOGFLUSH = 2


@dataclass(frozen=True)
class Storage:
    """The backing file and where the machine has it mounted."""

    file: Path
    point: Path

    @property
    def images(self) -> Path:
        """What the host sees as its images directory."""
        return self.point / "images"

    @property
    def records(self) -> Path:
        """What the host sees as the place of migration records."""
        return self.point / "kvmops"

    @property
    def seeds(self) -> Path:
        """Images that guests' disks are quick copies of; the host does not see them."""
        return self.point / "seeds"

    def mounted(self) -> bool:
        """Whether the file system can be used."""
        return is_mounted(self.point)

    def ensure(self) -> None:
        """Make and mount the file system, keeping what is on it."""
        if self.mounted():
            return
        detach_loops(self.file)
        self.point.mkdir(parents=True, exist_ok=True)
        if not self.file.exists():
            self._make()
        # mount sets the loop device to go away with the last mount of it
        run(["mount", "-t", "xfs", "-o", "loop", self.file, self.point])
        self.images.mkdir(exist_ok=True)
        # Staging directories below belong to the migration user, who has to get through.
        self.images.chmod(0o711)
        self.records.mkdir(exist_ok=True)
        self.records.chmod(0o700)

    def _make(self) -> None:
        part = self.file.with_suffix(".part")
        with part.open("wb") as handle:
            handle.truncate(STORAGE_BYTES)
        run(["mkfs.xfs", "-q", "-f", part])
        part.rename(self.file)

    def sync(self) -> None:
        """Put everything on the disk."""
        run(["sync", "--file-system", self.point])

    def forget_unsynced(self) -> None:
        """Shut the file system down with nothing flushed, not even its log; of no use until it is mounted again."""
        descriptor = os.open(self.point, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(descriptor, XFS_IOC_GOINGDOWN, struct.pack("I", XFS_FSOP_GOING_FLAGS_NOLOGFLUSH))
        finally:
            os.close(descriptor)

    def release(self) -> None:
        """Unmount it and let go of its loop device."""
        unmount_below(self.point)
        detach_loops(self.file)
