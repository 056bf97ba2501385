# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError, NotFound, Refused, TimedOut
from ansible_collections.kvmops.mobility.plugins.module_utils._flow import hand_over, mirror
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.domain import Domain
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.power import OnTimeout, StopPolicy
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Event, Phase, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Stop
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer import tunnel
from ansible_collections.kvmops.mobility.plugins.module_utils._unit import transient
from ansible_collections.kvmops.mobility.tests.unit.bed import Bed, names
from ansible_collections.kvmops.mobility.tests.unit.builders import UUID


def carry_out(bed: Bed, phase: Phase = Phase.MOVE) -> dict[str, object]:
    return bed.carry_out(Step.HAND_OVER, hand_over.plan, phase)


@pytest.mark.parametrize(("phase", "suffix"), [(Phase.MOVE, "_resize"), (Phase.REVERT, "_reverted")])
def test_autostart_off_then_stop_then_fence(bed: Bed, phase: Phase, suffix: str) -> None:
    bed.guest()
    bed.keep_record("source")
    result = carry_out(bed, phase)
    assert result["effects"] == ["autostart_off", "stop", "fence"]
    assert bed.domain().is_off()
    assert not bed.domain().autostart()
    assert not os.path.lexists(bed.directory)
    assert result["parked"] == bed.directory + suffix
    assert os.listdir(bed.directory + suffix) == ["disk"]
    assert [one["name"] for one in result["entries"]] == ["disk"]  # type: ignore[attr-defined]
    assert result["stop_forced"] is False
    assert result["stop_requests"] == 1


def test_how_each_effect_is_taken_back_is_in_the_journal_before_it(bed: Bed) -> None:
    bed.guest()
    migration = bed.keep_record("source")
    carry_out(bed)
    begun = {one.effect: one.undo for one in bed.journal() if one.event is Event.BEGIN and one.effect}
    assert begun == {
        "autostart_off": {"kind": "autostart", "uuid": UUID, "value": True},
        "stop": {"kind": "start", "uuid": UUID},
        "fence": {"kind": "rename", "from": migration.parked, "to": migration.directory},
    }


@pytest.mark.parametrize(
    ("running", "autostart", "effects"),
    [
        (True, True, ["autostart_off", "stop", "fence"]),
        (True, False, ["stop", "fence"]),
        (False, True, ["autostart_off", "fence"]),
        (False, False, ["fence"]),
    ],
)
def test_only_what_is_not_so_yet(bed: Bed, running: bool, autostart: bool, effects: list[str]) -> None:
    bed.guest(running=running, autostart=autostart)
    bed.keep_record("source")
    assert names(hand_over.plan(bed.context())) == effects


def test_a_hand_over_that_is_done_is_nothing_and_tells_the_same_inventory(bed: Bed) -> None:
    bed.guest()
    bed.keep_record("source")
    first = carry_out(bed)
    second = carry_out(bed)
    assert second["effects"] == []
    for key in ("parked", "entries", "directory_owner"):
        assert second[key] == first[key]


def test_it_goes_on_where_it_was_killed(bed: Bed) -> None:
    bed.guest()
    bed.keep_record("source")
    first, second, _fence = hand_over.plan(bed.context()).effects
    first.do()
    second.do()
    assert carry_out(bed)["effects"] == ["fence"]
    assert os.path.isdir(bed.migration().parked)


def test_planning_changes_nothing(bed: Bed) -> None:
    bed.guest()
    bed.keep_record("source")
    plan = hand_over.plan(bed.context(check=True))
    assert plan.before == {"state": "running", "directory": bed.directory}
    assert plan.after == {"state": "shut off", "directory": bed.migration().parked}
    assert bed.domain().state() == "running"
    assert bed.domain().autostart()
    assert os.path.isdir(bed.directory)


def test_owner_and_mode_are_of_the_guest_that_is_off(bed: Bed) -> None:
    bed.guest()
    bed.keep_record("source")
    (Path(bed.directory) / "disk").chmod(0o640)
    Path(bed.directory).chmod(0o711)
    result = carry_out(bed)
    entries = result["entries"]
    assert isinstance(entries, list)
    assert entries[0]["mode"] == 0o640
    assert result["directory_owner"] == {"uid": os.getuid(), "gid": os.getgid(), "mode": 0o711}


def test_a_disk_that_somebody_reads_is_not_renamed(bed: Bed) -> None:
    bed.guest()
    bed.keep_record("source")
    bed.clock.hurry = 50.0  # every look goes through all processes
    hold = "import sys; f = open(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, f"{bed.directory}/disk"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as backup:
        assert backup.stdout is not None
        backup.stdout.readline()
        with pytest.raises(TimedOut, match=f"{backup.pid} python") as error:
            carry_out(bed)
        backup.communicate()
    assert error.value.code == "DISK_IN_USE"
    assert os.path.isdir(bed.directory)
    assert carry_out(bed)["effects"] == ["fence"]


def test_a_parked_directory_of_before_is_not_overwritten(bed: Bed) -> None:
    bed.guest()
    migration = bed.keep_record("source")
    Path(migration.parked).mkdir()
    with pytest.raises(MobilityError) as error:
        carry_out(bed)
    assert error.value.code == "PATH_TAKEN"
    assert os.listdir(bed.directory) == ["disk"]
    assert os.listdir(migration.parked) == []


def test_without_the_guest_or_its_record(bed: Bed) -> None:
    with pytest.raises(NotFound) as error:
        hand_over.plan(bed.context())
    assert error.value.code == "MIGRATION_NOT_FOUND"
    bed.keep_record("source")
    with pytest.raises(NotFound) as error:
        hand_over.plan(bed.context())
    assert error.value.code == "DOMAIN_NOT_FOUND"


@pytest.mark.parametrize(
    ("asked", "phase", "expected"),
    [
        ("abort", Phase.MOVE, OnTimeout.ABORT),
        ("force", Phase.MOVE, OnTimeout.FORCE),
        ("abort", Phase.REVERT, OnTimeout.FORCE),
    ],
)
def test_in_a_revert_the_plug_may_be_pulled(asked: str, phase: Phase, expected: OnTimeout) -> None:
    assert hand_over.policy(Stop(30, 5, asked), phase) == StopPolicy(30, 5, expected)


def test_a_mirror_that_ended_before_somebody_listened_stops_nothing(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    bed.guest()
    bed.keep_record("source")
    found = iter([[], ["vda"]])
    monkeypatch.setattr(mirror, "disks_without", lambda _domain, _disks: next(found))
    monkeypatch.setattr(Domain, "on_block_job", lambda _domain, _heard: lambda: None)
    with pytest.raises(Refused, match="vda is not ready any more") as error:
        bed.carry_out(Step.HAND_OVER, hand_over.plan, mirrored=True, files={})
    assert error.value.code == "MIRROR_LOST"
    assert not bed.domain().is_off()


def test_the_tunnel_that_is_closed_leaves_no_socket(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    bed.guest(running=False)
    bed.keep_record("source")
    logs = str(bed.store.migration(bed.migration().id))
    Path(tunnel.control_path(logs)).touch()
    asked: list[str] = []
    monkeypatch.setattr(transient, "stop_soon", asked.append)
    bed.carry_out(Step.HAND_OVER, hand_over.plan, mirrored=True, files={})
    assert asked == [tunnel.unit_name(bed.migration().id)]
    assert not os.path.lexists(tunnel.control_path(logs))
