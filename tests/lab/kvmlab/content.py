# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Known content of many GiB: made and checked at the speed of the machine's disk, and the same for every guest.

It changes its kind every 4 MiB. `mixed` is random, compressible and hole in turn, so that two thirds of it are
allocated; `compressible` is text throughout. Nobody asks an emulated CPU for its checksum: it is read outside, out of
the image, also while the guest runs. The guest never writes there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from .config import MIB, LabError
from .host import Host
from .seed import DATA_OFFSET, HEADER_BYTES, HEADER_OFFSET, Seed

MAGIC = "KVMLAB2"
SEEDED, MIXED, COMPRESSIBLE = "seeded", "mixed", "compressible"
CONTENTS = (SEEDED, MIXED, COMPRESSIBLE)
RUN_MIB = 4
POOL_MIB = 8
PAGE = 4096
HOLE = bytes(MIB)


def mib_for_allocated(content: str, gib: int) -> int:
    """How much content takes so much room on the disk."""
    return gib * 1024 * 3 // 2 if content == MIXED else gib * 1024


def is_bulk(seed: Seed) -> bool:
    """Whether a seed is of this kind."""
    return seed.label in (MIXED, COMPRESSIBLE)


def blocks(content: str, count: int) -> Iterator[bytes | None]:
    """So many MiB one by one, None for a hole."""
    pool = hashlib.shake_128(b"kvmlab").digest(POOL_MIB * MIB)
    text = b"Nov 21 18:49:06 host daemon[4711]: nothing happened again\n".ljust(64, b".") * (PAGE // 64)
    for number in range(count):
        kind = number // RUN_MIB % 3 if content == MIXED else 1
        if kind == 0:
            # Every block differs and none is aligned like another.
            at = number * 1_000_003 % ((POOL_MIB - 1) * MIB)
            yield b"%016x" % number + pool[at : at + MIB - 16]
        elif kind == 1:
            yield b"".join(b"%016x" % (number * 256 + page) + text[16:] for page in range(256))
        else:
            yield None


def write_bulk(path: Path, content: str, data_mib: int) -> Seed:
    """Make a raw image that ends with the content."""
    digest = hashlib.sha256()
    with path.open("wb") as image:
        image.truncate(DATA_OFFSET + data_mib * MIB)
        image.seek(DATA_OFFSET)
        for block in blocks(content, data_mib):
            digest.update(block or HOLE)
            if block is None:
                image.seek(MIB, 1)
            else:
                image.write(block)
        seed = Seed(content, data_mib * MIB, digest.hexdigest())
        image.seek(HEADER_OFFSET)
        image.write(f"{MAGIC} {seed.length} {seed.sha256} {content}\n".encode().ljust(HEADER_BYTES, b"\0"))
    return seed


def bulk_sum(host: Host, file: str, image_format: str, seed: Seed) -> str | None:
    """The checksum of an image's content, None when it does not reach so far; the image may be in use."""
    extents = _extents(host, file, image_format)
    files = _chain(host, file, image_format)
    digest = hashlib.sha256()
    position, end = DATA_OFFSET, DATA_OFFSET + seed.length
    for extent in extents:
        first, last = max(position, extent["start"]), min(end, extent["start"] + extent["length"])
        if first >= last:
            continue
        if extent["zero"] or not extent["data"]:
            for at in range(first, last, MIB):
                digest.update(HOLE[: min(MIB, last - at)])
        elif "offset" not in extent:
            raise LabError(f"{file} on {host.name} is compressed: its content cannot be read outside")
        else:
            _digest(digest, files[extent["depth"]], extent["offset"] + first - extent["start"], last - first)
        position = last
    return digest.hexdigest() if position == end else None


def _digest(digest: hashlib._Hash, path: Path, offset: int, length: int) -> None:
    with path.open("rb") as image:
        image.seek(offset)
        while length:
            block = image.read(min(MIB, length))
            if not block:
                # What is allocated beyond the end of the file was never written.
                block = HOLE[: min(MIB, length)]
            digest.update(block)
            length -= len(block)


def _extents(host: Host, file: str, image_format: str) -> list[dict[str, int]]:
    said = host.exec(["qemu-img", "map", "-U", "--output=json", "-f", image_format, file], timeout_s=600).stdout
    extents: list[dict[str, int]] = json.loads(said)
    return extents


def _chain(host: Host, file: str, image_format: str) -> list[Path]:
    """The image and what it is based on, as the machine sees them."""
    words = ["qemu-img", "info", "-U", "--backing-chain", "--output=json", "-f", image_format, file]
    return [host.outside(image["filename"]) for image in json.loads(host.exec(words).stdout)]
