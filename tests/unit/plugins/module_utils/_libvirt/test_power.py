# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError, TimedOut
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.domain import Domain
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.library import libvirt
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.power import (
    OnTimeout,
    Stopper,
    StopPolicy,
    wait_running,
)
from ansible_collections.kvmops.mobility.tests.unit.clock import Clock
from ansible_collections.kvmops.mobility.tests.unit.driver import libvirt_error

RUNNING, PAUSED, SHUTTING_DOWN, OFF, CRASHED = 1, 3, 4, 5, 6


class Guest:
    """A virDomain whose guest does at given times what it wants. No driver can be made to be slow."""

    def __init__(self, clock: Clock, *changes: tuple[float, int]) -> None:
        self.clock = clock
        self.began = clock()
        self.changes = changes
        self.asked: list[float] = []
        self.destroyed: list[float] = []
        self.before_asking: Callable[[], None] = lambda: None
        self.by_button: list[float] = []

    def name(self) -> str:
        return "web1"

    def UUIDString(self) -> str:  # noqa: N802 - libvirt's name
        return "uuid"

    def elapsed(self) -> float:
        return round(self.clock() - self.began, 3)

    def state(self) -> list[int]:
        if self.destroyed:
            return [OFF, 0]
        now = [state for at, state in self.changes if at <= self.elapsed()]
        return [now[-1] if now else RUNNING, 0]

    def _must_run(self) -> None:
        if self.state()[0] == OFF:
            raise libvirt_error(libvirt.VIR_ERR_OPERATION_INVALID, "domain is not running")

    def shutdownFlags(self, flags: int) -> None:  # noqa: N802 - libvirt's name
        if flags == libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN:
            self.by_button.append(self.elapsed())
            return
        self.before_asking()
        self._must_run()
        self.asked.append(self.elapsed())

    def destroy(self) -> None:
        self.before_asking()
        self._must_run()
        self.destroyed.append(self.elapsed())


def stopper(guest: Guest) -> Stopper:
    return Stopper(Domain(guest), guest.clock, guest.clock.sleep)


ABORT = StopPolicy(60, 10, OnTimeout.ABORT)
FORCE = StopPolicy(60, 10, OnTimeout.FORCE)


@pytest.mark.parametrize(
    ("off_at", "asked"),
    [(0.0, []), (0.05, [0]), (9.0, [0]), (10.5, [0, 10]), (25.0, [0, 10, 20]), (59.0, [0, 10, 20, 30, 40, 50])],
)
@pytest.mark.parametrize("policy", [ABORT, FORCE])
def test_it_is_asked_again_and_again_until_it_is_off(policy: StopPolicy, off_at: float, asked: list[float]) -> None:
    guest = Guest(Clock(), (off_at, OFF))
    found = stopper(guest).stop(policy)
    assert guest.asked == pytest.approx(asked, abs=0.11)
    assert (found.forced, found.requests, guest.destroyed) == (False, len(asked), [])
    assert found.seconds == pytest.approx(off_at, abs=0.11)


def test_an_agent_that_does_not_answer_holds_nobody_up() -> None:
    """libvirt waits a minute for it, whatever our bound is."""
    guest = Guest(Clock())
    answer = threading.Event()

    def wait() -> None:
        answer.wait(30)

    guest.before_asking = wait
    began = time.monotonic()
    try:
        with pytest.raises(TimedOut, match="GUEST_DID_NOT_STOP"):
            stopper(guest).stop(StopPolicy(25, 10, OnTimeout.ABORT))
    finally:
        answer.set()
    assert time.monotonic() - began < 10
    assert [round(one) for one in guest.by_button] == [10, 20]


def test_shutting_down_is_not_off() -> None:
    guest = Guest(Clock(), (1.0, SHUTTING_DOWN), (12.0, OFF))
    assert stopper(guest).stop(ABORT).seconds == pytest.approx(12.0, abs=0.11)


@pytest.mark.parametrize("state", [RUNNING, PAUSED, SHUTTING_DOWN, CRASHED])
def test_out_of_time_it_goes_on_and_says_so(state: int) -> None:
    guest = Guest(Clock(), (0.0, state))
    with pytest.raises(TimedOut, match=r"asked 6 times .* still after 60 s") as error:
        stopper(guest).stop(ABORT)
    assert (error.value.code, error.value.subject) == ("GUEST_DID_NOT_STOP", "web1")
    assert guest.destroyed == []
    assert guest.elapsed() == pytest.approx(60, abs=0.11)


def test_out_of_time_the_plug_is_pulled() -> None:
    guest = Guest(Clock())
    found = stopper(guest).stop(FORCE)
    assert (found.forced, found.requests) == (True, 6)
    assert guest.destroyed == pytest.approx([60], abs=0.11)


def test_a_short_time_is_kept() -> None:
    guest = Guest(Clock())
    with pytest.raises(TimedOut, match="asked 1 times"):
        stopper(guest).stop(StopPolicy(0.25, 10, OnTimeout.ABORT))
    assert guest.elapsed() == pytest.approx(0.25, abs=0.01)


def goes_off(guest: Guest) -> Callable[[], None]:
    """Between the look and the request."""

    def go() -> None:
        guest.changes = (*guest.changes, (0.0, OFF))

    return go


def test_going_off_between_look_and_request_is_success() -> None:
    guest = Guest(Clock())
    guest.before_asking = goes_off(guest)
    found = stopper(guest).stop(ABORT)
    assert (found.forced, guest.asked) == (False, [])


def test_a_request_that_fails_while_it_runs_is_an_error() -> None:
    guest = Guest(Clock())

    def fail() -> None:
        raise libvirt_error(libvirt.VIR_ERR_INTERNAL_ERROR, "monitor broke")

    guest.before_asking = fail
    with pytest.raises(MobilityError, match="monitor broke") as error:
        stopper(guest).stop(ABORT)
    assert error.value.code == "LIBVIRT_FAILED"


def test_going_off_before_the_plug_is_pulled_is_success() -> None:
    guest = Guest(Clock())

    def go() -> None:
        if guest.elapsed() >= 60:
            goes_off(guest)()

    guest.before_asking = go
    stopper(guest).stop(FORCE)
    assert guest.state()[0] == OFF
    guest = Guest(Clock())
    guest.before_asking = goes_off(guest)
    stopper(guest).force()
    assert guest.state()[0] == OFF


@pytest.mark.parametrize(("changes", "pulled"), [((), 1), (((0.0, OFF),), 0), (((0.0, CRASHED),), 1)])
def test_force(changes: tuple[tuple[float, int], ...], pulled: int) -> None:
    guest = Guest(Clock(), *changes)
    assert stopper(guest).force().forced
    assert len(guest.destroyed) == pulled


# --- released ----------------------------------------------------------------------------------------------------


def test_released_at_once_or_a_little_later() -> None:
    guest = Guest(Clock(), (0.0, OFF))
    stopper(guest).wait_released(lambda: ())
    assert guest.elapsed() == 0
    stopper(guest).wait_released(lambda: ("7 qemu",) if guest.elapsed() < 3 else ())
    assert guest.elapsed() == pytest.approx(3, abs=0.11)


def test_who_holds_it_is_named() -> None:
    guest = Guest(Clock(), (0.0, OFF))
    with pytest.raises(TimedOut, match="7 qemu, 9 backup") as error:
        stopper(guest).wait_released(lambda: ("7 qemu", "9 backup"))
    assert (error.value.code, error.value.subject) == ("DISK_IN_USE", "web1")
    assert guest.elapsed() == pytest.approx(15, abs=0.11)


# --- running -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("changes", "waited"), [((), 0.0), (((0.0, PAUSED), (2.0, RUNNING)), 2.0)])
def test_until_it_runs(changes: Any, waited: float) -> None:
    guest = Guest(Clock(), *changes)
    found = wait_running(Domain(guest), 60, guest.clock, guest.clock.sleep)
    assert found == pytest.approx(waited, abs=0.11)


@pytest.mark.parametrize(("state", "word"), [(PAUSED, "paused"), (OFF, "shut off"), (CRASHED, "crashed")])
def test_a_guest_that_does_not_start(state: int, word: str) -> None:
    guest = Guest(Clock(), (0.0, state))
    with pytest.raises(TimedOut, match=f"is {word} 60 s after its start") as error:
        wait_running(Domain(guest), 60, guest.clock, guest.clock.sleep)
    assert (error.value.code, error.value.subject) == ("GUEST_DID_NOT_START", "web1")
