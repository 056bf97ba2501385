# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._live.options import Options
from ansible_collections.kvmops.mobility.plugins.module_utils._live.policy import NOVA
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import LiveRequest, Operation
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Entry, Event, Phase, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Migration
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.plan import plan
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.shown_status import shown_status
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.state import derive
from ansible_collections.kvmops.mobility.tests.unit.builders import request, site
from ansible_collections.kvmops.mobility.tests.unit.flows import LIVE, MOVE, journals, line, whole

CLAIM, UNDO = whole(Step.CLAIM), whole(Step.UNDO)
MOVING = (*CLAIM, line(Step.LIVE, Event.BEGIN))


def migration(operation: Operation = Operation.LIVE_MIGRATE) -> Migration:
    live = LiveRequest(NOVA, Options()) if operation is Operation.LIVE_MIGRATE else None
    (only,) = plan(request(operation, live=live), site(), lambda: "id-0").guests
    assert only.migration is not None
    return only.migration


def failed(code: str) -> tuple[Entry, ...]:
    return (*MOVING, line(Step.LIVE, Event.FAIL, result={"code": code}), *UNDO)


def report(stage: str) -> dict[str, Any]:
    return {"sample": {"stage": stage}}


@pytest.mark.parametrize(
    ("source", "destination", "told", "shown"),
    [
        (CLAIM, (), None, "queued"),
        (CLAIM, CLAIM, None, "preparing"),
        (MOVING, CLAIM, None, "running"),
        (MOVING, CLAIM, {"sample": None}, "running"),
        (MOVING, CLAIM, report("disks"), "running"),
        (MOVING, CLAIM, report("post-copy"), "running (post-copy)"),
        (MOVING, CLAIM, report("post-copy-paused"), "running (post-copy-paused)"),
        (MOVING, (*CLAIM, line(Step.ARRIVE, Event.BEGIN)), report("post-copy"), "completing"),
        (*journals(LIVE), None, "completed"),
        (failed("LIVE_ABORTED"), (*CLAIM, *UNDO), None, "cancelled"),
        (failed("LIVE_FAILED"), (*CLAIM, *UNDO), None, "failed"),
        ((*CLAIM, *UNDO), (*CLAIM, *UNDO), None, "failed"),
        (failed("LIVE_ABORTED"), CLAIM, None, "error"),
    ],
)
def test_a_live_migration_in_novas_words(
    source: tuple[Entry, ...], destination: tuple[Entry, ...], told: Any, shown: str
) -> None:
    assert shown_status(migration(), derive(source, destination), source, destination, told) == shown


def test_a_cold_one_has_its_own_words() -> None:
    source, destination = journals(MOVE)
    cold = migration(Operation.MIGRATE)
    assert shown_status(cold, derive(source, destination), source, destination) == "VERIFY_RESIZE"
    assert shown_status(cold, derive(CLAIM, ()), CLAIM, ()) == "pre-migrating"


def test_a_confirm_of_an_earlier_phase_is_no_matter_of_it() -> None:
    source = (*CLAIM, line(Step.LIVE, Event.FAIL, Phase.CONFIRM, result={"code": "LIVE_ABORTED"}), *UNDO)
    assert shown_status(migration(), derive(source, UNDO), source, UNDO) == "failed"
