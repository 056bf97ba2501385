# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the measurement of surveys with many closed migrations looks at."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.kvmops.mobility.bench import records
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import closed
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.store import Store
from ansible_collections.kvmops.mobility.plugins.module_utils._survey import hypervisor


@pytest.mark.parametrize(
    ("noted", "archived", "counts"), [(True, False, (3, 0)), (True, True, (0, 3)), (False, False, (0, 0))]
)
def test_they_are_closed_however_they_are_kept(
    tmp_path: Path, noted: bool, archived: bool, counts: tuple[int, int]
) -> None:
    store = Store(str(tmp_path))
    records.fill(store, 3, noted=noted, archived=archived)
    assert (len(closed.read_all(store)), len(closed.read_all(store, archived=True))) == counts
    assert len(store.migrations()) + len(store.archived()) == 3
    assert hypervisor.claims(store) == ()


def test_ratios_are_of_the_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {"none": 2.0, "noted": 3.0}
    monkeypatch.setattr(records, "once", lambda _module, state: seconds[state.name])
    found = records.measure({name: Path(name) for name in seconds}, repeats=3)
    assert [(one["state"], one["ratio"]) for one in found] == [("none", 1.0), ("noted", 1.5)] * len(records.MODULES)


def test_what_is_kept_is_within_the_limit() -> None:
    """The survey of a plan."""
    path = Path(records.__file__).parent / "results" / "records.json"
    kept = json.loads(path.read_text(encoding="utf-8"))
    ratios = [
        one["ratio"] for one in kept["runs"] if one["module"] == "hypervisor_info" and one["state"] != "not noted"
    ]
    assert len(ratios) == 3
    assert max(ratios) <= kept["limit"] == records.LIMIT
