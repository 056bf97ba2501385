# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.kvmops.mobility.plugins.module_utils._disk.digest import aligned, digest, digests

BLOCK = 65536
SPANS = st.lists(st.tuples(st.integers(0, 6 * BLOCK), st.binary(min_size=1, max_size=300)), max_size=4)


def write(path: Path, size: int, spans: list[tuple[int, bytes]]) -> str:
    with path.open("wb") as file:
        file.truncate(size)
        for offset, data in spans:
            file.seek(offset)
            file.write(data)
        file.truncate(size)
    return str(path)


@settings(max_examples=40, deadline=None)
@given(SPANS, st.integers(0, 7 * BLOCK))
def test_holes_and_zeros_are_the_same(
    tmp_path_factory: pytest.TempPathFactory, spans: list[tuple[int, bytes]], size: int
) -> None:
    where = tmp_path_factory.mktemp("digest")
    sparse = write(where / "sparse", size, spans)
    dense = where / "dense"
    dense.write_bytes(Path(sparse).read_bytes())
    assert digest(sparse) == digest(str(dense))


def test_what_makes_a_difference(tmp_path: Path) -> None:
    spans = [(3 * BLOCK + 5, b"data")]
    found = [
        digest(write(tmp_path / "a", 6 * BLOCK, spans)),
        digest(write(tmp_path / "b", 6 * BLOCK, [(3 * BLOCK + 5, b"dada")])),
        digest(write(tmp_path / "c", 6 * BLOCK, [(4 * BLOCK + 5, b"data")])),
        digest(write(tmp_path / "d", 6 * BLOCK + 1, spans)),
        digest(write(tmp_path / "e", 6 * BLOCK, [])),
        digest(write(tmp_path / "f", 0, [])),
    ]
    assert len(set(found)) == len(found)
    assert all(len(one) == 64 for one in found)


def test_holes_are_not_read(tmp_path: Path) -> None:
    huge = write(tmp_path / "huge", 2**40, [(2**39, b"needle")])
    assert digest(huge) != digest(write(tmp_path / "empty", 2**40, []))


@given(st.lists(st.integers(0, 7 * BLOCK), max_size=8), st.integers(1, 7 * BLOCK))
def test_each_block_is_looked_at_once_and_none_is_left_out(edges: list[int], size: int) -> None:
    inside = sorted({min(edge, size) for edge in edges})
    extents = list(zip(inside[::2], inside[1::2]))
    found = list(aligned(extents, size))
    assert all(first % BLOCK == 0 and first < end <= size for first, end in found)
    assert all(one[1] <= other[0] for one, other in zip(found, found[1:]))
    covered = {block for first, end in found for block in range(first // BLOCK, -(-end // BLOCK))}
    assert covered == {block for start, end in extents for block in range(start // BLOCK, -(-end // BLOCK))}


def test_the_files_of_a_directory(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"x")
    (tmp_path / "data").write_bytes(b"y")
    (tmp_path / "sub").mkdir()
    os.symlink("disk", tmp_path / "link")
    assert digests(str(tmp_path)) == {
        "data": digest(str(tmp_path / "data")),
        "disk": digest(str(tmp_path / "disk")),
    }
