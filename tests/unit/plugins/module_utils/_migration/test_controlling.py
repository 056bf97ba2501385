# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._live.options import Options
from ansible_collections.kvmops.mobility.plugins.module_utils._live.policy import BALANCED, FAST, NOVA, OnTimeout
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import LiveRequest, Operation
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.closing import known_migrations
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.controlling import check_options, plan
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Entry, Event, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Migration
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.plan import GuestPlan, Outcome
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.plan import plan as plan_move
from ansible_collections.kvmops.mobility.tests.unit.builders import UUID, request, site
from ansible_collections.kvmops.mobility.tests.unit.flows import LIVE, journals, line, whole

Journals = tuple[tuple[Entry, ...], tuple[Entry, ...]]
CLAIMED: Journals = (whole(Step.CLAIM), whole(Step.CLAIM))
MOVING: Journals = ((*whole(Step.CLAIM), line(Step.LIVE, Event.BEGIN)), (*whole(Step.CLAIM), *whole(Step.PREPARE)))
ARRIVING: Journals = ((*whole(Step.CLAIM), *whole(Step.LIVE)), (*whole(Step.CLAIM), line(Step.ARRIVE, Event.BEGIN)))


def a_migration(options: Options | None = None, **values: Any) -> Migration:
    asked = request(Operation.LIVE_MIGRATE, live=LiveRequest(FAST, options or Options()))
    (only,) = plan_move(asked, site(), lambda: "id-0").guests
    assert only.migration is not None
    return replace(only.migration, **values)


def told(one: Migration, entries: Journals, at: float = 5.0) -> dict[str, list[dict[str, Any]]]:
    """What migration_info returned on both hypervisors."""
    answers = {}
    for role, host, journal in zip(("source", "destination"), (one.source, one.destination), entries):
        record = {"role": role, "migration": one.as_result(), "owner": "o", "command": "c", "at": at}
        journal_told = [entry.as_result() for entry in journal]
        answers[host] = [{"id": one.id, "role": role, "record": record, "journal": journal_told, "lock": None}]
    return answers


def order(
    operation: Operation,
    answers: Mapping[str, Sequence[Mapping[str, Any]]],
    unreachable: Mapping[str, str] | None = None,
    guest: str = "web1",
    **typed: Any,
) -> GuestPlan:
    asked = request(operation, (guest,), destination=None)
    (only,) = plan(asked, typed, known_migrations(answers), unreachable or {}).guests
    return only


@pytest.mark.parametrize("subject", ["web1", UUID])
@pytest.mark.parametrize("entries", [CLAIMED, MOVING])
def test_an_abort_is_told_to_the_source(entries: Journals, subject: str) -> None:
    found = order(Operation.ABORT, told(a_migration(), entries), guest=subject)
    assert (found.outcome, found.migration) == (Outcome.PLANNED, a_migration())
    assert found.options == {"order": "abort"}
    assert [(one.where, one.what) for one in found.steps] == [
        ("c1", "abort: give it up; the guest goes on where it is")
    ]
    assert found.heading == ("web1: abort of the live migration from c1 to c2 (migration id-0)",)


@pytest.mark.parametrize(
    ("options", "words"), [(Options(), "pause the guest"), (Options(post_copy=True), "let the guest go on there")]
)
def test_how_it_is_made_to_finish(options: Options, words: str) -> None:
    found = order(Operation.FORCE_COMPLETE, told(a_migration(options), MOVING))
    assert found.options == {"order": "force_complete"}
    assert words in found.steps[0].what


def test_a_retune_changes_the_policy_that_it_has() -> None:
    typed: dict[str, Any] = {"policy": {"on_timeout": "force_complete"}, "live": {"bandwidth_mib_s": "80"}}
    found = order(Operation.RETUNE, told(a_migration(), MOVING), **typed)
    wanted = replace(FAST, on_timeout=OnTimeout.FORCE_COMPLETE)
    assert found.options == {"order": "retune", "policy": wanted.typed(), "bandwidth_mib_s": 80}
    assert "policy fast: up to 500 ms in 3 steps" in found.steps[0].what
    assert found.steps[0].what.endswith("at most 80 MiB/s")


@pytest.mark.parametrize(
    ("typed", "options", "words"),
    [
        ({"live": {"bandwidth_mib_s": 0}}, {"bandwidth_mib_s": 0}, "no limit of bandwidth"),
        ({"policy": "fast"}, {}, "nothing that it does not do already"),
        ({"policy": "nova"}, {"policy": NOVA.typed()}, "given up after 800 s for each GiB"),
        (
            {"policy": {"completion_timeout_s": 0}},
            {"policy": replace(FAST, completion_timeout_s=0).typed()},
            "it may take any time",
        ),
        (
            {"policy": "balanced"},
            {"policy": BALANCED.typed()},
            "for as little as will do; given up when it came no closer for 30 s, or after 800 s for each GiB",
        ),
    ],
)
def test_a_retune_in_words(typed: dict[str, Any], options: dict[str, Any], words: str) -> None:
    found = order(Operation.RETUNE, told(a_migration(), MOVING), **typed)
    assert found.options == {"order": "retune", **options}
    assert words in found.steps[0].what


@pytest.mark.parametrize("operation", [Operation.ABORT, Operation.FORCE_COMPLETE])
def test_only_a_retune_has_options_to_check(operation: Operation) -> None:
    check_options(operation, {})
    with pytest.raises(Refused):
        check_options(Operation.RETUNE, {})


COLD = replace(a_migration(), live=None, operation="resize")
REFUSALS = [
    ("MIGRATION_NOT_FOUND", {}, {}, "nope", ("nope", "these go on: web1")),
    ("MIGRATION_NOT_FOUND", {}, {"c9": "no route"}, "nope", ("No answer from: c9",)),
    ("ILLEGAL_MOVE", told(COLD, CLAIMED), {}, "web1", ("abort is for live migrations", "has a resize")),
    ("HYPERVISOR_UNREACHABLE", {}, {"c1": "no route"}, "web1", ("goes to c1", "no route")),
    ("ILLEGAL_MOVE", told(a_migration(), ARRIVING), {}, "web1", ("post-migrating", "abort comes too late")),
    ("ILLEGAL_MOVE", told(a_migration(), journals(LIVE)), {}, "web1", ("completed", "too late")),
    ("RECORD_LOST", {"c2": told(a_migration(), MOVING)["c2"]}, {}, "web1", ("c1 has no record", "its source")),
]


@pytest.mark.parametrize(
    ("code", "answers", "unreachable", "subject", "words"), REFUSALS, ids=[str(n) for n, _one in enumerate(REFUSALS)]
)
def test_what_stands_in_the_way(
    code: str, answers: Any, unreachable: dict[str, str], subject: str, words: tuple[str, ...]
) -> None:
    found = order(Operation.ABORT, answers or told(a_migration(), MOVING), unreachable, subject)
    assert (found.outcome, found.migration) == (Outcome.REFUSED, None)
    (finding,) = found.findings
    assert finding.code == code
    for word in words:
        assert word in finding.message


def test_a_destination_that_is_silent_is_not_needed() -> None:
    answers = {"c1": told(a_migration(), MOVING)["c1"]}
    assert order(Operation.ABORT, answers, {"c2": "no route"}).outcome is Outcome.PLANNED


def test_the_open_one_counts_and_not_the_newest() -> None:
    answers = told(a_migration(), MOVING)
    newer = told(a_migration(id="id-9"), journals(LIVE), at=9.0)
    both = {host: [*answers[host], *newer[host]] for host in answers}
    found = order(Operation.ABORT, both)
    assert found.migration is not None
    assert found.migration.id == "id-0"
