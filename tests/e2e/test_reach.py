# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A hypervisor that is silent, one that is not who it was, and a destination that is left to us to choose."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from ansible_collections.kvmops.mobility.tests.e2e import lab, snapshot
from ansible_collections.kvmops.mobility.tests.e2e.lab import View
from ansible_collections.kvmops.mobility.tests.e2e.play import INVENTORY, Run, play
from ansible_collections.kvmops.mobility.tests.e2e.snapshot import Snapshot

WITH_SILENT = (INVENTORY, Path(__file__).resolve().parent / "inventories/silent.yml")
ROAMING = "e2e-roaming"
WARY = "e2e-wary"
NOBODY = "e2e-nobody"
PINS = "/var/lib/kvmops-home/.ssh/known_hosts"
OTHER = "/root/e2e-other"
FORGE = (
    f"set -e; ssh-keygen -q -t ed25519 -N '' -f {OTHER}; cp -p {PINS} {PINS}.e2e; sed -i '/^c2,/d' {PINS}; "
    f"sed 's/^/c2,{lab.ADDRESSES['c2']} /' {OTHER}.pub >> {PINS}; rm {OTHER} {OTHER}.pub"
)
"""Takes c2's keys out of what c1 knows and puts in one that c2 does not have."""


@pytest.fixture(scope="module")
def guests() -> Iterator[Mapping[str, View]]:
    """One that runs, one that is off, both on c1."""
    try:
        lab.parallel(lambda name: lab.create(name, *(["--off"] if name == WARY else [])), [ROAMING, WARY])
        yield lab.verify_all([ROAMING, WARY])
    finally:
        lab.destroy(ROAMING, WARY)


@dataclass(frozen=True)
class Stage:
    """A call, and the hosts before and after it."""

    run: Run
    before: Snapshot
    after: Snapshot


@pytest.fixture(scope="module")
def another_host(guests: Mapping[str, View]) -> Stage:
    """A move of the guest that is off, while c2 has other host keys than c1 knows."""
    before = snapshot.take()
    lab.shell("c1", FORGE)
    try:
        run = play("migrate", {"vm": WARY, "dest": "c2"})
    finally:
        lab.shell("c1", f"mv {PINS}.e2e {PINS}")
    return Stage(run, before, snapshot.take())


def test_a_silent_hypervisor_is_named_where_it_matters(guests: Mapping[str, View]) -> None:
    before = snapshot.take()
    run = play("migrate", {"vm": [NOBODY, ROAMING], "dest": "c3"}, inventory=WITH_SILENT)
    assert run.code != 0
    lost = run.findings(NOBODY)
    assert set(lost) == {"HYPERVISOR_UNREACHABLE"}
    assert NOBODY in lost["HYPERVISOR_UNREACHABLE"]
    assert re.search(r"\(c3: .*198\.51\.100\.77.*No route to host\)", lost["HYPERVISOR_UNREACHABLE"])
    away = run.findings(ROAMING)
    assert set(away) == {"DEST_UNREACHABLE"}
    assert f"c3, the destination of {ROAMING}" in away["DEST_UNREACHABLE"]
    assert snapshot.difference(before, snapshot.take()) == []


def test_a_host_key_that_changed_is_found_before_anything_is_changed(another_host: Stage) -> None:
    run = another_host.run
    assert run.code != 0
    found = run.findings(WARY)
    assert set(found) == {"HOST_KEY_CHANGED"}
    assert re.search(rf"c1 cannot reach c2, .*it offers .*, but {PINS}:\d+ has SHA256:\S+\.", found["HOST_KEY_CHANGED"])


def test_then_nothing_was_changed(guests: Mapping[str, View], another_host: Stage) -> None:
    assert lab.verify(WARY) == guests[WARY]
    assert snapshot.difference(another_host.before, another_host.after) == []


def test_the_last_line_says_so_also_when_it_was_the_only_guest(another_host: Stage) -> None:
    line = another_host.run.last_lines()[WARY]
    assert line.startswith(f"{WARY}: refused, nothing was changed: HOST_KEY_CHANGED: ")
    assert "kvmops.mobility.repair_trust" in line
    assert f"GUESTS_FAILED: 1 of 1 guests: {WARY}." in another_host.run.failures()[-1]


@pytest.fixture(scope="module")
def roamed(guests: Mapping[str, View]) -> Run:
    """A cold move of the guest that runs, to wherever there is room, while one hypervisor is silent."""
    return play("migrate", {"vm": ROAMING, "dest": "auto"}, inventory=WITH_SILENT)


def test_auto_takes_the_hypervisor_that_passes(guests: Mapping[str, View], roamed: Run) -> None:
    assert roamed.code == 0, roamed.output
    assert roamed.last_lines()[ROAMING] == f"{ROAMING}: VERIFY_RESIZE, on c2"
    view = lab.verify(ROAMING)
    assert (view.host, view.state, view.problems) == ("c2", "running", ())
    assert view.size == guests[ROAMING].size
    assert view.sums == guests[ROAMING].sums


def test_status_says_who_is_silent(roamed: Run) -> None:
    run = play("status", inventory=WITH_SILENT)
    assert run.code == 0
    assert f"{ROAMING}  migrate c1 -> c2  VERIFY_RESIZE" in run.output
    assert re.search(r"^no answer from c3: .*198\.51\.100\.77.*No route to host$", run.output, re.MULTILINE)


def test_a_migrate_is_reverted_like_a_resize(guests: Mapping[str, View], roamed: Run) -> None:
    run = play("revert", {"vm": ROAMING, "data": "discard"}, inventory=WITH_SILENT)
    assert run.code == 0, run.output
    assert lab.verify(ROAMING) == guests[ROAMING]
