# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.plugin_utils import _site
from ansible_collections.kvmops.mobility.tests.unit.builders import DIRECTORY, UUID, fit, guest, hypervisor, summary
from ansible_collections.kvmops.mobility.tests.unit.controller import variables


def surveyed(
    name: str, clock: float = 1000.0, ended: float = 1000.0, probes: Mapping[str, str] | None = None, **more: Any
) -> dict[str, Any]:
    facts = hypervisor(name, clock=clock, domains=(summary(),) if name == "c1" else ())
    return {
        "kvmops_survey": {
            "hypervisor": facts.as_result(),
            "domains": [guest().as_result()] if name == "c1" else [],
            "probes": probes or {},
            "controller_clock": {"ended": ended},
        },
        "kvmops_fits": {"fits": {UUID: fit().as_result()}},
        **more,
    }


FAILED = {"failed": True, "msg": "HOST_UNREACHABLE: c2"}


def test_the_site_as_it_was_found() -> None:
    found = _site.read_site(variables({"c1": surveyed("c1", ansible_host="192.0.2.1"), "c2": surveyed("c2")}))
    assert found.hypervisors == {
        "c1": hypervisor("c1", clock=1000.0, domains=(summary(),)),
        "c2": hypervisor("c2", clock=1000.0),
    }
    assert found.guests == {"c1": (guest(),), "c2": ()}
    assert found.fits["c2"] == {UUID: fit()}
    assert found.addresses == {"c1": "192.0.2.1", "c2": "c2"}
    assert found.unreachable == {}


def test_a_hypervisor_that_did_not_answer() -> None:
    silent = {"kvmops_survey": FAILED, "kvmops_unusable": "no route to host"}
    found = _site.read_site(variables({"c1": surveyed("c1"), "c2": silent}))
    assert set(found.hypervisors) == {"c1"}
    assert found.unreachable == {"c2": "no route to host"}
    assert "c2" not in found.guests


def test_one_that_answered_only_at_first_is_not_used() -> None:
    found = _site.read_site(variables({"c1": surveyed("c1"), "c2": surveyed("c2", kvmops_unusable="gone since")}))
    assert set(found.hypervisors) == {"c1"}
    assert found.unreachable == {"c2": "gone since"}


def test_those_that_were_not_asked_are_none_of_the_site() -> None:
    asked = variables({"c1": surveyed("c1"), "c9": {"ansible_host": "192.0.2.9"}})
    assert _site.hypervisors(asked) == ("c1",)
    assert _site.hypervisors({"groups": {}, "hostvars": {}}) == ()


@pytest.mark.parametrize(
    ("registered", "found"),
    [
        ({"domains": []}, {"domains": []}),
        ({"failed": True}, None),
        ({"skipped": True, "changed": False}, None),
        ({}, None),
        (None, None),
    ],
)
def test_what_a_task_registered(registered: Any, found: Any) -> None:
    assert _site.result_of(variables({"c1": {"x": registered}}), "c1", "x") == found
    assert _site.result_of(variables({"c1": {}}), "c1", "x") is None


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ({}, "c1"),
        ({"ansible_host": "192.0.2.1"}, "192.0.2.1"),
        ({"ansible_host": "192.0.2.1", "kvmops_address": "10.0.0.1"}, "10.0.0.1"),
    ],
)
def test_where_others_reach_it(host: dict[str, str], address: str) -> None:
    assert _site.address(host, "c1") == address


@pytest.mark.parametrize(("probes", "token"), [({DIRECTORY: "abc"}, "abc"), ({DIRECTORY: ""}, ""), ({}, "")])
def test_visitors_carry_the_probe_that_was_planted(probes: Any, token: str) -> None:
    found = _site.visitors(variables({"c1": surveyed("c1", probes=probes), "c2": surveyed("c2")}))
    places = {"places": [DIRECTORY], "probes": {DIRECTORY: token}, "media": []}
    assert found == [{"xml": guest().xml, "directory": DIRECTORY, "probe": token, **places}]


@pytest.mark.parametrize(
    ("source", "destination", "offset"),
    [
        ((1000.0, 1000.0), (1005.0, 1000.0), 5.0),
        ((1005.0, 1000.0), (1000.0, 1000.0), -5.0),
        ((1000.0, 1000.0), (1060.0, 1060.0), 0.0),
        ((1000.0, 1000.0), (1000.9, 1000.0), 0.0),
    ],
)
def test_how_far_apart_the_clocks_are(
    source: tuple[float, float], destination: tuple[float, float], offset: float
) -> None:
    found = variables({"c1": surveyed("c1", *source), "c2": surveyed("c2", *destination)})
    assert _site.clock_offset_s(found, "c1", "c2") == offset


def test_without_an_answer_there_is_no_offset() -> None:
    found = variables({"c1": surveyed("c1"), "c2": {"kvmops_survey": FAILED}})
    assert _site.clock_offset_s(found, "c1", "c2") == 0.0


@pytest.mark.parametrize("task", ["kvmops_migrations", "kvmops_survey"])
def test_migrations_by_hypervisor(task: str) -> None:
    answers: dict[str, dict[str, Any]] = {"c1": {task: {"migrations": [{"id": "a"}]}}, "c2": {task: FAILED}}
    assert _site.migrations(variables(answers)) == {"c1": [{"id": "a"}]}
