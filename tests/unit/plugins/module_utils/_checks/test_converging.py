# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused because it would not get there, what is only said, and what is left to itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._checks import converging
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.catalogue import LIVE_CHECKS, run
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.context import Move
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.converging import prospect
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.finding import Finding, Severity
from ansible_collections.kvmops.mobility.plugins.module_utils._live.options import Compression, Options
from ansible_collections.kvmops.mobility.plugins.module_utils._live.outlook import Past, Verdict
from ansible_collections.kvmops.mobility.plugins.module_utils._live.policy import (
    BALANCED,
    FAST,
    MUST_FINISH,
    NOVA,
    Policy,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import (
    Forecasting,
    LiveRequest,
    Operation,
    Request,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import ForecastFacts
from ansible_collections.kvmops.mobility.tests.unit.builders import MIB, guest, measured, move, request, site

QUIET, HOT, SWEEP = measured(1, 1), measured(68, 102), measured(158, 306)


def asked(policy: Policy = BALANCED, forecast: Forecasting = Forecasting.REFUSE, **options: Any) -> Request:
    return request(Operation.LIVE_MIGRATE, live=LiveRequest(policy, Options(**options), forecast=forecast))


def the_move(facts: ForecastFacts | None, wanted: Request | None = None, state: str = "running") -> Move:
    one = guest(state=state)
    where = site(one, forecasts={"c1": facts} if facts else {})
    return move(one, wanted or asked(), where)


def findings(facts: ForecastFacts | None, wanted: Request | None = None, state: str = "running") -> list[Finding]:
    return list(run(the_move(facts, wanted, state), LIVE_CHECKS))


def test_one_that_would_not_get_there_is_refused() -> None:
    (finding,) = findings(SWEEP)
    assert (finding.code, finding.subject, finding.severity) == ("WILL_NOT_CONVERGE", "web1", Severity.BLOCK)
    for words in (
        "c2",
        "policy balanced",
        "dirtied 158 MiB/s, link 117 MiB/s",
        "500 ms are allowed",
        "live.auto_converge=true (",
        "live.post_copy=true (",
        "policy=must_finish (",
        "live.forecast=warn",
        "kvmops.mobility.migrate",
    ):
        assert words in finding.line()


def test_with_warn_it_is_only_said() -> None:
    (finding,) = findings(SWEEP, asked(forecast=Forecasting.WARN))
    assert (finding.code, finding.severity) == ("WILL_NOT_CONVERGE", Severity.WARN)


@pytest.mark.parametrize(
    ("facts", "wanted"),
    [
        pytest.param(QUIET, asked(), id="it fits"),
        pytest.param(HOT, asked(), id="it fits within the ceiling"),
        pytest.param(measured(80, 112), asked(), id="it may fit"),
        pytest.param(SWEEP, asked(forecast=Forecasting.OFF), id="nobody wants to know"),
        pytest.param(SWEEP, asked(MUST_FINISH), id="it is made to finish"),
        pytest.param(SWEEP, asked(post_copy=True), id="post-copy is allowed"),
        pytest.param(SWEEP, asked(auto_converge=True), id="it may be slowed down"),
        pytest.param(None, asked(), id="nothing was measured"),
        pytest.param(measured(158, 306, link=None), asked(), id="the link is not known"),
        pytest.param(measured(dirtied=()), asked(), id="what it writes is not known"),
    ],
)
def test_nothing_is_said_where_it_may_get_there(facts: ForecastFacts | None, wanted: Request) -> None:
    assert findings(facts, wanted) == []


def test_a_paused_guest_gets_there_whatever_it_wrote() -> None:
    assert findings(SWEEP, state="paused") == []
    found = prospect(the_move(replace(SWEEP, loads={}), state="paused")).outlook
    assert found is not None
    assert found.verdict is Verdict.CONVERGES


def test_what_is_not_known_is_named() -> None:
    found = prospect(the_move(measured(dirtied=(), link=None, reason="libvirt 7.2 is needed for that"))).outlook
    assert found is not None
    assert found.verdict is Verdict.UNKNOWN
    assert found.why == "what the guest writes: libvirt 7.2 is needed for that; the link to c2: no route to host"
    nothing = prospect(the_move(None)).outlook
    assert nothing is not None
    assert "was not measured" in nothing.why


def test_the_past_stands_for_a_link_that_could_not_be_measured() -> None:
    found = prospect(the_move(measured(link=None, past=(Past(bytes_s=100 * MIB),)))).outlook
    assert found is not None
    assert (found.verdict, found.why) == (Verdict.CONVERGES, "dirtied 0 MiB/s, link 100 MiB/s")


def test_a_guest_is_slowed_down_from_the_start_by_what_is_needed() -> None:
    found = prospect(the_move(SWEEP, asked(auto_converge=True)))
    assert (found.options.auto_converge, found.options.throttle_initial) == (True, 72)
    assert found.left_out == ""


def test_a_guest_that_need_not_be_slowed_down_is_not() -> None:
    wanted = asked(auto_converge=True)
    found = prospect(the_move(HOT, wanted))
    assert (found.options.auto_converge, found.options.throttle_initial) == (False, 0)
    (finding,) = findings(HOT, wanted)
    assert (finding.code, finding.severity) == ("LIVE_OPTION_LEFT_OUT", Severity.WARN)
    assert "plain pre-copy will do: 24 s, pause 478 ms" in finding.message


@pytest.mark.parametrize(
    ("more", "words"), [({}, "compression is"), ({"auto_converge": True}, "auto_converge and compression are")]
)
def test_memory_that_need_not_be_compressed_is_not(more: dict[str, Any], words: str) -> None:
    found = prospect(the_move(HOT, asked(compression=Compression.XBZRLE, **more)))
    assert (found.options.compression, found.options.auto_converge) == (Compression.NONE, False)
    assert found.left_out.startswith(f"{words} left out, for plain pre-copy will do: 24 s")


@pytest.mark.parametrize(
    ("more", "kept"),
    [
        ({"auto_converge": True}, (True, Compression.NONE)),
        ({"compression": Compression.XBZRLE}, (False, Compression.XBZRLE)),
    ],
)
def test_to_be_made_to_finish_by_a_pause_is_no_reason_to_leave_an_option_out(
    more: dict[str, Any], kept: tuple[bool, Compression]
) -> None:
    found = prospect(the_move(SWEEP, asked(MUST_FINISH, **more)))
    assert ((found.options.auto_converge, found.options.compression), found.left_out) == (kept, "")


def test_memory_is_compressed_where_plain_pre_copy_will_not_do() -> None:
    found = prospect(the_move(SWEEP, asked(compression=Compression.XBZRLE)))
    assert (found.options.compression, found.left_out) == (Compression.XBZRLE, "")
    assert findings(SWEEP, asked(compression=Compression.XBZRLE)) == []


@pytest.mark.parametrize("facts", [None, HOT, SWEEP])
@pytest.mark.parametrize("policy", [NOVA, FAST])
def test_policies_by_the_clock_are_left_as_they_were_asked_for(facts: ForecastFacts | None, policy: Policy) -> None:
    found = prospect(the_move(facts, asked(policy, auto_converge=True))).options
    assert (found.auto_converge, found.throttle_initial) == (True, 0)


def test_what_is_not_known_is_left_as_it_was_asked_for() -> None:
    found = prospect(the_move(None, asked(auto_converge=True)))
    assert (found.options.auto_converge, found.options.throttle_initial, found.left_out) == (True, 0, "")


def test_disks_that_are_copied_count() -> None:
    found = prospect(the_move(QUIET)).measured
    assert found is not None
    assert found.disk_bytes == 1024 * MIB


def test_a_cold_request_has_no_forecast() -> None:
    one = move(asked=request(Operation.MIGRATE))
    assert prospect(one) == converging.Prospect(Options(copy_disks=False))
    assert list(converging.converges(one)) == []
