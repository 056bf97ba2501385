# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._file.durable import write_durably


def test_data_then_name_reach_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []
    real_replace = os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: happened.append(os.readlink(f"/proc/self/fd/{fd}")))

    def replace(scratch: Path, path: Path) -> None:
        happened.append("replace")
        real_replace(scratch, path)

    monkeypatch.setattr(os, "replace", replace)
    write_durably(tmp_path / "x", b"new")
    scratch, *rest = happened
    assert rest == ["replace", str(tmp_path)]
    assert (Path(scratch).parent, scratch.startswith(f"{tmp_path}/.x.")) == (tmp_path, True)
    assert (tmp_path / "x").read_bytes() == b"new"


def test_two_writers_are_not_in_each_others_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red before: the second emptied the scratch file of the first, which then put half of it in place."""
    path, real_replace = tmp_path / "x", os.replace

    def meanwhile(scratch: str, target: Path) -> None:
        monkeypatch.setattr(os, "replace", real_replace)
        write_durably(path, b"second")
        real_replace(scratch, target)

    monkeypatch.setattr(os, "replace", meanwhile)
    write_durably(path, b"first, and longer")
    assert path.read_bytes() == b"first, and longer"
    assert [one.name for one in tmp_path.iterdir()] == ["x"]


FILL = """
import resource, sys
from pathlib import Path
from ansible_collections.kvmops.mobility.plugins.module_utils._file.durable import write_durably
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
write_durably(Path(sys.argv[1]), b"n" * 1001)
"""


def test_on_a_full_disk_the_old_contents_stay(tmp_path: Path) -> None:
    path = tmp_path / "x"
    write_durably(path, b"old")
    done = subprocess.run([sys.executable, "-c", FILL, str(path)], capture_output=True, text=True, check=False)
    assert "File too large" in done.stderr
    assert path.read_bytes() == b"old"
    write_durably(path, b"newer")
    assert path.read_bytes() == b"newer"
    assert [one.name for one in tmp_path.iterdir()] == ["x"]
