# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator gives by -e is a string: each role reads its booleans and numbers once, by their types."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.plugin_utils import _options
from ansible_collections.kvmops.mobility.tests.unit.repository import PLUGINS, ROOT, read_yaml

SECRET = re.compile("pass(word|phrase)|secret|token")


def specs() -> dict[str, dict[str, Any]]:
    """Options of each role, by its name."""
    paths = sorted((ROOT / "roles").glob("*/meta/argument_specs.yml"))
    return {path.parts[-3]: read_yaml(path)["argument_specs"]["main"]["options"] for path in paths}


def variables() -> list[tuple[str, str, str, Any]]:
    """Role, name, type and default of what is a boolean or a number."""
    return [
        (role, name, option["type"], option["default"])
        for role, options in specs().items()
        for name, option in options.items()
        if option["type"] in _options.ALLOWED and "default" in option
    ]


def reading(role: str, name: str, kind: str, default: object) -> str:
    word = str(default).lower() if kind == "bool" else str(default)
    return f"'{name[len(role) + 1 :]}': {name} | string | default('{word}', true) | {kind}"


def untyped(text: str, name: str) -> list[str]:
    """Where a task or variable reads *name* itself; words for the operator are no reading."""
    lines = [line.strip() for line in text.splitlines() if not line.lstrip().startswith("#")]
    expression = re.compile(
        r"({{|when:|that:).*(?<![\w.'])" + name + r"(?!\w|:)|^[|(+-].*(?<![\w.'])" + name + r"(?!\w|:)"
    )
    return [line for line in lines if expression.search(line)]


@pytest.mark.parametrize(("role", "name", "kind", "default"), variables(), ids=str)
def test_a_role_reads_it_once_by_its_type(role: str, name: str, kind: str, default: object) -> None:
    assert read_yaml(ROOT / "roles" / role / "defaults" / "main.yml")[name] == default
    typed = read_yaml(ROOT / "roles" / role / "vars" / "main.yml")[f"{role}_typed"]
    assert typed.count(reading(role, name, kind, default)) == 1
    for path in (ROOT / "roles" / role).glob("tasks/*.yml"):
        assert untyped(path.read_text(encoding="utf-8"), name) == [], path
    rest = (ROOT / "roles" / role / "vars" / "main.yml").read_text(encoding="utf-8")
    assert untyped(rest.replace(typed.strip(), "").partition(f"{role}_typed: >-")[0], name) == []


@pytest.mark.parametrize(
    "bad", ["when: a_root", 'x: "{{ a_root // 5 }}"', "that: 1.0 <= a_root", "  | f(3 if a_root else 4) }}"]
)
def test_an_untyped_reading_is_found(bad: str) -> None:
    assert len(untyped(bad, "a_root")) == 1


@pytest.mark.parametrize("good", ["# a_root", "when: a_typed.root", "when: a_root_too", "Say more with a_root."])
def test_another_is_not(good: str) -> None:
    assert untyped(good, "a_root") == []


def converted(path: Path) -> list[str]:
    """Where an action plugin makes a number or boolean of an option by itself: bool("false") is true."""
    return [
        ast.unparse(node)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("bool", "int", "float")
        and any(isinstance(one, ast.Name) and one.id in ("given", "arguments") for one in ast.walk(node))
    ]


def test_action_plugins_read_their_options_by_type() -> None:
    found = {path.name: converted(path) for path in sorted((PLUGINS / "action").glob("*.py"))}
    assert {name: calls for name, calls in found.items() if calls and name != "migration_recover.py"} == {}


@pytest.mark.parametrize(
    ("value", "found"), [("false", False), ("no", False), (False, False), ("0", False), ("", True), (None, True)]
)
def test_a_flag(value: object, found: bool) -> None:
    assert _options.flag({"throttle": value}, "throttle", default=True) is found


@pytest.mark.parametrize(("value", "found"), [("5", 5), (5, 5), ("0", 0), ("", 7), (None, 7)])
def test_a_whole_number(value: object, found: int) -> None:
    assert _options.whole({"port": value}, "port", 7) == found
    assert _options.number({"port": value}, "port", 7.0) == found


@pytest.mark.parametrize(("kind", "value"), [("bool", "maybe"), ("int", "abc"), ("float", "abc"), ("int", "1.5")])
def test_what_is_not_of_its_type_is_named(kind: str, value: str) -> None:
    with pytest.raises(Refused) as refusal:
        _options.typed("port", value, kind)
    assert (refusal.value.code, refusal.value.subject) == ("VALUE_INVALID", "port")
    assert value in str(refusal.value)


def test_secrets_are_not_logged() -> None:
    secrets = {name: option for options in specs().values() for name, option in options.items() if SECRET.search(name)}
    assert len(secrets) == 3
    assert [name for name, option in secrets.items() if not option.get("no_log")] == []


def test_no_module_of_a_step_takes_a_secret() -> None:
    """Their arguments are shown as they were given (invocation)."""
    for path in (PLUGINS / "module_utils" / "_call").glob("*.py"):
        words = {
            one.value
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Dict)
            for one in node.keys
            if isinstance(one, ast.Constant) and isinstance(one.value, str)
        }
        assert [word for word in words if SECRET.search(word)] == [], path
