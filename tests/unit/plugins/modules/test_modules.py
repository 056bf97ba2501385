# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules that also work by themselves, as functions from a context to a plan."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._call import domain_info, hypervisor_info, storage_probe
from ansible_collections.kvmops.mobility.plugins.module_utils._disk import image
from ansible_collections.kvmops.mobility.plugins.module_utils._domain.definition import GuestDefinition
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import NotFound, Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Plan
from ansible_collections.kvmops.mobility.plugins.module_utils._survey import everything, probe
from ansible_collections.kvmops.mobility.plugins.modules import disk_resize, domain_define, domain_power
from ansible_collections.kvmops.mobility.tests.unit.bed import ID, Bed, names
from ansible_collections.kvmops.mobility.tests.unit.builders import MIB, UUID


def apply(plan: Plan) -> dict[str, Any]:
    result = dict(plan.result)
    for effect in plan.effects:
        result.update(effect.do() or {})
    return result


# --- domain_power ------------------------------------------------------------------------------------------------


def power(bed: Bed, state: str) -> Plan:
    params: dict[str, Any] = {
        "name": "web1",
        "state": state,
        "timeout_s": 60,
        "retry_interval_s": 10,
        "on_timeout": "abort",
    }
    return domain_power.work(bed.context(**params))


@pytest.mark.parametrize(
    ("running", "state", "effects", "after"),
    [
        (True, "running", [], "running"),
        (False, "running", ["start"], "running"),
        (True, "shut_off", ["shut_off"], "shut off"),
        (False, "shut_off", [], "shut off"),
        (True, "forced_off", ["forced_off"], "shut off"),
        (False, "forced_off", [], "shut off"),
    ],
)
def test_power(bed: Bed, running: bool, state: str, effects: list[str], after: str) -> None:
    bed.guest(running=running)
    plan = power(bed, state)
    assert names(plan) == effects
    assert bed.domain().is_off() is not running
    result = apply(plan)
    assert bed.domain().state() == result["state"] == after
    if effects and after == "shut off":
        assert result["stop_forced"] is (state == "forced_off")
    assert names(power(bed, state)) == []


def test_a_paused_guest_is_not_started_but_can_be_forced_off(bed: Bed) -> None:
    bed.guest()
    bed.connection.lookupByName("web1").suspend()
    with pytest.raises(Refused, match="is paused") as refusal:
        power(bed, "running")
    assert (refusal.value.code, refusal.value.subject) == ("WRONG_STATE", "web1")
    apply(power(bed, "forced_off"))
    assert bed.domain().is_off()


def test_a_guest_that_is_not_here(bed: Bed) -> None:
    with pytest.raises(NotFound) as error:
        power(bed, "running")
    assert error.value.code == "DOMAIN_NOT_FOUND"


# --- domain_define -----------------------------------------------------------------------------------------------


def define(bed: Bed, **params: Any) -> Plan:
    default: dict[str, Any] = {
        "name": "web1",
        "state": "present",
        "xml": None,
        "vcpus": None,
        "memory_mib": None,
        "paths": {},
        "listen": {},
        "nvram": "keep",
        "tpm": "keep",
        "managed_save": "refuse",
    }
    return domain_define.work(bed.context(**{**default, **params}))


def test_define_changes_what_was_asked_and_nothing_else(bed: Bed) -> None:
    bed.guest()
    plan = define(bed, vcpus=3, memory_mib=128)
    assert names(plan) == ["define"]
    assert any("vcpu" in one for one in plan.result["changed_xpaths"])
    assert plan.before != plan.after
    apply(plan)
    found = GuestDefinition.from_xml(bed.domain().xml())
    assert (found.vcpus, found.memory_mib) == (3, 128)
    assert names(define(bed, vcpus=3, memory_mib=128)) == []


def test_define_nothing_is_no_change(bed: Bed) -> None:
    bed.guest()
    plan = define(bed)
    assert (names(plan), plan.result["changed_xpaths"]) == ([], [])


def test_define_a_guest_that_is_not_here_yet(bed: Bed) -> None:
    with pytest.raises(NotFound) as error:
        define(bed, vcpus=2)
    assert error.value.code == "DOMAIN_NOT_FOUND"
    apply(define(bed, xml=bed.xml(), paths={bed.directory: "/srv/web1"}))
    assert "/srv/web1/disk" in bed.domain().xml()


def test_absent(bed: Bed) -> None:
    bed.guest(running=False)
    plan = define(bed, state="absent", managed_save="remove")
    assert (names(plan), plan.after) == (["undefine"], "")
    apply(plan)
    assert bed.find() is None
    assert names(define(bed, state="absent")) == []


def test_a_running_guest_is_not_undefined(bed: Bed) -> None:
    bed.guest()
    with pytest.raises(Refused, match="is running") as refusal:
        define(bed, state="absent")
    assert refusal.value.code == "WRONG_STATE"


def test_a_managed_save_image_is_not_lost_by_accident(bed: Bed) -> None:
    bed.guest()
    bed.connection.lookupByName("web1").managedSave(0)
    with pytest.raises(Refused, match="web1") as refusal:
        define(bed, state="absent")
    assert refusal.value.code == "MANAGED_SAVE"
    apply(define(bed, state="absent", managed_save="remove"))
    assert bed.find() is None


# --- disk_resize -------------------------------------------------------------------------------------------------


def resize(bed: Bed, path: str, size_bytes: int) -> Plan:
    return disk_resize.work(bed.context(path=path, format="qcow2", size_bytes=size_bytes))


def test_resize(bed: Bed) -> None:
    bed.images(bed.directory)
    path = f"{bed.directory}/disk"
    plan = resize(bed, path, 2 * MIB)
    assert (names(plan), plan.before, plan.after) == (["grow"], {"size_bytes": MIB}, {"size_bytes": 2 * MIB})
    assert image.inspect(path, "qcow2").virtual_bytes == MIB
    apply(plan)
    assert image.inspect(path, "qcow2").virtual_bytes == 2 * MIB
    assert names(resize(bed, path, 2 * MIB)) == []


def test_a_disk_in_use_is_not_resized(bed: Bed) -> None:
    bed.images(bed.directory)
    path = f"{bed.directory}/disk"
    with open(path, "rb"), pytest.raises(Refused, match=str(os.getpid())) as refusal:
        resize(bed, path, 2 * MIB)
    assert (refusal.value.code, refusal.value.subject) == ("DISK_IN_USE", path)


def test_what_is_not_a_file(bed: Bed) -> None:
    with pytest.raises(Refused) as refusal:
        resize(bed, str(bed.root), MIB)
    assert refusal.value.code == "DISK_NOT_A_FILE"


# --- storage_probe, domain_info, hypervisor_info -----------------------------------------------------------------


def test_probes_are_planted_and_pulled(bed: Bed) -> None:
    where = [str(bed.root / "images"), str(bed.root / "nothing")]
    planting: dict[str, Any] = {"state": "present", "directories": where, "probes": {}}
    plan = storage_probe.work(bed.context(**planting))
    assert os.listdir(where[0]) == []
    planted = apply(plan)["probes"]
    assert planted[where[0]]
    assert planted[where[1]] == ""
    assert len(os.listdir(where[0])) == 1
    apply(storage_probe.work(bed.context(state="absent", directories=[], probes=planted)))
    assert os.listdir(where[0]) == []
    assert storage_probe.work(bed.context(**{**planting, "directories": []})).effects == ()


@pytest.mark.parametrize(("wanted", "count"), [(None, 1), (["web1"], 1), ([UUID], 1), (["db1"], 0), ([], 0)])
def test_domain_info(bed: Bed, wanted: list[str] | None, count: int) -> None:
    bed.guest()
    found = domain_info.work(bed.context(names=wanted)).result["domains"]
    assert len(found) == count
    if count:
        assert (found[0]["name"], found[0]["directory"]) == ("web1", bed.directory)
        assert [one["name"] for one in found[0]["directory_entries"]] == ["disk"]
        assert found[0]["disks"][0]["virtual_bytes"] == MIB


def test_a_survey_for_a_move_is_all_of_that_in_one(bed: Bed) -> None:
    bed.guest()
    plan = everything.plan(bed.context(guests=["web1"], moves=True))
    assert [one["name"] for one in plan.result["domains"]] == ["web1"]
    assert plan.result["hypervisor"]["hostname"] == bed.hypervisor.hostname
    planted = apply(plan)["probes"]
    assert list(planted) == [bed.directory]
    assert probe.seen(bed.directory, planted[bed.directory]) is probe.Seen.YES
    assert everything.plan(bed.context(guests=["db1"], moves=True)).effects == ()


def test_a_survey_for_a_verdict_reads_the_migrations(bed: Bed) -> None:
    bed.keep_record("source")
    told = everything.plan(bed.context(guests=["web1"], moves=False))
    assert told.effects == ()
    assert [one["id"] for one in told.result["migrations"]] == [ID]
    assert "domains" not in told.result
    assert everything.plan(bed.context(guests=["db1"], moves=False)).result["migrations"] == []


def test_hypervisor_info(bed: Bed) -> None:
    found = hypervisor_info.work(bed.context(images_directory=str(Path("/")))).result["hypervisor"]
    assert found["hostname"] == bed.hypervisor.hostname
