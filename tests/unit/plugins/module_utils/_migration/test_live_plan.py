# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._checks.context import Site
from ansible_collections.kvmops.mobility.plugins.module_utils._live.options import Compression, Options
from ansible_collections.kvmops.mobility.plugins.module_utils._live.policy import (
    BALANCED,
    FAST,
    NOVA,
    OnTimeout,
    Policy,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import (
    Forecasting,
    LiveRequest,
    Operation,
    Request,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.live_plan import made_live
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import GIB, Layout, Live, Migration
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.plan import (
    GuestPlan,
    Outcome,
    plan,
    render_plan,
)
from ansible_collections.kvmops.mobility.tests.unit.builders import (
    DIRECTORY,
    UUID,
    config_drive,
    disk,
    domain_xml,
    entry,
    fit,
    guest,
    hypervisor,
    measured,
    move,
    request,
    site,
)

SHARED = "/shared"
DATA = disk(target="vdb", path=f"{SHARED}/data", virtual_bytes=GIB, allocated_bytes=GIB)
TWO = guest(disks=(disk(), DATA, config_drive()), directory_entries=(entry(), entry("console.log")))


def asked(policy: Policy = NOVA, announce: bool = False, **options: Any) -> Request:
    wanted = LiveRequest(policy, Options(**options), announce=announce, forecast=Forecasting.OFF)
    return request(Operation.LIVE_MIGRATE, live=wanted)


def foreseen(policy: Policy = BALANCED, forecast: Forecasting = Forecasting.REFUSE, **options: Any) -> Request:
    return request(Operation.LIVE_MIGRATE, live=LiveRequest(policy, Options(**options), forecast=forecast))


def with_shared_data(one: Any = TWO) -> Site:
    """vdb is on storage that both see."""
    xml = one.xml.replace(
        "</devices>",
        f"""<disk type='file' device='disk'><driver name='qemu' type='qcow2'
        cache='none'/><source file='{SHARED}/data'/><target dev='vdb' bus='virtio'/></disk></devices>""",
    )
    return site(replace(one, xml=xml, live_xml=xml), fits={"c2": {UUID: fit(seen={SHARED: "yes"})}})


def plan_one(wanted: Request | None = None, where: Site | None = None) -> GuestPlan:
    (only,) = plan(wanted or asked(), where or site(), lambda: "id-1").guests
    return only


def planned(wanted: Request | None = None, where: Site | None = None) -> tuple[Migration, Live]:
    found = plan_one(wanted, where)
    assert found.outcome is Outcome.PLANNED, render_plan(found)
    assert found.migration is not None
    assert found.migration.live is not None
    return found.migration, found.migration.live


def test_a_live_migration_is_planned_whole() -> None:
    found, live = planned()
    assert (found.operation, found.old, found.was_running) == ("live_migrate", found.new, True)
    assert (found.layout, found.bytes_to_copy, found.directory) == (Layout.FILES, GIB, DIRECTORY)
    assert live == Live(Options(copy_disks=True), NOVA, 4.0, ("vda",), was_paused=False)
    assert [one.place for one in found.parkings] == [f"{DIRECTORY}/disk"]
    assert Migration.from_result(json.loads(json.dumps(found.as_result()))) == found


def test_what_both_see_and_what_the_guest_only_reads_is_not_copied() -> None:
    found, live = planned(where=with_shared_data())
    assert live.copied == ("vda",)
    assert {one.target: one.carried for one in found.disks} == {"vda": True, "vdb": False, "sda": False}
    assert found.bytes_to_copy == GIB


def test_a_guest_whose_disks_both_see_has_nothing_to_copy() -> None:
    xml = domain_xml().replace("type='qcow2'", "type='qcow2' cache='none'")
    where = site(guest(xml=xml), fits={"c2": {UUID: fit(storage_shared="yes")}})
    found, live = planned(where=where)
    assert (live.copied, live.options.copy_disks, found.bytes_to_copy, live.gib) == ((), False, 0, 2.0)
    assert (found.carried, found.parkings) == ((), ())
    lines = "\n".join(render_plan(plan_one(where=where)))
    assert "vda stays where both see it" in lines
    assert "prepare:" not in lines


@pytest.mark.parametrize(
    ("memory_mib", "length", "gib"), [(1024, GIB, 4.0), (8192, 10 * GIB, 18.0), (3072, 2 * GIB + GIB // 2, 5.5)]
)
def test_what_delays_and_timeouts_are_scaled_with(memory_mib: int, length: int, gib: float) -> None:
    one = guest(xml=domain_xml(memory_mib=memory_mib), disks=(disk(apparent_bytes=length),))
    assert planned(where=site(one))[1].gib == gib


def test_a_paused_guest_stays_paused_and_has_no_outage() -> None:
    found, live = planned(asked(post_copy=True), site(guest(state="paused")))
    assert (live.was_paused, live.options.post_copy, found.expected_outage_s) == (True, False, 0.0)
    lines = "\n".join(render_plan(plan_one(asked(), site(guest(state="paused")))))
    assert "while the guest stays paused" in lines
    assert "none, the guest is paused" in lines


def test_an_image_with_backing_files_arrives_flat() -> None:
    backed = disk(backing_path="/b/base", allocated_bytes=GIB, backing=())
    found, _live = planned(where=site(guest(disks=(backed,))))
    assert [one.flatten for one in found.disks] == [False]


def test_the_rendered_plan() -> None:
    found = plan_one(asked(announce=True), with_shared_data())
    assert render_plan(found) == [
        "web1: live_migrate from c1 to c2",
        "  size             2 vCPUs, 2048 MiB, root 20 GiB",
        "  to copy          2048 MiB of memory, vda (1 GiB of 20 GiB); vdb stays where both see it (counts as 4 GiB)",
        "  connection       in the clear, between two ports",
        "  policy           nova: the guest may stop for 50 ms, 95 ms after 300 s, ..., 500 ms after 3000 s",
        "  its time         3200 s, then it is given up and the guest goes on where it is",
        "  expected outage  at most about 500 ms",
        "  steps",
        "    1  c1, c2    claim: lock the guest, write the record, reserve 2 vCPUs, 2048 MiB, root 20 GiB on c2",
        "    2  c2        prepare: an empty image under its own path for each of vda",
        "    3  c1 -> c2  live: switch autostart off, mirror vda (1 GiB), then send 2048 MiB of memory while the guest "
        "runs",
        "    4  c2        arrive: see that it runs and is defined there, set autostart as it was, set its clock where "
        "an agent answers, announce its addresses",
        "    5  c1        depart: see that the guest is gone here, remove the images of vda",
        "    6  c1, c2    finish: completed; there is nothing to confirm",
    ]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (asked(FAST), "fast: the guest may stop for 166 ms, 277 ms after 12 s, 388 ms after 24 s, 500 ms after 36 s"),
        (asked(replace(NOVA, completion_timeout_s=0)), "its time         as long as it takes"),
        (asked(replace(NOVA, on_timeout=OnTimeout.FORCE_COMPLETE)), "made to finish by pausing the guest"),
        (asked(replace(NOVA, on_timeout=OnTimeout.FORCE_COMPLETE), post_copy=True), "made to finish by post-copy"),
        (asked(tls=True, bandwidth_mib_s=90), "TLS, at most 90 MiB/s"),
        (asked(auto_converge=True), "in the clear, between two ports, the guest is slowed down if need be"),
        (asked(connections=4, compression=Compression.ZSTD), "4 in parallel, zstd"),
        (asked(connections=2, zero_copy=True), "2 in parallel, zero copy"),
        (asked(post_copy=True), "post-copy allowed"),
    ],
)
def test_what_the_plan_says_of_options_and_policy(wanted: Request, words: str) -> None:
    new = {name: hypervisor(name, libvirt_version=11_003_000, qemu_version=10_000_000) for name in ("c1", "c2")}
    assert words in "\n".join(render_plan(plan_one(wanted, replace(site(), hypervisors=new))))


def forecast_of(found: GuestPlan) -> list[str]:
    """The plan's lines about it."""
    lines = render_plan(found)
    first = next((number for number, line in enumerate(lines) if line.startswith("  forecast")), len(lines))
    steps = lines.index("  steps")
    return [line.strip() for line in lines[first:steps]]


def test_the_plan_says_what_it_will_come_to() -> None:
    found = plan_one(foreseen(), site(forecasts={"c1": measured(68, 102)}))
    assert forecast_of(found) == ["forecast         24 s, pause 478 ms: dirtied 68 MiB/s, link 117 MiB/s"]
    assert forecast_of(plan_one(asked())) == []


def test_the_plan_says_what_would_end_it_for_certain() -> None:
    found = plan_one(foreseen(), site(forecasts={"c1": measured(80, 112)}))
    assert found.outcome is Outcome.PLANNED
    first, *ways = forecast_of(found)
    assert first.startswith("forecast         it may not converge: dirtied 80 MiB/s, link 117 MiB/s")
    assert [one.partition(":")[0] for one in ways] == [
        "live.max_downtime_ms=800",
        "live.auto_converge=true",
        "live.post_copy=true",
        "policy=must_finish",
    ]


def test_one_that_will_not_converge_is_refused_or_begun_all_the_same() -> None:
    where = site(forecasts={"c1": measured(158, 306)})
    refused = plan_one(foreseen(), where)
    assert (refused.outcome, refused.migration) == (Outcome.REFUSED, None)
    assert [one.code for one in refused.findings] == ["WILL_NOT_CONVERGE"]
    begun, live = planned(foreseen(forecast=Forecasting.WARN), where)
    assert "WILL_NOT_CONVERGE" in begun.warnings[0]
    assert live.outlook is not None
    assert live.outlook.total_s is None


def test_what_was_measured_is_in_the_record_and_an_older_one_is_read() -> None:
    found, live = planned(foreseen(auto_converge=True), site(forecasts={"c1": measured(158, 306)}))
    assert live.measured is not None
    assert live.outlook is not None
    assert live.options.throttle_initial == live.outlook.throttle_percent == 72
    assert "the guest is slowed down if need be, by 72 % at first" in "\n".join(
        render_plan(plan_one(foreseen(auto_converge=True), site(forecasts={"c1": measured(158, 306)})))
    )
    data = json.loads(json.dumps(found.as_result()))
    assert Migration.from_result(data) == found
    for part in ("measured", "outlook"):
        del data["live"][part]
    del data["live"]["options"]["throttle_initial"]
    older = Migration.from_result(data).live
    assert older == replace(live, measured=None, outlook=None, options=replace(live.options, throttle_initial=0))


def test_a_destination_that_it_gets_to_is_chosen() -> None:
    facts = measured(30, 34)
    links = {"c2": replace(facts.links["c2"], bytes_s=2**20), "c3": facts.links["c2"]}
    where = site(
        hypervisors={name: hypervisor(name) for name in ("c1", "c2", "c3")},
        fits={"c2": {UUID: fit()}, "c3": {UUID: fit()}},
        forecasts={"c1": replace(facts, links=links)},
    )
    assert planned(replace(foreseen(), destination="auto"), where)[0].destination == "c3"


def test_a_destination_is_chosen_among_those_that_a_live_migration_can_go_to() -> None:
    where = site(
        hypervisors={
            "c1": hypervisor("c1"),
            "c2": hypervisor("c2", qemu_version=6_002_000, memory_mib_total=2**20),
            "c3": hypervisor("c3"),
        },
        fits={"c2": {UUID: fit()}, "c3": {UUID: fit()}},
    )
    assert planned(replace(asked(), destination="auto"), where)[0].destination == "c3"


def test_a_guest_that_is_off_is_sent_to_the_cold_move() -> None:
    found = plan_one(where=site(guest(state="shut off", uptime_s=None)))
    assert [one.code for one in found.findings] == ["WRONG_STATE"]
    assert "kvmops.mobility.migrate" in found.findings[0].remedy


def test_a_cold_request_makes_nothing_live() -> None:
    with pytest.raises(ValueError, match="policy"):
        made_live(move(asked=request(Operation.MIGRATE)), planned()[0])
