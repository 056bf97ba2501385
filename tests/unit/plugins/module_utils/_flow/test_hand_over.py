# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._command import Completed
from ansible_collections.kvmops.mobility.plugins.module_utils._disk import digest
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import (
    CommandFailed,
    MobilityError,
    NotFound,
    Refused,
    TimedOut,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._flow import hand_over, mirror
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.domain import Domain
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.library import libvirt
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.power import OnTimeout, StopPolicy
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import Stop
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Event, Phase, Step
from ansible_collections.kvmops.mobility.tests.unit.bed import ID, Bed, names
from ansible_collections.kvmops.mobility.tests.unit.builders import MIB, UUID
from ansible_collections.kvmops.mobility.tests.unit.units import RUNNING, Units

TUNNEL = f"kvmops-{ID}-tunnel"


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


@pytest.mark.parametrize("name", ["disk", "stranger"])
def test_what_somebody_reads_is_not_renamed(bed: Bed, name: str) -> None:
    bed.guest()
    bed.keep_record("source")
    (Path(bed.directory) / name).touch()
    bed.clock.hurry = 50.0  # every look goes through all processes
    hold = "import sys; f = open(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, f"{bed.directory}/{name}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
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
    assert not bed.domain().is_off(), "seen before the stop, so that it makes no outage"
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


# --- while its disks are mirrored --------------------------------------------------------------------------------


class Mirrored:
    """A source whose guest runs, with a mirror that is ready, and the tunnel it goes through."""

    def __init__(self, bed: Bed, units: Units) -> None:
        self.bed = bed
        self.units = units
        self.sent: list[tuple[str, ...]] = []
        self.failure: str | None = None
        self.silent = False
        bed.guest()
        self.log = Path(bed.directory) / "console.log"
        self.log.write_text("booted\n", encoding="utf-8")
        (Path(bed.directory) / "config").write_bytes(b"unchanged")
        self.migration = bed.keep_record("source")
        bed.jobs.running["vda"] = (MIB, MIB)
        units.shown[TUNNEL] = RUNNING
        self.params: dict[str, Any] = {
            "mirrored": True,
            "user": "kvmops",
            "port": 22,
            "identity_file": "/k",
            "known_hosts_file": "/h",
        }
        self.files = {one.name: mirror._version(str(one)) for one in (self.log, Path(bed.directory) / "config")}

    def run(self, argv: Sequence[str], **_options: Any) -> Completed:
        if argv[0] == "ssh":
            if self.silent:
                raise TimedOut("COMMAND_TIMED_OUT", "ssh", "did not end within 5 s.", "")
            return Completed(tuple(argv), 0, "", "")
        if self.failure is not None:
            raise CommandFailed("COMMAND_FAILED", "rsync", self.failure, "Try it.")
        self.sent.append(tuple(argv[argv.index("--") + 1 :]))
        return Completed(tuple(argv), 0, "", "")

    def carry_out(self) -> dict[str, Any]:
        params = {**self.params, "files": json.loads(json.dumps(self.files))}
        return self.bed.carry_out(Step.HAND_OVER, hand_over.plan, **params)

    def while_stopping(self, monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None]) -> None:
        shutdown = Domain.shutdown

        def stop(domain: Domain, *, acpi: bool = False) -> None:
            happens()
            shutdown(domain, acpi=acpi)

        monkeypatch.setattr(Domain, "shutdown", stop)


@pytest.fixture
def mirrored(bed: Bed, units: Units, monkeypatch: pytest.MonkeyPatch) -> Mirrored:
    found = Mirrored(bed, units)
    monkeypatch.setattr(mirror, "run", found.run)
    return found


def test_a_guest_that_stops_while_it_is_mirrored(mirrored: Mirrored) -> None:
    result = mirrored.carry_out()
    assert result["effects"] == ["autostart_off", "stop", "fence", "carry"]
    assert (result["mirrored"], result["mirror_lost"], result["digests"]) == (True, {}, {})
    assert mirrored.sent == []
    assert mirrored.units.calls == []  # the tunnel may still carry the last words of the mirror
    assert mirrored.bed.jobs.listeners == []
    assert mirrored.bed.domain().is_off()


def test_what_was_written_beside_the_disks_is_sent_again_and_vouched_for(
    mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write() -> None:
        mirrored.log.write_text("booted\nhalted\n", encoding="utf-8")
        (Path(mirrored.bed.directory) / "new").write_bytes(b"new")

    mirrored.while_stopping(monkeypatch, write)
    result = mirrored.carry_out()
    parked = mirrored.migration.parked
    assert mirrored.sent == [
        (f"{parked}/console.log", f"{parked}/new", f"kvmops@192.0.2.2:{mirrored.migration.staging}/")
    ]
    assert result["digests"] == {name: digest.digest(f"{parked}/{name}") for name in ("console.log", "new")}
    assert result["mirrored"] is True


@pytest.mark.parametrize("words", ["was given up", "failed", "was finished"])
def test_a_mirror_that_is_lost_while_the_guest_stops(
    mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    number = {"failed": "FAILED", "was given up": "CANCELED", "was finished": "COMPLETED"}[words]
    status = getattr(libvirt, f"VIR_DOMAIN_BLOCK_JOB_{number}")
    mirrored.while_stopping(monkeypatch, lambda: mirrored.bed.jobs.tell("vda", status))
    mirrored.log.write_text("more\n", encoding="utf-8")
    result = mirrored.carry_out()
    assert (result["mirrored"], result["mirror_lost"]) == (False, {"vda": words})
    assert mirrored.sent == []  # all of it is copied anyway
    assert os.path.isdir(mirrored.migration.parked)


def test_a_mirror_that_is_not_ready_any_more_stops_nobody(mirrored: Mirrored) -> None:
    mirrored.bed.jobs.running["vda"] = (MIB // 2, MIB)
    mirrored.bed.jobs.paces["vda"] = 0
    with pytest.raises(Refused, match="vda") as refusal:
        mirrored.carry_out()
    assert refusal.value.code == "MIRROR_LOST"
    assert (mirrored.bed.domain().state(), mirrored.bed.domain().autostart()) == ("running", True)
    assert mirrored.bed.journal() == ()


def test_one_disk_of_two_that_is_not_mirrored_is_enough(bed: Bed, units: Units) -> None:
    bed.guest()
    (vda,) = bed.migration().disks
    bed.keep_record("source", disks=(vda, replace(vda, target="vdb"), replace(vda, target="sda", readonly=True)))
    bed.jobs.running["vda"] = (MIB, MIB)
    with pytest.raises(Refused, match="the mirror of vdb is not ready") as refusal:
        hand_over.plan(bed.context(mirrored=True))
    assert refusal.value.code == "MIRROR_LOST"
    assert units.calls == []


def test_what_cannot_be_carried_is_copied_with_the_disks(mirrored: Mirrored) -> None:
    mirrored.log.write_text("more\n", encoding="utf-8")
    mirrored.failure = "ended with 12: broken pipe"
    result = mirrored.carry_out()
    assert result["mirrored"] is False
    assert "digests" not in result
    assert len(mirrored.bed.warnings) == 1
    assert "broken pipe" in mirrored.bed.warnings[0]
    (last,) = [one for one in mirrored.bed.journal() if one.event is Event.END and not one.effect]
    assert last.result["mirrored"] is False  # what recover reads


def test_a_guest_that_is_off_already_was_not_seen_to_stop_while_mirrored(mirrored: Mirrored) -> None:
    mirrored.bed.domain().shutdown()
    result = mirrored.carry_out()
    assert result["effects"] == ["autostart_off", "fence", "carry"]
    assert (result["mirrored"], mirrored.sent) == (False, [])


def test_a_hand_over_that_was_killed_after_the_stop_is_not_called_mirrored(mirrored: Mirrored) -> None:
    """What became of the mirror is told by the call that stopped the guest: without its answer the disks are copied."""
    params = {**mirrored.params, "files": {}}
    plan = hand_over.plan(mirrored.bed.context(**params))
    for one in plan.effects[:2]:
        one.do()
    assert mirrored.carry_out()["mirrored"] is False


def test_planning_a_mirrored_one_changes_nothing(mirrored: Mirrored) -> None:
    plan = hand_over.plan(mirrored.bed.context(check=True, **mirrored.params, files={}))
    assert names(plan) == ["autostart_off", "stop", "fence", "carry"]
    assert mirrored.units.calls == []
    assert mirrored.bed.jobs.listeners == []
    assert mirrored.bed.domain().state() == "running"


def test_a_mirror_that_ended_before_somebody_listened_stops_nothing(
    mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = iter([[], ["vda"]])
    monkeypatch.setattr(mirror, "disks_without", lambda _domain, _disks: next(found))
    with pytest.raises(Refused, match="vda is not ready any more") as error:
        mirrored.carry_out()
    assert error.value.code == "MIRROR_LOST"
    assert not mirrored.bed.domain().is_off()


def test_over_a_silent_link_nobody_is_stopped(mirrored: Mirrored) -> None:
    """libvirt calls a mirror ready until a write of the guest has waited for its answer in vain."""
    mirrored.silent = True
    with pytest.raises(Refused, match="does not answer through the tunnel") as error:
        mirrored.carry_out()
    assert error.value.code == "MIRROR_LOST"
    assert (mirrored.bed.domain().state(), mirrored.bed.journal()) == ("running", ())
