# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What operators read for a status: Nova's names, which are others for live migrations than for cold ones. Pure.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._live.model import Stage
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Entry, Event, Phase, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Migration
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.state import NOVA_STATUS, Status

_LIVE = {Status.PRE_MIGRATING: "preparing", Status.MIGRATING: "running", Status.POST_MIGRATING: "completing"}
_POST_COPY = (Stage.POST_COPY.value, Stage.POST_COPY_PAUSED.value)


def shown_status(
    migration: Migration,
    status: Status,
    source: Sequence[Entry],
    destination: Sequence[Entry],
    report: Mapping[str, Any] | None = None,
) -> str:
    """The status of *migration* in words; *report* is what the unit that watches a live one has told last."""
    if migration.live is None:
        return NOVA_STATUS.get(status, status.value)
    if status is Status.PRE_MIGRATING and not destination:
        return "queued"
    if status is Status.FAILED and _was_aborted(source):
        return "cancelled"
    if status is Status.MIGRATING and _stage(report) in _POST_COPY:
        return f"running ({_stage(report)})"
    return _LIVE.get(status, status.value)


def _stage(report: Mapping[str, Any] | None) -> str:
    sample = (report or {}).get("sample") or {}
    return str(sample.get("stage", ""))


def _was_aborted(source: Sequence[Entry]) -> bool:
    failed = [e for e in source if (e.phase, e.step, e.event, e.effect) == (Phase.MOVE, Step.LIVE, Event.FAIL, "")]
    return bool(failed) and failed[-1].result.get("code") == "LIVE_ABORTED"
