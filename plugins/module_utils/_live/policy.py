# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies: how patient a live migration is, as data, and the one function that follows them. Pure.

A policy is a mapping that an operator can write down as YAML. C(balanced), the default, and C(must_finish) go by what
they forecast. Nova's is the default of Nova, by the clock; C(fast) and C(gentle) are the two ends of its scale.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._fields import known
from ansible_collections.kvmops.mobility.plugins.module_utils._live import pacing
from ansible_collections.kvmops.mobility.plugins.module_utils._live.model import (
    Abort,
    Action,
    ForceComplete,
    History,
    SetDowntime,
    Stage,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._live.schedule import (
    downtime_at,
    downtime_steps,
    timeout_s,
)


class OnTimeout(enum.Enum):
    """What happens to a migration whose time is up."""

    ABORT = "abort"
    FORCE_COMPLETE = "force_complete"


class Pace(enum.Enum):
    """What the downtime limit follows."""

    STEPS = "steps"
    """Nova's schedule: it rises on a clock."""
    FORECAST = "forecast"
    """What the pause would be if the guest were stopped now."""


@dataclass(frozen=True)
class Policy:
    """Nova's options under names of their own; the defaults and the least values are Nova's."""

    name: str = "nova"
    max_downtime_ms: int = 500
    """The longest that the guest may be stopped at the end."""
    downtime_steps: int = 10
    """In so many steps the limit rises to that."""
    downtime_delay_s: int = 75
    """Between two of them, for each GiB that is moved."""
    completion_timeout_s: int = 800
    """For each GiB that is moved; 0: never."""
    on_timeout: OnTimeout = OnTimeout.ABORT
    pace: Pace = Pace.STEPS
    """It comes with a policy's name; nobody sets it alone."""
    stall_s: int = 0
    """Pace FORECAST: so long it may come no closer to its end, then it is ended as C(on_timeout) says; 0: no limit."""

    def as_result(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**asdict(self), "on_timeout": self.on_timeout.value, "pace": self.pace.value}

    def typed(self) -> dict[str, Any]:
        """As an operator could have typed it, see C(parse())."""
        return {
            "name": self.name,
            **{name: value for name, value in self.as_result().items() if name in _PARTS[self.pace]},
        }

    @classmethod
    def from_result(cls, data: Mapping[str, Any]) -> Policy:
        """The inverse of C(as_result()); what was recorded before there was a pace went by steps."""
        pace = Pace(data.get("pace", Pace.STEPS.value))
        return cls(**{**known(cls, data), "on_timeout": OnTimeout(data["on_timeout"]), "pace": pace})


NOVA = Policy()
FAST = replace(NOVA, name="fast", downtime_steps=3, downtime_delay_s=3, completion_timeout_s=150)
GENTLE = replace(NOVA, name="gentle", downtime_steps=20, downtime_delay_s=75, completion_timeout_s=2000)
BALANCED = Policy(name="balanced", pace=Pace.FORECAST, stall_s=30)
MUST_FINISH = replace(BALANCED, name="must_finish", stall_s=15, on_timeout=OnTimeout.FORCE_COMPLETE)
POLICIES: Mapping[str, Policy] = {one.name: one for one in (BALANCED, MUST_FINISH, NOVA, FAST, GENTLE)}
"""By name. C(balanced): the smallest pause that the guest lets it have, within the ceiling. C(must_finish): the same,
and it ends in any case. C(fast): finish soon, and have the whole downtime soon. C(gentle): small steps, over a long
time."""

_ANY = ("max_downtime_ms", "completion_timeout_s", "on_timeout")
_PARTS: Mapping[Pace, tuple[str, ...]] = {
    Pace.FORECAST: (*_ANY, "stall_s"),
    Pace.STEPS: (*_ANY, "downtime_steps", "downtime_delay_s"),
}
"""What an operator can set of a policy, by its pace."""
_SILENT_S = 4.0
"""A link of half a MiB/s shows in what is left every two seconds or three: QEMU writes into a buffer."""
_LEAST = {"max_downtime_ms": 100, "downtime_steps": 3, "downtime_delay_s": 3, "completion_timeout_s": 0, "stall_s": 0}
"""Nova's; the last is ours."""


def parse(given: object, base: Policy = BALANCED) -> Policy:
    """The policy that was asked for: a name, or a mapping whose C(name) says what it differs from, else from *base*.

    Raises Refused(POLICY_INVALID) that names what was wrong, and what is allowed.
    """
    if isinstance(given, str):
        return _named(given)
    if not isinstance(given, Mapping):
        raise _invalid(repr(given), f"is neither a name ({_names()}) nor a mapping.")
    wanted = dict(given)
    if "name" in wanted:
        base = _named(str(wanted.pop("name")))
    for key in wanted:
        if key not in _PARTS[base.pace]:
            raise _invalid(str(key), f"is not part of a policy like {base.name}. {_parts()}")
    return replace(base, **{key: _value(key, value) for key, value in wanted.items()})


def _named(name: str) -> Policy:
    if name not in POLICIES:
        raise _invalid(name, f"is no policy. There are {_names()}.")
    return POLICIES[name]


def _names() -> str:
    return ", ".join(POLICIES)


def _parts() -> str:
    """What each kind of policy has."""
    kinds = []
    for pace, parts in _PARTS.items():
        names = ", ".join(one.name for one in POLICIES.values() if one.pace is pace)
        kinds.append(f"{names}: {', '.join(parts)}")
    return f"These have, besides name, {'; '.join(kinds)}."


def _value(key: str, value: object) -> Any:
    if key == "on_timeout":
        allowed = [one.value for one in OnTimeout]
        if value not in allowed:
            raise _invalid(f"{key}={value}", f"has to be {' or '.join(allowed)}.")
        return OnTimeout(value)
    text = str(value).strip()
    whole = not isinstance(value, bool) and text.isascii() and text.isdigit()
    if not whole or int(text) < _LEAST[key]:
        raise _invalid(f"{key}={value}", f"has to be a whole number of at least {_LEAST[key]}, without a unit.")
    return int(text)


def _invalid(subject: str, message: str) -> Refused:
    return Refused("POLICY_INVALID", subject, message, "Mend the policy, then run it again; nothing was changed.")


def decide(history: History, policy: Policy) -> tuple[Action, ...]:
    """What to do now; nothing, mostly.

    As Nova's monitor does it, each time it looks: first the timeout, unless the guest runs there already, then the
    downtime limit. What was asked for once is not asked for again, even when libvirt did not take it.
    """
    now = history.now
    if now is None or now.stage in (Stage.ENDING, Stage.POST_COPY, Stage.POST_COPY_PAUSED):
        return ()
    ending = () if history.forced else (_late(history, policy, now.elapsed_s) or _stuck(history, policy))
    if _is_silent(history):
        ending = tuple(one for one in ending if isinstance(one, Abort))
    if ending and policy.pace is Pace.FORECAST:
        return ending
    return (*ending, *_limit(history, policy, now.elapsed_s))


def _is_silent(history: History) -> bool:
    """Whether nothing goes over the link: post-copy would leave the guest on neither side, a pause would have no end.

    A link that stays so is found out by libvirt within half a minute, and the guest goes on here.
    """
    since_s = history.samples[-1].elapsed_s - _SILENT_S
    lately = [one for one in history.samples if one.stage is Stage.MEMORY and one.elapsed_s >= since_s]
    seen = {(one.iteration, one.memory_remaining) for one in lately}
    lasted_s = lately[-1].elapsed_s - lately[0].elapsed_s if lately else 0.0
    return len(seen) == 1 and lately[-1].memory_remaining > 0 and lasted_s >= _SILENT_S / 2


def _late(history: History, policy: Policy, elapsed_s: float) -> tuple[Action, ...]:
    limit_s = timeout_s(policy.completion_timeout_s, history.gib)
    if not limit_s or elapsed_s <= limit_s:
        return ()
    return (_end(policy, f"it did not end within {limit_s} s ({policy.completion_timeout_s} s for each GiB)"),)


def _end(policy: Policy, reason: str) -> Action:
    return Abort(reason) if policy.on_timeout is OnTimeout.ABORT else ForceComplete(reason)


def _stuck(history: History, policy: Policy) -> tuple[Action, ...]:
    """Post-copy is taken as soon as it is needed, where it is allowed; all else only when nothing has helped."""
    if policy.pace is not Pace.FORECAST:
        return ()
    ceiling_ms = policy.max_downtime_ms
    if history.post_copy:
        found = pacing.hopeless(history, ceiling_ms) or pacing.stuck(history, ceiling_ms, policy.stall_s)
        return (ForceComplete(found.words(ceiling_ms)),) if found else ()
    found = pacing.stuck(history, ceiling_ms, policy.stall_s)
    if found is None:
        return ()
    return (_end(policy, f"{found.words(ceiling_ms)}; it came no closer to that for {policy.stall_s} s"),)


def _limit(history: History, policy: Policy, elapsed_s: float) -> tuple[Action, ...]:
    why = ""
    if policy.pace is Pace.FORECAST:
        wanted: int | None = pacing.limit_ms(history, policy.max_downtime_ms)
        why = pacing.seen(history)
    else:
        steps = downtime_steps(policy.max_downtime_ms, policy.downtime_steps, policy.downtime_delay_s, history.gib)
        wanted = downtime_at(elapsed_s, steps)
    return () if wanted is None or wanted == history.downtime_ms else (SetDowntime(wanted, why),)
