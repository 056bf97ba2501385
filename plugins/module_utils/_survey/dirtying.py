# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures what running guests write to their memory. Changes nothing; all of them at the same time.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ansible_collections.kvmops.mobility.plugins.module_utils._domain.definition import GuestDefinition
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt import pidfile
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.domain import Domain
from ansible_collections.kvmops.mobility.plugins.module_utils._live.outlook import GRAIN_BYTES
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import LoadFacts
from ansible_collections.kvmops.mobility.plugins.module_utils._survey.pages import Pages, Seen, memory

SINCE = 7_002_000
"""libvirt's calculation of dirty rates."""
WINDOWS_S = (1, 2, 1, 2)
"""Those of libvirt, whole seconds: each twice, for chance has a part in them."""
MOST_GUESTS = 16
_PATIENCE_S = 3.0
"""How long a window may take longer than it is."""
_TICK_S = 0.1
_LOOKS = 41
"""At pages: four seconds."""
_PAGES, _PAGES_LEAST = 1024, 128
"""Of all guests together. To look at one costs a core some 5 microseconds, so that all take a twentieth of it."""
_MOST_S = 20.0
_RUNNING = ("running", "blocked")


@dataclass
class _Windows:
    """libvirt's measurements of one guest, one after the other."""

    domain: Domain
    left: list[int]
    found: list[tuple[float, int]] = field(default_factory=list)
    reason: str = ""
    _due: float | None = None

    @property
    def over(self) -> bool:
        return not self.left

    def give_up(self, reason: str) -> None:
        """What was found until then counts."""
        self.left, self.reason = [], reason

    def step(self, now: float) -> None:
        """Begin one, or see whether it has ended."""
        if self.over:
            return
        try:
            if self._due is None:
                self.domain.start_dirty_rate(self.left[0])
                self._due = now + self.left[0]
            elif now >= self._due:
                self._look(now, self._due)
        except MobilityError as error:
            self.give_up(error.message)

    def _look(self, now: float, due: float) -> None:
        found = self.domain.dirty_rate()
        if found is not None:
            seconds = found.seconds or float(self.left[0])
            self.found.append((seconds, int(seconds * found.bytes_s)))
            self.left, self._due = self.left[1:], None
        elif now - due >= _PATIENCE_S:
            self.give_up(f"libvirt did not end a measurement of {self.left[0]} s in time")


@dataclass
class _Guest:
    """One guest that is measured."""

    domain: Domain
    windows: _Windows
    size: int
    pages: Pages | None = None

    def look(self, now: float) -> None:
        """At its pages; one whose process is gone is not looked at again."""
        if self.pages is None or self.pages.looks >= _LOOKS:
            return
        try:
            self.pages.look(now)
        except OSError:
            self.close()

    @property
    def over(self) -> bool:
        return self.windows.over and (self.pages is None or self.pages.looks >= _LOOKS)

    def close(self) -> None:
        if self.pages is not None:
            self.pages.close()
        self.pages = None

    def result(self) -> LoadFacts:
        seen = self.pages.seen() if self.pages is not None and self.pages.looks > 1 else None
        self.close()
        dirtied, grain = combined(self.windows.found, seen)
        if len(dirtied) < 2:
            reason = self.windows.reason or "it was not measured for long enough"
            return LoadFacts((), self._resident(seen), reason=reason)
        return LoadFacts(dirtied, self._resident(seen), grain)

    def _resident(self, seen: Seen | None) -> int:
        """Without a look at its pages what its process has, which is more than the guest's memory alone."""
        if seen is not None:
            return min(self.size, seen.resident_bytes)
        try:
            return min(self.size, self.domain.resident_bytes() or self.size)
        except MobilityError:
            return self.size


def combined(told: Sequence[tuple[float, int]], seen: Seen | None) -> tuple[tuple[tuple[float, int], ...], int]:
    """libvirt's windows and ours as one each, and what one page of the coarsest of them stands for.

    Each counts by the number of pages that it has looked at.
    """
    parts: dict[float, list[tuple[int, float]]] = {}
    for seconds, amount in told:
        parts.setdefault(seconds, []).append((amount, 1 / GRAIN_BYTES))
    if seen is not None:
        for seconds, amount in seen.dirtied:
            parts.setdefault(seconds, []).append((amount, 1 / max(1, seen.grain_bytes)))
    found, grain = [], 0.0
    for seconds, of_it in sorted(parts.items()):
        weight = sum(share for _amount, share in of_it)
        found.append((seconds, int(sum(amount * share for amount, share in of_it) / weight)))
        grain = max(grain, 1 / weight)
    return tuple(found), int(grain) or GRAIN_BYTES


def measure(
    domains: Sequence[Domain],
    libvirt_version: int,
    monotonic: Callable[[], float],
    sleep: Callable[[float], None],
    pidfiles: str = pidfile.DIRECTORY,
) -> dict[str, LoadFacts]:
    """What each of *domains* writes, by UUID; why not, where that could not be measured.

    Never raises for one of them: a guest may leave meanwhile.
    """
    wanted = [one for one in domains if _runs(one)][:MOST_GUESTS]
    guests = [_guest(one, max(_PAGES_LEAST, _PAGES // len(wanted)), libvirt_version, pidfiles) for one in wanted]
    began = monotonic()
    try:
        while not all(one.over for one in guests) and monotonic() - began < _MOST_S:
            now = monotonic()
            for one in guests:
                one.windows.step(now)
                one.look(monotonic())
            sleep(max(0.01, _TICK_S - (monotonic() - now)))
        found = {one.domain.uuid: one.result() for one in guests}
    finally:
        for one in guests:
            one.close()
    rest = (one for one in domains if one.uuid not in found)
    return {**found, **{one.uuid: LoadFacts((), _size(one), reason=_why_not(one)) for one in rest}}


def _runs(domain: Domain) -> bool:
    try:
        return domain.state() in _RUNNING
    except MobilityError:
        return False


def _why_not(domain: Domain) -> str:
    if _runs(domain):
        return f"more than {MOST_GUESTS} guests were to be measured at once"
    return "it does not run"


def _size(domain: Domain) -> int:
    """Its memory, bytes."""
    try:
        return GuestDefinition.from_xml(domain.xml(inactive=False)).memory_mib * 2**20
    except MobilityError:
        return 0


def _guest(domain: Domain, count: int, libvirt_version: int, pidfiles: str) -> _Guest:
    windows = _Windows(domain, list(WINDOWS_S))
    if libvirt_version < SINCE:
        windows.give_up("libvirt 7.2 is needed for that")
    size = _size(domain)
    return _Guest(domain, windows, size, _pages(domain.name, size, count, pidfiles))


def _pages(name: str, size: int, count: int, pidfiles: str) -> Pages | None:
    """None where its memory cannot be looked at: then libvirt's windows are all there is."""
    process_id = pidfile.process_id(name, pidfiles)
    if process_id is None or not size:
        return None
    try:
        where = memory(process_id, size)
        return Pages(process_id, where, count) if where else None
    except (OSError, ValueError):
        return None
