# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of M(kvmops.mobility.disk_mirror)."""

from __future__ import annotations

import time
from typing import Any

from ansible.utils.display import Display

from ansible_collections.kvmops.mobility.plugins.module_utils._domain.size import human_bytes
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer import progress
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer.progress import Sample
from ansible_collections.kvmops.mobility.plugins.plugin_utils import _options
from ansible_collections.kvmops.mobility.plugins.plugin_utils._step import StepAction

_RESULTS_KEPT = ("files", "steps")
"""What the first call returns, and the later ones do not know."""


class ActionModule(StepAction):
    """Short calls, one after the other, until every disk is ready, with a line for each that says how far it is."""

    LABEL = "mirroring disks"
    DEADLINE_S = 3900  # the first call also sends the other files, for which it has an hour
    HEARTBEAT_S = 60.0  # each call is followed by a line

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The result of the last call, with what only the first one tells."""
        given = dict(self._task.args)
        try:
            patience_s, throttle = _options.number(given, "patience_s", 120), _options.flag(given, "throttle")
        except MobilityError as error:
            return {"failed": True, **error.as_result()}
        limit: dict[str, int] = {}
        started: list[str] = []
        history: list[Sample] = []
        kept: dict[str, Any] = {}
        while True:
            result = super().run(tmp, task_vars)
            for key in _RESULTS_KEPT:
                kept.setdefault(key, result.get(key))
            if result.get("failed") or "ready" not in result or result["ready"]:
                break
            Display().display(f"{result['ran_on']}: {_line(result)}")
            if result["started"] == started:
                history.append(Sample(time.monotonic(), result["done_bytes"], result["total_bytes"]))
            else:
                history.clear()  # a disk that was started just now is more to be copied, which no guest wrote
            started = result["started"]
            if progress.stands_still(history, patience_s):
                if not throttle or limit:
                    result.update({"failed": True, **_hopeless(result, patience_s).as_result()})
                    break
                limit = {"write_limit_bytes_s": _half(history)}
                history.clear()
            self._task.args = {**given, "started": started, **limit}
        self._task.args = given
        return {**result, **{key: value for key, value in kept.items() if value is not None}}


def _half(history: list[Sample]) -> int:
    """Of what the link carries, bytes a second: it leaves the copy as much as the guest."""
    return max(1, round(progress.rate_bytes_s(history) / 2))


def _line(result: dict[str, Any]) -> str:
    done, total = result["done_bytes"], result["total_bytes"]
    percent = 100 * done / total if total else 0.0
    rate = human_bytes(result["rate_bytes_s"])
    return f"mirrored {percent:.0f} % ({human_bytes(done)} of {human_bytes(total)}, {rate} a second)"


def _hopeless(result: dict[str, Any], patience_s: float) -> MobilityError:
    return MobilityError(
        "MIRROR_NOT_CONVERGING",
        str(result["ran_on"]),
        f"for {patience_s:.0f} s the mirror came no closer to its end: {_line(result)}. "
        "The guest writes as fast as the link carries.",
        "Wait until it writes less, allow its writes to be throttled (cold_resize_mirror_throttle=true), or use "
        "transfer=rsync.",
    )
