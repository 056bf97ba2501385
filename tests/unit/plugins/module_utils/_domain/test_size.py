# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Target sizes: flavors and the root disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._domain.definition import GuestDefinition
from ansible_collections.kvmops.mobility.plugins.module_utils._domain.size import (
    DEFAULT_FLAVORS,
    flavors_from,
    human_bytes,
    resolve_flavor,
    root_disk,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import Flavor

DOMAINS = Path(__file__).parents[3] / "data" / "domains"
GOOD = {"vcpus": 2, "memory_mib": 2048, "root_gib": 20}


def guest(*disks: str) -> GuestDefinition:
    return GuestDefinition.from_xml(f"<domain><name>web1</name><devices>{''.join(disks)}</devices></domain>")


def disk(target: str, order: int | None = None, device: str = "disk") -> str:
    boot = f"<boot order='{order}'/>" if order else ""
    return f"<disk type='file' device='{device}'><source file='/{target}'/><target dev='{target}'/>{boot}</disk>"


def test_the_default_flavors_are_openstacks_five() -> None:
    assert [(f.name, f.vcpus, f.memory_mib, f.root_gib) for f in DEFAULT_FLAVORS.values()] == [
        ("m1.tiny", 1, 512, 1),
        ("m1.small", 1, 2048, 20),
        ("m1.medium", 2, 4096, 40),
        ("m1.large", 4, 8192, 80),
        ("m1.xlarge", 8, 16384, 160),
    ]
    assert all(flavor.ephemeral_gib == flavor.swap_mib == 0 for flavor in DEFAULT_FLAVORS.values())


def test_flavors_may_hold_digits_as_text() -> None:
    found = flavors_from({"big": {**GOOD, "vcpus": "16", "swap_mib": 512}})
    assert found == {"big": Flavor("big", vcpus=16, memory_mib=2048, root_gib=20, swap_mib=512)}


def test_a_root_size_of_zero_keeps_the_disk() -> None:
    assert flavors_from({"vol": {**GOOD, "root_gib": 0}})["vol"].root_gib == 0


@pytest.mark.parametrize(
    ("mapping", "subject", "words"),
    [
        (["m1.tiny"], "kvmops_flavors", ["list", "mapping"]),
        ({"a": 5}, "a", ["5", "not a mapping"]),
        ({"": GOOD}, "kvmops_flavors", ["empty name"]),
        ({"a": {**GOOD, "ram": 2048}}, "a", ["Unknown key ram", "Did you mean memory_mib?"]),
        ({"a": {**GOOD, "vcpu": 2}}, "a", ["Unknown key vcpu", "Did you mean vcpus?"]),
        ({"a": {**GOOD, "colour": 2}}, "a", ["Unknown key colour", "vcpus, memory_mib, root_gib"]),
        ({"a": {"vcpus": 1, "memory_mib": 512}}, "a", ["root_gib is missing"]),
        ({"a": {**GOOD, "vcpus": 0}}, "a", ["vcpus is 0", "at least 1"]),
        ({"a": {**GOOD, "root_gib": -1}}, "a", ["root_gib is -1", "at least 0"]),
        ({"a": {**GOOD, "memory_mib": "2G"}}, "a", ["memory_mib is '2G'", "whole number"]),
        ({"a": {**GOOD, "memory_mib": 0.5}}, "a", ["memory_mib is 0.5"]),
        ({"a": {**GOOD, "vcpus": True}}, "a", ["vcpus is True"]),
        ({"a": {**GOOD, "vcpus": None}}, "a", ["vcpus is None"]),
        ({"a": {**GOOD, "vcpus": "²"}}, "a", ["vcpus is '²'"]),
    ],
)
def test_bad_flavors_are_refused(mapping: Any, subject: str, words: list[str]) -> None:
    with pytest.raises(Refused) as caught:
        flavors_from(mapping)
    assert (caught.value.code, caught.value.subject) == ("FLAVOR_INVALID", subject)
    assert all(word in str(caught.value) for word in words)


def test_a_flavor_is_found_by_name() -> None:
    assert resolve_flavor("m1.large", DEFAULT_FLAVORS) is DEFAULT_FLAVORS["m1.large"]


@pytest.mark.parametrize(
    ("name", "hint"), [("m1.larg", " Did you mean m1.large?"), ("large", " Did you mean m1.large?"), ("zzz", "")]
)
def test_an_unknown_flavor_gets_the_names_that_exist(name: str, hint: str) -> None:
    with pytest.raises(Refused) as caught:
        resolve_flavor(name, DEFAULT_FLAVORS)
    assert (caught.value.code, caught.value.subject) == ("FLAVOR_UNKNOWN", name)
    assert caught.value.remedy == f"These exist: m1.tiny, m1.small, m1.medium, m1.large, m1.xlarge.{hint}"


@pytest.mark.parametrize(
    ("flavor", "words"),
    [
        (Flavor("f", 1, 512, 1, ephemeral_gib=5), "ephemeral_gib=5"),
        (Flavor("f", 1, 512, 1, swap_mib=64), "swap_mib=64"),
        (Flavor("f", 1, 512, 1, ephemeral_gib=5, swap_mib=64), "ephemeral_gib=5 and swap_mib=64"),
    ],
)
def test_ephemeral_and_swap_have_no_disk(flavor: Flavor, words: str) -> None:
    with pytest.raises(Refused) as caught:
        resolve_flavor("f", {"f": flavor})
    assert (caught.value.code, caught.value.subject) == ("FLAVOR_PART_UNMAPPED", "f")
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("disks", "override", "target"),
    [
        ([disk("vdb"), disk("vda")], None, "vda"),
        ([disk("vdaa"), disk("vdz"), disk("vdb")], None, "vdb"),
        ([disk("vda"), disk("vdb", order=1)], None, "vdb"),
        ([disk("vda", order=3), disk("vdb", order=2)], None, "vdb"),
        ([disk("sda", order=1, device="cdrom"), disk("vda", order=2)], None, "vda"),
        ([disk("fda", order=1, device="floppy"), disk("vdb")], None, "vdb"),
        ([disk("vda"), disk("sda")], None, "vda"),
        ([disk("sda"), disk("vda")], None, "sda"),
        ([disk("vda", order=1), disk("vdb")], "vdb", "vdb"),
        ([disk("vda", order=2), disk("sdb", order=1, device="lun")], None, "sdb"),
    ],
)
def test_root_disk(disks: list[str], override: str | None, target: str) -> None:
    assert root_disk(guest(*disks), override).target == target


@pytest.mark.parametrize(
    ("disks", "override", "words"),
    [
        ([disk("vda"), disk("vdb"), disk("sda", device="cdrom")], "vdc", "It has no disk vdc. Its disks: vda, vdb."),
        ([disk("vda"), disk("sda", device="cdrom")], "sda", "It has no disk sda. Its disks: vda."),
        ([], None, "It has no disk at all. Its disks: none."),
    ],
)
def test_an_unknown_root_disk_gets_the_targets(disks: list[str], override: str | None, words: str) -> None:
    with pytest.raises(Refused) as caught:
        root_disk(guest(*disks), override)
    assert (caught.value.code, caught.value.subject) == ("ROOT_DISK_UNKNOWN", "web1")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("name", "target"), [("debian-q35", "vda"), ("rhel-uefi-tpm", "vda"), ("nova", "vda"), ("ovirt", "sda")]
)
def test_root_disk_of_real_definitions(name: str, target: str) -> None:
    xml = (DOMAINS / f"{name}.xml").read_text(encoding="utf-8")
    assert root_disk(GuestDefinition.from_xml(xml)).target == target


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1536 * 2**10, "1.5 MiB"),
        (80 * 2**30, "80 GiB"),
        (2**50, "1 PiB"),
        (5000 * 2**50, "5000 PiB"),
    ],
)
def test_human_bytes(count: int, text: str) -> None:
    assert human_bytes(count) == text
