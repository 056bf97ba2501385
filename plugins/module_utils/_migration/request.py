# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what the operator typed into a Request. Pure.

Extra vars given with C(-e key=value) are strings, those of a vars file or JSON have types: both are read, strictly.
A variable that is there and empty counts as not given, because that is what AWX sends for an unanswered question.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._domain.size import (
    DEFAULT_FLAVORS,
    flavors_from,
    resolve_flavor,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import (
    Capacity,
    ClaimRule,
    Flavor,
    Group,
    Operation,
    Request,
    Stop,
    Together,
    Transfer,
    Verify,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.live_request import parse_live
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.values import (
    choice,
    invalid,
    is_empty,
    optional_text,
    optional_whole,
    parse_flag,
    ratio,
    section,
    whole,
)

AUTO = "auto"
SAME = "same"

_SIZES = ("flavor", "vcpus", "memory_mib", "root_gib")


def parse_request(raw: Mapping[str, Any]) -> Request:
    """The request that the variables in *raw* make.

    It reads operation, vm, flavor, vcpus, memory_mib, root_gib, dest, root_disk, allow_managed, flavors, capacity,
    stop, transfer, verify, policy, live and groups, and leaves other keys alone. C(flavors) replaces OpenStack's five.
    Numbers given beside a flavor override that part of it: C(flavor=m1.large root_gib=100) is m1.large with a root disk
    of 100 GiB.

    Raises Refused: VM_MISSING, VM_DUPLICATE, VALUE_INVALID (its subject is the variable), FLAVOR_INVALID,
    FLAVOR_UNKNOWN, FLAVOR_PART_UNMAPPED, SIZE_MISSING, SIZE_NOT_ALLOWED, DEST_REQUIRED, DEST_NOT_ALLOWED,
    DEST_SAME_UNSUPPORTED, POLICY_INVALID.
    """
    given = {key: value for key, value in raw.items() if not is_empty(value)}
    operation = Operation(choice("operation", given.get("operation"), [one.value for one in Operation]))
    guests = _guests(given.get("vm"))
    _check_size_is_wanted(operation, given, ", ".join(guests))
    return Request(
        operation=operation,
        guests=guests,
        flavor=_flavor(given),
        vcpus=optional_whole(given, "vcpus", 1),
        memory_mib=optional_whole(given, "memory_mib", 1),
        root_gib=optional_whole(given, "root_gib", 0),
        destination=_destination(operation, given, ", ".join(guests)),
        root_disk=optional_text(given, "root_disk"),
        allow_managed=parse_flag("allow_managed", given.get("allow_managed", False)),
        capacity=_capacity(given.get("capacity", {})),
        stop=_stop(given.get("stop", {})),
        transfer=_transfer(given.get("transfer", AUTO)),
        verify=Verify(choice("verify", given.get("verify", Verify.QUICK.value), [one.value for one in Verify])),
        live=parse_live(given) if operation is Operation.LIVE_MIGRATE else None,
        groups=_groups(given.get("groups", {})),
    )


def _transfer(value: Any) -> Transfer | None:
    name = choice("transfer", value, [AUTO, *(one.value for one in Transfer)])
    return None if name == AUTO else Transfer(name)


def _guests(value: Any) -> tuple[str, ...]:
    """One or more names, in the order given."""
    if is_empty(value):
        raise _no_guest()
    several = isinstance(value, Sequence) and not isinstance(value, (str, bytes))
    names = tuple(_guest(one) for one in (value if several else [value]))
    if not names:
        raise _no_guest()
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        what = ", ".join(twice)
        raise Refused("VM_DUPLICATE", "vm", f"{what} is named more than once.", "Name each guest once.")
    return names


def _no_guest() -> Refused:
    remedy = 'Give -e vm=NAME (or its UUID), or several as JSON: -e \'{"vm": ["web1", "web2"]}\'.'
    return Refused("VM_MISSING", "vm", "no guest was named.", remedy)


def _guest(value: Any) -> str:
    # A name of digits only comes as a number from a vars file.
    number = isinstance(value, int) and not isinstance(value, bool)
    name = str(value).strip() if number or isinstance(value, str) else ""
    if not name or "," in name:
        hint = ' Several guests are given as JSON: -e \'{"vm": ["web1", "web2"]}\'.' if name else ""
        raise invalid("vm", value, "one name or UUID, or a list of them", hint)
    return name


def _check_size_is_wanted(operation: Operation, given: Mapping[str, Any], guests: str) -> None:
    sizes = [name for name in _SIZES if name in given]
    if operation is Operation.RESIZE and not sizes:
        remedy = "Give -e flavor=NAME, or one or more of vcpus=, memory_mib= and root_gib=."
        raise Refused("SIZE_MISSING", guests, "a resize needs a size, and none was given.", remedy)
    if operation is not Operation.RESIZE and sizes:
        message = f"{operation.value} takes no size, and {', '.join(sizes)} was given."
        raise Refused("SIZE_NOT_ALLOWED", guests, message, "Leave it out, or use kvmops.mobility.resize.")


def _flavor(given: Mapping[str, Any]) -> Flavor | None:
    known = flavors_from(given["flavors"]) if "flavors" in given else DEFAULT_FLAVORS
    name = optional_text(given, "flavor")
    return resolve_flavor(name, known) if name else None


def _destination(operation: Operation, given: Mapping[str, Any], guests: str) -> str | None:
    name = optional_text(given, "dest")
    if not operation.moves:
        if name:
            message = f"{operation.value} knows both hypervisors, and dest={name} was given."
            raise Refused("DEST_NOT_ALLOWED", guests, message, "Leave dest out.")
        return None
    if name == SAME:
        message = f"dest=same asks to {operation.value} the guest where it is, which cannot be done yet."
        raise Refused("DEST_SAME_UNSUPPORTED", guests, message, "Name another hypervisor with dest=, or use dest=auto.")
    if name is None and operation is not Operation.RESIZE:
        remedy = "Give -e dest=HYPERVISOR, or dest=auto for the one with the most free memory that passes."
        message = f"a {operation.value} needs a destination, and none was given."
        raise Refused("DEST_REQUIRED", guests, message, remedy)
    return name or AUTO


def _capacity(value: Any) -> Capacity:
    default = Capacity()
    given = section("kvmops_capacity", value, sorted(vars(default)))
    rules = [one.value for one in ClaimRule]
    return Capacity(
        rule=ClaimRule(choice("kvmops_capacity.rule", given.get("rule", default.rule.value), rules)),
        cpu_ratio=ratio("kvmops_capacity.cpu_ratio", given.get("cpu_ratio", default.cpu_ratio)),
        memory_ratio=ratio("kvmops_capacity.memory_ratio", given.get("memory_ratio", default.memory_ratio)),
        disk_ratio=ratio("kvmops_capacity.disk_ratio", given.get("disk_ratio", default.disk_ratio)),
        reserved_vcpus=whole("kvmops_capacity.reserved_vcpus", given.get("reserved_vcpus", default.reserved_vcpus), 0),
        reserved_memory_mib=whole(
            "kvmops_capacity.reserved_memory_mib", given.get("reserved_memory_mib", default.reserved_memory_mib), 0
        ),
        reserved_disk_gib=whole(
            "kvmops_capacity.reserved_disk_gib", given.get("reserved_disk_gib", default.reserved_disk_gib), 0
        ),
    )


def _groups(value: Any) -> tuple[Group, ...]:
    if not isinstance(value, Mapping):
        raise invalid("kvmops_groups", value, "a mapping of names to groups, each with policy and guests")
    return tuple(_group(str(name), one) for name, one in value.items())


def _group(name: str, value: Any) -> Group:
    variable = f"kvmops_groups.{name}"
    given = section(variable, value, ("guests", "policy"))
    members = given.get("guests")
    if not isinstance(members, Sequence) or isinstance(members, str) or not members:
        raise invalid(f"{variable}.guests", members, "a list of names or UUIDs")
    policy = choice(f"{variable}.policy", given.get("policy"), [one.value for one in Together])
    return Group(name, Together(policy), tuple(_guest(one) for one in members))


def _stop(value: Any) -> Stop:
    default = Stop()
    given = section("kvmops_stop", value, sorted(vars(default)))
    return Stop(
        timeout_s=whole("kvmops_stop.timeout_s", given.get("timeout_s", default.timeout_s), 1),
        retry_interval_s=whole(
            "kvmops_stop.retry_interval_s", given.get("retry_interval_s", default.retry_interval_s), 1
        ),
        on_timeout=choice("kvmops_stop.on_timeout", given.get("on_timeout", default.on_timeout), ["abort", "force"]),
    )
