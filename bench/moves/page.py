# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results for people: a line as they come."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def line(key: Mapping[str, Any], run: Mapping[str, Any]) -> str:
    """One run as it is shown when it has ended."""
    head = f"{key['cell']:14} {key['method']:17} {key['repeat']}"
    if not run["ok"]:
        return f"{head}  FAILED: {run['error']}"
    between = "   ?" if run["between_s"] is None else f"{run['between_s']:6.2f}"
    return (
        f"{head}  outage {run['outage_s']:7.2f} s, between {between} s, wall {run['wall_s']:7.1f} s, "
        f"{run['wire_bytes'] / 2**20:8.1f} MiB, CPU {run['cpu_both_s']:6.1f} s, +{run['peak_both_mib']:.0f} MiB"
    )


def write(results: Path) -> int:
    """To come."""
    return 1
