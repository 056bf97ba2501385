# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._checks.catalogue import CODES
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._live.options import Compression, Options
from ansible_collections.kvmops.mobility.plugins.module_utils._live.policy import (
    BALANCED,
    FAST,
    GENTLE,
    NOVA,
    OnTimeout,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import (
    Capacity,
    ClaimRule,
    Flavor,
    Forecasting,
    Group,
    LiveRequest,
    Operation,
    Stop,
    Together,
    Transfer,
    Verify,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.live_request import parse_retune
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.request import parse_request

RESIZE = {"operation": "resize", "vm": "web1", "flavor": "m1.large"}
MIGRATE = {"operation": "migrate", "vm": "web1", "dest": "c2"}
LIVE = {"operation": "live_migrate", "vm": "web1", "dest": "c2"}
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


def test_a_live_migration_as_it_is_without_a_word() -> None:
    found = parse_request(LIVE)
    assert (found.operation, found.destination) == (Operation.LIVE_MIGRATE, "c2")
    assert found.live == LiveRequest(policy=BALANCED, options=Options(), copy_disks=None, announce=False)
    assert found.live.forecast is Forecasting.REFUSE


def test_all_that_can_be_said_of_a_live_migration() -> None:
    live = {
        "copy_disks": "false",
        "tls": "yes",
        "auto_converge": True,
        "post_copy": "true",
        "connections": "4",
        "compression": "zstd",
        "zero_copy": False,
        "tunnelled": "no",
        "bandwidth_mib_s": "200",
        "announce": "true",
        "max_downtime_ms": 300,
        "forecast": "warn",
    }
    found = parse_request({**LIVE, "policy": {"name": "fast", "on_timeout": "force_complete"}, "live": live}).live
    assert found is not None
    assert found.policy == replace(FAST, on_timeout=OnTimeout.FORCE_COMPLETE, max_downtime_ms=300)
    assert (found.copy_disks, found.announce, found.forecast) == (False, True, Forecasting.WARN)
    assert found.options == Options(
        tls=True,
        auto_converge=True,
        post_copy=True,
        connections=4,
        compression=Compression.ZSTD,
        bandwidth_mib_s=200,
    )


@pytest.mark.parametrize("typed", ["off", False])
def test_no_forecast_as_yaml_reads_it(typed: object) -> None:
    found = parse_request({**LIVE, "live": {"forecast": typed}}).live
    assert found is not None
    assert found.forecast is Forecasting.OFF


def test_what_is_left_empty_is_not_given() -> None:
    assert parse_request({**LIVE, "policy": "", "live": ""}) == parse_request(LIVE)
    assert parse_request({**LIVE, "live": {"connections": "", "copy_disks": "auto"}}) == parse_request(LIVE)


def test_groups() -> None:
    given = {"db": {"guests": ["db1", 2], "policy": "soft-anti-affinity"}}
    assert parse_request({**RESIZE, "groups": given}).groups == (
        Group("db", Together.SOFT_ANTI_AFFINITY, ("db1", "2")),
    )
    assert parse_request({**RESIZE, "groups": ""}).groups == ()


def test_other_operations_know_nothing_of_live_migration() -> None:
    assert parse_request({**MIGRATE, "policy": "quickly", "live": {"speed": 9}}).live is None


@pytest.mark.parametrize(
    ("given", "policy", "bandwidth"),
    [
        ({"policy": "gentle"}, GENTLE, None),
        ({"policy": {"downtime_steps": 5}}, replace(FAST, downtime_steps=5), None),
        ({"policy": {"name": "nova", "downtime_steps": 5}}, replace(NOVA, downtime_steps=5), None),
        ({"live": {"max_downtime_ms": "900"}}, replace(FAST, max_downtime_ms=900), None),
        ({"live": {"bandwidth_mib_s": "0"}}, None, 0),
        ({"policy": "fast", "live": {"bandwidth_mib_s": 90}}, None, 90),
    ],
)
def test_what_changes_while_it_runs(given: dict[str, Any], policy: Any, bandwidth: int | None) -> None:
    assert parse_retune(given, FAST) == (policy, bandwidth)


@pytest.mark.parametrize(
    ("code", "given"),
    [
        ("VALUE_INVALID", {}),
        ("VALUE_INVALID", {"policy": " ", "live": {}}),
        ("VALUE_INVALID", {"live": {"tls": True}}),
        ("POLICY_INVALID", {"policy": "brisk"}),
    ],
)
def test_what_cannot_change_while_it_runs(code: str, given: dict[str, Any]) -> None:
    with pytest.raises(Refused) as caught:
        parse_retune(given, NOVA)
    assert caught.value.code == code


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
    ("DEST_REQUIRED", {"operation": "live_migrate", "vm": "web1"}, "live_migrate"),
    ("DEST_SAME_UNSUPPORTED", {**LIVE, "dest": "same"}, "web1"),
    ("SIZE_NOT_ALLOWED", {**LIVE, "flavor": "m1.large"}, "flavor"),
    ("VALUE_INVALID", {**RESIZE, "groups": ["db1"]}, "kvmops_groups"),
    ("VALUE_INVALID", {**RESIZE, "groups": {"db": {"guests": ["db1"], "policy": "apart"}}}, "kvmops_groups.db.policy"),
    ("VALUE_INVALID", {**RESIZE, "groups": {"db": {"guests": "db1", "policy": "affinity"}}}, "kvmops_groups.db.guests"),
    ("VALUE_INVALID", {**RESIZE, "groups": {"db": {"guests": ["db1"], "polcy": "affinity"}}}, "Did you mean policy"),
    ("VALUE_INVALID", {**LIVE, "live": "fast"}, "a mapping with copy_disks"),
    ("VALUE_INVALID", {**LIVE, "live": {"postcopy": True}}, "Did you mean post_copy"),
    ("VALUE_INVALID", {**LIVE, "live": {"tls": "perhaps"}}, "live.tls is 'perhaps'"),
    ("VALUE_INVALID", {**LIVE, "live": {"copy_disks": "some"}}, "auto, true or false"),
    ("VALUE_INVALID", {**LIVE, "live": {"copy_disks": 1}}, "live.copy_disks is 1"),
    ("VALUE_INVALID", {**LIVE, "live": {"connections": 0}}, "at least 1"),
    ("VALUE_INVALID", {**LIVE, "live": {"compression": "zip"}}, "zlib"),
    ("VALUE_INVALID", {**LIVE, "live": {"bandwidth_mib_s": "1G"}}, "live.bandwidth_mib_s"),
    ("VALUE_INVALID", {**LIVE, "live": {"max_downtime_ms": 50}}, "at least 100"),
    ("VALUE_INVALID", {**LIVE, "live": {"forecast": True}}, "refuse or warn or off"),
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


def test_a_policy_that_there_is_not() -> None:
    with pytest.raises(Refused) as caught:
        parse_request({**LIVE, "policy": "brisk"})
    assert caught.value.code == "POLICY_INVALID"
    assert caught.value.code in CODES


def test_every_code_of_a_request_is_provoked() -> None:
    documented = ["VM_", "VALUE_", "FLAVOR_", "SIZE_", "DEST_REQUIRED", "DEST_NOT_ALLOWED", "DEST_SAME"]
    expected = {code for code in CODES if code.startswith(tuple(documented))}
    assert {one[0] for one in REFUSED} == expected
