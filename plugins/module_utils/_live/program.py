# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program of a live migration's unit: it asks libvirt for it, or finds the one that goes on, and watches.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError, NotFound
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt import pidfile, transport
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.connection import connect
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.domain import Domain, Pause
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.hypervisor import Hypervisor
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.job import Job, Order
from ansible_collections.kvmops.mobility.plugins.module_utils._live import definitions
from ansible_collections.kvmops.mobility.plugins.module_utils._live.book import Book, Ordered
from ansible_collections.kvmops.mobility.plugins.module_utils._live.monitor import (
    Bounds,
    Monitor,
    Report,
    Tools,
    Work,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._live.neighbours import Neighbours
from ansible_collections.kvmops.mobility.plugins.module_utils._live.silence import Silence, Vigil
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import record
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Live, Migration
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.store import Store

_LOST_S = 120
"""A libvirt that went away is waited for so long: it is started again within seconds, or somebody is at work on it."""
_AGAIN_S = 1.0
_WELL_S = 10
"""One that answered for so long was well again."""

Connect = Callable[[str], AbstractContextManager[Any]]


def run_again(book: Book, domain: Domain, job: Job) -> None:
    """Let a guest run that one of us paused to make it finish, and that has not left.

    Only one that nobody else paused: what libvirt holds because it may run elsewhere is never touched.
    """
    if not book.paused() or domain.pause() is not Pause.ASKED or job.look(0.0) is not None:
        return
    try:
        job.resume()
    except MobilityError:
        if domain.pause() is Pause.ASKED:  # another one of us was not faster
            raise


def _put_back(job: Job, report: Report) -> None:
    """QEMU keeps its limit where the guest stays: whoever migrates it next without one of their own would have ours."""
    if report.limit_before_ms and report.downtime_ms is not None:
        with suppress(MobilityError):  # it has left
            job.set_downtime(report.limit_before_ms)


def main(words: Sequence[str]) -> int:
    """*words*: the state directory and the migration's id."""
    store = Store(words[0])
    book = Book(store, words[1])
    migration = record.required(store, words[1]).migration
    Program(book, migration, connect, time.time, time.monotonic, time.sleep).run()
    return 0


class Program:
    """One unit's life."""

    def __init__(
        self,
        book: Book,
        migration: Migration,
        connecting: Connect,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._book = book
        self._migration = migration
        self._connect = connecting
        self._clock = clock
        self._monotonic = monotonic
        self._sleep = sleep

    @property
    def _live(self) -> Live:
        if self._migration.live is None:
            raise MobilityError("INTERNAL", self._migration.id, "is no live migration.", "Report this.")
        return self._migration.live

    @property
    def _ordered(self) -> Ordered:
        found = self._book.ordered()
        if found is None:
            raise MobilityError("INTERNAL", self._migration.id, "has no order of a live migration.", "Report this.")
        return found

    def run(self) -> None:
        """Until it is over. A libvirt that went away, or that had no answer, is asked again: what it did for us, it may
        still be doing."""
        with self._vigil() as vigil:
            self._watch(vigil)

    def _vigil(self) -> Vigil:
        """Not in post-copy: a link that breaks then is mended, and QEMU waits for that."""
        found = pidfile.process_id(self._migration.name)
        address = transport.host(self._migration.destination_address)
        silence = Silence(found, address, self._monotonic) if found else None
        return Vigil(silence, lambda: not self._book.switched())

    def _watch(self, vigil: Vigil) -> None:
        uri, lost_at = self._ordered.uri, None
        while True:
            began = self._monotonic()
            try:
                with self._connect(uri) as connection:
                    self._once(Hypervisor(connection), vigil)
                    return
            except NotFound:
                self._end("")  # it left between two questions
                return
            except MobilityError as error:
                now = self._monotonic()
                lost_at = now if lost_at is None or now - began >= _WELL_S else lost_at
                if now - lost_at >= _LOST_S:
                    self._end(error.message, vigil.heard())
                    return
                self._note(error.message)
                self._sleep(_AGAIN_S)

    def _note(self, error: str) -> None:
        """What was lost is the reason of an end that nobody else gives one for."""
        report = self._report()
        if report is not None:
            self._book.write_report(replace(report, error=error).as_result())

    def _end(self, error: str, heard: Sequence[str] = ()) -> None:
        """Tell the end of what cannot be watched any more."""
        report = self._report() or Report(self._clock())
        report.add(heard, self._clock())
        report.ended, report.error = True, report.error or error
        self._book.write_report(report.as_result())

    def _report(self) -> Report | None:
        """What an earlier program, or this one before it lost libvirt, has told."""
        found = self._book.report()
        return Report.from_result(found) if found else None

    def _once(self, hypervisor: Hypervisor, vigil: Vigil) -> None:
        earlier = self._report()
        domain, job = hypervisor.find(self._migration.uuid), hypervisor.job(self._migration.uuid)
        if domain is None or job is None:
            self._end("" if earlier else "no such domain on this hypervisor.")
            return
        report = earlier or Report(self._clock(), limit_before_ms=job.limit_ms())
        report.ended = False
        self._book.write_report(report.as_result())
        if earlier is None and self._book.aborted():
            report.given_up = "it was asked for before it began"
            self._end_with(report)
            return
        job.listen()
        mib_s = self._book.bandwidth_mib_s(self._live.options.bandwidth_mib_s)
        work = self._work(domain, job, mib_s, begun=earlier is not None)
        Monitor(job, work, self._bounds(mib_s), self._tools(mib_s, vigil), report).watch()
        run_again(self._book, domain, job)
        _put_back(job, report)

    def _end_with(self, report: Report) -> None:
        report.ended = True
        self._book.write_report(report.as_result())

    def _work(self, domain: Domain, job: Job, mib_s: int, *, begun: bool) -> Work | None:
        """What libvirt is asked for: to begin, or to go on with one whose link broke in post-copy; else nothing."""
        resume = domain.pause() is Pause.POST_COPY_BROKEN
        if begun and not resume:
            return None
        order = replace(self._order(domain, mib_s), resume_post_copy=resume)
        return Work(lambda: job.migrate(order))

    def _order(self, domain: Domain, mib_s: int) -> Order:
        live, ordered = self._live, self._ordered
        options = replace(live.options, copy_disks=bool(live.copied), bandwidth_mib_s=mib_s)
        seen = domain.xml(inactive=False, secure=True, migratable=True)
        kept = domain.xml(inactive=True, secure=True, migratable=True)
        return Order(
            options=options,
            uri=ordered.peer_uri,
            migrate_uri=ordered.migrate_uri,
            live_xml=definitions.running(seen, live.listen, live.copied),
            persistent_xml=definitions.stored(kept, live.listen),
            disks=live.copied,
        )

    def _bounds(self, mib_s: int) -> Bounds:
        live = self._live
        options = live.options
        return Bounds(
            live.gib,
            options.post_copy,
            live.was_paused,
            self._ordered.patience_s,
            throttling=options.auto_converge,
            bandwidth_mib_s=mib_s,
        )

    def _tools(self, mib_s: int, vigil: Vigil) -> Tools:
        book = self._book
        return Tools(
            clock=self._clock,
            sleep=self._sleep,
            told=lambda: book.told(self._live.policy),
            write=book.write_report,
            switch=book.switch,
            share=Neighbours(book, self._migration.name, mib_s, self._clock).share,
            heard=vigil.heard,
        )
