# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A digest of a file's contents that costs what the file holds, not what it seems to be.

Only blocks that are not zero count, each with its place: so a hole and a block of zeros are the same, and two copies
of an image agree however their file systems laid them out. Holes are not read.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

_BLOCK = 65536
_ZEROS = bytes(_BLOCK)


def digest(path: str) -> str:
    """Hexadecimal BLAKE2b over size and non-zero blocks of the file at *path*. Raises OSError."""
    found = hashlib.blake2b(digest_size=32)
    with open(path, "rb", buffering=0) as image:
        size = os.fstat(image.fileno()).st_size
        found.update(size.to_bytes(8, "big"))
        for offset in _data_blocks(image.fileno(), size):
            block = os.pread(image.fileno(), _BLOCK, offset)
            if block != _ZEROS[: len(block)]:
                found.update(offset.to_bytes(8, "big"))
                found.update(block)
    return found.hexdigest()


def _data_blocks(descriptor: int, size: int) -> Iterator[int]:
    """Offsets of the blocks that hold data, ascending, each once, aligned to the block size."""
    offset = 0
    while offset < size:
        try:
            start = os.lseek(descriptor, offset, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole from here to the end
                return
            raise
        end = os.lseek(descriptor, start, os.SEEK_HOLE)
        first = max(offset, start - start % _BLOCK)
        yield from range(first, end, _BLOCK)
        offset = max(first + _BLOCK, -(-end // _BLOCK) * _BLOCK)


def digests(directory: str) -> Mapping[str, str]:
    """The digest of every file directly in *directory*, by name. Raises OSError."""
    files = sorted(one for one in Path(directory).iterdir() if one.is_file() and not one.is_symlink())
    return {one.name: digest(str(one)) for one in files}
