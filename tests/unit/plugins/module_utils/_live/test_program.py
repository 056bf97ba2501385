# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program of the unit, on libvirt's test driver: what libvirt is asked for, and what is found."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Lost
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt import pidfile
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.job import Order, flags, parameters
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.library import libvirt
from ansible_collections.kvmops.mobility.plugins.module_utils._live import program
from ansible_collections.kvmops.mobility.plugins.module_utils._live.book import Book, Ordered
from ansible_collections.kvmops.mobility.plugins.module_utils._live.model import Stage
from ansible_collections.kvmops.mobility.plugins.module_utils._live.options import Compression, Options
from ansible_collections.kvmops.mobility.plugins.module_utils._live.program import Program
from ansible_collections.kvmops.mobility.plugins.module_utils._live.silence import Vigil
from ansible_collections.kvmops.mobility.plugins.module_utils._live.turns import Leaving
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import lock
from ansible_collections.kvmops.mobility.tests.unit.bed import Bed
from ansible_collections.kvmops.mobility.tests.unit.driver import libvirt_error
from ansible_collections.kvmops.mobility.tests.unit.lively import BROKEN, MIGRATING, POST_COPY, Side
from ansible_collections.kvmops.mobility.tests.unit.units import Units

ORDERED = Ordered("test:///", "qemu+ssh://root@192.0.2.2/system?no_tty=1", "tcp://192.0.2.2", 120.0)
CHAIN = (
    "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/images/b'/>"
    "<backingStore type='file'><format type='qcow2'/><source file='/base'/><backingStore/></backingStore>"
    "<target dev='vdb' bus='virtio'/></disk>"
    "<graphics type='vnc' port='-1' autoport='yes' listen='192.0.2.1'><listen type='address' address='192.0.2.1'/>"
    "</graphics>"
)


@pytest.fixture
def here(bed: Bed, units: Units) -> Side:
    bed.images(bed.directory)
    bed.hypervisor.define(bed.xml(extra={"devices": CHAIN})).start()
    side = Side(bed, units, "source", listen={"192.0.2.1": "192.0.2.2"}, copied=("vda", "vdb"))
    side.book.order(ORDERED)
    return side


def run(side: Side, losses: int = 0) -> dict[str, Any]:
    """The report at its end; libvirt cannot be reached *losses* times."""
    tries = iter(range(losses))

    @contextmanager
    def connect(_uri: str) -> Iterator[Any]:
        if next(tries, None) is not None:
            raise Lost("LIBVIRT_UNAVAILABLE", "web1", "libvirt does not answer.", "")
        yield side.bed.connection

    clock = side.bed.clock
    Program(side.book, side.migration, connect, clock, clock, clock.sleep).run()
    report = side.book.report()
    assert report is not None
    return report


def test_libvirt_is_asked_for_what_the_record_says(here: Side) -> None:
    report = run(here)
    assert (report["ended"], report["error"]) == (True, "")
    ((method, uri, asked, flagged),) = here.travel.asked
    assert (method, uri) == ("migrateToURI3", ORDERED.peer_uri)
    assert asked["migrate_uri"] == "tcp://192.0.2.2"
    assert asked["migrate_disks"] == ["vda", "vdb"]
    assert flagged & libvirt.VIR_MIGRATE_NON_SHARED_DISK
    there = ET.fromstring(asked["destination_xml"])
    assert there.findall("devices/disk/backingStore") == []
    assert [one.get("file") for one in there.iterfind("devices/disk/source")] == [
        f"{here.bed.directory}/disk",
        "/images/b",
    ]
    for xml in (asked["destination_xml"], asked["persistent_xml"]):
        assert "192.0.2.2" in xml
        assert "192.0.2.1" not in xml


def test_without_disks_to_copy_none_is(bed: Bed, units: Units) -> None:
    bed.guest()
    side = Side(bed, units, "source", copied=())
    side.book.order(ORDERED)
    side.book.tune(None, 7)
    run(side)
    ((_method, _uri, asked, flagged),) = side.travel.asked
    assert not flagged & libvirt.VIR_MIGRATE_NON_SHARED_DISK
    assert "migrate_disks" not in asked
    assert asked["bandwidth"] == 7


def test_libvirts_words_are_kept(here: Side) -> None:
    here.travel.refusals["migrateToURI3"] = "unable to connect to server"
    assert "unable to connect to server" in run(here)["error"]


def test_what_goes_on_is_not_asked_for_again(here: Side) -> None:
    here.tell(downtime_ms=50, done=["1.0 s: downtime limit 50 ms"])
    here.travel.memory()
    looks = iter(range(3))
    here.travel.on["jobStats"] = lambda: next(looks, None) is None and here.travel.end()
    report = run(here)
    assert here.travel.asked == []
    assert report["done"] == ["1.0 s: downtime limit 50 ms"]
    assert report["sample"]["stage"] == "memory"


def test_its_neighbour_has_the_link_until_it_is_gone(here: Side) -> None:
    """Without a report of its own the neighbour would be no neighbour: what it told is beside its record."""
    other = Book(here.bed.store, "fedcba987654")
    lock.take(here.bed.store, lock.Lock("uuid-2", other.id, "root@control", "live_migrate", here.bed.clock()))
    told = Leaving(other.id, "web2", Stage.MEMORY, left_bytes=0, leads=True)
    here.book.order(replace(ORDERED, budget_mib_s=38))
    here.tell()
    here.travel.memory()
    looks = iter(range(20))

    def look() -> None:
        number = next(looks)
        if number < 8:
            other.tell_turn({"at": here.bed.clock(), "share_mib_s": 37, "leaving": told.as_result()})
        elif number < 16:
            other.forget_turn()
        else:
            here.travel.end()

    here.travel.on["jobStats"] = look
    report = run(here)
    speeds = [one for one in here.travel.asked if one[0] == "migrateSetMaxSpeed"]
    assert speeds == [("migrateSetMaxSpeed", 1), ("migrateSetMaxSpeed", 38)]
    assert [line.partition(": ")[2] for line in report["done"] if "downtime" not in line] == [
        "waits for its turn (with web2): 1 MiB/s",
        "has the link: 38 MiB/s",
    ]
    assert here.book.turn() is None


@pytest.mark.parametrize(("switched", "ended"), [(False, ["its connection was ended"]), (True, [])])
def test_a_silent_link_is_ended_beside_the_watch(
    here: Side, monkeypatch: pytest.MonkeyPatch, switched: bool, ended: list[str]
) -> None:
    """Not in post-copy, where QEMU waits for it to be mended."""
    found = iter([["its connection was ended"]])
    asked: list[tuple[int, str]] = []

    class Silent:
        def __init__(self, process_id: int, address: str, _monotonic: object) -> None:
            asked.append((process_id, address))

        def look(self) -> list[str]:
            return next(found, [])

    monkeypatch.setattr(pidfile, "process_id", lambda name: 280 if name == "web1" else None)
    monkeypatch.setattr(program, "Silence", Silent)
    monkeypatch.setattr(program, "Vigil", partial(Vigil, period_s=0.001))
    here.tell(downtime_ms=50)
    if switched:
        here.book.switch()
    here.travel.memory()
    looks = iter(range(20))

    def look() -> None:
        time.sleep(0.01)  # what is done beside it has its own time
        if next(looks, None) is None:
            here.travel.end()

    here.travel.on["jobStats"] = look
    done = run(here)["done"]
    assert [line.partition(": ")[2] for line in done if "connection" in line] == ended
    assert asked == [(280, here.migration.destination_address)]


def test_a_broken_link_is_asked_to_be_mended(here: Side) -> None:
    here.tell(ended=True)
    here.bed.connection.lookupByName("web1").suspend()
    here.travel.state = BROKEN
    run(here)
    ((_method, _uri, _asked, flagged),) = here.travel.asked
    assert flagged & libvirt.VIR_MIGRATE_POSTCOPY_RESUME


def test_the_figures_of_its_end_are_heard(here: Side) -> None:
    here.travel.on["migrateToURI3"] = lambda: here.travel.ended({"type": 3, "downtime": 42})
    assert run(here)["statistics"] == {"type": 3, "downtime": 42}


def test_an_abort_before_the_begin(here: Side) -> None:
    here.book.abort()
    report = run(here)
    assert here.travel.asked == []
    assert (report["ended"], report["given_up"]) == (True, "it was asked for before it began")


def test_a_libvirt_that_comes_back(here: Side) -> None:
    here.tell()
    assert run(here, losses=5)["ended"]
    assert here.bed.clock() - 1_700_000_000 >= 5


def test_a_libvirt_that_stays_away(here: Side) -> None:
    here.tell()
    report = run(here, losses=1000)
    assert (report["ended"], report["error"]) == (True, "libvirt does not answer.")


def test_what_was_done_beside_it_is_told_where_libvirt_stays_away_too(
    here: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Vigil, "heard", lambda _self: ["its connection was not ended"])
    here.tell()
    done = run(here, losses=1000)["done"]
    assert [words.partition(" s: ")[2] for words in done] == ["its connection was not ended"]


def test_a_libvirt_that_goes_away_while_it_is_watched(here: Side) -> None:
    here.tell()
    here.travel.memory()
    looks = iter(range(3))

    def look() -> None:
        if next(looks, None) == 2:
            here.travel.end()  # libvirt ends what it carried when it is started again
            raise libvirt_error(libvirt.VIR_ERR_INTERNAL_ERROR, "client socket is closed", libvirt.VIR_FROM_RPC)

    here.travel.on["jobStats"] = look
    report = run(here)
    assert report["ended"]
    assert "libvirt went away while its migration was watched" in report["error"]


def test_a_libvirt_that_has_no_answer_for_a_while(here: Side) -> None:
    """QEMU is busy, and libvirt's lock is held: nothing of the migration is over by that."""
    here.tell(downtime_ms=50)
    here.travel.memory()
    looks = iter(range(6))

    def look() -> None:
        number = next(looks, None)
        if number is None:
            here.travel.end()
        if number in (2, 3):
            raise libvirt_error(libvirt.VIR_ERR_OPERATION_TIMEOUT, "cannot acquire state change lock")

    here.travel.on["jobStats"] = look
    report = run(here)
    assert report["ended"]
    assert (report["sample"]["stage"], next(looks, None)) == ("memory", None)


def test_a_libvirt_that_never_has_an_answer(here: Side) -> None:
    here.tell()

    def look() -> None:
        raise libvirt_error(libvirt.VIR_ERR_INTERNAL_ERROR, "no answer")

    here.travel.on["jobStats"] = look
    report = run(here)
    assert report["ended"]
    assert "no answer" in report["error"]


def paused(side: Side, *, by_us: bool, state: tuple[int, int] | None = None) -> str:
    """What becomes of a guest that is paused here, once its job is found to be gone."""
    side.tell(paused=by_us, error="lost")
    side.travel.memory()
    looks = iter(range(2))

    def look() -> None:
        if next(looks, None) is None and side.travel.stats:
            side.travel.end()
            side.bed.connection.lookupByName("web1").suspend()
            side.travel.state = state

    side.travel.on["jobStats"] = look
    assert run(side)["ended"]
    side.travel.state = None
    return side.bed.domain().state()


def test_a_guest_that_was_paused_to_no_end_runs_again(here: Side) -> None:
    """Also where no controller is left that would see to it."""
    assert paused(here, by_us=True) == "running"


@pytest.mark.parametrize(("by_us", "state"), [(False, None), (True, BROKEN), (True, POST_COPY), (True, MIGRATING)])
def test_a_guest_that_may_run_elsewhere_or_is_anothers_stays_paused(
    here: Side, by_us: bool, state: tuple[int, int] | None
) -> None:
    assert paused(here, by_us=by_us, state=state) == "paused"


def leaves(side: Side) -> None:
    """The third look finds it gone."""
    side.travel.memory()
    looks = iter(range(2))

    def look() -> None:
        if next(looks, None) is None:
            side.leave()

    side.travel.on["jobStats"] = look


def test_a_guest_that_was_paused_and_has_left(here: Side) -> None:
    here.tell(paused=True)
    leaves(here)
    assert run(here)["error"] == ""


def limits(side: Side) -> list[int]:
    """Those that QEMU was given, in their order."""
    return [one[1] for one in side.travel.asked if one[0] == "migrateSetMaxDowntime"]


def test_a_guest_that_stays_has_the_limit_that_it_had(here: Side) -> None:
    here.tell(limit_before_ms=300)
    here.travel.memory()
    looks = iter(range(3))
    here.travel.on["jobStats"] = lambda: next(looks, None) is None and here.travel.end()
    run(here)
    assert limits(here) == [50, 300]


def test_one_that_had_left_has_none_to_have(here: Side) -> None:
    here.tell(limit_before_ms=300, downtime_ms=50)
    leaves(here)
    assert run(here)["ended"]
    assert 300 not in limits(here)


def test_a_guest_that_is_gone(here: Side) -> None:
    here.leave()
    assert run(here)["error"] == "no such domain on this hypervisor."


# --- what libvirt is given -----------------------------------------------------------------------------------------


def asked(*disks: str, resume: bool = False, **options: Any) -> Order:
    wanted = Options(**{"copy_disks": bool(disks), **options})
    return Order(wanted, "qemu+ssh://x/system", "tcp://x", "<live/>", "<stored/>", disks, resume)


ALWAYS = ("LIVE", "PEER2PEER", "UNDEFINE_SOURCE", "PERSIST_DEST")


@pytest.mark.parametrize(
    ("order", "more"),
    [
        (asked(), ()),
        (asked("vda"), ("NON_SHARED_DISK",)),
        (asked(tls=True), ("TLS",)),
        (asked(auto_converge=True), ("AUTO_CONVERGE",)),
        (asked(post_copy=True), ("POSTCOPY",)),
        (asked(connections=4), ("PARALLEL",)),
        (asked(connections=2, zero_copy=True), ("PARALLEL", "ZEROCOPY")),
        (asked(compression=Compression.XBZRLE), ("COMPRESSED",)),
        (asked(post_copy=True, resume=True), ("POSTCOPY", "POSTCOPY_RESUME")),
    ],
)
def test_flags(order: Order, more: tuple[str, ...]) -> None:
    assert flags(order) == sum(getattr(libvirt, f"VIR_MIGRATE_{name}") for name in (*ALWAYS, *more))


def test_an_empty_list_of_disks_never_means_all() -> None:
    with pytest.raises(ValueError, match="shared ones too"):
        flags(asked(copy_disks=True))


def test_parameters() -> None:
    found = parameters(asked("vda", bandwidth_mib_s=9, connections=3, compression=Compression.ZSTD))
    assert found == {
        "migrate_uri": "tcp://x",
        "destination_xml": "<live/>",
        "persistent_xml": "<stored/>",
        "migrate_disks": ["vda"],
        "bandwidth": 9,
        "parallel.connections": 3,
        "compression": ["zstd"],
    }
