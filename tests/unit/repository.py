# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checkout as the tests about the whole of it read it."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ROOT / "plugins"
COLLECTION = "ansible_collections.kvmops.mobility"
MODULES = tuple(sorted(path.stem for path in (PLUGINS / "modules").glob("*.py")))


def read_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> set[str]:
    """Full names of the modules that a file imports, each with the names taken from it."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{one.name}" for one in node.names)}
    return found


def documentation(module: str, name: str = "DOCUMENTATION") -> Any:
    """DOCUMENTATION, EXAMPLES or RETURN of a module, parsed."""
    for node in tree(PLUGINS / "modules" / f"{module}.py").body:
        if isinstance(node, ast.Assign) and any(isinstance(one, ast.Name) and one.id == name for one in node.targets):
            return yaml.safe_load(ast.literal_eval(node.value))
    raise AssertionError(f"{module} has no {name}")


def documented_options(module: str) -> dict[str, Mapping[str, Any]]:
    """The options that a module documents, those of its fragments included."""
    told = documentation(module)
    options = dict(told.get("options") or {})
    for fragment in told.get("extends_documentation_fragment", ()):
        _namespace, _collection, name, *part = fragment.split(".")
        source = importlib.import_module(f"{COLLECTION}.plugins.doc_fragments.{name}").ModuleDocFragment
        text = getattr(source, part[0].upper() if part else "DOCUMENTATION")
        options.update(yaml.safe_load(text).get("options") or {})
    return options


def works_on_a_hypervisor(module: str) -> bool:
    """The others have no code: theirs is an action plugin on the controller."""
    return any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree(_module(module)).body)


def _module(module: str) -> Path:
    return PLUGINS / "modules" / f"{module}.py"


class Caught(Exception):
    """Carries what the frame gave to Ansible for a module."""

    def __init__(self, argument_spec: dict[str, dict[str, Any]]) -> None:
        super().__init__()
        self.argument_spec = argument_spec


BLOCKS = ("block", "rescue", "always")


def tasks_in(found: Any) -> Iterator[dict[str, Any]]:
    """Every task of a list of tasks, those in blocks too, each with the keywords of its blocks."""
    for task in found or ():
        if any(key in task for key in BLOCKS):
            outer = {key: value for key, value in task.items() if key not in BLOCKS}
            for key in BLOCKS:
                for inner in tasks_in(task.get(key)):
                    yield {**outer, **inner}
        else:
            yield task


def module_of(task: Mapping[str, Any]) -> str:
    """What a task calls, by its full name."""
    (name,) = (key for key in task if "." in key)
    return name


ROLE_FILES = tuple(sorted((ROOT / "roles").glob("*/tasks/*.yml")))
