# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of the house: who may import what, and how large a module is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._version import VERSION
from ansible_collections.kvmops.mobility.tests.unit.repository import (
    COLLECTION,
    PLUGINS,
    ROOT,
    imports,
    read_yaml,
    tree,
)

UTILS = PLUGINS / "module_utils"
SOURCES = tuple(sorted(PLUGINS.rglob("*.py")))
PURE = (
    *sorted((UTILS / "_domain").glob("*.py")),
    *sorted((UTILS / "_checks").glob("*.py")),
    *(
        UTILS / "_migration" / f"{name}.py"
        for name in (
            "plan",
            "claim",
            "request",
            "closing",
            "receipt",
            "state",
            "model",
            "facts",
            "values",
            "live_request",
            "live_plan",
            "controlling",
            "shown_status",
        )
    ),
    *(
        UTILS / "_live" / f"{name}.py"
        for name in ("schedule", "model", "policy", "options", "progress", "curve", "forecast")
    ),
    *(UTILS / "_ssh" / f"{name}.py" for name in ("keys", "known_hosts", "known_hosts_plan", "peers", "errors")),
)
"""Planning: frozen data in and out."""
IMPURE = ("subprocess", "libvirt", "libvirt_qemu", "ansible", "socket", "signal")


def name(path: Path) -> str:
    return str(path.relative_to(PLUGINS))


def inner(imported: str) -> Path | None:
    """The file of ours that an import means."""
    prefix = f"{COLLECTION}.plugins."
    path = PLUGINS / (imported[len(prefix) :].replace(".", "/") + ".py") if imported.startswith(prefix) else None
    return path if path and path.is_file() else None


def reach(path: Path) -> dict[Path, set[str]]:
    """What a file imports, and what those of ours import that it imports."""
    found: dict[Path, set[str]] = {}
    waiting = [path]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found[one] = imports(one)
            waiting += [inside for imported in found[one] if (inside := inner(imported))]
    return found


def outside(imported: set[str], forbidden: tuple[str, ...]) -> set[str]:
    return {one for one in imported if one.split(".")[0] in forbidden}


@pytest.mark.parametrize("path", PURE, ids=name)
def test_planning_is_pure(path: Path) -> None:
    found = {name(one): outside(imported, IMPURE) for one, imported in reach(path).items()}
    assert {one: bad for one, bad in found.items() if bad} == {}


def test_a_room_that_is_not_pure_is_found() -> None:
    found = reach(UTILS / "_flow" / "claim.py")
    assert any(outside(imported, ("libvirt", "subprocess")) for imported in found.values())


def test_libvirt_is_imported_in_one_place() -> None:
    users = [name(path) for path in SOURCES if outside(imports(path), ("libvirt", "libvirt_qemu"))]
    assert users == ["module_utils/_libvirt/library.py"]


def test_the_frame_alone_knows_ansible_modules() -> None:
    users = [name(path) for path in UTILS.rglob("*.py") if outside(imports(path), ("ansible",))]
    assert users == ["module_utils/_module.py"]


def test_commands_are_run_in_one_place_and_never_by_a_shell() -> None:
    users = [name(path) for path in SOURCES if outside(imports(path), ("subprocess",))]
    # The witness is a program of its own, which the hypervisor's Python gets as text: it cannot import ours.
    assert users == ["module_utils/_command.py", "module_utils/_transfer/witness.py"]
    for path in SOURCES:
        words = {one.arg for one in ast.walk(tree(path)) if isinstance(one, ast.keyword)}
        attributes = {one.attr for one in ast.walk(tree(path)) if isinstance(one, ast.Attribute)}
        assert not words & {"shell"}, name(path)
        assert not attributes & {"system", "popen"}, name(path)


LAYERS = (
    ("module_utils", ("modules", "action", "plugin_utils")),
    ("modules", ("action", "plugin_utils")),
    ("plugin_utils", ("modules", "action")),
)


@pytest.mark.parametrize(("layer", "above"), LAYERS)
def test_layers_have_one_direction(layer: str, above: tuple[str, ...]) -> None:
    for path in (PLUGINS / layer).rglob("*.py"):
        wrong = {one for one in imports(path) if one.startswith(tuple(f"{COLLECTION}.plugins.{up}" for up in above))}
        assert wrong == set(), name(path)


def test_what_runs_on_a_hypervisor_imports_the_standard_library_and_nothing_else() -> None:
    import sys

    for path in [*UTILS.rglob("*.py"), *(PLUGINS / "modules").glob("*.py")]:
        known = {*sys.stdlib_module_names, "ansible_collections", "ansible", "libvirt", "libvirt_qemu"}
        assert {one.split(".")[0] for one in imports(path)} <= known, name(path)


def lines_of_code(text: str) -> int:
    """Lines without documentation, comments and blanks."""
    parsed = ast.parse(text)
    told = {
        number
        for node in ast.walk(parsed)
        if isinstance(node, (ast.Expr, ast.Assign))
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        and (isinstance(node, ast.Expr) or node.col_offset == 0)
        for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    lines = enumerate(text.splitlines(), 1)
    return sum(bool(line.strip()) and not line.lstrip().startswith("#") and at not in told for at, line in lines)


@pytest.mark.parametrize("path", sorted((PLUGINS / "modules").glob("*.py")), ids=lambda path: path.stem)
def test_a_module_is_thin(path: Path) -> None:
    assert lines_of_code(path.read_text(encoding="utf-8")) <= 150


def test_lines_that_count() -> None:
    assert lines_of_code('D = r"""\nx\n"""\n# no\n\ndef f() -> None:\n    """Doc."""\n    return\n') == 2


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_every_source_has_its_licence(path: Path) -> None:
    head = path.read_text(encoding="utf-8")[:400]
    assert "GNU General Public License v3.0+" in head
    assert "SPDX-License-Identifier: GPL-3.0-or-later" in head


def test_one_version_everywhere() -> None:
    version = read_yaml(ROOT / "galaxy.yml")["version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert version == VERSION
    released = set(read_yaml(ROOT / "changelogs" / "changelog.yaml")["releases"])
    fragments = {path.stem for path in (ROOT / "changelogs" / "fragments").glob("*.yml")}
    summaries = {one for one in fragments if re.fullmatch(r"\d+\.\d+\.\d+", one)}
    assert summaries <= {version}
    assert version in summaries | released
