# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stopping a guest for good and waiting for one to run, with bounds.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import enum
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError, TimedOut
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.domain import Domain

_POLL_S = 0.1
_RELEASE_S = 15
_GOING_S = 3


class OnTimeout(enum.Enum):
    """What happens when a guest does not shut down in time."""

    ABORT = "abort"
    FORCE = "force"


@dataclass(frozen=True)
class StopPolicy:
    """How a guest is stopped: asked every *retry_interval_s* until *timeout_s* is over, then *on_timeout*."""

    timeout_s: float
    retry_interval_s: float
    on_timeout: OnTimeout


@dataclass(frozen=True)
class Stopped:
    """How it went."""

    forced: bool
    requests: int
    seconds: float


class Stopper:
    """Stops one guest. Time comes in as arguments, so that tests take none."""

    def __init__(self, domain: Domain, monotonic: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._domain = domain
        self._monotonic = monotonic
        self._sleep = sleep
        self._asking: threading.Thread | None = None

    def stop(self, policy: StopPolicy) -> Stopped:
        """Ask until the guest is shut off: at 0, retry_interval_s, 2 * retry_interval_s … before timeout_s.

        Nova resends one second late and always pulls the plug at the end; we do what *on_timeout* says.
        Raises TimedOut(GUEST_DID_NOT_STOP) with C(abort): the guest still runs, and may yet act on the requests.
        """
        began = self._monotonic()
        requests = 0
        while not self._domain.is_off():
            elapsed = self._monotonic() - began
            if elapsed >= policy.timeout_s:
                return self._out_of_time(policy, requests, began)
            if elapsed >= requests * policy.retry_interval_s:
                self._ask()
                requests += 1
            self._sleep(min(_POLL_S, policy.timeout_s - elapsed))
        return Stopped(forced=False, requests=requests, seconds=self._monotonic() - began)

    def force(self) -> Stopped:
        """Pull the plug."""
        began = self._monotonic()
        if not self._domain.is_off():
            self._unless_off(self._domain.destroy)
        return Stopped(forced=True, requests=0, seconds=self._monotonic() - began)

    def _ask(self) -> None:
        """One request, of which no more is awaited than that it is refused at once.

        Asked through an agent that takes the command while the guest stays on, libvirt answers after a minute of its
        own, and no bound of ours would hold; until then the guest is asked by its power button.
        """
        refused: list[MobilityError] = []
        pending = self._asking is not None and self._asking.is_alive()

        def ask() -> None:
            try:
                self._domain.shutdown(acpi=pending)
            except MobilityError as error:
                refused.append(error)

        asking = threading.Thread(target=ask, name="shutdown", daemon=True)
        asking.start()
        asking.join(_POLL_S)
        if not pending:
            self._asking = asking
        if refused:
            self._forgive_if_off(refused[0])

    def _unless_off(self, request: Callable[[], None]) -> None:
        """A guest that goes off between the look and the request makes the request fail: that is success."""
        try:
            request()
        except MobilityError as error:
            self._forgive_if_off(error)

    def _forgive_if_off(self, error: MobilityError) -> None:
        """A guest that is going off at this moment does not run for libvirt any more, and is not shut off yet."""
        began = self._monotonic()
        while not self._domain.is_off():
            if self._monotonic() - began >= _GOING_S:
                raise error
            self._sleep(_POLL_S)

    def _out_of_time(self, policy: StopPolicy, requests: int, began: float) -> Stopped:
        if policy.on_timeout is OnTimeout.FORCE:
            self._unless_off(self._domain.destroy)
            return Stopped(forced=True, requests=requests, seconds=self._monotonic() - began)
        raise TimedOut(
            "GUEST_DID_NOT_STOP",
            self._domain.name,
            f"was asked {requests} times to shut down, is {self._domain.state()} still after {policy.timeout_s:g} s.",
            "Shut it down from inside and run this again, or allow it more time (timeout_s), "
            "or let the plug be pulled (on_timeout: force).",
        )

    def wait_released(self, holders: Callable[[], Sequence[str]]) -> None:
        """Wait until no process holds the guest's disks. Raises TimedOut(DISK_IN_USE) naming who does."""
        began = self._monotonic()
        while True:
            who = holders()
            if not who:
                return
            if self._monotonic() - began >= _RELEASE_S:
                raise TimedOut(
                    "DISK_IN_USE",
                    self._domain.name,
                    f"is off, but its disks are still open in: {', '.join(who)}.",
                    "End what uses them (a backup, a mount), then run this again.",
                )
            self._sleep(_POLL_S)


def wait_running(
    domain: Domain, timeout_s: float, monotonic: Callable[[], float], sleep: Callable[[float], None]
) -> float:
    """Seconds until the domain runs. Raises TimedOut(GUEST_DID_NOT_START); Nova waits here without a bound."""
    began = monotonic()
    while True:
        state = domain.state()
        if state == "running":
            return monotonic() - began
        if monotonic() - began >= timeout_s:
            raise TimedOut(
                "GUEST_DID_NOT_START",
                domain.name,
                f"is {state} {timeout_s:g} s after its start.",
                "See its log in /var/log/libvirt/qemu on this hypervisor.",
            )
        sleep(_POLL_S)
