# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What guests write, as libvirt and their pages tell it; and that nothing of it can fail."""

from __future__ import annotations

import ctypes
import mmap
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.library import libvirt
from ansible_collections.kvmops.mobility.plugins.module_utils._live.outlook import GRAIN_BYTES, Past
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import (
    ForecastFacts,
    LoadFacts,
    SpeedFacts,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._survey import dirtying, forecast
from ansible_collections.kvmops.mobility.plugins.module_utils._survey.dirtying import combined, measure
from ansible_collections.kvmops.mobility.plugins.module_utils._survey.pages import Seen
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer import speed
from ansible_collections.kvmops.mobility.tests.unit.bed import ID, Bed
from ansible_collections.kvmops.mobility.tests.unit.builders import MIB, UUID
from ansible_collections.kvmops.mobility.tests.unit.driver import libvirt_error
from ansible_collections.kvmops.mobility.tests.unit.lively import live

NEW = 11_003_000


def loads(bed: Bed, version: int = NEW, pidfiles: str = "/nowhere") -> dict[str, LoadFacts]:
    return measure(bed.hypervisor.domains(), version, bed.clock, bed.clock.sleep, pidfiles)


def test_windows_of_one_and_two_seconds_twice(bed: Bed) -> None:
    bed.guest()
    bed.travel.dirtying.mib_s = {1: 30, 2: 20}
    began = bed.clock()
    (found,) = loads(bed).values()
    assert bed.travel.dirtying.started == [1, 2, 1, 2]
    assert found.dirtied == ((1.0, 30 * MIB), (2.0, 40 * MIB))
    assert (found.grain_bytes, found.reason) == (GRAIN_BYTES // 2, "")
    assert found.resident_bytes <= 64 * MIB
    assert 6 <= bed.clock() - began <= 7


def test_a_window_that_takes_longer_is_waited_for(bed: Bed) -> None:
    bed.guest()
    bed.travel.dirtying.slow = 5
    assert next(iter(loads(bed).values())).dirtied == ((1.0, 0), (2.0, 0))


def test_a_window_that_never_ends_is_not(bed: Bed) -> None:
    bed.guest()
    bed.travel.dirtying.slow = 10**6
    began = bed.clock()
    (found,) = loads(bed).values()
    assert (found.dirtied, found.reason) == ((), "libvirt did not end a measurement of 1 s in time")
    assert bed.clock() - began < 6


@pytest.mark.parametrize(
    ("version", "refusal", "words"),
    [(7_001_000, "", "libvirt 7.2 is needed"), (NEW, "unknown command", "libvirt could not measure what it writes")],
)
def test_what_cannot_be_measured_is_said(bed: Bed, version: int, refusal: str, words: str) -> None:
    bed.guest()
    bed.travel.dirtying.refusal = refusal
    (found,) = loads(bed, version).values()
    assert found.dirtied == ()
    assert words in found.reason
    assert found.resident_bytes > 0


def test_a_guest_that_is_off_or_paused_is_not_asked(bed: Bed) -> None:
    bed.guest(running=False)
    assert loads(bed)[UUID].reason == "it does not run"
    bed.domain().start()
    bed.connection.lookupByName("web1").suspend()
    assert loads(bed)[UUID].dirtied == ()
    assert bed.travel.dirtying.started == []


def test_a_guest_that_leaves_meanwhile(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    bed.guest()

    def leave() -> None:
        raise libvirt_error(libvirt.VIR_ERR_NO_DOMAIN, "Domain not found")

    monkeypatch.setattr(bed.travel.dirtying, "stats", leave)
    assert "no such domain" in loads(bed)[UUID].reason


def test_more_guests_than_can_be_measured(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    bed.guest()
    monkeypatch.setattr(dirtying, "MOST_GUESTS", 0)
    assert "more than 0 guests" in loads(bed)[UUID].reason


@pytest.fixture
def held(bed: Bed) -> Any:
    """Memory of this very process, as large as the guest's, and a pid file that says that it is the guest's."""
    bed.guest()
    (bed.root / "web1.pid").write_text(f"{os.getpid()}\n", encoding="ascii")
    return mmap.mmap(-1, 64 * MIB)


def test_with_a_look_at_its_pages(bed: Bed, held: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = ctypes.addressof(ctypes.c_char.from_buffer(held))
    held[: 16 * MIB] = b"x" * (16 * MIB)
    monkeypatch.setattr(dirtying, "memory", lambda _pid, size: (begin, begin + size))
    rest, turns = bed.clock.sleep, iter(range(10**6))

    def sleep(seconds: float) -> None:
        """Meanwhile 4 MiB are written, always the same ones."""
        held[: 4 * MIB] = bytes([next(turns) % 255 + 1]) * (4 * MIB)
        rest(seconds)

    bed.travel.dirtying.mib_s = {1: 4, 2: 2}
    found = measure(bed.hypervisor.domains(), NEW, bed.clock, sleep, str(bed.root))[UUID]
    assert [seconds for seconds, _amount in found.dirtied] == [0.1, 0.2, 0.5, 1.0, 2.0]
    assert all(amount == pytest.approx(4 * MIB, rel=0.1) for _seconds, amount in found.dirtied)
    assert found.resident_bytes == pytest.approx(16 * MIB, rel=0.1)
    assert found.grain_bytes == 64 * MIB // 1024


@pytest.mark.parametrize("content", ["", "x", "999999999\n"])
def test_a_pid_file_that_leads_nowhere(bed: Bed, content: str) -> None:
    bed.guest()
    (bed.root / "web1.pid").write_text(content, encoding="ascii")
    assert loads(bed, pidfiles=str(bed.root))[UUID].dirtied == ((1.0, 0), (2.0, 0))


def test_what_looked_at_more_pages_counts_for_more() -> None:
    seen = Seen(((0.1, 10), (1.0, 100)), 5, GRAIN_BYTES // 8)
    found, grain = combined([(1.0, 200), (2.0, 300), (1.0, 200), (2.0, 500)], seen)
    assert found == ((0.1, 10), (1.0, (8 * 100 + 2 * 200) // 10), (2.0, 400))
    assert grain == GRAIN_BYTES // 2
    assert combined([], None) == ((), GRAIN_BYTES)


# --- all of it -------------------------------------------------------------------------------------------------------

PEER = {"name": "c2", "address": "192.0.2.2", "port": 2222}


def params(**values: Any) -> dict[str, Any]:
    given = {"guests": [UUID], "peers": [PEER], "user": "root", "identity_file": "/k", "known_hosts_file": None}
    return {**given, **values}


def test_all_that_a_forecast_needs(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    bed.guest()
    asked: list[Any] = []

    def speeds(peers: Any, _monotonic: Any) -> dict[str, SpeedFacts]:
        asked.extend(peers)
        assert bed.travel.dirtying.started == [], "sending takes a part of the host from its guests"
        return {name: SpeedFacts(7) for name, _peer in peers}

    monkeypatch.setattr(speed, "measure", speeds)
    plan = forecast.plan(bed.context(**params()))
    assert plan.effects == ()
    found = ForecastFacts.from_result(plan.result)
    assert found.links == {"c2": SpeedFacts(7)}
    assert found.loads[UUID].dirtied == ((1.0, 0), (2.0, 0))
    ((_name, peer),) = asked
    assert (peer.address, peer.user, peer.port, peer.identity_file) == ("192.0.2.2", "root", 2222, "/k")


def test_only_those_that_were_asked_for(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    bed.guest()
    monkeypatch.setattr(speed, "measure", lambda *_any: {})
    assert forecast.plan(bed.context(**params(guests=["db1"]))).result["loads"] == {}
    assert list(forecast.plan(bed.context(**params(guests=["web1"]))).result["loads"]) == [UUID]


def kept(bed: Bed, receipt: dict[str, Any] | None, **values: Any) -> tuple[Past, ...]:
    """What is learnt from a live migration with that receipt."""
    bed.keep_record("destination", operation="live_migrate", live=live(**values))
    if receipt is not None:
        bed.store.write_json(bed.store.migration(ID) / "receipt.json", receipt)
    return forecast.past(bed.store).get(UUID, ())


CARRIED = {"seconds": 12.5, "downtime_ms": 300, "memory_bytes_s": 9}


def test_the_past_is_in_the_receipts(bed: Bed) -> None:
    assert kept(bed, {"status": "completed", "carried": CARRIED}) == (Past(12.5, None, 300, None, 9),)


@pytest.mark.parametrize(
    "receipt",
    [None, {"status": "failed", "carried": CARRIED}, {"status": "completed", "carried": None}],
)
def test_what_did_not_arrive_is_not_learnt_from(bed: Bed, receipt: dict[str, Any] | None) -> None:
    assert kept(bed, receipt) == ()


def test_a_link_that_was_not_let_to_says_nothing(bed: Bed) -> None:
    options = replace(live().options, bandwidth_mib_s=3)
    (found,) = kept(bed, {"status": "completed", "carried": CARRIED}, options=options)
    assert (found.total_s, found.bytes_s) == (12.5, None)


def test_a_receipt_that_was_torn_is_passed_over(bed: Bed) -> None:
    kept(bed, None)
    Path(bed.store.migration(ID), "receipt.json").write_text("{", encoding="ascii")
    assert forecast.past(bed.store) == {}
    bed.guest()
    assert bed.find() is not None
