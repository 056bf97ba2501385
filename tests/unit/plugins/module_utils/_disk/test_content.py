# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._command import Child, run, running
from ansible_collections.kvmops.mobility.plugins.module_utils._disk import content, digest
from ansible_collections.kvmops.mobility.plugins.module_utils._disk.content import Disk, digests
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError

MIB = 2**20
SIZE = 64 * MIB


def qemu_img(*words: object) -> None:
    run(("qemu-img", *(str(word) for word in words)), timeout_s=60)


def a_raw(where: Path, size: int = SIZE) -> Path:
    """Data in several places: not at the edge of a block, across some, at the very end; and zeros that are written."""
    path = where / "raw"
    with path.open("wb") as image:
        for offset, data in ((70_000, os.urandom(300_000)), (40 * MIB - 7, b"x" * 20), (size - 3, b"end")):
            image.seek(offset)
            image.write(data)
        image.seek(20 * MIB)
        image.write(bytes(MIB))
    return path


def of(path: Path, image_format: str) -> str:
    return digests([Disk("vda", str(path), image_format)])["vda"]


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return a_raw(tmp_path)


@pytest.mark.parametrize("cluster", [512, 65536, 2 * MIB])
def test_the_same_contents_have_the_same_digest_in_every_format(raw: Path, cluster: int) -> None:
    other = raw.with_name("qcow2")
    qemu_img("convert", "-f", "raw", "-O", "qcow2", "-o", f"cluster_size={cluster}", raw, other)
    assert of(other, "qcow2") == of(raw, "raw")


def test_a_chain_and_what_it_was_made_one_file_of(raw: Path) -> None:
    base, top, flat = (raw.with_name(name) for name in ("base", "top", "flat"))
    qemu_img("convert", "-f", "raw", "-O", "qcow2", raw, base)
    qemu_img("create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, top)
    run(("qemu-io", "-f", "qcow2", "-c", "write -P 7 30M 100k", "-c", "write -z 64k 64k", str(top)), timeout_s=60)
    qemu_img("convert", "-f", "qcow2", "-O", "qcow2", top, flat)
    assert of(top, "qcow2") == of(flat, "qcow2") != of(raw, "raw")


@pytest.mark.parametrize("how", ["a byte", "a place", "a size"])
def test_what_makes_a_difference(raw: Path, how: str) -> None:
    before, other = of(raw, "raw"), raw.with_name("qcow2")
    with raw.open("r+b") as image:
        if how == "a byte":
            image.seek(SIZE - 1)
            image.write(b"!")
        elif how == "a place":
            image.seek(40 * MIB - 7)
            image.write(b"\0" + b"x" * 20)
        else:
            image.truncate(SIZE + 512)
    qemu_img("convert", "-f", "raw", "-O", "qcow2", raw, other)
    assert of(other, "qcow2") == of(raw, "raw") != before


def test_a_raw_file_that_ends_within_a_sector_is_what_the_guest_sees(tmp_path: Path) -> None:
    odd, other = a_raw(tmp_path, SIZE - 100), tmp_path / "qcow2"
    qemu_img("convert", "-f", "raw", "-O", "qcow2", odd, other)
    assert of(other, "qcow2") == of(odd, "raw")


def test_holes_are_not_read(tmp_path: Path) -> None:
    huge = tmp_path / "huge"
    qemu_img("create", "-q", "-f", "qcow2", huge, 2**42)
    began = time.monotonic()
    assert len(of(huge, "qcow2")) == 64
    assert time.monotonic() - began < 20


def test_several_at_once_by_name(raw: Path) -> None:
    found = digests([Disk(f"vd{number}", str(raw), "raw") for number in range(6)])
    assert list(found) == [f"vd{number}" for number in range(6)]
    assert len(set(found.values())) == 1


@pytest.mark.parametrize("image_format", ["raw", "qcow2"])
def test_what_cannot_be_read_is_named(tmp_path: Path, image_format: str) -> None:
    with pytest.raises(MobilityError) as error:
        of(tmp_path / "none", image_format)
    assert (error.value.code, error.value.subject) == ("DIGEST_FAILED", str(tmp_path / "none"))
    assert "No such file" in error.value.message


def test_no_server_and_no_socket_is_left(raw: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Also when the reading fails in the middle."""
    other, scratch = tmp_path / "qcow2", tmp_path / "scratch"
    scratch.mkdir()
    qemu_img("convert", "-f", "raw", "-O", "qcow2", raw, other)
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    children: list[Child] = []

    @contextmanager
    def remembered(argv: Sequence[str]) -> Iterator[Child]:
        with running(argv) as child:
            children.append(child)
            yield child

    monkeypatch.setattr(content, "running", remembered)
    of(other, "qcow2")
    monkeypatch.setattr(digest, "over", lambda *_given: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        of(other, "qcow2")
    assert len(children) == 2
    assert all(one.ended() for one in children)
    assert list(scratch.iterdir()) == []


def test_as_a_program(raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = tmp_path / "digest.json"
    listed.write_text(json.dumps({"disks": [{"name": "vda", "path": str(raw), "format": "raw"}]}), encoding="utf-8")
    assert content.main([str(listed)]) == 0
    assert json.loads(capsys.readouterr().out) == {"vda": of(raw, "raw")}
    raw.unlink()
    assert content.main([str(listed)]) == 1
    assert str(raw) in capsys.readouterr().err
