# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every task of every role and playbook."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.plugins.test import core
from jinja2 import Environment, meta

from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import Transfer
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.recovery import Act
from ansible_collections.kvmops.mobility.tests.unit.repository import (
    MODULES,
    ROLE_FILES,
    ROOT,
    documented_options,
    module_of,
    read_yaml,
    tasks_in,
    works_on_a_hypervisor,
)

PREFIX = "kvmops.mobility."
HOSTS = ("{{ kvmops_migration.source }}", "{{ kvmops_migration.destination }}")
WAY = ("{{ cold_resize_from }}", "{{ cold_resize_to }}")
"""Those two in the tasks that a move and a revert share."""
ON_THE_CONTROLLER = {
    f"ansible.builtin.{name}"
    for name in ("include_tasks", "include_role", "set_fact", "fail", "assert", "debug", "meta")
}
OPERATORS = frozenset(documented_options("migration_request")) | {"only_hosts", "all", "select", "query", "strategy"}
OPERATORS_ONLY = OPERATORS - {"capacity", "stop", "flavors", "groups", "operation", "playbooks_version"}
"""Those names come from kvmops_capacity and so on, never from the operator's command line."""
HOST_ROLES = ("libvirt_host", "nova_host", "ssh_trust")
"""Roles that run on the hypervisors themselves, not on a host that stands for a guest."""
PLAYBOOKS = tuple(sorted((ROOT / "playbooks").rglob("*.yml")))


def problems(text: str) -> list[str]:
    """What is wrong with the tasks of a role's file."""
    found = []
    for task in tasks_in(yaml.safe_load(text)):
        module = module_of(task)
        name = f"{task.get('name', '(no name)')}: {module}"
        ours = module.startswith(PREFIX)
        if ours and module[len(PREFIX) :] not in MODULES:
            found.append(f"{name}: there is no such module")
        elif ours and works_on_a_hypervisor(module[len(PREFIX) :]):
            if task.get("delegate_to") not in HOSTS + WAY:
                found.append(f"{name}: delegates to {task.get('delegate_to', 'nobody')}")
        elif ours and "delegate_to" in task:
            found.append(f"{name}: works on the controller, and delegates")
        elif not ours and (module not in ON_THE_CONTROLLER or "delegate_to" in task):
            found.append(f"{name}: another module on a host has no code for unreachable")
    return found


def host_problems(text: str) -> list[str]:
    """What is wrong with the tasks of a role that runs on the hypervisors: there, nothing is delegated but to here."""
    found = []
    for task in tasks_in(yaml.safe_load(text)):
        module = module_of(task)
        name = f"{task.get('name', '(no name)')}: {module}"
        if module.startswith(PREFIX) and module[len(PREFIX) :] not in MODULES:
            found.append(f"{name}: there is no such module")
        elif not module.startswith((PREFIX, "ansible.builtin.")):
            found.append(f"{name}: of another collection")
        if task.get("delegate_to", "localhost") != "localhost":
            found.append(f"{name}: delegates to {task['delegate_to']}")
    return found


GUEST_FILES = tuple(path for path in ROLE_FILES if path.parts[-3] not in HOST_ROLES)
HOST_FILES = tuple(path for path in ROLE_FILES if path not in GUEST_FILES)


@pytest.mark.parametrize("path", HOST_FILES, ids=lambda path: str(path.relative_to(ROOT / "roles")))
def test_a_role_for_hosts_works_where_it_runs(path: Path) -> None:
    assert host_problems(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "bad",
    [
        "- kvmops.mobility.ssh_trust_plans: {}",
        "- ansible.posix.authorized_key: {}",
        "- {kvmops.mobility.ssh_identity: {user: root}, delegate_to: c2}",
    ],
)
def test_a_task_of_such_a_role_that_strays_is_found(bad: str) -> None:
    assert len(host_problems(bad)) == 1


@pytest.mark.parametrize("path", GUEST_FILES, ids=lambda path: str(path.relative_to(ROOT / "roles")))
def test_every_task_that_works_on_a_hypervisor_delegates(path: Path) -> None:
    assert problems(path.read_text(encoding="utf-8")) == []


def test_there_are_roles_to_look_at() -> None:
    called = [module_of(task) for path in ROLE_FILES for task in tasks_in(read_yaml(path))]
    assert len(ROLE_FILES) >= 8
    assert len([one for one in called if one.startswith(PREFIX)]) >= 20


GOOD = """
- name: Stop
  kvmops.mobility.domain_hand_over: {migration: x}
  delegate_to: "{{ kvmops_migration.source }}"
"""


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (GOOD.replace("  delegate_to", "  # delegate_to"), "delegates to nobody"),
        (GOOD.replace("kvmops_migration.source", "inventory_hostname"), "delegates to {{ inventory_hostname }}"),
        ("- block:\n    - name: Stop\n      kvmops.mobility.domain_hand_over: {migration: x}\n", "nobody"),
        (
            "- block: []\n  rescue:\n    - block: []\n      always:\n        - kvmops.mobility.migration_undo: {}\n",
            "nobody",
        ),
        (GOOD.replace("domain_hand_over", "domain_hand_under"), "no such module"),
        (GOOD.replace("domain_hand_over", "migration_receipt"), "works on the controller"),
        ("- name: Copy\n  ansible.builtin.command: {argv: [rsync]}\n", "no code for unreachable"),
        ("- ansible.builtin.debug: {msg: x}\n  delegate_to: c1\n", "no code for unreachable"),
    ],
)
def test_a_task_that_forgets_is_found(bad: str, words: str) -> None:
    (problem,) = problems(bad)
    assert words in problem


@pytest.mark.parametrize(
    "good",
    [
        GOOD,
        "- delegate_to: '{{ kvmops_migration.source }}'\n  block:\n    - kvmops.mobility.migration_undo: {}\n",
        "- kvmops.mobility.migration_receipt: {}\n- ansible.builtin.set_fact: {a: 1}\n",
    ],
)
def test_a_task_that_remembers_is_not(good: str) -> None:
    assert problems(good) == []


# --- the operators' variables ------------------------------------------------------------------------------------

EXPRESSIONS = ("when", "that", "failed_when", "changed_when", "until", "loop")


class Anything(dict[str, Any]):
    """Filters and tests, those that Ansible adds to Jinja's own too."""

    def get(self, key: str, default: Any = None) -> Any:
        return super().get(key) or (lambda value, *_more: value)


def variables_in(found: Any, key: str = "") -> Iterator[str]:
    """Names of the variables that templates and bare expressions in a YAML file read."""
    if isinstance(found, dict):
        for inner, value in found.items():
            yield from variables_in(value, str(inner))
    elif isinstance(found, list):
        for value in found:
            yield from variables_in(value, key)
    elif isinstance(found, str):
        text = f"{{{{ {found} }}}}" if key in EXPRESSIONS and "{{" not in found else found
        environment = Environment(autoescape=True)
        environment.filters = Anything(environment.filters)
        environment.tests = Anything(environment.tests)
        yield from meta.find_undeclared_variables(environment.parse(text))


ROLE_YAML = tuple(sorted((ROOT / "roles").glob("*/*/*.yml")))


@pytest.mark.parametrize("path", ROLE_YAML, ids=lambda path: str(path.relative_to(ROOT / "roles")))
def test_no_role_reads_what_an_operator_typed(path: Path) -> None:
    """Extra vars beat every other variable: after plan, a guest's own datum is the only truth."""
    assert set(variables_in(read_yaml(path))) & OPERATORS_ONLY == set()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("- a: '{{ vm }}'", {"vm"}),
        ("- when: dest is defined", {"dest"}),
        ("- when: [x, flavor == 'm1']", {"x", "flavor"}),
        ("- a: {b: ['{{ y | default(probe) }}']}", {"y", "probe"}),
        ("- when: x is success and vm | ansible_filter", {"x", "vm"}),
        ("- a: '{{ kvmops_options.probe }} vm'", {"kvmops_options"}),
        ("- name: vm of the operator", set()),
    ],
)
def test_what_a_file_reads(text: str, names: set[str]) -> None:
    assert set(variables_in(yaml.safe_load(text))) == names


def test_the_names_that_are_meant() -> None:
    assert {"vm", "dest", "flavor", "vcpus", "memory_mib", "root_gib", "data", "probe", "force"} <= OPERATORS_ONLY


# --- playbooks ---------------------------------------------------------------------------------------------------


def plays() -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in PLAYBOOKS:
        for play in read_yaml(path):
            yield path, play


def test_every_role_that_is_named_exists() -> None:
    named = {str(play["vars"]["kvmops_role"]) for _path, play in plays() if "kvmops_role" in play.get("vars", {})}
    for path in ROLE_FILES:
        for task in tasks_in(read_yaml(path)):
            if module_of(task) == "ansible.builtin.include_role":
                full = task["ansible.builtin.include_role"]["name"]
                assert full.startswith(PREFIX)
                named.add(full[len(PREFIX) :])
    assert named >= {"cold_resize", "confirm_resize", "revert_resize", "receipt"}
    for name in named:
        assert (ROOT / "roles" / name / "tasks" / "main.yml").is_file(), name


def test_every_playbook_that_is_imported_exists() -> None:
    imported = [(path, play["ansible.builtin.import_playbook"]) for path, play in plays() if "hosts" not in play]
    assert len(imported) >= 8
    for path, name in imported:
        assert (path.parent / name).is_file(), f"{path}: {name}"


def included(name: str) -> tuple[str, ...]:
    """The files it may mean: recover includes what was decided, when there is something to do; a move, its transfer."""
    if "{{" not in name:
        return (name,)
    variable = "kvmops_recovery.act" if "kvmops_recovery" in name else "kvmops_migration.transfer"
    values = {
        "kvmops_recovery.act": [act.value for act in set(Act) - {Act.NOTHING, Act.WAIT, Act.ASK}],
        "kvmops_migration.transfer": [one.value for one in Transfer],
    }
    return tuple(name.replace(f"{{{{ {variable} }}}}", value) for value in values[variable])


def test_every_task_file_that_is_included_exists() -> None:
    for path in ROLE_FILES:
        for task in tasks_in(read_yaml(path)):
            if module_of(task) == "ansible.builtin.include_tasks":
                for name in included(task["ansible.builtin.include_tasks"]):
                    assert (path.parent / name).is_file(), f"{path}: {name}"


def test_every_flow_begins_at_the_gate() -> None:
    for path in sorted((ROOT / "playbooks").glob("*.yml")):
        first = read_yaml(path)[0]["ansible.builtin.import_playbook"]
        if first == "flow/run.yml":
            first = f"flow/{read_yaml(ROOT / 'playbooks' / 'flow' / 'run.yml')[0]['ansible.builtin.import_playbook']}"
        assert first == "flow/gate.yml", path


def test_every_option_that_a_task_gives_is_known() -> None:
    files = [(path, tasks_in(read_yaml(path))) for path in ROLE_FILES]
    files += [(path, tasks_in(play.get("tasks"))) for path, play in plays()]
    seen = 0
    for path, tasks in files:
        for task in tasks:
            module = module_of(task)
            if module.startswith(PREFIX):
                unknown = set(task[module] or {}) - set(documented_options(module[len(PREFIX) :]))
                assert unknown == set(), f"{path}: {task['name']}"
                seen += 1
    assert seen >= 30


_TAKEN = pytest.mark.parametrize(
    ("taken", "back"),
    [
        (None, True),
        ({"skipped": True, "changed": False}, True),
        ({"failed": False, "changed": False, "code": "MIRROR_NOT_PROVEN"}, True),
        ({"failed": True, "changed": False, "code": "HOST_UNREACHABLE"}, False),
        ({"failed": True, "changed": True, "code": "DOMAIN_START_FAILED"}, False),
    ],
)


@_TAKEN
def test_the_source_waits_only_for_a_destination_that_may_have_begun_to_take_over(
    taken: dict[str, Any] | None, back: bool
) -> None:
    tasks = read_yaml(ROOT / "roles/cold_resize/tasks/undo.yml")
    (task,) = (one for one in tasks if one["name"].endswith("done on the source"))
    known = {"cold_resize_undone_there": {"failed": True, "changed": False}}
    assert _holds(task["when"], known if taken is None else {**known, "cold_resize_taken": taken}) is back


@_TAKEN
def test_in_a_revert_the_destination_waits_only_for_a_source_that_may_have_begun(
    taken: dict[str, Any] | None, back: bool
) -> None:
    tasks = read_yaml(ROOT / "roles/revert_resize/tasks/undo.yml")
    (task,) = (one for one in tasks if one["name"].endswith("done on the destination"))
    undoing, waiting = task["when"]
    assert undoing == "revert_resize_undoing"
    known = {"revert_resize_undone_here": {"failed": True, "changed": False}}
    assert _holds(waiting, known if taken is None else {**known, "cold_resize_taken": taken}) is back
    if taken is not None:
        assert _holds(waiting, {**known, "revert_resize_taken": taken}) is False


@pytest.mark.parametrize(
    ("moved", "arrived", "ended", "ends", "back"),
    [
        # what the steps came to, then whether the job is ended, and whether both sides are taken back
        pytest.param(None, None, {"skipped": True}, False, True, id="never asked for"),
        pytest.param({"failed": True}, None, {"failed": False}, True, True, id="the guest goes on here"),
        pytest.param({"failed": True}, None, {"failed": True}, True, False, id="nobody knows where it is"),
        pytest.param({"failed": False}, {"failed": True}, {"failed": True}, True, False, id="it has left"),
        pytest.param({"failed": False}, {"failed": False}, {"skipped": True}, False, False, id="it has arrived"),
    ],
)
def test_a_live_migration_is_taken_back_only_from_a_source_that_has_the_guest(
    moved: dict[str, Any] | None, arrived: dict[str, Any] | None, ended: dict[str, Any], ends: bool, back: bool
) -> None:
    ending, there, here = read_yaml(ROOT / "roles/live_migrate/tasks/take_back.yml")
    known = {"live_migrate_moved": moved, "live_migrate_arrived": arrived}
    known = {name: {"changed": False, **one} for name, one in known.items() if one is not None}
    assert ending["kvmops.mobility.migration_undo"]["only"] == ["live"]
    assert _holds(ending["when"], known) is ends
    known["live_migrate_ended"] = {"changed": False, **ended}
    condition, not_there = here["when"]
    assert _holds(there["when"], known) is back
    assert _holds(condition, known) is back
    for code, still in (("GUEST_RUNS_HERE", False), ("HOST_UNREACHABLE", True)):
        undone = {"failed": True, "changed": False, "code": code}
        assert _holds(not_there, {**known, "live_migrate_undone_there": undone}) is still


def _holds(condition: str, variables: dict[str, Any]) -> bool:
    jinja = Environment()
    jinja.tests.update(core.TestModule().tests())
    return bool(jinja.compile_expression(condition, undefined_to_none=False)(**variables))
