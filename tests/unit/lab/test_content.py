# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Known content of many GiB: its kinds, and that it is always the same."""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path

import pytest
from kvmlab.config import MIB
from kvmlab.content import COMPRESSIBLE, MAGIC, MIXED, blocks, is_bulk, mib_for_allocated, write_bulk
from kvmlab.seed import DATA_OFFSET, HEADER_OFFSET, Seed

TURN_MIB = 12
"""Each kind once."""


def share(block: bytes) -> float:
    """What compression leaves of it."""
    return len(zlib.compress(block, 1)) / len(block)


def test_mixed_is_random_and_compressible_and_hole_in_equal_parts() -> None:
    made = list(blocks(MIXED, 2 * TURN_MIB))
    allocated = [block for block in made if block is not None]
    assert len(allocated) == 2 * len(made) / 3
    assert len({hashlib.sha256(block).digest() for block in allocated}) == len(allocated)
    assert {len(block) for block in allocated} == {MIB}
    assert sum(share(block) > 0.99 for block in allocated) == len(made) / 3
    assert sum(share(block) < 0.1 for block in allocated) == len(made) / 3


def test_compressible_is_so_throughout() -> None:
    made = list(blocks(COMPRESSIBLE, TURN_MIB))
    assert all(block is not None and share(block) < 0.1 for block in made)


@pytest.mark.parametrize("content", [MIXED, COMPRESSIBLE])
def test_an_image_holds_what_its_seed_says(tmp_path: Path, content: str) -> None:
    path = tmp_path / "disk.raw"
    seed = write_bulk(path, content, TURN_MIB)
    written = path.read_bytes()
    assert len(written) == DATA_OFFSET + TURN_MIB * MIB
    assert hashlib.sha256(written[DATA_OFFSET:]).hexdigest() == seed.sha256
    assert written[HEADER_OFFSET:].startswith(f"{MAGIC} {seed.length} {seed.sha256} {content}\n".encode())
    assert write_bulk(tmp_path / "again.raw", content, TURN_MIB) == seed


def test_holes_take_no_room(tmp_path: Path) -> None:
    path = tmp_path / "disk.raw"
    write_bulk(path, MIXED, TURN_MIB)
    assert path.stat().st_blocks * 512 < (TURN_MIB - 3) * MIB


def test_content_by_the_room_it_takes() -> None:
    assert mib_for_allocated(MIXED, 4) == 6 * 1024
    assert mib_for_allocated(COMPRESSIBLE, 4) == 4 * 1024


def test_which_seeds_are_read_outside() -> None:
    assert is_bulk(Seed(MIXED, MIB, ""))
    assert not is_bulk(Seed("app1/disk", MIB, ""))
