# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._checks.catalogue import CODES
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import (
    Capacity,
    ClaimRule,
    Flavor,
    Operation,
    Stop,
    Transfer,
    Verify,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.request import parse_request

RESIZE = {"operation": "resize", "vm": "web1", "flavor": "m1.large"}
MIGRATE = {"operation": "migrate", "vm": "web1", "dest": "c2"}
CONFIRM = {"operation": "confirm", "vm": "web1"}


def test_a_resize_by_flavor() -> None:
    found = parse_request(RESIZE)
    assert found.operation is Operation.RESIZE
    assert found.guests == ("web1",)
    assert found.flavor == Flavor("m1.large", 4, 8192, 80)
    assert found.destination == "auto"
    assert (found.vcpus, found.memory_mib, found.root_gib, found.root_disk) == (None, None, None, None)
    assert (found.capacity, found.stop, found.allow_managed) == (Capacity(), Stop(), False)


def test_strings_of_the_command_line_become_types() -> None:
    found = parse_request(
        {
            "operation": "resize",
            "vm": " web1 ",
            "vcpus": "4",
            "memory_mib": "4096",
            "root_gib": "40",
            "dest": "c2",
            "root_disk": "vda",
            "allow_managed": "yes",
            "capacity": {"rule": "kilo", "cpu_ratio": "16", "memory_ratio": 1.5, "reserved_memory_mib": "0"},
            "stop": {"timeout_s": "300", "retry_interval_s": 30, "on_timeout": "force"},
        }
    )
    assert (found.guests, found.vcpus, found.memory_mib, found.root_gib) == (("web1",), 4, 4096, 40)
    assert (found.destination, found.root_disk, found.allow_managed) == ("c2", "vda", True)
    assert found.capacity == Capacity(ClaimRule.KILO, cpu_ratio=16.0, memory_ratio=1.5, reserved_memory_mib=0)
    assert found.stop == Stop(300, 30, "force")


def test_numbers_stand_beside_a_flavor_for_the_planner_to_prefer() -> None:
    found = parse_request({**RESIZE, "root_gib": 100})
    assert found.flavor is not None
    assert found.root_gib == 100


def test_flavors_of_the_operator_replace_the_defaults() -> None:
    flavors = {"big": {"vcpus": 32, "memory_mib": 65536, "root_gib": "500"}}
    assert parse_request({**RESIZE, "flavor": "big", "flavors": flavors}).flavor == Flavor("big", 32, 65536, 500)


def test_several_guests_and_a_name_of_digits() -> None:
    assert parse_request({**RESIZE, "vm": ["web1", 42]}).guests == ("web1", "42")


@pytest.mark.parametrize(
    ("given", "transfer", "verify"),
    [
        ({}, None, Verify.QUICK),
        ({"transfer": "auto", "verify": "quick"}, None, Verify.QUICK),
        ({"transfer": "rsync", "verify": "full"}, Transfer.RSYNC, Verify.FULL),
        ({"transfer": " mirror "}, Transfer.MIRROR, Verify.QUICK),
        ({"transfer": "", "verify": None}, None, Verify.QUICK),
    ],
)
def test_transfer_and_verification(given: dict[str, Any], transfer: Transfer | None, verify: Verify) -> None:
    found = parse_request({**RESIZE, **given})
    assert (found.transfer, found.verify) == (transfer, verify)


def test_an_empty_answer_counts_as_not_given() -> None:
    found = parse_request({**RESIZE, "dest": "", "vcpus": " ", "root_disk": None, "stop": {"timeout_s": ""}})
    assert (found.destination, found.vcpus, found.root_disk, found.stop) == ("auto", None, None, Stop())


def test_confirm_has_neither_size_nor_destination() -> None:
    found = parse_request(CONFIRM)
    assert (found.operation, found.destination, found.names_a_size) == (Operation.CONFIRM, None, False)


def test_other_keys_are_left_alone() -> None:
    assert parse_request({**RESIZE, "inventory_hostname": "localhost"}).guests == ("web1",)


SWAP = {"f": {"vcpus": 1, "memory_mib": 1, "root_gib": 1, "swap_mib": 512}}

REFUSED: list[tuple[str, dict[str, Any], str]] = [
    # code, variables, what the message must name
    ("VM_MISSING", {**RESIZE, "vm": ""}, "vm="),
    ("VM_MISSING", {**RESIZE, "vm": []}, "vm="),
    ("VM_MISSING", {"operation": "resize"}, "vm="),
    ("VM_DUPLICATE", {**RESIZE, "vm": ["web1", "db1", "web1"]}, "web1"),
    ("VALUE_INVALID", {**RESIZE, "vm": "web1,db1"}, "'web1,db1'"),
    ("VALUE_INVALID", {**RESIZE, "vm": ["web1", {}]}, "vm"),
    ("VALUE_INVALID", {**RESIZE, "vm": ["web1", True]}, "vm"),
    ("VALUE_INVALID", {**RESIZE, "vm": ["web1", ""]}, "vm"),
    ("VALUE_INVALID", {**RESIZE, "operation": "resiez"}, "Did you mean resize?"),
    ("VALUE_INVALID", {"vm": "web1"}, "operation"),
    ("VALUE_INVALID", {**RESIZE, "vcpus": "four"}, "vcpus is 'four'"),
    ("VALUE_INVALID", {**RESIZE, "vcpus": "0"}, "at least 1"),
    ("VALUE_INVALID", {**RESIZE, "vcpus": True}, "vcpus"),
    ("VALUE_INVALID", {**RESIZE, "vcpus": 2.5}, "vcpus"),
    ("VALUE_INVALID", {**RESIZE, "memory_mib": "4G"}, "memory_mib is '4G'"),
    ("VALUE_INVALID", {**RESIZE, "root_gib": -1}, "root_gib is -1"),
    ("VALUE_INVALID", {**RESIZE, "flavor": 3}, "flavor is 3"),
    ("VALUE_INVALID", {**RESIZE, "dest": ["c2"]}, "dest"),
    ("VALUE_INVALID", {**RESIZE, "allow_managed": "perhaps"}, "allow_managed is 'perhaps'"),
    ("VALUE_INVALID", {**RESIZE, "transfer": "rsnyc"}, "Did you mean rsync?"),
    ("VALUE_INVALID", {**RESIZE, "transfer": True}, "transfer is True"),
    ("VALUE_INVALID", {**RESIZE, "verify": "fully"}, "Did you mean full?"),
    ("VALUE_INVALID", {**RESIZE, "verify": False}, "verify is False"),
    ("VALUE_INVALID", {**RESIZE, "capacity": "much"}, "capacity is 'much'"),
    ("VALUE_INVALID", {**RESIZE, "capacity": {"rule": "newton"}}, "placement or kilo"),
    ("VALUE_INVALID", {**RESIZE, "capacity": {"cpu_ration": 4}}, "Did you mean cpu_ratio"),
    ("VALUE_INVALID", {**RESIZE, "capacity": {"disk_ratio": 0}}, "capacity.disk_ratio is 0"),
    ("VALUE_INVALID", {**RESIZE, "capacity": {"disk_ratio": "nan"}}, "capacity.disk_ratio is 'nan'"),
    ("VALUE_INVALID", {**RESIZE, "stop": {"timeout_s": "1m"}}, "stop.timeout_s is '1m'"),
    ("VALUE_INVALID", {**RESIZE, "stop": {"on_timeout": "kill"}}, "abort or force"),
    ("FLAVOR_UNKNOWN", {**RESIZE, "flavor": "m1.lrage"}, "m1.large"),
    ("FLAVOR_INVALID", {**RESIZE, "flavors": {"f": {"vcpus": 1}}}, "f"),
    ("FLAVOR_PART_UNMAPPED", {**RESIZE, "flavor": "f", "flavors": SWAP}, "swap_mib=512"),
    ("SIZE_MISSING", {"operation": "resize", "vm": "web1"}, "web1"),
    ("SIZE_NOT_ALLOWED", {**MIGRATE, "flavor": "m1.large"}, "flavor"),
    ("SIZE_NOT_ALLOWED", {**CONFIRM, "vcpus": 4}, "vcpus"),
    ("DEST_REQUIRED", {"operation": "migrate", "vm": "web1"}, "web1"),
    ("DEST_NOT_ALLOWED", {**CONFIRM, "dest": "c2"}, "c2"),
    ("DEST_SAME_UNSUPPORTED", {**RESIZE, "dest": "same"}, "web1"),
    ("DEST_SAME_UNSUPPORTED", {**MIGRATE, "dest": "same"}, "web1"),
]


@pytest.mark.parametrize(("code", "raw", "named"), REFUSED, ids=[f"{one[0]}-{n}" for n, one in enumerate(REFUSED)])
def test_refused(code: str, raw: dict[str, Any], named: str) -> None:
    with pytest.raises(Refused) as caught:
        parse_request(raw)
    assert caught.value.code == code
    assert caught.value.code in CODES
    assert named in str(caught.value)
    assert caught.value.remedy


def test_every_code_of_a_request_is_provoked() -> None:
    documented = ["VM_", "VALUE_", "FLAVOR_", "SIZE_", "DEST_REQUIRED", "DEST_NOT_ALLOWED", "DEST_SAME"]
    expected = {code for code in CODES if code.startswith(tuple(documented))}
    assert {one[0] for one in REFUSED} == expected
