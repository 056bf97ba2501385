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
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path

_BLOCK = 65536
_ZEROS = bytes(_BLOCK)
_AT_ONCE = 16 * _BLOCK


def over(size: int, extents: Iterable[tuple[int, int]], read: Callable[[int, int], bytes]) -> str:
    """Hexadecimal BLAKE2b over *size* and the non-zero blocks.

    *extents* are (first byte, byte behind the last), ascending: outside of them everything is zero. *read* takes a
    place and a length, and gives all of it.
    """
    found = hashlib.blake2b(digest_size=32)
    found.update(size.to_bytes(8, "big"))
    for first, end in aligned(extents, size):
        for offset in range(first, end, _AT_ONCE):
            data = read(offset, min(_AT_ONCE, end - offset))
            for start in range(0, len(data), _BLOCK):
                block = data[start : start + _BLOCK]
                if block != _ZEROS[: len(block)]:
                    found.update((offset + start).to_bytes(8, "big"))
                    found.update(block)
    return found.hexdigest()


def aligned(extents: Iterable[tuple[int, int]], size: int) -> Iterator[tuple[int, int]]:
    """The whole blocks that *extents* touch, each once, ascending; the last block ends with the file."""
    done = 0
    for start, end in extents:
        first = max(done, start - start % _BLOCK)
        done = max(done, min(-(-end // _BLOCK) * _BLOCK, size))
        if first < done:
            yield first, done


def digest(path: str) -> str:
    """The digest of the file at *path*. Raises OSError."""
    with open(path, "rb", buffering=0) as image:
        descriptor = image.fileno()
        size = os.fstat(descriptor).st_size
        return over(size, extents(descriptor, size), lambda at, length: os.pread(descriptor, length, at))


def extents(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """What of a file holds data, as its file system tells, ascending. Raises OSError."""
    offset = 0
    while offset < size:
        try:
            start = os.lseek(descriptor, offset, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole from here to the end
                return
            raise
        offset = os.lseek(descriptor, start, os.SEEK_HOLE)
        yield start, offset


def digests(directory: str, without: Collection[str] = ()) -> Mapping[str, str]:
    """The digest of every file directly in *directory*, by name, but for those called so. Raises OSError."""
    files = sorted(one for one in Path(directory).iterdir() if one.is_file() and not one.is_symlink())
    return {one.name: digest(str(one)) for one in files if one.name not in without}
