# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._disk import content
from ansible_collections.kvmops.mobility.plugins.module_utils._unit import payload
from ansible_collections.kvmops.mobility.tests.unit.repository import ROOT

MODULE = content.__name__


def a_job(where: Path) -> str:
    (where / "raw").write_bytes(b"x" * 512)
    listed = where / "job.json"
    listed.write_text(json.dumps({"disks": [{"name": "vda", "path": str(where / "raw"), "format": "raw"}]}), "utf-8")
    return str(listed)


def run(argv: tuple[str, ...], where: Path) -> dict[str, str]:
    """As a unit is run: with nothing of this process's paths."""
    done = subprocess.run(argv, cwd=where, env={}, capture_output=True, text=True, check=True, timeout=60)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def archive(where: Path) -> Path:
    """Our utilities as a module carries them."""
    made = where / "module.zip"
    base = ROOT / "plugins/module_utils"
    prefix = "ansible_collections/kvmops/mobility/plugins/module_utils"
    with zipfile.ZipFile(made, "w") as packed:
        names = {f"{prefix}/{one.relative_to(base)}": one for one in base.rglob("*.py")}
        parents = {str(parent) for name in names for parent in Path(name).parents if str(parent) != "."}
        for parent in parents:
            packed.writestr(f"{parent}/__init__.py", "")
        for name, one in names.items():
            packed.write(one, name)
    return made


def test_from_the_tree(tmp_path: Path) -> None:
    argv = payload.argv(tmp_path, MODULE, [a_job(tmp_path)])
    assert argv[0] == sys.executable
    assert list(run(argv, tmp_path)) == ["vda"]


def test_from_an_archive_that_it_leaves_nothing_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "book").mkdir()
    carried = archive(tmp_path)
    monkeypatch.setitem(sys.modules, MODULE, SimpleNamespace(__loader__=SimpleNamespace(archive=str(carried))))
    argv = payload.argv(tmp_path / "book", MODULE, [a_job(tmp_path)])
    carried.unlink()
    assert list(run(argv, tmp_path)) == ["vda"]
    assert list((tmp_path / "book").iterdir()) == []
