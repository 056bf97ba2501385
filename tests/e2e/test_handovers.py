# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mirrored hand-overs of guests that write and fsync all the while: what arrives is what was there, bit by bit.

Two of each kind by default; KVMOPS_HANDOVERS=25 in the environment makes it that many of each. What was found is kept
in tests/output/handovers.json.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.kvmops.mobility.tests.e2e import lab
from ansible_collections.kvmops.mobility.tests.e2e.lab import HOSTS, PREFIX, ROOT
from ansible_collections.kvmops.mobility.tests.e2e.play import PATIENT, ROOMY, play

TIMES = int(os.environ.get("KVMOPS_HANDOVERS", "2"))
KEPT = ROOT / "tests/output/handovers.json"
RUN = Path(f"/var/lib/kvmlab{f'-{lab.INSTANCE}' if lab.INSTANCE else ''}")
IMAGES = {host: str(RUN / f"hosts/{host}/storage/images") for host in HOSTS}
GRACEFUL, FORCED = f"{PREFIX}graceful", f"{PREFIX}forced"
LOAD = ("--load", "disk=1")
KINDS: dict[str, tuple[tuple[str, ...], dict[str, object]]] = {
    GRACEFUL: ((), {**PATIENT}),
    FORCED: (("--ignore-acpi",), {"timeout_s": 1, "retry_interval_s": 1, "on_timeout": "force"}),
}


@pytest.fixture(scope="module")
def found() -> Iterator[list[dict[str, object]]]:
    """One entry for each comparison, kept at the end."""
    entries: list[dict[str, object]] = []
    yield entries
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    KEPT.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")


@pytest.mark.parametrize("name", KINDS)
def test_what_arrives_is_what_was_there(
    name: str, found: list[dict[str, object]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, stop = KINDS[name]
    lab.create(name, *LOAD, *options)
    compared = tmp_path / "compared.jsonl"
    monkeypatch.setenv("KVMOPS_E2E_COMPARED", str(compared))
    monkeypatch.setenv("KVMOPS_E2E_IMAGES", json.dumps(IMAGES))
    try:
        for number in range(TIMES):
            move(name, HOSTS[(number + 1) % 2], stop)
        entries = [json.loads(line) for line in compared.read_text(encoding="utf-8").splitlines()]
        found += [{"guest": name, **one} for one in entries]
        assert [one["said"] for one in entries if not one["identical"]] == []
        assert len(entries) == TIMES
    finally:
        lab.destroy(name)


def move(name: str, dest: str, stop: dict[str, object]) -> None:
    """There, with the guest's own records whole; the way back is free again."""
    given = {"vm": name, "dest": dest, "transfer": "mirror", "kvmops_capacity": ROOMY, "kvmops_stop": stop}
    moved = play("migrate", given, timeout_s=400)
    assert moved.code == 0, moved.output
    view = lab.verify(name, timeout_s=240)
    assert (view.host, view.problems) == (dest, ())
    confirmed = play("confirm", {"vm": name, "force": True}, timeout_s=400)
    assert confirmed.code == 0, confirmed.output
