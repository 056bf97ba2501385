# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import gc
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Lost, MobilityError, NotFound
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.connection import connect, translated
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.domain import (
    DirtyRate,
    Domain,
    Throughput,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.hypervisor import Hypervisor
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.library import libvirt
from ansible_collections.kvmops.mobility.tests.unit.bed import Bed
from ansible_collections.kvmops.mobility.tests.unit.builders import MIB, UUID, domain_xml
from ansible_collections.kvmops.mobility.tests.unit.driver import libvirt_error


def test_a_guest_through_its_life(bed: Bed) -> None:
    domain = bed.hypervisor.define(bed.xml())
    assert (domain.name, domain.uuid, domain.state()) == ("web1", UUID, "shut off")
    assert domain.is_persistent()
    domain.start()
    assert domain.state() == "running"
    bed.connection.lookupByName("web1").suspend()
    assert (domain.state(), domain.is_off()) == ("paused", False)
    bed.connection.lookupByName("web1").resume()
    domain.shutdown()
    assert domain.is_off()
    for wanted in (True, False):
        domain.set_autostart(wanted)
        assert domain.autostart() is wanted
    assert (domain.has_managed_save(), domain.snapshots(), domain.checkpoints()) == (False, 0, 0)
    domain.undefine(keep_nvram=False, keep_tpm=False, remove_managed_save=True)
    assert bed.find() is None


@pytest.mark.parametrize("key", ["web1", UUID])
def test_it_is_found_by_name_and_by_uuid(bed: Bed, key: str) -> None:
    bed.hypervisor.define(bed.xml())
    found = bed.hypervisor.look_up(key)
    assert found is not None
    assert found.uuid == UUID


def test_a_uuid_is_never_taken_for_a_name(bed: Bed) -> None:
    other = "11111111-2222-4333-8444-555555555555"
    bed.hypervisor.define(bed.xml(name=UUID, uuid=other))
    assert bed.hypervisor.find(UUID) is None
    with pytest.raises(NotFound):
        bed.hypervisor.domain(UUID)
    found = bed.hypervisor.look_up(UUID)
    assert found is not None
    assert found.uuid == other


def test_what_is_not_there_is_named(bed: Bed) -> None:
    with pytest.raises(NotFound, match="nope") as error:
        bed.hypervisor.named("nope")
    assert error.value.code == "DOMAIN_NOT_FOUND"


def test_a_definition_is_validated_before_it_is_stored(bed: Bed) -> None:
    with pytest.raises(MobilityError) as error:
        bed.hypervisor.define(bed.xml().replace("<devices>", "<devices><nonsense/>"))
    assert error.value.code == "LIBVIRT_FAILED"
    assert bed.find() is None


def test_a_failure_says_what_was_attempted_and_of_whom(bed: Bed) -> None:
    domain = bed.hypervisor.define(bed.xml())
    with pytest.raises(MobilityError, match="could not force it off") as error:
        domain.destroy()
    assert (error.value.code, error.value.subject) == ("LIBVIRT_FAILED", "web1")
    assert error.value.facts["libvirt_code"] == libvirt.VIR_ERR_OPERATION_INVALID


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [
        ("VIR_ERR_NO_DOMAIN", NotFound, "DOMAIN_NOT_FOUND"),
        ("VIR_ERR_RPC", Lost, "LIBVIRT_UNAVAILABLE"),
        ("VIR_ERR_SYSTEM_ERROR", MobilityError, "LIBVIRT_FAILED"),
        ("VIR_ERR_NO_CONNECT", Lost, "LIBVIRT_UNAVAILABLE"),
        ("VIR_ERR_INTERNAL_ERROR", MobilityError, "LIBVIRT_FAILED"),
    ],
)
def test_errors_are_told_apart_by_their_number(number: str, kind: type[MobilityError], code: str) -> None:
    def call() -> None:
        raise libvirt_error(getattr(libvirt, number), "words of libvirt")

    with pytest.raises(kind) as error:
        translated("web1", "start it", call)
    assert (error.value.code, error.value.subject) == (code, "web1")
    assert ("words of libvirt" in str(error.value)) is (code != "DOMAIN_NOT_FOUND")


def test_a_system_error_of_the_connection_is_a_lost_daemon() -> None:
    def call() -> None:
        raise libvirt_error(libvirt.VIR_ERR_SYSTEM_ERROR, "Broken pipe", libvirt.VIR_FROM_RPC)

    with pytest.raises(Lost):
        translated("web1", "start it", call)


@pytest.mark.parametrize(("online", "count"), [("0", 1), ("0-3", 4), ("0-3,8", 5), ("0,2,4-5", 4), ("", 0)])
def test_the_guests_own_count_of_its_cpus(bed: Bed, online: str, count: int) -> None:
    domain = bed.guest(running=True)
    bed.connection.answers["vcpus"] = {"vcpus": "0-9", "online": online}
    assert domain.online_vcpus() == count


def test_an_agent_that_does_not_count(bed: Bed) -> None:
    """The binding gives None there, where it raises elsewhere."""
    with pytest.raises(MobilityError, match="web1") as error:
        bed.guest().online_vcpus()
    assert error.value.code == "LIBVIRT_FAILED"


def test_what_a_guest_writes(bed: Bed) -> None:
    domain = bed.guest()
    bed.travel.dirtying.mib_s = {1: 7, 2: 3}
    bed.travel.dirtying.slow = 1
    domain.start_dirty_rate(2)
    assert domain.dirty_rate() is None
    assert domain.dirty_rate() == DirtyRate(2.0, 3 * MIB)


def test_a_measurement_that_is_refused(bed: Bed) -> None:
    domain = bed.guest(running=False)
    with pytest.raises(MobilityError, match="could not measure what it writes"):
        domain.start_dirty_rate(1)


class Undefined:
    """A virDomain that notes how it was undefined: the test driver knows neither NVRAM nor TPM."""

    def __init__(self, xml: str, snapshots: int = 0, checkpoints: int = 0) -> None:
        self.definition = xml
        self.flags = -1
        self.counts = (snapshots, checkpoints)

    def name(self) -> str:
        return "web1"

    def UUIDString(self) -> str:  # noqa: N802 - libvirt's name
        return UUID

    def XMLDesc(self, _flags: int) -> str:  # noqa: N802 - libvirt's name
        return self.definition

    def undefineFlags(self, flags: int) -> None:  # noqa: N802 - libvirt's name
        self.flags = flags

    def snapshotNum(self, _flags: int) -> int:  # noqa: N802 - libvirt's name
        return self.counts[0]

    def listAllCheckpoints(self, _flags: int) -> list[object]:  # noqa: N802 - libvirt's name
        return [object()] * self.counts[1]


NVRAM = {"os": "<nvram>/nv/web1.fd</nvram>"}
TPM = {"devices": "<tpm model='tpm-crb'><backend type='emulator'/></tpm>"}


@pytest.mark.parametrize(
    ("extra", "keep", "flags"),
    [
        ({}, True, []),
        ({}, False, ["MANAGED_SAVE"]),
        (NVRAM, True, ["KEEP_NVRAM"]),
        (NVRAM, False, ["NVRAM", "MANAGED_SAVE"]),
        (TPM, True, ["KEEP_TPM"]),
        (TPM, False, ["TPM", "MANAGED_SAVE"]),
    ],
)
def test_what_happens_to_nvram_tpm_and_managed_save(extra: dict[str, str], keep: bool, flags: list[str]) -> None:
    handle = Undefined(domain_xml(extra=extra))
    Domain(handle).undefine(keep_nvram=keep, keep_tpm=keep, remove_managed_save=not keep)
    assert handle.flags == sum(getattr(libvirt, f"VIR_DOMAIN_UNDEFINE_{one}") for one in flags)


@pytest.mark.parametrize(
    ("counts", "told", "flags"),
    [
        ((0, 0), True, []),
        ((1, 0), True, ["SNAPSHOTS_METADATA"]),
        ((0, 2), True, ["CHECKPOINTS_METADATA"]),
        ((1, 1), True, ["SNAPSHOTS_METADATA", "CHECKPOINTS_METADATA"]),
        ((1, 1), False, []),
    ],
)
def test_snapshots_and_checkpoints_go_when_that_is_said(counts: tuple[int, int], told: bool, flags: list[str]) -> None:
    handle = Undefined(domain_xml(), *counts)
    Domain(handle).undefine(keep_nvram=True, keep_tpm=True, remove_managed_save=False, remove_metadata=told)
    assert handle.flags == sum(getattr(libvirt, f"VIR_DOMAIN_UNDEFINE_{one}") for one in flags)


# --- block jobs --------------------------------------------------------------------------------------------------


def test_a_mirror_through_its_life(bed: Bed) -> None:
    domain = bed.guest()
    assert (domain.id() > 0, domain.block_job("vda"), domain.ready_mirrors()) == (True, None, frozenset())
    bed.jobs.paces["vda"] = MIB // 2
    domain.start_mirror("vda", "<disk/>", 0)
    assert domain.block_job("vda") == (0, MIB)
    assert domain.ready_mirrors() == frozenset()
    assert domain.block_job("vda") == (MIB // 2, MIB)
    assert domain.ready_mirrors() == {"vda"}
    domain.end_block_job("vda")
    assert (domain.block_job("vda"), domain.ready_mirrors()) == (None, frozenset())


@pytest.mark.parametrize(("limit", "told"), [(0, {}), (5 * MIB, {"bandwidth": 5 * MIB})])
def test_how_a_mirror_is_started(bed: Bed, limit: int, told: dict[str, int]) -> None:
    bed.guest().start_mirror("vda", "<disk type='network'/>", limit)
    ((target, xml, limits, flags),) = bed.jobs.started
    assert (target, xml, limits) == ("vda", "<disk type='network'/>", {"buf-size": 4 * MIB, **told})
    wanted = ("REUSE_EXT", "TRANSIENT_JOB", "SYNCHRONOUS_WRITES")
    assert flags == sum(getattr(libvirt, f"VIR_DOMAIN_BLOCK_COPY_{one}") for one in wanted)


@pytest.mark.parametrize(
    "mirror",
    ["", "<mirror job='copy'/>", "<mirror job='copy' ready='no'/>", "<mirror job='copy' ready='abort'/>"],
)
def test_a_mirror_that_is_not_ready(mirror: str) -> None:
    xml = domain_xml().replace("<target dev='vda'", f"{mirror}<target dev='vda'")
    assert Domain(Undefined(xml)).ready_mirrors() == frozenset()


@pytest.mark.parametrize("limit", [Throughput(), Throughput(write=MIB), Throughput(0, 5, 6), Throughput(total=7)])
def test_how_fast_a_guest_may_read_and_write(bed: Bed, limit: Throughput) -> None:
    domain = bed.guest()
    assert domain.throughput("vda") == Throughput()
    domain.limit_throughput("vda", limit)
    assert domain.throughput("vda") == limit


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Throughput(), Throughput(write=9)),
        (Throughput(read=5), Throughput(read=5, write=9)),
        (Throughput(read=5, write=20), Throughput(read=5, write=9)),
        (Throughput(write=3), Throughput(write=3)),
        (Throughput(total=20), Throughput(read=20, write=9)),
        (Throughput(total=4), Throughput(read=4, write=4)),
    ],
)
def test_no_limit_becomes_looser(before: Throughput, after: Throughput) -> None:
    assert before.with_writes(9) == after == after.with_writes(9)


def test_a_mirror_that_is_refused_names_disk_and_guest(bed: Bed) -> None:
    domain = bed.guest()
    bed.jobs.refusal = "disk vda already in active block job"
    with pytest.raises(MobilityError, match="could not mirror vda") as error:
        domain.start_mirror("vda", "<disk/>", 0)
    assert (error.value.code, error.value.subject) == ("LIBVIRT_FAILED", "web1")


# --- the connection ----------------------------------------------------------------------------------------------


def test_a_connection_is_open_inside_and_closed_after(uri: str) -> None:
    with connect(uri) as connection:
        assert connection.isAlive()
        assert Hypervisor(connection).domains() == ()
    with pytest.raises(libvirt.libvirtError):
        connection.getHostname()


def test_a_libvirt_that_does_not_answer() -> None:
    with pytest.raises(Lost, match="test:///no/such") as error, connect("test:///no/such"):
        pass
    assert error.value.code == "LIBVIRT_UNAVAILABLE"


class Old:
    """A driver that lacks what is asked of it, or refuses it."""

    def __init__(self, code: int) -> None:
        self.code = code

    def getHostname(self) -> str:  # noqa: N802 - libvirt's name
        return "c1"

    def _fail(self, *_arguments: Any) -> None:
        raise libvirt_error(self.code, "words")

    compareHypervisorCPU = listAllNetworks = lookupByName = lookupByUUIDString = _fail  # noqa: N815


@pytest.mark.parametrize(
    ("code", "answer"),
    [("VIR_ERR_CPU_INCOMPATIBLE", "incompatible"), ("VIR_ERR_NO_SUPPORT", "unsupported")],
)
def test_a_cpu_that_is_refused_and_one_that_cannot_be_compared(code: str, answer: str) -> None:
    found = Hypervisor(Old(getattr(libvirt, code))).compare_cpu("", "x86_64", "", "kvm", "<cpu/>")
    assert found == answer


def test_a_driver_without_networks() -> None:
    assert Hypervisor(Old(libvirt.VIR_ERR_NO_SUPPORT)).active_networks() == ()
    with pytest.raises(MobilityError):
        Hypervisor(Old(libvirt.VIR_ERR_INTERNAL_ERROR)).active_networks()


def test_a_look_up_that_fails_is_not_an_absence() -> None:
    assert Hypervisor(Old(libvirt.VIR_ERR_NO_DOMAIN)).find("web1") is None
    with pytest.raises(Lost) as error:
        Hypervisor(Old(libvirt.VIR_ERR_RPC)).find("web1")
    assert error.value.code == "LIBVIRT_UNAVAILABLE"


def test_handles_that_are_collected_meanwhile_take_no_error_with_them(bed: Bed) -> None:
    """Each round leaves a handle that only the collector can free, and lets the collector come at another moment."""
    bed.hypervisor.define(bed.xml())
    before = gc.get_threshold()
    try:
        for number in range(1000):
            gc.disable()
            lost: list[Any] = [bed.connection.lookupByName("web1")]
            lost.append(lost)
            del lost
            gc.set_threshold(number % 40 + 1)
            gc.enable()
            assert bed.hypervisor.look_up("no such guest") is None
    finally:
        gc.set_threshold(*before)
