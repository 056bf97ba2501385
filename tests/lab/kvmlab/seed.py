# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Known content for guest disks, and how it is laid out on them.

    0      nothing
    1 MiB  one line `KVMLAB1 LENGTH SHA256 LABEL`, padded with zeros
    2 MiB  LENGTH pseudo-random bytes that follow from LABEL alone
    then   nothing, up to the disk's size: the image stays sparse

The header lets the guest itself check its disks; the lab also remembers what it seeded, so a
disk that was swapped for another well-formed one is found out.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from .config import MIB

MAGIC = "KVMLAB1"
HEADER_OFFSET = 1 * MIB
DATA_OFFSET = 2 * MIB
HEADER_BYTES = 512


@dataclass(frozen=True)
class Seed:
    """What was written to one disk."""

    label: str
    length: int
    sha256: str


def write_seeded(path: Path, size_bytes: int, label: str, data_mib: int) -> Seed:
    """Make a sparse raw image of that size with the content that belongs to the label."""
    digest = hashlib.sha256()
    with path.open("wb") as image:
        image.truncate(size_bytes)
        image.seek(DATA_OFFSET)
        for number in range(data_mib):
            block = hashlib.shake_256(f"{label}:{number}".encode()).digest(MIB)
            digest.update(block)
            image.write(block)
        seed = Seed(label, data_mib * MIB, digest.hexdigest())
        header = f"{MAGIC} {seed.length} {seed.sha256} {label}\n".encode()
        image.seek(HEADER_OFFSET)
        image.write(header.ljust(HEADER_BYTES, b"\0"))
    return seed


def sha256_of(path: Path) -> str:
    """The checksum of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(MIB):
            digest.update(block)
    return digest.hexdigest()
