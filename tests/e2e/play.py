# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs playbooks as an operator does, bounded, and reads what they printed and returned."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.kvmops.mobility.tests.e2e.lab import INSTANCE, ROOT

ANSIBLE_PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
INVENTORY = ROOT / "tests/lab" / ("instance.yml" if INSTANCE else "inventory.yml")
ROOMY = {"cpu_ratio": 1000, "memory_ratio": 100, "disk_ratio": 1000}
"""Ratios under which two small hosts take all the guests of a test: capacity is what other tests are about."""
PATIENT = {"timeout_s": 60, "retry_interval_s": 3}


@dataclass(frozen=True)
class TaskResult:
    """What one task returned on one host."""

    host: str
    task: str
    action: str
    outcome: str
    began: float
    ended: float
    result: Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """One call of ansible-playbook."""

    code: int
    output: str
    results: tuple[TaskResult, ...]
    stats: Mapping[str, Any] = field(default_factory=dict)

    def of(self, action: str) -> tuple[Mapping[str, Any], ...]:
        """What every task of our module *action* returned."""
        return tuple(one.result for one in self.results if one.action.rpartition(".")[2] == action)

    def planned(self) -> dict[str, Mapping[str, Any]]:
        """What the plan says of each guest, by the name it was asked for with."""
        plans = self.of("migration_plan")
        assert plans, f"the plan was not reached:\n{self.output}"
        return {guest["subject"]: guest for guest in plans[-1].get("guests", ())}

    def findings(self, guest: str, severity: str = "block") -> dict[str, str]:
        """The blocking codes that the plan found for *guest*, each with its message."""
        found = self.planned()[guest]["findings"]
        return {one["code"]: f"{one['subject']}: {one['message']}" for one in found if one["severity"] == severity}

    def failures(self) -> list[str]:
        """The messages of the tasks that failed."""
        return [str(one.result.get("msg", "")) for one in self.results if one.outcome in ("failed", "unreachable")]

    def last_lines(self) -> dict[str, str]:
        """What the run says at its end of each guest."""
        after = self.output.rpartition("TASK [Say what became of each guest]")[2].splitlines()[1:]
        lines = [line for line in after[: _end(after)] if line]
        return {line.partition(":")[0].partition(" is in ")[0]: line for line in lines}

    def receipt(self, guest: str) -> Mapping[str, Any]:
        """The guest's receipt from the statistics of the run."""
        data: Mapping[str, Any] = self.stats[f"kvmops_{guest}"]
        return data


def _end(lines: Sequence[str]) -> int:
    """Where Ansible's own words about the task begin."""
    words = ("[ERROR]", "fatal:", "ok:")
    return next((number for number, line in enumerate(lines) if line.startswith(words)), len(lines))


def play(
    playbook: str,
    variables: Mapping[str, Any] | None = None,
    *options: str,
    inventory: Sequence[Path] = (INVENTORY,),
    timeout_s: float = 240,
) -> Run:
    """Run one of our playbooks, or the file at a path, with extra variables given as JSON."""
    name = playbook if "/" in playbook else f"kvmops.mobility.{playbook}"
    given = {"kvmops_capacity": ROOMY, "kvmops_stop": PATIENT, **(variables or {})}
    where = [word for path in inventory for word in ("-i", str(path))]
    argv = [str(ANSIBLE_PLAYBOOK), *where, name, "-e", json.dumps(given), *options]
    with tempfile.TemporaryDirectory(prefix="kvmops-e2e-") as scratch:
        results = Path(scratch) / "results.jsonl"
        done = subprocess.run(
            argv,
            env={**os.environ, **_environment(results)},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    return _parse(done.returncode, done.stdout, [json.loads(line) for line in lines])


def _environment(results: Path) -> dict[str, str]:
    return {
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".tree"),
        "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).resolve().parent / "callback"),
        "ANSIBLE_NOCOLOR": "1",
        "KVMOPS_E2E_RESULTS": str(results),
    }


def _parse(code: int, output: str, lines: Sequence[Mapping[str, Any]]) -> Run:
    tasks = tuple(TaskResult(**line) for line in lines if "stats" not in line)
    stats: Mapping[str, Any] = next((line["stats"] for line in lines if "stats" in line), {})
    return Run(code, output, tasks, stats)
