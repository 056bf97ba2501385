# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A callback plugin of the tests: every task's result and the run's statistics, as lines of JSON in a file."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: e2e_results
type: notification
short_description: Results as lines of JSON, for the tests
description: Writes what each task returned to the file that the environment variable E(KVMOPS_E2E_RESULTS) names.
"""


class CallbackModule(CallbackBase):
    """Results on the way to pytest."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "e2e_results"

    def __init__(self) -> None:
        super().__init__()
        self._path = os.environ.get("KVMOPS_E2E_RESULTS", "")
        self._began: dict[tuple[str, str], float] = {}

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        """Note when."""
        self._began[host.get_name(), task._uuid] = time.time()

    def v2_runner_on_ok(self, result: Any) -> None:
        """Write it."""
        self._note(result, "ok")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Write it."""
        self._note(result, "ignored" if ignore_errors else "failed")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Write it."""
        self._note(result, "unreachable")

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Write what set_stats collected for the run."""
        self._write({"stats": stats.custom.get("_run", {})})

    def _note(self, result: Any, outcome: str) -> None:
        host, task = result._host.get_name(), result._task
        now = time.time()
        self._write(
            {
                "host": host,
                "task": task.get_name(),
                "action": task.action,
                "outcome": outcome,
                "began": self._began.get((host, task._uuid), now),
                "ended": now,
                "result": result._result,
            }
        )

    def _write(self, line: dict[str, Any]) -> None:
        if self._path:
            with open(self._path, "a", encoding="utf-8") as results:
                results.write(json.dumps(line, default=str) + "\n")
