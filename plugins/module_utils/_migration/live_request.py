# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what an operator typed of a live migration: C(policy) and the mapping C(live). Pure.

What goes together is not asked here: that depends on the guest's disks and on both hypervisors.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._live.options import Compression, Options
from ansible_collections.kvmops.mobility.plugins.module_utils._live.policy import BALANCED, Policy, parse
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import Forecasting, LiveRequest
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.values import (
    choice,
    invalid,
    is_empty,
    parse_flag,
    section,
    whole,
)

_FLAGS = ("tls", "auto_converge", "post_copy", "zero_copy", "tunnelled")
_WHILE_IT_RUNS = ("bandwidth_mib_s", "max_downtime_ms")
_KEYS = ("copy_disks", *_FLAGS, "connections", "compression", "announce", "forecast", *_WHILE_IT_RUNS)
_LEAST_DOWNTIME_MS = 100
"""A policy's least, too."""


def parse_live(raw: Mapping[str, Any]) -> LiveRequest:
    """What C(policy) and C(live) ask for. Raises Refused: POLICY_INVALID, VALUE_INVALID."""
    given = section("live", raw.get("live") or {}, _KEYS)
    options = Options(
        **{name: parse_flag(f"live.{name}", given[name]) for name in _FLAGS if name in given},
        connections=whole("live.connections", given.get("connections", 1), 1),
        compression=Compression(_word("compression", given, [one.value for one in Compression], "none")),
        bandwidth_mib_s=_bandwidth(given) or 0,
    )
    return LiveRequest(
        policy=_with_downtime(_policy(raw, BALANCED), given),
        options=options,
        copy_disks=_copy_disks(given.get("copy_disks", "auto")),
        announce=parse_flag("live.announce", given.get("announce", False)),
        forecast=_forecast(given.get("forecast", Forecasting.REFUSE.value)),
    )


def parse_retune(raw: Mapping[str, Any], now: Policy) -> tuple[Policy | None, int | None]:
    """The policy and the bandwidth, MiB/s, of a live migration that runs by *now*; None for what stays.

    A policy without a name changes *now*. Raises Refused: POLICY_INVALID, VALUE_INVALID.
    """
    given = section("live", raw.get("live") or {}, _WHILE_IT_RUNS)
    wanted = _with_downtime(_policy(raw, now), given)
    bandwidth = _bandwidth(given)
    if is_empty(raw.get("policy")) and not given:
        raise invalid("policy", None, "a policy, or live with bandwidth_mib_s or max_downtime_ms: what is to change")
    return (wanted if wanted != now else None), bandwidth


def _policy(raw: Mapping[str, Any], base: Policy) -> Policy:
    given = raw.get("policy")
    return base if is_empty(given) else parse(given, base)


def _with_downtime(policy: Policy, given: Mapping[str, Any]) -> Policy:
    """The short way to one part of the policy; it beats the policy's own."""
    if "max_downtime_ms" not in given:
        return policy
    wanted = whole("live.max_downtime_ms", given["max_downtime_ms"], _LEAST_DOWNTIME_MS)
    return replace(policy, max_downtime_ms=wanted)


def _bandwidth(given: Mapping[str, Any]) -> int | None:
    return whole("live.bandwidth_mib_s", given["bandwidth_mib_s"], 0) if "bandwidth_mib_s" in given else None


def _word(name: str, given: Mapping[str, Any], allowed: list[str], default: str) -> str:
    return choice(f"live.{name}", given.get(name, default), allowed)


def _forecast(value: Any) -> Forecasting:
    """YAML reads a bare off as false."""
    text = Forecasting.OFF.value if value is False else value
    return Forecasting(choice("live.forecast", text, [one.value for one in Forecasting]))


def _copy_disks(value: Any) -> bool | None:
    """None: as the storage of each disk says."""
    if isinstance(value, str) and value.strip() == "auto":
        return None
    if isinstance(value, bool) or (isinstance(value, str) and value.strip().lower() in ("true", "false", "yes", "no")):
        return parse_flag("live.copy_disks", value)
    raise invalid("live.copy_disks", value, "auto, true or false")
