# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run on a host of the lab: the journals of some guests' migrations."""

from __future__ import annotations

import json
import pathlib
from typing import Any

MIGRATIONS = pathlib.Path("/var/lib/kvmops/migrations")


def main(names: list[str]) -> dict[str, list[dict[str, Any]]]:
    """The lines of every migration of each guest, oldest first."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for record in MIGRATIONS.glob("*/record.json"):
        name = json.loads(record.read_text(encoding="utf-8"))["migration"]["name"]
        if name in found:
            lines = (record.parent / "journal.jsonl").read_text(encoding="utf-8").splitlines()
            found[name] += [json.loads(line) for line in lines]
    return {name: sorted(lines, key=lambda line: float(line["at"])) for name, lines in found.items()}
