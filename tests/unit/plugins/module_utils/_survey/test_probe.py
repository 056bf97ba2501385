# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._survey import probe
from ansible_collections.kvmops.mobility.plugins.module_utils._survey.probe import Seen

NOW = 1_800_000_000.0


def files(directory: Path) -> list[str]:
    return sorted(one.name for one in directory.iterdir())


def plant(directory: Path) -> str:
    return probe.plant(str(directory), lambda: NOW)


def test_storage_that_both_see(tmp_path: Path) -> None:
    token = plant(tmp_path)
    assert len(token) == 32
    assert probe.seen(str(tmp_path), token) is Seen.YES
    (name,) = files(tmp_path)
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    probe.pull(str(tmp_path), token)
    probe.pull(str(tmp_path), token)
    assert files(tmp_path) == []
    assert probe.seen(str(tmp_path), token) is Seen.NO


def test_two_tokens_are_never_the_same(tmp_path: Path) -> None:
    assert plant(tmp_path) != plant(tmp_path)


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    assert probe.seen(str(tmp_path / "nothing"), "token") is Seen.NO
    (tmp_path / "file").touch()
    assert probe.seen(str(tmp_path / "file"), "token") is Seen.NO


@pytest.mark.parametrize(("directory", "token"), [("", "token"), ("/images", ""), ("", "")])
def test_without_a_probe_nobody_knows(directory: str, token: str) -> None:
    assert probe.seen(directory, token) is Seen.UNKNOWN


@pytest.mark.parametrize("contents", [b"", b"another", b"\xff"])
def test_a_probe_with_other_contents_is_no_clear_answer(tmp_path: Path, contents: bytes) -> None:
    token = plant(tmp_path)
    (tmp_path / files(tmp_path)[0]).write_bytes(contents)
    assert probe.seen(str(tmp_path), token) is Seen.UNKNOWN


def test_a_probe_that_cannot_be_read(tmp_path: Path) -> None:
    token = plant(tmp_path)
    name = files(tmp_path)[0]
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    assert probe.seen(str(tmp_path), token) is Seen.UNKNOWN


def test_a_directory_that_cannot_be_written_has_no_probe(tmp_path: Path) -> None:
    assert plant(tmp_path / "nothing") == ""


def test_only_old_probes_are_swept(tmp_path: Path) -> None:
    for name, age in ((".kvmops-probe-old", 3601), (".kvmops-probe-new", 3599), ("disk", 99999), (".kvmops-x", 99999)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (NOW - age, NOW - age))
    token = plant(tmp_path)
    assert files(tmp_path) == sorted([f".kvmops-probe-{token}", ".kvmops-probe-new", "disk", ".kvmops-x"])
