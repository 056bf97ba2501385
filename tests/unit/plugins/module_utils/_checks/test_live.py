# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of a live migration: each odd thing is found, and nothing else; what is plain is let through."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._checks import live
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.catalogue import CODES, LIVE_CHECKS, run
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.context import Move, Site
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.finding import Severity
from ansible_collections.kvmops.mobility.plugins.module_utils._live.options import Compression, Options
from ansible_collections.kvmops.mobility.plugins.module_utils._live.policy import NOVA
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import LiveRequest, Operation, Request
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import LinkFacts, SpaceFacts
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import GIB
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.plan import plan
from ansible_collections.kvmops.mobility.tests.unit.builders import (
    DIRECTORY,
    OTHER_UUID,
    UUID,
    config_drive,
    disk,
    domain_xml,
    fit,
    guest,
    hypervisor,
    move,
    request,
    site,
)

IN_DISK = ("web1", "vda", f"{DIRECTORY}/disk")
SHARED = "/shared"
DATA = disk(target="vdb", path=f"{SHARED}/data")


def asked(copy_disks: bool | None = None, **options: Any) -> Request:
    wanted = LiveRequest(NOVA, Options(**options), copy_disks)
    return request(Operation.LIVE_MIGRATE, live=wanted)


def versions(source: tuple[int, int] = (11_003_000, 10_000_000), there: tuple[int, int] | None = None) -> Site:
    """Both hypervisors with a libvirt and a QEMU; the destination's are the source's, or *there*."""
    hosts = {"c1": source, "c2": there or source}
    return site(
        hypervisors={
            name: hypervisor(name, libvirt_version=libvirt, qemu_version=qemu)
            for name, (libvirt, qemu) in hosts.items()
        }
    )


def says(**values: Any) -> Site:
    """The usual site with a c2 that says something odd of the guest."""
    return replace(versions(), fits={"c2": {UUID: fit(**values)}})


def cached(mode: str) -> Any:
    """A guest whose vda is cached like that."""
    xml = domain_xml().replace("type='qcow2'", f"type='qcow2' cache='{mode}'")
    return guest(xml=xml)


def listening_on(*addresses: str) -> Any:
    graphics = "".join(f"<graphics type='vnc' listen='{one}'/>" for one in addresses)
    return guest(xml=domain_xml(extra={"devices": graphics}))


SEEN = {"storage_shared": "yes", "seen": {DIRECTORY: "yes"}}


@dataclass(frozen=True)
class Case:
    """One odd thing, the code it must give and the words that name it."""

    code: str
    words: tuple[str, ...]
    one: Any = None
    asked: Request = field(default_factory=asked)
    where: Site = field(default_factory=versions)
    values: dict[str, Any] = field(default_factory=dict)


CASES = [
    Case("WRONG_STATE", ("web1", "shut off", "kvmops.mobility.migrate"), guest(state="shut off", uptime_s=None)),
    *(Case("WRONG_STATE", ("web1", state, "c1"), guest(state=state)) for state in ("in shutdown", "pmsuspended")),
    Case("TRANSIENT_DOMAIN", ("web1",), guest(persistent=False)),
    Case("LIVE_DIFFERS", ("web1", "vcpu"), guest(live_differs="vcpu: 2 != 4")),
    Case("SNAPSHOTS_UNSUPPORTED", ("web1",), guest(snapshots=1)),
    Case("BLOCK_JOB_ACTIVE", ("web1", "vda"), guest(block_jobs=("vda",))),
    Case("TPM_UNSUPPORTED", ("web1",), guest(xml=domain_xml(extra={"devices": "<tpm model='tpm-crb'/>"}))),
    Case("DISK_NOT_A_FILE", (*IN_DISK, "'block'"), guest(disks=(disk(source_type="block"),))),
    Case("FORMAT_MISMATCH", IN_DISK, guest(disks=(disk(format="raw"),))),
    # storage, disk by disk
    Case("STORAGE_UNKNOWN", (*IN_DISK, "c2"), where=says(storage_shared="unknown")),
    Case("STORAGE_UNKNOWN", ("vdb", SHARED), guest(disks=(disk(), DATA)), where=says(seen={SHARED: "unknown"})),
    Case("LIVE_OPTIONS_CONFLICT", (*IN_DISK, "copy_disks=false"), asked=asked(copy_disks=False)),
    Case(
        "LIVE_OPTIONS_CONFLICT",
        (*IN_DISK, "copy_disks=true", "onto itself"),
        cached("none"),
        asked(copy_disks=True),
        says(**SEEN),
    ),
    Case("DISK_SHAREABLE", IN_DISK, guest(disks=(disk(shareable=True),))),
    Case(
        "LAYOUT_MEDIUM_ELSEWHERE",
        ("sda", "c2"),
        guest(disks=(disk(), config_drive())),
        where=says(media_missing=(f"{DIRECTORY}/disk.config",)),
    ),
    Case("DISK_USED_BY_OTHERS", (*IN_DISK, "db1"), guest(disks=(disk(users=("db1",)),))),
    Case(
        "BACKING_CHAIN",
        (*IN_DISK, "/b/base"),
        guest(disks=(disk(backing_path="/b/base", backing=(LinkFacts("/b/base", "qcow2", GIB, ""),)),)),
    ),
    Case("LIVE_INTERNAL_SNAPSHOTS", (*IN_DISK, "3"), guest(disks=(disk(internal_snapshots=3),))),
    Case("LIVE_CACHE_UNSAFE", (*IN_DISK, "writeback"), cached("writeback"), where=says(**SEEN)),
    Case("LIVE_CACHE_UNSAFE", (*IN_DISK, "default"), where=says(**SEEN)),
    # the place
    Case("DEST_DISK_FULL", ("web1", "c2", "1.1 GiB"), where=says(free_bytes=GIB)),
    Case("LIVE_DISKS_GROW", ("web1", "c2", "20 GiB", "10 GiB"), where=says(free_bytes=10 * GIB)),
    Case("LIVE_DISKS_GROW", ("10 GiB",), where=says(spaces=(SpaceFacts("/x", 1, 10 * GIB),))),
    Case("LEFTOVER_PATHS", ("web1", "c2", f"{DIRECTORY}/disk"), where=says(existing_paths=(f"{DIRECTORY}/disk",))),
    Case("DEST_IS_SOURCE", ("web1", "c1"), values={"destination": "c1"}, where=replace(versions(), fits={})),
    Case("CPU_INCOMPATIBLE", ("web1", "c2"), where=says(cpu="incompatible")),
    Case(
        "CPU_PASSTHROUGH",
        ("web1", "host-passthrough", "c1"),
        guest(xml=domain_xml(extra={"domain": "<cpu mode='host-passthrough'/>"})),
    ),
    Case("LIVE_QEMU_OLDER", ("c2", "10.0.0", "9.2.0", "web1"), where=versions(there=(11_003_000, 9_002_000))),
    Case("LIVE_NO_WAY_BACK", ("web1", "10.0.0", "10.1.0"), where=versions(there=(11_003_000, 10_001_000))),
    Case("LIVE_LISTEN", ("web1", "10.9.9.9", "c2"), listening_on("127.0.0.1", "10.9.9.9")),
    Case("CLOCKS_DIFFER", ("c2", "61.0 s"), where=replace(versions(), ahead_s={"c1": -1.0, "c2": 60.0})),
    # options
    Case("LIVE_OPTION_LEFT_OUT", ("web1", "paused"), guest(state="paused"), asked(post_copy=True)),
    Case("LIVE_OPTION_LEFT_OUT", ("auto_converge",), asked=asked(post_copy=True, auto_converge=True)),
    Case("LIVE_OPTIONS_CONFLICT", ("tunnelled=true", "copy_disks=true"), asked=asked(tunnelled=True)),
    Case("LIVE_OPTIONS_CONFLICT", ("tls=true",), asked=asked(tunnelled=True, tls=True)),
    Case(
        "LIVE_OPTIONS_CONFLICT", ("xbzrle", "connections=2"), asked=asked(compression=Compression.XBZRLE, connections=2)
    ),
    Case("LIVE_OPTIONS_CONFLICT", ("zstd", "connections=1"), asked=asked(compression=Compression.ZSTD)),
    Case("LIVE_OPTIONS_CONFLICT", ("zlib", "connections=1"), asked=asked(compression=Compression.ZLIB)),
    Case("LIVE_OPTIONS_CONFLICT", ("zero_copy=true", "connections=1"), asked=asked(zero_copy=True)),
    Case("LIVE_OPTIONS_CONFLICT", ("zero_copy=true, tls=true",), asked=asked(zero_copy=True, tls=True, connections=2)),
    Case(
        "LIVE_OPTIONS_CONFLICT",
        ("zero_copy=true, compression=zstd",),
        asked=asked(zero_copy=True, compression=Compression.ZSTD, connections=2),
    ),
    Case(
        "LIVE_TOO_OLD",
        ("zero_copy", "8.5.0", "c1"),
        asked=asked(zero_copy=True, connections=2),
        where=versions((8_000_000, 7_002_000), (9_000_000, 7_002_000)),
    ),
    Case("LIVE_TLS_FRAGILE", ("c1, c2", "9.0.0"), asked=asked(tls=True), where=versions((11_003_000, 8_002_000))),
]


def the_move(case: Case) -> Move:
    one = case.one or guest()
    return move(one, case.asked, replace(case.where, guests={"c1": (one,)}), **case.values)


@pytest.mark.parametrize("case", CASES, ids=[f"{case.code}-{number}" for number, case in enumerate(CASES)])
def test_each_check_finds_its_own_and_nothing_else(case: Case) -> None:
    findings = run(the_move(case), LIVE_CHECKS)
    assert [finding.code for finding in findings] == [case.code]
    (finding,) = findings
    for word in case.words:
        assert word in finding.line()
    assert finding.subject
    assert finding.remedy
    assert finding.severity is CODES[case.code].severity


@pytest.mark.parametrize(
    "good",
    [
        pytest.param(Case("", ()), id="a running guest with a disk of its own"),
        pytest.param(Case("", (), guest(state="paused")), id="paused"),
        pytest.param(Case("", (), asked=asked(copy_disks=True)), id="copied because it was asked for"),
        pytest.param(Case("", (), cached("none"), where=says(**SEEN)), id="shared, not cached"),
        pytest.param(Case("", (), cached("directsync"), asked(copy_disks=False), says(**SEEN)), id="nothing to copy"),
        pytest.param(Case("", (), cached("writeback")), id="cached, but copied"),
        pytest.param(Case("", (), guest(uptime_s=1)), id="just started: nothing is stopped"),
        pytest.param(Case("", (), guest(xml=domain_xml(on_poweroff="restart"))), id="on_poweroff is no question"),
        pytest.param(Case("", (), guest(disks=(disk(), config_drive()))), id="a medium that is there"),
        pytest.param(
            Case("", (), where=says(existing_paths=(DIRECTORY, f"{DIRECTORY}_resize"))), id="a directory is there"
        ),
        pytest.param(Case("", (), listening_on("0.0.0.0", "::1", "192.0.2.1", "localhost")), id="addresses of its own"),
        pytest.param(
            Case("", (), guest(xml=domain_xml(domain_type="qemu", extra={"domain": "<cpu mode='maximum'/>"}))),
            id="an emulated processor",
        ),
        pytest.param(Case("", (), where=replace(versions(), ahead_s={"c1": 0.0, "c2": 1.9})), id="clocks nearly equal"),
        pytest.param(Case("", (), asked=asked(tls=True), where=versions((11_003_000, 9_000_000))), id="TLS"),
        pytest.param(
            Case("", (), asked=asked(compression=Compression.ZSTD, connections=4)), id="parallel and compressed"
        ),
    ],
)
def test_nothing_is_found_where_nothing_is_odd(good: Case) -> None:
    assert run(the_move(good), LIVE_CHECKS) == ()


@pytest.mark.parametrize("forcing", ["c1", "c2"])
def test_tls_is_used_where_either_side_insists_on_it(forcing: str) -> None:
    where = site()
    insisting = replace(where.hypervisors[forcing], migrate_tls_forced=True)
    where = replace(where, hypervisors={**where.hypervisors, forcing: insisting})
    one = the_move(Case("", (), asked=asked(), where=where))
    assert (live.tls_forced_by(one), live.used(one)[0].tls) == ((forcing,), True)
    assert not live.used(the_move(Case("", (), asked=asked())))[0].tls


def test_post_copy_over_several_connections_wants_a_newer_qemu() -> None:
    case = Case("", (), asked=asked(post_copy=True, connections=2))
    assert [one.line() for one in run(the_move(case), LIVE_CHECKS)] == [
        f"LIVE_TOO_OLD: web1: post_copy with connections needs QEMU 10.1.0, and {name} has 10.0.0. "
        f"{CODES['LIVE_TOO_OLD'].remedy}"
        for name in ("c1", "c2")
    ]


def test_only_what_one_hypervisor_alone_sees_is_copied() -> None:
    mixed = guest(disks=(disk(), DATA, config_drive(), disk(target="vdc", path=f"{SHARED}/q", shareable=True)))
    case = Case("", (), mixed, where=says(seen={SHARED: "yes"}))
    assert [one.target for one in live.copied(the_move(case))] == ["vda"]
    assert live.requested(the_move(case)).copy_disks
    all_shared = replace(case, where=says(seen={SHARED: "yes", DIRECTORY: "yes"}))
    assert live.copied(the_move(all_shared)) == ()
    assert not live.requested(the_move(all_shared)).copy_disks


def test_a_path_that_another_guest_of_the_call_will_have() -> None:
    other = replace(request(Operation.LIVE_MIGRATE, ("db1",)), live=asked().live)
    twin = guest("db1", OTHER_UUID)
    where = site(twin, fits={"c2": {OTHER_UUID: fit(OTHER_UUID)}})
    (planned,) = plan(other, where, lambda: "id-0").guests
    assert planned.migration is not None
    findings = run(the_move(Case("", (), values={"planned": (planned.migration,)})), LIVE_CHECKS)
    assert [one.code for one in findings] == ["DIRECTORY_TAKEN"]
    assert "db1" in findings[0].message


def test_what_was_planned_before_counts_for_the_room() -> None:
    other = replace(request(Operation.LIVE_MIGRATE, ("db1",)), live=asked().live)
    twin = guest("db1", OTHER_UUID, directory="/var/lib/libvirt/images/db1")
    (planned,) = plan(other, site(twin, fits={"c2": {OTHER_UUID: fit(OTHER_UUID)}}), lambda: "id-0").guests
    case = Case("", (), where=says(free_bytes=int(1.5 * GIB)), values={"planned": (planned.migration,)})
    (finding,) = run(the_move(case), LIVE_CHECKS)
    assert finding.code == "DEST_DISK_FULL"
    assert "db1, planned before it" in finding.message


def test_what_listens_on_the_sources_address_listens_on_the_destinations() -> None:
    case = Case("", (), listening_on("192.0.2.1", "127.0.0.1"))
    assert live.listening(the_move(case)) == {"192.0.2.1": "192.0.2.2"}
    by_name = replace(case, where=replace(versions(), addresses={"c1": "192.0.2.1", "c2": "c2.example.com"}))
    assert live.listening(the_move(by_name)) == {}
    assert [one.code for one in run(the_move(by_name), LIVE_CHECKS)] == ["LIVE_LISTEN"]


def test_a_cold_request_copies_nothing_live() -> None:
    one = move(asked=request(Operation.MIGRATE))
    assert live.copied(one) == ()
    assert live.requested(one) == Options(copy_disks=False)


def test_every_check_of_a_live_migration_is_in_the_catalogue() -> None:
    assert len(set(LIVE_CHECKS)) == len(LIVE_CHECKS)
    assert all(check.__doc__ for check in LIVE_CHECKS)
    assert {*live.CHECKS, *live.GUEST_CHECKS} <= set(LIVE_CHECKS)


@pytest.mark.parametrize("code", ["LIVE_OPTION_LEFT_OUT", "LIVE_NO_WAY_BACK", "LIVE_LISTEN", "CLOCKS_DIFFER"])
def test_a_warning_stops_nothing(code: str) -> None:
    assert CODES[code].severity is Severity.WARN
