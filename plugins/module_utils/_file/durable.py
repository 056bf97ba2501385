# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that survive a power loss: they are as they were, or as they should be.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import os
from pathlib import Path


def write_durably(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace *path* with *data* so that after a power loss it is the old file or the new one, never a part.

    Raises OSError when the file system refuses (full, read-only).
    """
    scratch = path.with_name(f".{path.name}.new")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        write_all(descriptor, data)
        os.fchmod(descriptor, mode)  # whatever the umask
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(scratch, path)
    sync_directory(path.parent)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of *data*: a disk that fills up takes a part first, and is an error only when asked for the rest."""
    while data:
        data = data[os.write(descriptor, data) :]


def sync_directory(directory: Path) -> None:
    """Make names made, renamed or removed in *directory* survive a power loss."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
