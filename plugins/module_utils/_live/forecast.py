# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a live migration will come to, before it begins: from what the guest writes and what the link carries. Pure.

The first pass sends all that is in the memory, each round after it what was written meanwhile: round by round
t' = u(t) / B, with u as C(curve.py) has it and a link of B bytes a second. Rounds get shorter until a link that is
B t* bytes long in t* seconds is just filled, u(t*) = B t*; for u(t) = h + w t that is t* = h / (B - w). No pause can be
shorter than t*, however long one waits, but for a moment in which the guest writes less than it does on the whole.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median

from ansible_collections.kvmops.mobility.plugins.module_utils._live.curve import Curve
from ansible_collections.kvmops.mobility.plugins.module_utils._live.options import Compression, Options
from ansible_collections.kvmops.mobility.plugins.module_utils._live.outlook import (
    PAST_MOST,
    Measured,
    Outlook,
    Past,
    Verdict,
    pause_words,
    seconds_words,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._live.pacing import (
    CLOSER,
    CONTRACTS,
    MARGIN,
    MARGIN_MS,
    first_ms,
    highest_ms,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._live.policy import (
    BALANCED,
    MUST_FINISH,
    OnTimeout,
    Pace,
    Policy,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._live.schedule import (
    downtime_at,
    downtime_steps,
    timeout_s,
)

MIB = 2**20
STARTING_S = 0.8
"""What libvirt does on both sides before the first byte and after the last."""

_DEVICES_MS = 30
_IN_FLIGHT_BYTES = 1.5 * MIB
"""What each pause has in it on the mean: state of devices, and what sockets hold. C(pacing.py) has the most of both."""
_SLACK_S = 0.025
"""QEMU looks whether it is done when it has sent for a twentieth of a second: on the mean, half of that late."""
_LOOK_S = 0.1
"""A round that has begun is seen so much later at the most."""
_SETTLED = 0.999
_ROUNDS = 5000
_THROTTLE_LEAST, _THROTTLE_MOST, _THROTTLE_MORE, _THROTTLE_LAST = 20, 90, 10, 99
"""Percent: what a guest is slowed down by at first, at least and at most, and QEMU's own steps and end."""
_HEAVY_SHARE, _HEAVY_ROUNDS, _SLOWED_ROUNDS = 0.5, 2, 100
"""QEMU slows a guest down when in two rounds more than half of what was sent was written meanwhile: by what it was told
first, then by 10 percent more each time."""
_LASTING_SHARE = 0.35
"""Of the link, that a guest that is slowed down may go on writing to: each round then is a third of the one before."""

NEED_MARGIN = 1.5
LINK_MARGIN = 1.15
"""It is certain to fail where on a link that is 1.15 times as fast it would need 1.5 times the pause that is allowed,
and where it would need more than that one with all that was seen to be written lessened by two standard errors."""
_ERRORS = 2.0
_LATE_MARGIN = 1.5
"""The same for the time that it may take."""

_PAST_LEAST_RATIO, _PAST_MOST_RATIO = 0.5, 2.0
_CEILING_MOST_MS = 10_000
"""A longer pause is not offered as a way out."""


@dataclass(frozen=True)
class _Case:
    """A guest, its way and a policy."""

    curve: Curve
    low: Curve
    """What the guest writes at the least."""
    link: float
    """What memory may take of it."""
    wire: float
    """What it carries."""
    resident: float
    begin_s: float
    """When its memory begins to be sent, since the call."""
    policy: Policy
    gib: float
    options: Options

    @property
    def ceiling_s(self) -> float:
        return self.policy.max_downtime_ms / 1000

    @property
    def least_ms(self) -> int:
        """What each pause has in it on the mean, however little memory is left."""
        return _DEVICES_MS + round(1000 * _IN_FLIGHT_BYTES / self.wire)

    def need_s(self, curve: Curve, link: float) -> float:
        """The shortest pause. What is not there cannot be written: never longer than the first pass."""
        found = curve.need_s(link)
        first_pass = self.resident / link
        return first_pass if found is None else min(found, first_pass)

    def words(self) -> str:
        """What was measured."""
        return f"dirtied {self.curve.bytes_in(1.0) / MIB:.0f} MiB/s, link {self.link / MIB:.0f} MiB/s"


@dataclass(frozen=True)
class _Round:
    """One pass over what was written in the one before it."""

    at_s: float
    """When it ended, since the call."""
    need_s: float
    """What was written meanwhile takes so long to be sent."""
    new: float
    """The share of that which is new in every round, in which the rest is hot."""

    @property
    def stands_s(self) -> float:
        """What is left at any moment of rounds that get no shorter: of what is new in a round, half on the mean."""
        return self.need_s * (1 - self.new / 2)

    def left_s(self, limit_s: float) -> float:
        """With what QEMU had left when it began to look again: it does so when that fits into the limit, and goes on
        with it then. What is hot of that is counted already."""
        return self.need_s + self.new * (limit_s - min(_SLACK_S, limit_s / 2))


@dataclass(frozen=True)
class _End:
    """How the rounds end."""

    at_s: float
    pause_s: float
    fits: bool
    """The pause is within what the policy allows."""


def outlook(measured: Measured, policy: Policy, gib: float, options: Options) -> Outlook:
    """What a live migration by *policy* with *options* will come to; *gib* as C(schedule.data_gib()) counts."""
    case = _case(measured, policy, gib, options)
    if case is None:
        return Outlook(Verdict.UNKNOWN, None, None, measured.unknown or "it was not measured")
    found = _plain(case)
    if found.verdict is not Verdict.CONVERGES:
        found = _helped(case, found)
    return _corrected(found, measured.past)


def plain(measured: Measured, policy: Policy, gib: float, options: Options) -> Outlook:
    """The same by pre-copy alone: without slowing down, post-copy, or a pause that makes it finish."""
    case = _case(measured, policy, gib, options)
    if case is None:
        return Outlook(Verdict.UNKNOWN, None, None, measured.unknown or "it was not measured")
    return _corrected(_plain(case), measured.past)


def need_s(measured: Measured, options: Options) -> float | None:
    """The shortest pause that the guest lets it have, seconds; None where that is not known."""
    case = _case(measured, BALANCED, 1.0, options)
    return None if case is None else case.need_s(case.curve, case.link)


def ways_out(measured: Measured, policy: Policy, gib: float, options: Options) -> tuple[tuple[str, Outlook], ...]:
    """What would make it finish where *policy* does not, as an operator types it, each with its own outlook."""
    ceiling_ms = policy.max_downtime_ms
    stays = policy.pace is Pace.FORECAST
    base = policy if stays else replace(BALANCED, max_downtime_ms=ceiling_ms)
    prefix = "" if stays else f"policy={base.name} with "
    asked = [] if stays else [(f"policy={base.name}", base, options)]
    wider_ms = _wider_ms(need_s(measured, options) or 0.0)
    if ceiling_ms < wider_ms <= _CEILING_MOST_MS:
        asked.append((f"{prefix}live.max_downtime_ms={wider_ms}", replace(base, max_downtime_ms=wider_ms), options))
    slowed, switched = replace(options, auto_converge=True), replace(options, post_copy=True)
    asked.append((f"{prefix}live.auto_converge=true", base, replace(slowed, post_copy=False)))
    asked.append((f"{prefix}live.post_copy=true", base, replace(switched, auto_converge=False)))
    asked.append(("policy=must_finish", replace(MUST_FINISH, max_downtime_ms=ceiling_ms), options))
    found = [(words, outlook(measured, other, gib, how)) for words, other, how in asked]
    return tuple((words, one) for words, one in found if one.verdict is Verdict.CONVERGES)


def _wider_ms(need: float) -> int:
    """A quarter more than the pause that is needed, in hundreds: QEMU is told a little less than what is allowed."""
    return 100 * (int(12.5 * need) + 1)


def _case(measured: Measured, policy: Policy, gib: float, options: Options) -> _Case | None:
    wire = measured.link
    if wire is None or wire <= 0 or not measured.dirtied:
        return None
    link = min(wire, options.bandwidth_mib_s * MIB or wire)
    disks_s = measured.disk_bytes / link if options.copy_disks else 0.0
    return _Case(
        curve=Curve.through(measured.dirtied),
        low=Curve.through((seconds, _at_least(amount, measured.grain_bytes)) for seconds, amount in measured.dirtied),
        link=link,
        wire=wire,
        resident=measured.resident_bytes,
        begin_s=STARTING_S + disks_s,
        policy=policy,
        gib=gib,
        options=options,
    )


def _at_least(amount: float, grain: float) -> float:
    """So many pages were found written, and chance had a part in that: twice the root of their number is taken off."""
    return max(0.0, amount - _ERRORS * math.sqrt(amount * grain))


# --- plain pre-copy --------------------------------------------------------------------------------------------------


def _plain(case: _Case) -> Outlook:
    """Without slowing the guest down, and without post-copy."""
    end = _ends(case, _rounds(case))
    need = case.need_s(case.curve, case.link)
    if not end.fits:
        verdict = Verdict.DOES_NOT if _is_clear(case) else Verdict.UNSURE
        allowed = f"{pause_words(case.policy.max_downtime_ms)} are allowed"
        return Outlook(verdict, None, None, f"{case.words()}, so it needs {_need_words(case, need)}, and {allowed}")
    return _in_time(case, _arrival(case, end, case.words()))


def _need_words(case: _Case, need: float) -> str:
    if case.curve.need_s(case.link) is None:
        return f"as long a pause as all of its memory takes, {pause_words(1000 * need)}"
    return f"a pause of {pause_words(1000 * need)}"


def _arrival(case: _Case, end: _End, why: str) -> Outlook:
    total_s, pause_ms = round(end.at_s + end.pause_s, 1), round(1000 * end.pause_s) + case.least_ms
    return Outlook(Verdict.CONVERGES, total_s, pause_ms, why, 0, total_s, pause_ms)


def _in_time(case: _Case, found: Outlook) -> Outlook:
    """The same where the policy's time is long enough."""
    limit_s = timeout_s(case.policy.completion_timeout_s, case.gib)
    if not limit_s or found.total_s is None or found.total_s <= limit_s:
        return found
    verdict = Verdict.DOES_NOT if found.total_s > _LATE_MARGIN * limit_s else Verdict.UNSURE
    why = f"{found.why}, so it takes {seconds_words(found.total_s)}, and {limit_s} s are allowed"
    return Outlook(verdict, None, None, why)


def _is_clear(case: _Case) -> bool:
    """Whether it would fail in spite of what is uncertain."""
    if case.options.compression is not Compression.NONE:
        return False  # what changed in a page may be a few bytes, and nobody has measured that
    window, amount = case.curve.first
    need = case.need_s(case.curve, case.link)
    if need < window and amount <= CONTRACTS * case.link * window:
        return False  # so far below what was measured that rounds may get shorter after all: u(t) may be that low
    with_margin = case.need_s(case.curve, LINK_MARGIN * case.link)
    return with_margin > NEED_MARGIN * case.ceiling_s and case.need_s(case.low, case.link) > case.ceiling_s


def _rounds(case: _Case) -> Iterator[_Round]:
    """One after the other, the first pass first."""
    at, took = case.begin_s, case.resident / case.link
    for _number in range(_ROUNDS):
        at += took
        found = _round(case, case.curve, at, took)
        yield found
        took = found.need_s


def _round(case: _Case, curve: Curve, at: float, window_s: float) -> _Round:
    """The one that ended *at*, in which the guest wrote for *window_s*."""
    written = curve.bytes_in(window_s)
    new = min(1.0, curve.slope_at(window_s) * window_s / written) if written else 0.0
    return _Round(at, min(written, case.resident) / case.link, new)


def _ends(case: _Case, rounds: Iterator[_Round], *, slowing: bool = False) -> _End:
    by_pace = _by_forecast if case.policy.pace is Pace.FORECAST else _by_steps
    return by_pace(case, rounds, slowing=slowing)


def _by_forecast(case: _Case, rounds: Iterator[_Round], *, slowing: bool) -> _End:
    """The limit is low until rounds get no shorter, then a little above what they need."""
    most_s = highest_ms(case.policy.max_downtime_ms, case.link) / 1000
    first_s = limit_s = first_ms(case.policy.max_downtime_ms) / 1000
    best, shortest, times, bests = float("inf"), float("inf"), [0.0], [float("inf")]
    end = _End(case.begin_s, 0.0, fits=True)
    for one in rounds:
        left = one.left_s(first_s)
        end = _End(one.at_s, left, fits=False)
        if left <= limit_s:
            return _dip(one.at_s, left, limit_s)
        if left >= CONTRACTS * best:
            limit_s = max(limit_s, min(most_s, MARGIN * min(best, left) + MARGIN_MS / 1000))
            settled = not slowing and one.need_s >= _SETTLED * shortest
            if left <= limit_s or (settled and left <= most_s):  # a limit that did not do is raised
                return _End(one.at_s + _LOOK_S, left, fits=True)
            if settled or (not slowing and _stuck(case.policy, times, bests, end)):
                return _when_stuck(case.policy, times, bests, end)
        best, shortest = min(best, left), min(shortest, one.need_s)
        times.append(one.at_s)
        bests.append(best)
    return end


def _dip(at: float, need: float, limit_s: float) -> _End:
    """QEMU stops the guest as soon as what is left fits, which is somewhere between what was written and the limit."""
    return _End(at, (need + limit_s) / 2, fits=True)


def _stuck(policy: Policy, times: Sequence[float], bests: Sequence[float], now: _End) -> bool:
    """Whether it came no closer for as long as the policy waits."""
    if not policy.stall_s:
        return False
    known = bisect_right(times, now.at_s - policy.stall_s)
    return known > 0 and now.pause_s > CLOSER * bests[known - 1]


def _when_stuck(policy: Policy, times: Sequence[float], bests: Sequence[float], now: _End) -> _End:
    """The same when the policy has waited for long enough since it last came closer."""
    since = next((at for at, best in zip(times, bests) if CLOSER * best <= now.pause_s), now.at_s)
    return replace(now, at_s=max(now.at_s, since + policy.stall_s))


def _by_steps(case: _Case, rounds: Iterator[_Round], *, slowing: bool) -> _End:
    """Nova's: the limit rises on a clock, and rounds come and go meanwhile."""
    policy = case.policy
    steps = downtime_steps(policy.max_downtime_ms, policy.downtime_steps, policy.downtime_delay_s, case.gib)
    last = _Round(case.begin_s, 0.0, 0.0)
    before = float("inf")
    for one in rounds:
        last = one
        limit_s = (downtime_at(one.at_s, steps) or 0) / 1000
        if one.need_s <= limit_s:
            return _dip(one.at_s, one.need_s, limit_s)
        if not slowing and one.need_s >= _SETTLED * before:
            break
        before = one.need_s
    stands = last.stands_s
    due = next((step for step in steps if step.downtime_ms >= 1000 * stands), None)
    if due is None:
        return _End(last.at_s, last.need_s, fits=False)
    return _End(max(last.at_s, due.after_s), stands, fits=True)


# --- what may be done besides ----------------------------------------------------------------------------------------


def _helped(case: _Case, plain: Outlook) -> Outlook:
    """What the policy and the options make of one that plain pre-copy does not end, or may not."""
    by_itself = case.policy.pace is Pace.FORECAST
    if case.options.post_copy and by_itself:
        return _in_time(case, _by_post_copy(case, _given_up_at(case), plain.why))
    if case.options.auto_converge:
        slowed = _slowed_down(case, plain)
        if slowed.verdict is Verdict.CONVERGES or case.policy.on_timeout is OnTimeout.ABORT:
            return slowed
    if case.policy.on_timeout is OnTimeout.FORCE_COMPLETE:
        return _forced(case, plain)
    return plain


def _given_up_at(case: _Case) -> _End:
    """The end of the second round that is no shorter than the one before."""
    best = float("inf")
    end = _End(case.begin_s, 0.0, fits=False)
    for one in _rounds(case):
        end = _End(one.at_s, one.need_s, fits=False)
        if one.need_s >= CONTRACTS * best:
            break
        best = min(best, one.need_s)
    return end


def _by_post_copy(case: _Case, end: _End, why: str) -> Outlook:
    """What is not there yet is fetched while the guest runs there."""
    total_s, pause_ms = round(end.at_s + end.pause_s, 1), case.least_ms
    return Outlook(Verdict.CONVERGES, total_s, pause_ms, f"{why}: by post-copy", 0, total_s, pause_ms)


def _forced(case: _Case, plain: Outlook) -> Outlook:
    """It is made to finish when its time is up, or when it came no closer for long enough."""
    limit_s = timeout_s(case.policy.completion_timeout_s, case.gib)
    waits = case.policy.stall_s > 0 and case.policy.pace is Pace.FORECAST
    if not waits and not limit_s:
        return plain
    end = _ends(case, _rounds(case))
    if limit_s and (not waits or end.at_s > limit_s):
        end = replace(end, at_s=limit_s)
    if case.options.post_copy:
        return _by_post_copy(case, end, plain.why)
    return _arrival(case, end, f"{plain.why}: made to finish by a pause")


def _slowed_down(case: _Case, plain: Outlook) -> Outlook:
    """QEMU slows the guest down more and more; only where the forecast is followed it is told how much at first."""
    told = throttle_percent(case) if case.policy.pace is Pace.FORECAST else 0
    first = told or _THROTTLE_LEAST
    end = _ends(case, _slowed_rounds(case, first), slowing=True)
    why = f"{plain.why}: the guest is slowed down, by {first} % at first"
    if not end.fits:
        return Outlook(Verdict.UNSURE, None, None, why, told)
    return replace(_in_time(case, _arrival(case, end, why)), throttle_percent=told)


def throttle_percent(case: _Case) -> int:
    """What a guest has to be slowed down by for the pause that is allowed, and for rounds that get shorter quickly.

    A guest that has only so much of its time writes in t seconds what it would write in less: u((1 - p) t).
    """
    writes_s = case.curve.slowed().seconds_for(case.link * case.ceiling_s)
    for_pause = 1.0 - writes_s / case.ceiling_s
    lasting = case.curve.lasting
    for_rounds = 1.0 - _LASTING_SHARE * case.link / lasting if lasting > 0 else 0.0
    return round(min(_THROTTLE_MOST, max(_THROTTLE_LEAST, 100 * for_pause, 100 * for_rounds)))


def _slowed_rounds(case: _Case, first: int) -> Iterator[_Round]:
    """As C(_rounds()), of a guest that has less and less of its time."""
    curve = case.curve.slowed()
    at, took = case.begin_s, case.resident / case.link
    heavy = throttle = 0
    for _number in range(_SLOWED_ROUNDS):
        at += took
        found = _round(case, curve, at, took * (1 - throttle / 100))
        heavy += found.need_s > _HEAVY_SHARE * took
        if heavy == _HEAVY_ROUNDS:
            heavy = 0
            throttle = min(_THROTTLE_LAST, throttle + _THROTTLE_MORE) if throttle else first
        yield found
        took = found.need_s


# --- the past --------------------------------------------------------------------------------------------------------


def _corrected(found: Outlook, past: Sequence[Past]) -> Outlook:
    """By how far the model was wrong of this guest before."""
    if found.total_s is None or found.pause_ms is None:
        return found
    total = _ratio([(one.total_s, one.said_total_s) for one in past])
    pause = _ratio([(one.pause_ms, one.said_pause_ms) for one in past])
    return replace(found, total_s=round(found.total_s * total, 1), pause_ms=round(found.pause_ms * pause))


def _ratio(pairs: Sequence[tuple[float | None, float | None]]) -> float:
    """The median of what happened to what was said, of the last five and one that was just as said."""
    ratios = [was / said for was, said in pairs if was is not None and said]
    return min(_PAST_MOST_RATIO, max(_PAST_LEAST_RATIO, median([*ratios[-PAST_MOST:], 1.0])))
