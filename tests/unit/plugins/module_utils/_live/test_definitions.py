# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The definitions that a guest has on its destination."""

from __future__ import annotations

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._domain.edit import digest
from ansible_collections.kvmops.mobility.plugins.module_utils._live import definitions
from ansible_collections.kvmops.mobility.tests.unit.builders import domain_xml

HERE, THERE = "192.0.2.1", "192.0.2.2"
VNC = f"<graphics type='vnc' listen='{HERE}'><listen type='address' address='{HERE}'/></graphics>"
PLAIN = domain_xml()
LISTENING = domain_xml(extra={"devices": VNC})


@pytest.mark.parametrize(
    "chain",
    [
        "<backingStore/>",
        "<backingStore></backingStore>",
        "<backingStore type='file'><format type='raw'/><source file='/b'/><backingStore/></backingStore >",
    ],
)
def test_the_chain_of_a_disk_that_is_copied_is_left_out(chain: str) -> None:
    xml = PLAIN.replace("<target dev='vda'", f"{chain}<target dev='vda'")
    assert definitions.running(xml, {}, ("vda",)) == PLAIN
    assert definitions.running(xml, {}, ()) == xml
    assert definitions.running(xml, {}, ("vdb",)) == xml


def test_listeners_become_those_of_the_destination() -> None:
    for found in (
        definitions.stored(LISTENING, {HERE: THERE}),
        definitions.running(LISTENING, {HERE: THERE}, ("vda",)),
    ):
        assert found == LISTENING.replace(HERE, THERE)


def test_without_anything_that_differs_it_is_the_same() -> None:
    assert definitions.stored(LISTENING, {}) == LISTENING
    assert definitions.running(LISTENING, {}, ()) == LISTENING


def test_what_is_stored_there_is_the_planned_one_but_for_its_listeners() -> None:
    planned = digest(LISTENING)
    arrived = LISTENING.replace(HERE, THERE)
    assert definitions.is_as_planned(arrived, {HERE: THERE}, planned)
    assert definitions.is_as_planned(LISTENING, {}, planned)
    assert not definitions.is_as_planned(arrived, {}, planned)
    assert not definitions.is_as_planned(arrived.replace("pc-q35-7.2", "pc-q35-8.0"), {HERE: THERE}, planned)
