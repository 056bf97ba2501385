# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._checks.context import Site
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import (
    Capacity,
    Flavor,
    Operation,
    Request,
    Stop,
    Transfer,
    Verify,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import DomainFacts, LinkFacts
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import GIB, Migration, Size
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.plan import (
    GuestPlan,
    Outcome,
    commands,
    expected_outage_s,
    plan,
    render_plan,
)
from ansible_collections.kvmops.mobility.tests.unit.builders import (
    OTHER_UUID,
    UUID,
    claim,
    config_drive,
    disk,
    domain_xml,
    entry,
    fit,
    guest,
    hypervisor,
    lock,
    request,
    site,
    summary,
)


def ids() -> Callable[[], str]:
    """id-1, id-2, …"""
    numbers = itertools.count(1)
    return lambda: f"id-{next(numbers)}"


def plan_one(asked: Request | None = None, where: Site | None = None) -> GuestPlan:
    (only,) = plan(asked or request(), where or site(), ids()).guests
    return only


def planned(asked: Request | None = None, where: Site | None = None) -> Migration:
    found = plan_one(asked, where)
    assert found.outcome is Outcome.PLANNED, render_plan(found)
    assert found.migration is not None
    return found.migration


def codes(found: GuestPlan) -> list[str]:
    return [finding.code for finding in found.findings]


def two_guests(**values: Any) -> Site:
    """web1 and db1 on c1, and c2."""
    other = guest("db1", OTHER_UUID, directory="/var/lib/libvirt/images/db1")
    here = hypervisor("c1", domains=(summary(), summary("db1", OTHER_UUID)))
    there = values.pop("there", hypervisor("c2"))
    return site(
        hypervisors={"c1": here, "c2": there},
        guests={"c1": (guest(), other)},
        fits={"c2": {UUID: fit(**values), OTHER_UUID: fit(OTHER_UUID, **values)}},
    )


def test_a_resize_is_planned_whole() -> None:
    found = planned()
    assert (found.id, found.operation, found.uuid, found.name) == ("id-1", "resize", UUID, "web1")
    assert (found.source, found.destination, found.destination_address) == ("c1", "c2", "192.0.2.2")
    assert found.old == Size(2, 2048, 20 * GIB)
    assert found.new == Size(4, 4096, 40 * GIB)
    assert (found.root_disk, found.directory) == ("vda", "/var/lib/libvirt/images/web1")
    assert [(one.target, one.old_bytes, one.new_bytes) for one in found.disks] == [("vda", 20 * GIB, 40 * GIB)]
    assert (found.was_running, found.autostart, found.compress) == (True, True, False)
    assert found.bytes_to_copy == GIB
    assert len(found.definition_digest) == 64
    assert Migration.from_result(json.loads(json.dumps(found.as_result()))) == found


def test_a_migrate_keeps_the_size() -> None:
    found = planned(request(Operation.MIGRATE))
    assert (found.operation, found.old, found.flavor) == ("migrate", found.new, "")


def test_numbers_override_that_part_of_the_flavor_and_the_rest_is_the_flavors() -> None:
    asked = request(flavor=Flavor("m1.large", 4, 8192, 80), vcpus=None, memory_mib=None, root_gib=100)
    found = planned(asked)
    assert (found.new, found.flavor) == (Size(4, 8192, 100 * GIB), "m1.large")


def test_what_is_not_named_stays() -> None:
    assert planned(request(vcpus=None, root_gib=None)).new == Size(2, 4096, 20 * GIB)


def test_vcpus_and_memory_may_shrink() -> None:
    assert planned(request(vcpus=1, memory_mib=512, root_gib=None)).new == Size(1, 512, 20 * GIB)


def test_only_the_root_disk_grows_and_every_image_is_listed() -> None:
    data = disk(target="vdb", path="/var/lib/libvirt/images/web1/data", virtual_bytes=5 * GIB)
    empty_drive = config_drive(target="sdb", source_type="", path="")
    found = planned(where=site(guest(disks=(disk(), data, config_drive(), empty_drive))))
    sizes = {one.target: (one.device, one.old_bytes, one.new_bytes) for one in found.disks}
    assert sizes == {
        "vda": ("disk", 20 * GIB, 40 * GIB),
        "vdb": ("disk", 5 * GIB, 5 * GIB),
        "sda": ("cdrom", 2**20, 2**20),
    }


def test_a_guest_that_is_off_has_no_outage_and_stays_off() -> None:
    found = plan_one(where=site(guest(state="shut off", live_xml="", uptime_s=None, autostart=False)))
    assert found.migration is not None
    assert (found.migration.was_running, found.migration.expected_outage_s) == (False, 0.0)
    lines = "\n".join(render_plan(found))
    assert "leave it off as it was" in lines
    assert "none, the guest is off" in lines


def test_expected_outage_is_the_second_pass_and_a_constant() -> None:
    assert expected_outage_s(250 * 2**20 * 60, 0, running=True) == 70.0
    assert expected_outage_s(250 * 2**20 * 60, 100 * 2**20 * 30, running=True) == 100.0
    assert expected_outage_s(0, 0, running=True) == 10.0
    assert expected_outage_s(10**12, 10**12, running=False) == 0.0


@pytest.mark.parametrize(
    ("apparent", "source_zstd", "destination_zstd", "compress", "warns"),
    [
        (2 * GIB, True, True, False, False),
        (2 * GIB + 1, True, True, True, False),
        (2 * GIB + 1, False, True, False, True),
        (2 * GIB + 1, True, False, False, True),
        (GIB, False, False, False, False),
    ],
)
def test_compression(apparent: int, source_zstd: bool, destination_zstd: bool, compress: bool, warns: bool) -> None:
    where = site(
        guest(directory_entries=(entry(apparent_bytes=apparent),)),
        hypervisors={
            "c1": hypervisor("c1", domains=(summary(),), rsync_zstd=source_zstd),
            "c2": hypervisor("c2", rsync_zstd=destination_zstd),
        },
    )
    found = plan_one(where=where)
    assert found.migration is not None
    assert found.migration.compress is compress
    assert ("RSYNC_NO_ZSTD" in codes(found)) is warns
    assert bool(found.migration.warnings) is warns


def test_only_the_files_of_the_directory_are_copied() -> None:
    entries = (entry(), entry("disk.info", allocated_bytes=4096), entry("sub", "directory", allocated_bytes=512))
    found = plan_one(where=site(guest(directory_entries=entries)))
    assert codes(found) == ["LAYOUT_ENTRY_UNSUPPORTED"]
    assert planned(where=site(guest(directory_entries=entries[:2]))).bytes_to_copy == GIB + 4096


def test_the_rendered_plan() -> None:
    found = plan_one(request(stop=Stop(60, 10, "force")), site(guest(uptime_s=5)))
    assert render_plan(found) == [
        "web1: resize from c1 to c2",
        "  size             2 vCPUs, 2048 MiB, root 20 GiB -> 4 vCPUs, 4096 MiB, root 40 GiB",
        "  to copy          1 GiB",
        "  transfer         mirror: the guest runs, so its disks are mirrored before it stops",
        "  expected outage  about 10 s",
        "  steps",
        "    1  c1, c2    claim: lock the guest, write the record, reserve 4 vCPUs, 4096 MiB, root 40 GiB on c2",
        "    2  c2        export: an empty image in /var/lib/libvirt/images/web1.id-1.staging for each of vda",
        "    3  c1 -> c2  mirror vda (1 GiB) while the guest runs, until it is off",
        "    4  c1        hand over: ask the guest to stop every 10 s for 60 s, else pull the plug, park "
        "/var/lib/libvirt/images/web1 as /var/lib/libvirt/images/web1_resize",
        "    5  c2        take over: check the images, grow vda from 20 GiB to 40 GiB, define the guest with 4 vCPUs "
        "and 4096 MiB, start it, set autostart as it was",
        "    6  c1, c2    finish: VERIFY_RESIZE; c1 keeps /var/lib/libvirt/images/web1_resize until confirm or revert",
        "  warning  JUST_STARTED: web1: the guest was started 5 s ago and may not hear a shutdown request yet. "
        "Nothing needs to be done: the request is repeated. Waiting a little makes the outage shorter.",
    ]


def test_the_plan_of_two_passes() -> None:
    steps = plan_one(request(transfer=Transfer.RSYNC)).steps
    staging = "/var/lib/libvirt/images/web1.id-1.staging"
    assert (steps[1].where, steps[3].where) == ("c1 -> c2", "c1 -> c2")
    assert steps[1].what == f"presync: copy 1 GiB into {staging} while the guest runs"
    assert steps[3].what == f"copy what differs by then into {staging}"


def test_what_is_flattened_is_not_sent_before_the_stop() -> None:
    base = LinkFacts("/base/a", "qcow2", 2 * GIB, "")
    over = disk(backing_path="/base/a", backing=(base,))
    whole = planned(request(transfer=Transfer.RSYNC), site(guest(disks=(over,))))
    assert whole.expected_outage_s == round(10 + whole.bytes_to_copy / (100 * 2**20), 1)
    steps = [one.what for one in plan_one(request(transfer=Transfer.RSYNC), site(guest(disks=(over,)))).steps]
    assert [one for one in steps if "presync" in one or "differs" in one] == []


def test_full_reads_the_disks_whatever_the_transfer() -> None:
    for transfer in (None, Transfer.RSYNC):
        steps = plan_one(request(transfer=transfer, verify=Verify.FULL)).steps
        assert steps[-3].what == "digest: read every disk on both sides, and compare what is on them"


def test_a_guest_that_is_off_is_copied_in_one_pass() -> None:
    off = guest(state="shut off", live_xml="", uptime_s=None)
    steps = [one.what for one in plan_one(request(transfer=Transfer.RSYNC), site(off)).steps]
    assert len(steps) == 5
    assert steps[2] == "copy 1 GiB into /var/lib/libvirt/images/web1.id-1.staging"


def test_a_refusal_is_rendered_with_its_reasons() -> None:
    lines = render_plan(plan_one(where=site(guest(state="paused"))))
    assert lines[0] == "web1: refused, nothing is changed"
    assert lines[1].startswith("  blocked  WRONG_STATE: web1: the guest is paused on c1")


def test_results_are_plain_json() -> None:
    for where in (site(), site(guest(state="paused"))):
        data = plan_one(where=where).as_result()
        assert json.loads(json.dumps(data))["lines"] == data["lines"]


def test_commands() -> None:
    assert commands(planned()) == (
        "ansible-playbook kvmops.mobility.confirm -e vm=web1",
        "ansible-playbook kvmops.mobility.revert -e vm=web1 -e data=discard",
    )
    odd = replace(planned(), name="my guest's")
    assert all(UUID in line and "guest's" not in line for line in commands(odd))


def test_every_reason_is_told_at_once() -> None:
    where = site(guest(state="paused", snapshots=1), fits={"c2": {UUID: fit(storage_shared="unknown")}})
    assert codes(plan_one(where=where)) == ["WRONG_STATE", "SNAPSHOTS_UNSUPPORTED", "STORAGE_UNKNOWN"]


# --- where the guest is ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("typed", ["web1", UUID, UUID.upper()])
def test_a_guest_is_found_by_name_and_by_uuid(typed: str) -> None:
    assert planned(request(guests=(typed,))).uuid == UUID


def test_root_disk_unknown() -> None:
    found = plan_one(request(root_disk="vdz"))
    assert codes(found) == ["ROOT_DISK_UNKNOWN"]
    assert "vda" in found.findings[0].line()


VERIFY = site(
    hypervisors={
        "c1": hypervisor(
            "c1", domains=(summary(state="shut off"),), claims=(claim(role="source", peer="c2", status="migrating"),)
        ),
        "c2": hypervisor("c2", domains=(summary(),), claims=(claim(),)),
    },
    guests={"c1": (guest(state="shut off"),), "c2": (guest(),)},
)


@pytest.mark.parametrize("asked", [request(), request(Operation.MIGRATE, destination="c1")])
def test_a_guest_in_verify_resize_needs_a_verdict_and_is_no_error(asked: Request) -> None:
    found = plan_one(asked, VERIFY)
    assert (found.outcome, found.migration, found.findings) == (Outcome.ALREADY, None, ())
    assert "web1 is in VERIFY_RESIZE on c2" in found.note
    assert "ansible-playbook kvmops.mobility.confirm -e vm=web1" in found.note
    assert "ansible-playbook kvmops.mobility.revert -e vm=web1 -e data=discard" in found.note
    assert found.note in render_plan(found)


def test_verify_resize_is_seen_with_the_source_away() -> None:
    where = replace(
        VERIFY,
        hypervisors={"c2": VERIFY.hypervisors["c2"]},
        guests={"c2": VERIFY.guests["c2"]},
        unreachable={"c1": "no route to host"},
    )
    assert plan_one(where=where).outcome is Outcome.ALREADY


@pytest.mark.parametrize("status", ["confirming", "reverting", "error"])
def test_a_verdict_that_was_begun_is_not_already(status: str) -> None:
    here = replace(VERIFY.hypervisors["c1"], claims=(claim(role="source", peer="c2", status=status),))
    found = plan_one(where=replace(VERIFY, hypervisors={**VERIFY.hypervisors, "c1": here}))
    assert codes(found) == ["MIGRATION_OPEN"]
    assert status in found.findings[0].message


def test_a_confirmed_migration_is_history() -> None:
    here = hypervisor("c1", domains=(summary(),), claims=(claim(role="source", status="reverted"),))
    assert planned(where=site(hypervisors={"c1": here, "c2": hypervisor("c2", claims=(claim(status="reverted"),))}))


def test_a_lock_comes_before_everything() -> None:
    here = replace(VERIFY.hypervisors["c1"], locks=(lock(),))
    found = plan_one(where=replace(VERIFY, hypervisors={**VERIFY.hypervisors, "c1": here}))
    assert codes(found) == ["BUSY"]
    assert "root@control" in found.findings[0].message
    assert "2026-01-01 00:00:00 UTC" in found.findings[0].message


# --- dest=auto ---------------------------------------------------------------------------------------------------


def three(c2: Any = None, c3: Any = None, c2_fit: Any = None, c3_fit: Any = None, **values: Any) -> Site:
    return site(
        hypervisors={
            "c1": hypervisor("c1", domains=(summary(),)),
            "c2": c2 or hypervisor("c2"),
            "c3": c3 or hypervisor("c3"),
        },
        fits={"c2": {UUID: c2_fit or fit()}, "c3": {UUID: c3_fit or fit()}},
        **values,
    )


AUTO = request(destination="auto")


def test_auto_takes_the_most_free_memory_by_claim() -> None:
    assert planned(AUTO, three(c2=hypervisor("c2", domains=(summary("x", OTHER_UUID),)))).destination == "c3"
    assert planned(AUTO, three(c3=hypervisor("c3", claims=(claim(OTHER_UUID, name="x"),)))).destination == "c2"


def test_auto_takes_the_first_by_name_of_equals() -> None:
    assert planned(AUTO, three()).destination == "c2"


def test_auto_passes_over_those_that_fail_a_check() -> None:
    assert planned(AUTO, three(c2_fit=fit(cpu="incompatible"))).destination == "c3"


def test_auto_names_each_candidate_with_its_first_reason() -> None:
    where = three(c2_fit=fit(cpu="incompatible"), c3=hypervisor("c3", bridges=()), unreachable={"c4": "timed out"})
    found = plan_one(AUTO, where)
    assert codes(found) == ["NO_DESTINATION"]
    message = found.findings[0].message
    for part in ("web1", "c2: CPU_INCOMPATIBLE", "c3: BRIDGE_MISSING", "c4: DEST_UNREACHABLE"):
        assert part in message
    assert "c1: " not in message


def test_auto_with_one_hypervisor() -> None:
    found = plan_one(AUTO, site(hypervisors={"c1": hypervisor("c1", domains=(summary(),))}))
    assert codes(found) == ["NO_DESTINATION"]


def test_auto_does_not_blame_destinations_for_the_guest() -> None:
    assert codes(plan_one(AUTO, replace(three(), guests={"c1": (guest(snapshots=2),)}))) == ["SNAPSHOTS_UNSUPPORTED"]


def test_auto_spreads_the_guests_of_one_call() -> None:
    where = two_guests()
    where = replace(
        where,
        hypervisors={**where.hypervisors, "c3": hypervisor("c3")},
        fits={**where.fits, "c3": where.fits["c2"]},
    )
    found = plan(replace(AUTO, guests=("web1", "db1")), where, ids())
    assert [one.migration.destination for one in found.guests if one.migration] == ["c2", "c3"]
    assert [one.migration.id for one in found.guests if one.migration] == ["id-1", "id-2"]


# --- several guests ----------------------------------------------------------------------------------------------


def outcomes(asked: Request, where: Site) -> list[Any]:
    return [(one.outcome, codes(one)) for one in plan(asked, where, ids()).guests]


BOTH = request(guests=("web1", "db1"))


def test_two_guests_are_planned_side_by_side() -> None:
    assert outcomes(BOTH, two_guests()) == [(Outcome.PLANNED, []), (Outcome.PLANNED, [])]


def test_a_planned_guests_claim_counts_for_the_next() -> None:
    there = hypervisor("c2", memory_mib_total=512 + 4096 + 4095)
    assert outcomes(BOTH, two_guests(there=there)) == [(Outcome.PLANNED, []), (Outcome.REFUSED, ["DEST_MEMORY_FULL"])]


def test_a_planned_guests_copy_counts_for_the_next() -> None:
    where = two_guests(free_bytes=int(1.5 * GIB))
    found = plan(BOTH, where, ids()).guests[1]
    assert codes(found) == ["DEST_DISK_FULL"]
    assert "web1, planned before it" in found.findings[0].message


def test_a_refused_guest_does_not_count() -> None:
    there = hypervisor("c2", memory_mib_total=512 + 4096)
    where = two_guests(there=there)
    where = replace(where, guests={"c1": (guest(snapshots=1), where.guests["c1"][1])})
    assert outcomes(BOTH, where) == [(Outcome.REFUSED, ["SNAPSHOTS_UNSUPPORTED"]), (Outcome.PLANNED, [])]


def from_two_sources(other: DomainFacts) -> Site:
    """web1 on c1 and *other* on c2, both free to go to c3."""
    return Site(
        hypervisors={
            "c1": hypervisor("c1", domains=(summary(),)),
            "c2": hypervisor("c2", domains=(summary(other.name, OTHER_UUID),)),
            "c3": hypervisor("c3"),
        },
        guests={"c1": (guest(),), "c2": (other,)},
        fits={"c3": {UUID: fit(), OTHER_UUID: fit(OTHER_UUID)}},
    )


def test_two_guests_of_one_name_cannot_go_to_one_destination() -> None:
    other = guest("web1", OTHER_UUID, directory="/srv/web1")
    found = plan(request(guests=(UUID, OTHER_UUID), destination="c3"), from_two_sources(other), ids())
    assert [codes(one) for one in found.guests] == [[], ["NAME_TAKEN"]]
    assert "id-1" in found.guests[1].findings[0].message


def test_two_guests_of_one_directory_cannot_go_to_one_destination() -> None:
    found = plan(request(guests=("web1", "db1"), destination="c3"), from_two_sources(guest("db1", OTHER_UUID)), ids())
    assert [codes(one) for one in found.guests] == [[], ["DIRECTORY_TAKEN"]]
    assert "web1" in found.guests[1].findings[0].message


def test_a_guest_named_twice_is_planned_once() -> None:
    found = plan(request(guests=("web1", UUID)), site(), ids())
    assert [one.outcome for one in found.guests] == [Outcome.PLANNED, Outcome.REFUSED]
    assert codes(found.guests[1]) == ["VM_DUPLICATE"]
    assert "web1" in found.guests[1].findings[0].message
    assert len(found.having(Outcome.PLANNED)) == 1


def test_one_guest_that_is_not_found_does_not_stop_the_other() -> None:
    assert outcomes(request(guests=("nope", "web1")), site()) == [
        (Outcome.REFUSED, ["GUEST_NOT_FOUND"]),
        (Outcome.PLANNED, []),
    ]


def test_a_guest_called_like_a_hypervisor() -> None:
    assert planned(request(guests=("c2",)), site(guest("c2"))).name == "c2"


def test_an_address_defaults_to_the_inventory_name() -> None:
    assert planned(where=site(addresses={})).destination_address == "c2"


def test_ratios_come_from_the_request() -> None:
    where = site(hypervisors={**site().hypervisors, "c2": hypervisor("c2", memory_mib_total=4096)})
    assert codes(plan_one(where=where)) == ["DEST_MEMORY_FULL"]
    assert planned(request(capacity=Capacity(memory_ratio=1.5)), where).capacity.memory_ratio == 1.5


@pytest.mark.parametrize("operation", [Operation.CONFIRM, Operation.REVERT])
def test_confirm_and_revert_are_not_planned_here(operation: Operation) -> None:
    with pytest.raises(ValueError, match=operation.value):
        plan(request(operation, destination=None), site(), ids())


def test_a_definition_with_another_topology_is_read_from_its_own_xml() -> None:
    xml = domain_xml(vcpu="<vcpu>6</vcpu>", memory_mib=1024)
    assert planned(where=site(guest(xml=xml))).old == Size(6, 1024, 20 * GIB)
