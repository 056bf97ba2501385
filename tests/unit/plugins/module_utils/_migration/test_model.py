# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What crosses the wire, or waits in a record, is read back as it was."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.kvmops.mobility.plugins.module_utils._live.options import Compression, Options
from ansible_collections.kvmops.mobility.plugins.module_utils._live.outlook import Measured, Outlook, Past, Verdict
from ansible_collections.kvmops.mobility.plugins.module_utils._live.policy import OnTimeout, Pace, Policy
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import (
    Capacity,
    ClaimRule,
    Operation,
    Stop,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import (
    ClaimFacts,
    DomainFacts,
    DomainSummary,
    FitFacts,
    ForecastFacts,
    HypervisorFacts,
    LoadFacts,
    LockFacts,
    SpeedFacts,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Live, Migration
from ansible_collections.kvmops.mobility.tests.unit.builders import guest, hypervisor, request

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
MEASURED = st.builds(
    Measured,
    dirtied=st.lists(st.tuples(NUMBERS, st.integers(0)), max_size=3).map(tuple),
    link_bytes_s=st.none() | st.integers(0),
    past=st.lists(st.builds(Past, total_s=st.none() | NUMBERS, pause_ms=st.none() | st.integers()), max_size=2).map(
        tuple
    ),
)
LIVE = st.builds(
    Live,
    options=st.builds(Options, compression=st.sampled_from(Compression), connections=st.integers()),
    policy=st.builds(Policy, name=st.text(), on_timeout=st.sampled_from(OnTimeout), pace=st.sampled_from(Pace)),
    measured=st.none() | MEASURED,
    outlook=st.none() | st.builds(Outlook, verdict=st.sampled_from(Verdict), total_s=st.none() | NUMBERS),
    gib=NUMBERS,
    listen=st.dictionaries(st.text(), st.text(), max_size=2),
)
MIGRATIONS = st.builds(
    Migration,
    capacity=st.builds(Capacity, rule=st.sampled_from(ClaimRule), cpu_ratio=NUMBERS, reserved_disk_gib=st.integers()),
    stop=st.builds(Stop, timeout_s=st.integers(), on_timeout=st.sampled_from(("abort", "force"))),
    expected_outage_s=NUMBERS,
    live=st.none() | LIVE,
)
HYPERVISORS = st.builds(
    HypervisorFacts, clock=NUMBERS, locks=st.lists(st.builds(LockFacts, since=NUMBERS), max_size=2).map(tuple)
)


def over_the_wire(data: Any) -> Any:
    return json.loads(json.dumps(data))


@settings(max_examples=50, deadline=None)
@given(MIGRATIONS)
def test_a_migration(one: Migration) -> None:
    assert Migration.from_result(over_the_wire(one.as_result())) == one


@settings(max_examples=10, deadline=None)
@given(MIGRATIONS)
def test_a_record_of_before_there_was_live_migration(one: Migration) -> None:
    data = one.as_result()
    del data["live"]
    assert Migration.from_result(data) == replace(one, live=None)


@settings(max_examples=25, deadline=None)
@given(st.builds(DomainFacts))
def test_a_domain(one: DomainFacts) -> None:
    assert DomainFacts.from_result(over_the_wire(one.as_result())) == one


@settings(max_examples=25, deadline=None)
@given(HYPERVISORS)
def test_a_hypervisor(one: HypervisorFacts) -> None:
    assert HypervisorFacts.from_result(over_the_wire(one.as_result())) == one


@settings(max_examples=25, deadline=None)
@given(st.builds(FitFacts))
def test_a_fit(one: FitFacts) -> None:
    assert FitFacts.from_result(over_the_wire(one.as_result())) == one


LOADS = st.builds(
    LoadFacts,
    dirtied=st.lists(st.tuples(NUMBERS, st.integers(0)), max_size=3).map(tuple),
    past=st.lists(st.builds(Past), max_size=2).map(tuple),
)


@settings(max_examples=25, deadline=None)
@given(
    st.builds(
        ForecastFacts,
        loads=st.dictionaries(st.text(), LOADS, max_size=2),
        links=st.dictionaries(st.text(), st.builds(SpeedFacts, bytes_s=st.none() | st.integers()), max_size=2),
    )
)
def test_what_was_measured_for_a_forecast(one: ForecastFacts) -> None:
    assert ForecastFacts.from_result(over_the_wire(one.as_result())) == one


@pytest.mark.parametrize("facts", [DomainFacts, HypervisorFacts])
def test_a_newer_hypervisor_may_tell_more(facts: type[DomainFacts] | type[HypervisorFacts]) -> None:
    known = guest() if facts is DomainFacts else hypervisor()
    told = {**over_the_wire(known.as_result()), "colour": "blue"}
    assert facts.from_result(told) == known


@pytest.mark.parametrize("facts", [DomainSummary, ClaimFacts, LockFacts])
def test_an_incomplete_answer_is_an_error(facts: type[DomainSummary] | type[ClaimFacts] | type[LockFacts]) -> None:
    with pytest.raises(TypeError, match="missing"):
        facts.from_result({"uuid": "x"})


@given(MIGRATIONS)
@settings(max_examples=20, deadline=None)
def test_the_names_a_move_uses_are_all_different_and_beside_the_directory(one: Migration) -> None:
    used = [one.directory, one.parked, one.reverted, one.staging]
    assert len(set(used)) == 4
    assert all(path.startswith(one.directory) for path in used)
    assert one.id in one.staging


def test_a_request_that_names_a_size() -> None:
    assert request(Operation.RESIZE).names_a_size
    assert not request(Operation.MIGRATE).names_a_size
    assert request(Operation.MIGRATE, root_gib=0).names_a_size
