# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said before a live migration begins, on guests that libvirt measures and a link that ssh does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.tests.e2e import lab, snapshot
from ansible_collections.kvmops.mobility.tests.e2e.lab import PREFIX
from ansible_collections.kvmops.mobility.tests.e2e.play import Run, play

GUEST = f"{PREFIX}forecast"
LINK_MBIT = 40
MIB = 2**20


def migrate(*options: str, **variables: Any) -> Run:
    return play("live_migrate", {"vm": GUEST, "dest": "c2", **variables}, *options, timeout_s=400)


@pytest.fixture
def guest(request: pytest.FixtureRequest) -> Iterator[str]:
    with lab.guest(GUEST, *request.param) as name:
        yield name


@pytest.fixture
def narrow(guest: str) -> str:
    lab.shape(LINK_MBIT)
    return guest


def live_of(done: Run) -> dict[str, Any]:
    found: dict[str, Any] = done.planned()[GUEST]["migration"]["live"]
    return found


@pytest.mark.parametrize("guest", [("--ticks", "--load", "memory=64")], indirect=True)
class TestOneThatWritesFasterThanTheLink:
    """64 MiB again and again, about once a second, and 5 MiB/s to send them."""

    @pytest.mark.parametrize("options", [("--check",), ()], ids=["check mode", "for real"])
    def test_it_is_refused_before_anything_changed(self, narrow: str, options: tuple[str, ...]) -> None:
        before = snapshot.take()
        done = migrate(*options)
        assert done.code != 0
        message = done.findings(narrow)["WILL_NOT_CONVERGE"]
        assert "500 ms are allowed" in message
        assert "link 4 MiB/s" in message or "link 5 MiB/s" in message
        (finding,) = done.planned()[narrow]["findings"]
        for way in ("live.post_copy=true (", "live.auto_converge=true (", "policy=must_finish ("):
            assert way in finding["remedy"]
        assert snapshot.difference(before, snapshot.take(), narrow) == []

    def test_one_of_the_ways_out_is_planned(self, narrow: str) -> None:
        live = live_of(migrate("--check", live={"auto_converge": True}))
        assert 20 <= live["options"]["throttle_initial"] <= 90
        assert live["outlook"]["throttle_percent"] == live["options"]["throttle_initial"]

    def test_with_a_warning_it_is_begun_all_the_same(self, narrow: str) -> None:
        policy = {"name": "balanced", "completion_timeout_s": 1}
        done = migrate(live={"forecast": "warn"}, policy=policy)
        assert "WILL_NOT_CONVERGE" in done.findings(narrow, "warn")
        assert any("LIVE_NOT_CONVERGING" in one for one in (*done.failures(), *done.last_lines().values())), done.output
        assert lab.verify(narrow).host == "c1"


@pytest.mark.parametrize("guest", [("--ticks",)], indirect=True)
def test_an_idle_guest_is_told_beforehand_and_afterwards(guest: str) -> None:
    lab.shape(160)
    done = migrate()
    assert done.code == 0, done.output
    (measured,) = done.of("live_forecast_info")
    (load,) = measured["loads"].values()
    assert {1.0, 2.0} < {one[0] for one in load["dirtied"]}, "libvirt's windows, and ours"
    assert 16 * MIB < load["resident_bytes"] < 256 * MIB
    assert measured["links"]["c2"]["bytes_s"] == pytest.approx(160 * 1000**2 / 8, rel=0.5)
    said = live_of(done)["outlook"]
    assert said["verdict"] == "converges"
    receipt = done.receipt(guest)
    was = receipt["carried"]
    assert said["total_s"] > 0  # how near it comes is measured by the bench, in quiet
    assert 0 < said["pause_ms"] <= 500
    (line,) = [one for one in receipt["lines"] if one.startswith("  forecast ")]
    assert "it took" in line
    back = play("live_migrate", {"vm": guest, "dest": "c1"}, timeout_s=400)
    assert back.code == 0, back.output
    learnt = live_of(back)["measured"]["past"]
    assert [one["total_s"] for one in learnt] == [was["seconds"]]


@pytest.mark.parametrize("guest", [("--ticks",)], indirect=True)
def test_a_cold_move_measures_nothing(guest: str) -> None:
    done = play("migrate", {"vm": guest, "dest": "c2"}, "--check")
    assert done.code == 0, done.output
    assert all(one.outcome == "skipped" for one in done.results if one.action.endswith("live_forecast_info"))
