# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._command import run
from ansible_collections.kvmops.mobility.plugins.module_utils._disk import image
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import CommandFailed, MobilityError, Refused

MIB = 2**20


def qemu_img(*words: str) -> None:
    run(("qemu-img", *words), timeout_s=20)


def create(where: Path, image_format: str = "qcow2", *options: str) -> str:
    path = str(where / f"disk.{image_format}")
    qemu_img("create", "-q", "-f", image_format, *options, path, str(MIB))
    return path


@pytest.mark.parametrize(
    ("image_format", "options", "compat"),
    [("raw", (), ""), ("qcow2", (), "1.1"), ("qcow2", ("-o", "compat=0.10"), "0.10")],
)
def test_inspect(tmp_path: Path, image_format: str, options: tuple[str, ...], compat: str) -> None:
    found = image.inspect(create(tmp_path, image_format, *options), image_format)
    assert (found.virtual_bytes, found.format, found.compat) == (MIB, image_format, compat)
    assert (found.backing_path, found.data_file, found.internal_snapshots) == ("", "", 0)
    assert found.allocated_bytes < MIB


def test_a_backing_file_and_a_data_file_are_seen(tmp_path: Path) -> None:
    base = create(tmp_path)
    overlay, outside = str(tmp_path / "overlay"), str(tmp_path / "outside")
    qemu_img("create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", overlay)
    qemu_img("create", "-q", "-f", "qcow2", "-o", f"data_file={tmp_path}/data", outside, str(MIB))
    assert image.inspect(overlay, "qcow2").backing_path == base
    assert image.inspect(outside, "qcow2").data_file == f"{tmp_path}/data"


def test_internal_snapshots_are_counted(tmp_path: Path) -> None:
    path = create(tmp_path)
    qemu_img("snapshot", "-c", "one", path)
    qemu_img("snapshot", "-c", "two", path)
    assert image.inspect(path, "qcow2").internal_snapshots == 2


def test_the_format_is_the_definitions_and_never_a_guess(tmp_path: Path) -> None:
    """A guest can write a header that names a host's file into its raw disk."""
    secret = create(tmp_path)
    evil = str(tmp_path / "evil")
    qemu_img("create", "-q", "-f", "qcow2", "-b", secret, "-F", "qcow2", evil)
    found = image.inspect(evil, "raw")
    assert (found.format, found.backing_path) == ("raw", "")
    assert found.virtual_bytes < MIB
    assert image.looks_like(evil) == "qcow2"
    with pytest.raises(CommandFailed, match="qcow2 format") as error:
        image.inspect(create(tmp_path, "raw"), "qcow2")
    assert error.value.code == "COMMAND_FAILED"


@pytest.mark.parametrize("image_format", ["raw", "qcow2", "vmdk", "qed", "vhdx", "vpc", "vdi"])
def test_what_an_image_looks_like(tmp_path: Path, image_format: str) -> None:
    path = create(tmp_path, image_format)
    seen = image.looks_like(path)
    assert seen == image_format


def test_an_empty_file_looks_like_none_we_know(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    assert image.looks_like(str(tmp_path / "x")) == "raw"


@pytest.mark.parametrize("image_format", ["raw", "qcow2"])
def test_growing(tmp_path: Path, image_format: str) -> None:
    path = create(tmp_path, image_format)
    assert image.plan_growth(path, image_format, 2 * MIB) is True
    image.grow(path, image_format, 2 * MIB)
    assert image.inspect(path, image_format).virtual_bytes == 2 * MIB
    assert image.plan_growth(path, image_format, 2 * MIB) is False


@pytest.mark.parametrize("image_format", ["raw", "qcow2"])
def test_a_disk_is_never_made_smaller(tmp_path: Path, image_format: str) -> None:
    path = create(tmp_path, image_format)
    with pytest.raises(Refused, match=f"{MIB} bytes large and {MIB - 512}") as refusal:
        image.plan_growth(path, image_format, MIB - 512)
    assert (refusal.value.code, refusal.value.subject) == ("DISK_SHRINK", path)
    with pytest.raises(CommandFailed, match="shrink"):
        image.grow(path, image_format, MIB - 512)
    assert image.inspect(path, image_format).virtual_bytes == MIB


def test_a_format_that_is_not_resized(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="'vmdk'") as refusal:
        image.plan_growth(create(tmp_path, "vmdk"), "vmdk", 2 * MIB)
    assert refusal.value.code == "FORMAT_UNSUPPORTED"


@pytest.mark.parametrize(("compat", "refused"), [("0.10", True), ("1.1", False)])
def test_version_2_with_snapshots_is_not_resized(tmp_path: Path, compat: str, refused: bool) -> None:
    path = create(tmp_path, "qcow2", "-o", f"compat={compat}")
    qemu_img("snapshot", "-c", "one", path)
    if not refused:
        assert image.plan_growth(path, "qcow2", 2 * MIB) is True
        return
    with pytest.raises(Refused) as refusal:
        image.plan_growth(path, "qcow2", 2 * MIB)
    assert (refusal.value.code, refusal.value.subject) == ("QCOW2_V2_SNAPSHOTS", path)


def damage(path: str, offset: int, data: bytes) -> None:
    with open(path, "r+b") as disk:
        disk.seek(offset)
        disk.write(data)


def test_check(tmp_path: Path) -> None:
    assert image.check(create(tmp_path), "qcow2") == "consistent"
    assert image.check(create(tmp_path, "raw"), "raw") == "unsupported"


def test_leaked_clusters_harm_nothing(tmp_path: Path) -> None:
    path = create(tmp_path)
    damage(path, 2 * 65536 + 2 * 3, b"\0\1" * 3)  # refcounts of clusters nobody uses
    with open(path, "r+b") as disk:
        disk.truncate(16 * 65536)
    assert image.check(path, "qcow2") == "consistent"


def test_a_corrupt_image(tmp_path: Path) -> None:
    path = create(tmp_path)
    damage(path, 2 * 65536, bytes(64))
    with pytest.raises(MobilityError, match="refcount") as error:
        image.check(path, "qcow2")
    assert (error.value.code, error.value.subject) == ("IMAGE_CORRUPT", path)


def test_what_is_not_an_image_at_all(tmp_path: Path) -> None:
    path = create(tmp_path)
    damage(path, 0, bytes(4))
    with pytest.raises(MobilityError) as error:
        image.check(path, "qcow2")
    assert error.value.code in ("IMAGE_CORRUPT", "COMMAND_FAILED")
