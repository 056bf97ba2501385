# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a move calls goes as one module; that it does the same is seen here, that it is quicker in bench/."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.kvmops.mobility.plugins.module_utils._call import table
from ansible_collections.kvmops.mobility.plugins.modules import migration_info, migration_step
from ansible_collections.kvmops.mobility.tests.unit.repository import PLUGINS, ROOT, module_of, read_yaml, tasks_in

ROOM = PLUGINS / "module_utils" / "_call"
FLOWS = ("cold_resize", "confirm_resize", "live_control", "live_migrate", "receipt", "recover", "revert_resize")


def test_the_table_is_the_room() -> None:
    files = sorted(path.stem for path in ROOM.glob("*.py") if path.stem != "table")
    assert list(table.NAMES) == files
    assert [one.__name__.rpartition(".")[2] for one in table.every()] == files
    assert all(table.call(name) is one.CALL for name, one in zip(files, table.every(), strict=True))


def called(path: Path) -> set[str]:
    """The modules of ours that a file of tasks calls on hypervisors."""
    names = {module_of(task).rpartition(".")[2] for task in tasks_in(read_yaml(path)) if "delegate_to" in task}
    return {name for name in names if (PLUGINS / "modules" / f"{name}.py").exists()}


def test_whatever_the_roles_of_a_move_call_on_a_hypervisor_is_in_it() -> None:
    found = {
        name for role in FLOWS for path in (ROOT / "roles" / role).rglob("tasks/**/*.yml") for name in called(path)
    }
    assert len(found) > 12
    assert found - set(table.NAMES) == set()


def no_secret(options: dict[str, Any]) -> bool:
    return all(not one.get("no_log") and no_secret(one.get("options", {})) for one in options.values())


@pytest.mark.parametrize("name", table.NAMES)
def test_none_takes_a_secret_which_would_be_shown_among_the_arguments(name: str) -> None:
    assert no_secret(dict(table.call(name).spec.options))


def answer(main: Any, capsys: pytest.CaptureFixture[str], arguments: dict[str, Any]) -> dict[str, Any]:
    with patch_module_args(arguments), pytest.raises(SystemExit):
        main()
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    result.pop("invocation")
    return result


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({}, id="defaults are filled in"),
        pytest.param({"open_only": "yes"}, id="types are converted"),
        pytest.param({"deadline_s": "soon"}, id="a wrong type"),
    ],
)
def test_it_does_what_the_module_does(
    arguments: dict[str, Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    given = {**arguments, "state_directory": str(tmp_path)}
    itself = answer(migration_info.main, capsys, given)
    stood_for = answer(migration_step.main, capsys, {"module": "migration_info", "arguments": given})
    assert stood_for.pop("msg", "").removeprefix("migration_info: ") == itself.pop("msg", "")
    assert stood_for == itself


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"module": "migration_info", "arguments": {"open": True}}, "migration_info: Unsupported parameters: open. "),
        ({"module": "live_control", "arguments": {"order": "abort"}}, "live_control: missing required arguments: "),
        ({"module": "domain_define"}, "value of module must be one of: disk_copy, "),
    ],
)
def test_what_it_does_not_take(given: dict[str, Any], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(migration_step.main, capsys, given)
    assert found["failed"]
    assert found["msg"].startswith(told)


def test_check_mode_and_differences_reach_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    planting = {"directories": [str(tmp_path / "images")], "state_directory": str(tmp_path)}
    (tmp_path / "images").mkdir()
    asked = {"module": "storage_probe", "arguments": planting, "_ansible_check_mode": True, "_ansible_diff": True}
    found = answer(migration_step.main, capsys, asked)
    assert (found["changed"], "diff" in found, list((tmp_path / "images").iterdir())) == (True, True, [])
