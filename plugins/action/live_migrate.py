# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of M(kvmops.mobility.live_migrate)."""

from __future__ import annotations

from typing import Any

from ansible.utils.display import Display

from ansible_collections.kvmops.mobility.plugins.module_utils._live.progress import progress
from ansible_collections.kvmops.mobility.plugins.plugin_utils._step import StepAction

_RESULTS_KEPT = ("steps", "live_asked_at")
"""What the first call returns, and the later ones do not know."""


class ActionModule(StepAction):
    """Short calls, one after the other, until it is over, with a line for each that says how far it is."""

    LABEL = "migrating"
    DEADLINE_S = 180
    HEARTBEAT_S = 60.0  # each call is followed by a line

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The result of the last call, with what only the first one tells."""
        given = dict(self._task.args)
        kept: dict[str, Any] = {}
        told = 0
        while True:
            result = super().run(tmp, task_vars)
            for key in _RESULTS_KEPT:
                kept.setdefault(key, result.get(key))
            if result.get("failed") or result.get("ended") is not False:
                break
            state = result["state"]
            for line in (*state.get("done", ())[told:], progress(state)):
                Display().display(f"{result['ran_on']}: {line}")
            told = len(state.get("done", ()))
            self._task.args = {**given, "started": True}
        self._task.args = given
        return {**result, **{key: value for key, value in kept.items() if value is not None}}
