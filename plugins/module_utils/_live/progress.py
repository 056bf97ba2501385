# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a live migration is, in one line. Pure.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._domain.size import human_bytes
from ansible_collections.kvmops.mobility.plugins.module_utils._live.model import Sample, Stage

_MIB = 2**20


def progress(state: Mapping[str, Any]) -> str:
    """How far a live migration is, in one line; *state* is what its unit has told."""
    if not state or not state.get("sample"):
        return "live migration: nothing is copied yet"
    seen = Sample.from_result(state["sample"])
    words = [f"live migration: {seen.stage.value}, {seen.elapsed_s:.0f} s"]
    if seen.stage is Stage.DISKS:
        words.append(f"{human_bytes(seen.disk_remaining)} of {human_bytes(seen.disk_total)} of the disks left")
    elif seen.stage not in (Stage.PREPARING, Stage.ENDING):
        words += _memory(seen)
    return ", ".join(words)


def _memory(seen: Sample) -> list[str]:
    """Iteration, what is left, how fast it goes and how fast it grows, and what is done about it."""
    words = [
        f"iteration {seen.iteration}",
        f"{human_bytes(seen.memory_remaining)} of {human_bytes(seen.memory_total)} of the memory left",
        f"{seen.memory_bytes_s / _MIB:.0f} MiB/s",
        f"dirtied at {seen.dirty_bytes_s / _MIB:.0f} MiB/s",
    ]
    if seen.throttle_percent:
        words.append(f"guest slowed down by {seen.throttle_percent} %")
    if seen.downtime_limit_ms:
        words.append(f"downtime limit {seen.downtime_limit_ms} ms")
    return words
