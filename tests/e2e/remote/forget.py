# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run on a host of the lab: removes what was kept of the migrations of some guests, so that tests do not meet."""

from __future__ import annotations

import json
import pathlib
import shutil

RECORDS = pathlib.Path("/var/lib/kvmops")


def main(names: list[str]) -> list[str]:
    """Remove records, journals and locks of the guests with these names; the ids that were removed."""
    gone = []
    for record in RECORDS.glob("migrations/*/record.json"):
        migration = json.loads(record.read_text(encoding="utf-8"))["migration"]
        if migration["name"] in names:
            gone.append(migration["id"])
            shutil.rmtree(record.parent)
            (RECORDS / "locks" / f"{migration['uuid']}.json").unlink(missing_ok=True)
    return gone
