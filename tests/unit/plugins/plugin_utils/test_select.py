# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._checks.context import Site
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.plugin_utils import _select
from ansible_collections.kvmops.mobility.plugins.plugin_utils._select import select, views
from ansible_collections.kvmops.mobility.tests.unit.builders import domain_xml, guest, site

SMALL, LARGE, OFF = (f"00000000-0000-4000-8000-00000000000{number}" for number in (1, 2, 3))


def three() -> Site:
    """Two guests on c1, one on c2."""
    return site(
        guests={
            "c1": (
                guest("small", SMALL, xml=domain_xml("small", SMALL)),
                guest("off", OFF, xml=domain_xml("off", OFF), state="shut off"),
            ),
            "c2": (guest("large", LARGE, xml=domain_xml("large", LARGE)),),
        }
    )


@pytest.mark.parametrize(
    ("expression", "chosen"),
    [
        ("[?hypervisor=='c1']", [OFF, SMALL]),
        ("[?state=='running']", [LARGE, SMALL]),
        ("[?hypervisor=='c1' && state=='running']", [SMALL]),
        ("sort_by(@, &name)[:1]", [LARGE]),
        ("[?contains(name, 'l')][]", [LARGE, SMALL]),
    ],
)
def test_an_expression_chooses_guests(expression: str, chosen: list[str]) -> None:
    assert select(expression, three()) == chosen


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ("[?name==", "SELECT_INVALID"),
        ("[].name", "SELECT_INVALID"),
        ("length(@)", "SELECT_INVALID"),
        ("[?name=='nobody']", "SELECT_EMPTY"),
        ("nothing", "SELECT_EMPTY"),
    ],
)
def test_an_expression_that_cannot_be_used_is_refused(expression: str, code: str) -> None:
    with pytest.raises(Refused) as refusal:
        select(expression, three())
    assert refusal.value.code == code
    assert expression in refusal.value.message


def test_without_jmespath_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_select, "HAS_JMESPATH", False)
    with pytest.raises(Refused) as refusal:
        select("[]", three())
    assert refusal.value.code == "JMESPATH_MISSING"
    assert "pip install jmespath" in refusal.value.remedy


def test_a_guest_that_is_chosen_twice_is_moved_once() -> None:
    assert select("[@[0], @[0]]", three()) == [LARGE]


def test_an_expression_sees_sizes() -> None:
    (first, *_others) = views(three())
    assert first["name"] == "large"
    assert first["vcpus"] > 0
    assert first["memory_mib"] > 0
    assert first["disk_bytes"] > 0
