# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The check of a live migration that looks ahead: whether its memory gets there as its policy wants it to.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ansible_collections.kvmops.mobility.plugins.module_utils._checks import live
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.codes import found
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.context import Move
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.finding import Finding, Severity
from ansible_collections.kvmops.mobility.plugins.module_utils._live import forecast
from ansible_collections.kvmops.mobility.plugins.module_utils._live.forecast import MIB
from ansible_collections.kvmops.mobility.plugins.module_utils._live.options import Compression, Options
from ansible_collections.kvmops.mobility.plugins.module_utils._live.outlook import Measured, Outlook, Verdict
from ansible_collections.kvmops.mobility.plugins.module_utils._live.policy import Pace, Policy
from ansible_collections.kvmops.mobility.plugins.module_utils._live.schedule import data_gib
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import Forecasting
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import LoadFacts, SpeedFacts

_STILL = ((1.0, 0), (2.0, 0))
"""A paused guest writes nothing."""
_NOT_ASKED = "it was not measured"


@dataclass(frozen=True)
class Prospect:
    """What a live migration is begun with, and what it will come to."""

    options: Options
    """The effective ones, with what the forecast makes of them."""
    measured: Measured | None = None
    outlook: Outlook | None = None
    """Both None where nobody wanted to know."""
    left_out: str = ""
    """Why an option is not used, though nothing else is in its way."""


def prospect(move: Move) -> Prospect:
    """The options that the job is started with, and the forecast.

    A guest is slowed down and its memory compressed, both of which costs it or its host something, only where plain
    pre-copy will not do; it is slowed down from the start, by what is needed. Policies that go by the clock are left as
    they were asked for, and so is what nothing is known of.
    """
    options, _told = live.used(move)
    request = move.request.live
    if request is None or request.forecast is Forecasting.OFF:
        return Prospect(options)
    measured, policy, gib = _measured(move), request.policy, gib_of(move)
    outlook = forecast.outlook(measured, policy, gib, options)
    plain = replace(options, auto_converge=False, compression=Compression.NONE)
    if policy.pace is not Pace.FORECAST or outlook.verdict is Verdict.UNKNOWN or plain == options:
        return Prospect(options, measured, outlook)
    alone = forecast.plain(measured, policy, gib, plain)
    if alone.verdict is Verdict.CONVERGES:
        return Prospect(plain, measured, alone, _needless(options, alone))
    return Prospect(replace(options, throttle_initial=outlook.throttle_percent), measured, outlook)


def _needless(options: Options, plain: Outlook) -> str:
    names = ["auto_converge"] if options.auto_converge else []
    names += ["compression"] if options.compression is not Compression.NONE else []
    left_out = f"{' and '.join(names)} {'are' if len(names) > 1 else 'is'} left out"
    return f"{left_out}, for plain pre-copy will do: {plain.words()}."


def gib_of(move: Move) -> float:
    """What every delay and timeout is scaled with.

    As in Nova, the length of the file: that of a thin image says what is in it, of a raw one what it may hold.
    """
    return data_gib(move.old.memory_mib, (one.apparent_bytes for one in live.copied(move)))


def _measured(move: Move) -> Measured:
    facts = move.site.forecasts.get(move.source)
    load = facts.loads.get(move.guest.uuid) if facts else None
    link = facts.links.get(move.destination) if facts else None
    load = load or LoadFacts((), move.old.memory_mib * MIB, reason=_NOT_ASKED)
    link = link or SpeedFacts(None, _NOT_ASKED)
    paused = move.guest.state == "paused"
    found = Measured(
        dirtied=_STILL if paused else load.dirtied,
        resident_bytes=load.resident_bytes,
        link_bytes_s=link.bytes_s,
        past=load.past,
        grain_bytes=load.grain_bytes,
        disk_bytes=sum(one.copied_bytes for one in live.copied(move)),
    )
    unknown = [f"what the guest writes: {load.reason}"] if not found.dirtied else []
    unknown += [f"the link to {move.destination}: {link.reason}"] if found.link is None else []
    return replace(found, unknown="; ".join(unknown))


def converges(move: Move) -> Iterator[Finding]:
    """One that clearly cannot end as its policy wants it to is not begun, unless that was wanted."""
    request = move.request.live
    if request is None or move.fit is None:
        return
    one = prospect(move)
    if one.left_out:
        yield found("LIVE_OPTION_LEFT_OUT", move.name, one.left_out)
    if one.measured is None or one.outlook is None or one.outlook.verdict is not Verdict.DOES_NOT:
        return
    message = f"it will not get to {move.destination} by the policy {request.policy.name}: {one.outlook.why}."
    finding = found("WILL_NOT_CONVERGE", move.name, message, _remedy(one.measured, request.policy, move, one.options))
    warned = request.forecast is Forecasting.WARN
    yield replace(finding, severity=Severity.WARN) if warned else finding


def _remedy(measured: Measured, policy: Policy, move: Move, options: Options) -> str:
    ways = forecast.ways_out(measured, policy, gib_of(move), options)
    shown = "; ".join(f"{words} ({one.short()})" for words, one in ways)
    rest = "kvmops.mobility.migrate moves it with a stop; live.forecast=warn begins all the same."
    return f"{f'What would do: {shown}' if shown else 'Wait until it writes less'}. {rest}"


CHECKS = (converges,)
