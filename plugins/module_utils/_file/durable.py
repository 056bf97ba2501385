# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that survive a power loss: they are as they were, or as they should be.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

SCRATCH = ".new"
"""What the name of a file ends with that is being written."""


def write_durably(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace *path* with *data* so that after a power loss it is the old file or the new one, never a part.

    Raises OSError when the file system refuses (full, read-only).
    """
    replace(path, data, mode, durably=True)
    sync_directory(path.parent)


def replace(path: Path, data: bytes, mode: int = 0o600, *, durably: bool = False) -> None:
    """Replace *path* with *data*, whole for who reads it; it is on the disk only when that happens *durably*.

    Each writer has a scratch file of its own beside it, so that of two the last one wins. One that a crash left is
    hidden, belongs to nobody any more and is never read.
    """
    descriptor, scratch = tempfile.mkstemp(prefix=f".{path.name}.", suffix=SCRATCH, dir=path.parent)
    try:
        try:
            write_all(descriptor, data)
            os.fchmod(descriptor, mode)  # whatever the umask
            if durably:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(scratch, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(scratch)
        raise


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
