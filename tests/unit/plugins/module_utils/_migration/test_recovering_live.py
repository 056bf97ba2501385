# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recovery of a live migration: every pair of sides, in every state of the books."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._migration.closing import Known
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Entry, Event, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.plan import plan
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.recovery import (
    Act,
    Case,
    Decision,
    Prefer,
    Side,
    decide,
)
from ansible_collections.kvmops.mobility.tests.unit.builders import request, site
from ansible_collections.kvmops.mobility.tests.unit.flows import LIVE, journals, line, whole
from ansible_collections.kvmops.mobility.tests.unit.lively import live

Journals = tuple[tuple[Entry, ...], tuple[Entry, ...]]
LONG_AGO = 3600.0
RUNS = Side(True, "running", idle_s=LONG_AGO)
PAUSED = Side(True, "paused", idle_s=LONG_AGO)
OFF = Side(True, "shut off", idle_s=LONG_AGO)
ABSENT = Side(True, "", idle_s=LONG_AGO)
SILENT = Side(False)
WATCHED = replace(RUNS, copying=True)
WATCHED_PAUSED = replace(PAUSED, copying=True)
PREPARED = journals(LIVE[:3])
ASKED = ((*PREPARED[0], line(Step.LIVE, Event.BEGIN)), PREPARED[1])
GONE = journals(LIVE[:4])
ARRIVED = journals(LIVE[:5])
UNDOING = ((*ASKED[0], line(Step.UNDO, Event.BEGIN)), ASKED[1])
UNDONE = ((*ASKED[0], *whole(Step.UNDO)), (*ASKED[1], *whole(Step.UNDO)))


def decided(entries: Journals, source: Side, destination: Side, **more: Any) -> Decision:
    (only,) = plan(request(), site(), lambda: "id-0").guests
    assert only.migration is not None
    holder = {"owner": "root@control", "command": "live_migrate web1"}
    migration = replace(only.migration, live=live())
    known = Known(migration, 5.0, *entries, frozenset(("source", "destination")), holder)
    return decide(Case(known, source, destination, **more))


CASES: list[Any] = [
    ("prepared, and its controller died", PREPARED, RUNS, ABSENT, {}, Act.UNDO),
    ("it goes on, and is watched", ASKED, WATCHED, PAUSED, {}, Act.RESUME_LIVE),
    ("it goes on, and nobody watches", ASKED, RUNS, PAUSED, {}, Act.RESUME_LIVE),
    ("its unit is about to ask", ASKED, WATCHED, ABSENT, {}, Act.RESUME_LIVE),
    ("... and the source counts", ASKED, WATCHED, ABSENT, {"prefer": Prefer.SOURCE}, Act.UNDO),
    ("it failed, and nobody saw it", ASKED, RUNS, ABSENT, {}, Act.UNDO),
    ("the guest shut down on its way", ASKED, OFF, ABSENT, {}, Act.UNDO),
    ("post-copy goes on", ASKED, WATCHED_PAUSED, RUNS, {}, Act.RESUME_LIVE),
    ("the link broke in post-copy", ASKED, PAUSED, PAUSED, {}, Act.RESUME_LIVE),
    ("it left, and nobody saw it", ASKED, ABSENT, RUNS, {}, Act.RESUME_LIVE),
    ("it left", GONE, ABSENT, RUNS, {}, Act.RESUME_LIVE),
    ("it is gone from where it went on", ASKED, replace(OFF, switched=True), OFF, {}, Act.ASK),
    ("its other half is gone", ASKED, replace(PAUSED, switched=True), ABSENT, {}, Act.ASK),
    ("post-copy was refused", ASKED, replace(RUNS, switched=True), ABSENT, {}, Act.UNDO),
    ("it left a definition", GONE, OFF, RUNS, {}, Act.RESUME_LIVE),
    ("it has arrived", ARRIVED, ABSENT, RUNS, {}, Act.RESUME_LIVE),
    ("it has arrived and was stopped", ARRIVED, ABSENT, OFF, {}, Act.ASK),
    ("it has arrived and is not there", ARRIVED, OFF, ABSENT, {}, Act.ASK),
    ("it left and was stopped", GONE, ABSENT, OFF, {}, Act.ASK),
    ("it is nowhere", GONE, ABSENT, ABSENT, {}, Act.ASK),
    ("it runs on both", ASKED, RUNS, RUNS, {}, Act.ASK),
    ("it runs on both, whatever counts", ASKED, RUNS, RUNS, {"prefer": Prefer.SOURCE}, Act.ASK),
    ("its undo was interrupted", UNDOING, RUNS, ABSENT, {}, Act.UNDO),
    ("its undo was interrupted while libvirt goes on", UNDOING, WATCHED, PAUSED, {}, Act.UNDO),
    ("its undo came too late", UNDOING, PAUSED, RUNS, {}, Act.RESUME_LIVE),
    ("the destination is silent, the guest runs", ASKED, RUNS, SILENT, {}, Act.UNDO),
    ("the destination is silent, nothing was asked", PREPARED, PAUSED, SILENT, {}, Act.UNDO),
    ("the destination is silent, libvirt is at work", ASKED, WATCHED, SILENT, {}, Act.WAIT),
    ("the destination is silent in post-copy", ASKED, PAUSED, SILENT, {}, Act.ASK),
    ("the destination is silent, it left", GONE, ABSENT, SILENT, {}, Act.ASK),
    ("the destination is dead", ASKED, PAUSED, SILENT, {"prefer": Prefer.SOURCE}, Act.UNDO),
    ("the destination is dead, it had left", GONE, ABSENT, SILENT, {"prefer": Prefer.SOURCE}, Act.ASK),
    ("the source is silent", ASKED, SILENT, PAUSED, {}, Act.ASK),
    ("the source is silent, it has arrived", ARRIVED, SILENT, RUNS, {}, Act.ASK),
    ("the source is silent, nothing came", ASKED, SILENT, ABSENT, {}, Act.ASK),
    ("neither answers", ASKED, SILENT, SILENT, {}, Act.ASK),
    ("somebody is at work", ASKED, replace(RUNS, working=True), PAUSED, {}, Act.WAIT),
    ("it was undone, a lock is left", UNDONE, RUNS, ABSENT, {}, Act.RELEASE),
    ("it is over, a lock is left", journals(LIVE), ABSENT, RUNS, {}, Act.RELEASE),
]


@pytest.mark.parametrize(
    ("entries", "source", "destination", "more", "act"), [one[1:] for one in CASES], ids=[one[0] for one in CASES]
)
def test_the_one_safe_thing(entries: Journals, source: Side, destination: Side, more: dict[str, Any], act: Act) -> None:
    found = decided(entries, source, destination, **more)
    assert found.act is act, found.why
    if act in (Act.ASK, Act.WAIT):
        assert (found.on_source, found.on_destination) == (False, False)


SIDES = (RUNS, PAUSED, OFF, ABSENT, SILENT, WATCHED, WATCHED_PAUSED)
BOOKS = (PREPARED, ASKED, GONE, ARRIVED, UNDOING)


@pytest.mark.parametrize("prefer", [None, *Prefer])
@pytest.mark.parametrize("entries", BOOKS)
def test_whatever_is_found(entries: Journals, prefer: Prefer | None) -> None:
    for source, destination in itertools.product(SIDES, SIDES):
        found = decided(entries, source, destination, prefer=prefer)
        if found.act is Act.UNDO:
            assert source.domain_state or entries is PREPARED, "only a guest that its source has is taken back"
            assert destination.domain_state != "running", "what runs on the destination is never taken back"
        if found.act is Act.RESUME_LIVE:
            assert found.on_source
            assert found.on_destination
            assert destination.active or source.copying
        assert not (found.on_source and not source.reachable)
        assert not (found.on_destination and not destination.reachable)
