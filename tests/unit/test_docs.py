# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documents say is what is there."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from ansible_collections.kvmops.mobility.plugins.module_utils._checks.codes import CODES

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(one.name for one in (ROOT / "roles").iterdir() if one.is_dir())
PAGES = sorted(
    [ROOT / "README.md", *ROOT.glob("docs/docsite/rst/*.rst"), *ROOT.glob("roles/*/README.md")],
    key=str,
)
PLAYBOOKS = sorted(one.stem for one in ROOT.glob("playbooks/*.yml"))
RESULTS = "tests/faults/kvmfaults/results.py"
MODULES = sorted(one.stem for one in ROOT.glob("plugins/modules/*.py"))


def read_yaml(path: Path) -> Any:
    """The document in *path*, an empty mapping when there is no such file."""
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}


def readme_variables() -> list[str]:
    """The first column of the README's table of variables."""
    table = (ROOT / "README.md").read_text(encoding="utf-8").split("| variable |")[1].split("\n\n")[0]
    return re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)


def variables_read() -> set[str]:
    """What the playbooks read, and the defaults of roles."""
    books = "\n".join(one.read_text(encoding="utf-8") for one in ROOT.glob("playbooks/**/*.yml"))
    read = set(re.findall(r"\{\{ (\w+) \| default\(", books)) | set(re.findall(r"\[(\w+)\] \| flatten", books))
    return read | {name for role in ROLES for name in read_yaml(ROOT / "roles" / role / "defaults/main.yml")}


def load(path: str) -> ModuleType:
    """A file that is no part of a package that is on the path."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    if spec is None or spec.loader is None:
        pytest.fail(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    # A dataclass looks its module up by name.
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
    return module


def test_page_of_codes_is_what_the_generator_makes() -> None:
    codes = load("tools/docs_codes.py")
    assert codes.PAGE.read_text(encoding="utf-8") == codes.page(), "run tools/docs-codes"


def test_page_of_codes_has_every_code_once() -> None:
    listed = [doc.code for group in load("tools/docs_codes.py").groups() for doc in group.docs]
    assert sorted(listed) == sorted(CODES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_playbooks_that_are_named_exist(page: Path) -> None:
    named = re.findall(
        r"ansible-playbook (?:-\S+ \S+ )*kvmops\.mobility\.(\w+)(?! \(planned\))", page.read_text("utf-8")
    )
    assert set(named) <= set(PLAYBOOKS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_collection_names_exist(page: Path) -> None:
    named = re.findall(r"(?<!ansible_collections\.)\bkvmops\.mobility\.([a-z]\w+)", page.read_text("utf-8"))
    assert set(named) <= {*PLAYBOOKS, *MODULES, *ROLES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_codes_that_are_named_exist(page: Path) -> None:
    named = re.findall(r"`([A-Z]+(?:_[A-Z0-9]+)+)`", page.read_text("utf-8"))
    assert set(named) <= {*CODES, "VERIFY_RESIZE"}


def test_variables_of_the_readme_are_read() -> None:
    assert readme_variables()
    assert set(readme_variables()) <= variables_read()


def test_readme_has_every_variable_that_is_read() -> None:
    internal = {"kvmops_operation", "kvmops_role", "kvmops_ways", "ansible_limit", "receipt_error", "receipt_journals"}
    assert {one for one in variables_read() if not one.startswith("_")} <= {*readme_variables(), *internal}


@pytest.mark.parametrize("role", ROLES)
def test_role_says_what_it_takes(role: str) -> None:
    home = ROOT / "roles" / role
    assert (home / "README.md").is_file()
    options = read_yaml(home / "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    specified = {name: option["default"] for name, option in options.items() if "default" in option}
    assert specified == (read_yaml(home / "defaults/main.yml") or {})
    assert all(option.get("required") for name, option in options.items() if name not in specified)


@pytest.mark.parametrize("role", ROLES)
def test_role_reads_no_input_it_does_not_specify(role: str) -> None:
    home = ROOT / "roles" / role
    options = read_yaml(home / "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    tasks = "\n".join(one.read_text(encoding="utf-8") for one in home.glob("tasks/*.yml"))
    made = set(re.findall(rf"(?:register: |^\s+)({role}_\w+)(?::|$)", tasks, re.MULTILINE))
    read = set(re.findall(rf"(?<![\w.'])((?:kvmops|{role})_\w+)", tasks)) - made
    internal = home / "vars/main.yml"
    assert read <= {*options, *(read_yaml(internal) if internal.exists() else ())}


def test_the_figure_of_the_fault_bench_is_that_of_the_kept_results() -> None:
    results = load(RESULTS)
    assert results.in_readme() == results.figure(), "run tools/faults --readme"


def test_every_kept_case_held() -> None:
    counted = load(RESULTS).kept_summary()
    assert counted["cases"] >= 120
    assert counted["held"] == counted["cases"]
