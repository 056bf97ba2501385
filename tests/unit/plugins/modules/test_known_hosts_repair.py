# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module as Ansible calls it, in this process."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args

from ansible_collections.kvmops.mobility.plugins.modules import known_hosts_repair
from ansible_collections.kvmops.mobility.tests.unit.ssh_keys import host_key

Call = Callable[..., dict[str, Any]]
NEW, OLD = host_key(1).line, host_key(2).line
PEER = {"name": "c2", "names": ["c2", "192.0.2.12"], "keys": [NEW]}
BEFORE = f"# mine\nc2,x {OLD}\n"
AFTER = f"# mine\nx {OLD}\nc2,192.0.2.12 {NEW}\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "known_hosts"
    found.write_text(BEFORE, encoding="ascii")
    found.chmod(0o600)
    return found


@pytest.fixture
def call(path: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    def call(**params: Any) -> dict[str, Any]:
        given = {"path": str(path), "peers": [PEER], "_ansible_diff": True, **params}
        arguments = {key: value for key, value in given.items() if value is not None}
        with patch_module_args(arguments), pytest.raises(SystemExit):
            known_hosts_repair.main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        return result

    return call


def test_check_mode_shows_what_the_run_does(call: Call, path: Path) -> None:
    shown = call(_ansible_check_mode=True)
    assert path.read_text(encoding="ascii") == BEFORE
    done = call()
    assert path.read_text(encoding="ascii") == AFTER
    assert shown["diff"] == done["diff"] == {"before": BEFORE, "after": AFTER}
    assert shown["findings"] == done["findings"]
    assert [one["class"] for one in done["findings"]] == ["changed", "missing", "missing"]
    assert (shown["changed"], done["changed"], done["path"]) == (True, True, str(path))


def test_a_second_run_changes_nothing(call: Call) -> None:
    call()
    again = call()
    assert (again["changed"], again["findings"], again["steps"]) == (False, [], [])
    assert again["diff"] == {"before": "", "after": ""}


@pytest.mark.parametrize("hash_names", [True, False])
def test_hashed_names_are_found_again(call: Call, path: Path, hash_names: bool) -> None:
    call(hash_names=hash_names)
    assert path.read_text(encoding="ascii").count("|1|") == (2 if hash_names else 0)
    assert call(hash_names=not hash_names)["changed"] is False


def test_a_backup_only_when_something_changes(call: Call, path: Path) -> None:
    kept = call(backup=True)["backup_file"]
    assert Path(kept).read_text(encoding="ascii") == BEFORE
    assert re.fullmatch(rf"{path}\.\d{{8}}T\d{{6}}\.[0-9a-f]{{4}}~", kept)
    assert "backup_file" not in call(backup=True)
    path.unlink()
    assert "backup_file" not in call(backup=True)


def test_an_audit(call: Call, path: Path) -> None:
    found = call(state="audit")
    assert (found["changed"], path.read_text(encoding="ascii")) == (False, BEFORE)
    assert [one["line"] for one in found["findings"]] == [2, 0, 0]


def test_absent(call: Call, path: Path) -> None:
    call()
    assert call(state="absent")["changed"] is True
    assert path.read_text(encoding="ascii") == f"# mine\nx {OLD}\n"


def test_only_taking_out(call: Call, path: Path) -> None:
    call(add=False)
    assert path.read_text(encoding="ascii") == f"# mine\nx {OLD}\n"


def test_a_revoked_key_fails_with_the_findings(call: Call, path: Path) -> None:
    path.write_text(f"@revoked * {NEW}\n", encoding="ascii")
    found = call()
    assert (found["failed"], found["code"], found["subject"]) == (True, "HOST_KEY_REVOKED", "c2")
    assert "revoked" in {one["class"] for one in found["findings"]}
    assert path.read_text(encoding="ascii") == f"@revoked * {NEW}\n"


def test_others_may_write(call: Call, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    # In a process that has loaded the controller's side, a module's warnings go to the controller's display.
    monkeypatch.setattr(AnsibleModule, "warn", lambda _module, text: said.append(text))
    path.chmod(0o660)
    call()
    assert len(said) == 1
    assert str(path) in said[0]


def test_bytes_that_are_no_text_are_kept_and_shown(call: Call, path: Path) -> None:
    path.write_bytes(b"# \xff\n")
    assert call()["diff"]["before"] == "# \\xff\n"
    assert path.read_bytes().startswith(b"# \xff\n")


@pytest.mark.parametrize("params", [{"path": None}, {"user": "root"}])
def test_one_file_is_named(call: Call, params: dict[str, Any]) -> None:
    assert call(**params)["failed"] is True
