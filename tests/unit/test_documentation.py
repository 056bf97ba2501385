# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules do what their documentation says, as far as that can be read."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils import _module
from ansible_collections.kvmops.mobility.tests.unit.repository import (
    COLLECTION,
    MODULES,
    PLUGINS,
    ROOT,
    Caught,
    documentation,
    documented_options,
    module_of,
    read_yaml,
    tasks_in,
    works_on_a_hypervisor,
)

ON_HYPERVISORS = tuple(name for name in MODULES if works_on_a_hypervisor(name))
FRAME = {"deadline_s", "state_directory", "uri", "migration", "phase"}


def argument_spec(module: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """What the module gives to the frame, with what the frame adds."""

    def catch(argument_spec: dict[str, dict[str, Any]], **_rules: object) -> None:
        raise Caught(argument_spec)

    monkeypatch.setattr(_module, "AnsibleModule", catch)
    with pytest.raises(Caught) as caught:
        importlib.import_module(f"{COLLECTION}.plugins.modules.{module}").main()
    return caught.value.argument_spec


def shape(option: Any) -> dict[str, Any]:
    """What documentation and argument spec both say of an option."""
    kind = option.get("type", "str")
    found = {
        "type": kind,
        "required": option.get("required", False),
        "default": option.get("default"),
        "choices": sorted(option.get("choices") or ()),
        "elements": option.get("elements"),
    }
    inner = option.get("options") if kind in ("list", "dict") else None
    inner = option.get("suboptions", inner)
    if inner:
        found["inner"] = {name: shape(one) for name, one in inner.items()}
    return found


@pytest.mark.parametrize("module", ON_HYPERVISORS)
def test_documented_options_are_the_argument_spec(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = argument_spec(module, monkeypatch)
    documented = documented_options(module)
    assert {name: shape(one) for name, one in documented.items()} == {name: shape(one) for name, one in spec.items()}
    assert all(one.get("description") for one in documented.values())


def test_some_modules_work_on_hypervisors_and_some_on_the_controller() -> None:
    assert {"domain_info", "domain_take_over"} <= set(ON_HYPERVISORS)
    assert set(MODULES) - set(ON_HYPERVISORS) >= {"migration_plan", "migration_request", "migration_receipt"}


def problems(module: str, task: dict[str, Any]) -> list[str]:
    """What is wrong with how a task calls a module."""
    given = task[f"kvmops.mobility.{module}"] or {}
    options = documented_options(module)
    found = [f"unknown {name}" for name in given if name not in options]
    found += [f"missing {name}" for name, one in options.items() if one.get("required") and name not in given]
    for name, value in given.items():
        choices = options.get(name, {}).get("choices")
        for one in value if isinstance(value, list) else [value]:
            if choices and "{{" not in str(one) and one not in choices:
                found.append(f"{name} cannot be {one}")
    return found


@pytest.mark.parametrize("module", MODULES)
def test_examples_can_be_copied(module: str) -> None:
    tasks = list(tasks_in(documentation(module, "EXAMPLES")))
    own = [task for task in tasks if module_of(task) == f"kvmops.mobility.{module}"]
    assert own, "no example calls the module itself"
    for task in tasks:
        assert task["name"]
        prefix, _dot, called = module_of(task).rpartition(".")
        assert prefix != "kvmops.mobility" or problems(called, task) == []


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"name": "web1", "state": "running", "stat": 1}, "unknown stat"),
        ({"state": "running"}, "missing name"),
        ({"name": "web1", "state": "started"}, "state cannot be started"),
    ],
)
def test_an_example_that_is_wrong_is_found(arguments: dict[str, Any], problem: str) -> None:
    assert problems("domain_power", {"kvmops.mobility.domain_power": arguments}) == [problem]


@pytest.mark.parametrize("module", MODULES)
def test_what_every_module_says_of_itself(module: str) -> None:
    told = documentation(module)
    assert told["module"] == module
    assert told["version_added"]
    assert not told["short_description"].endswith(".")
    assert "kvmops.mobility.attributes" in told["extends_documentation_fragment"]
    assert all(one.get("description") and one.get("returned") for one in documentation(module, "RETURN").values())


def test_the_action_group_is_every_module() -> None:
    assert sorted(read_yaml(ROOT / "meta" / "runtime.yml")["action_groups"]["mobility"]) == list(MODULES)


def test_every_module_has_an_action_plugin_and_the_other_way_round() -> None:
    actions = sorted(path.stem for path in (PLUGINS / "action").glob("*.py"))
    assert actions == list(MODULES)
