# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mirror from the start of its tunnel to its end. That QEMU really copies is proven on hosts."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._command import Completed
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError, Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._file import planted
from ansible_collections.kvmops.mobility.plugins.module_utils._flow import mirror, undo
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.library import libvirt
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Event, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer import tunnel
from ansible_collections.kvmops.mobility.tests.unit.bed import ID, Bed, names
from ansible_collections.kvmops.mobility.tests.unit.builders import MIB, UUID
from ansible_collections.kvmops.mobility.tests.unit.driver import libvirt_error
from ansible_collections.kvmops.mobility.tests.unit.units import FAILED, RUNNING, Units

TUNNEL = f"kvmops-{ID}-tunnel"
DISKS = ("vda", "vdb", "vdc")


class Source:
    """A claimed hypervisor whose guest runs, and whose directory libvirt has made."""

    def __init__(self, bed: Bed, units: Units) -> None:
        self.bed = bed
        self.units = units
        self.sent: list[tuple[str, ...]] = []
        bed.images(bed.directory)
        disks = "".join(
            f"<disk type='file' device='disk'><source file='{bed.directory}/{one}'/><target dev='{one}'/></disk>"
            for one in DISKS[1:]
        )
        bed.hypervisor.define(bed.xml(extra={"devices": disks})).start()
        (Path(bed.directory) / "console.log").write_text("booted\n", encoding="utf-8")
        (vda,) = bed.migration().disks
        more = [replace(vda, target=one, path=f"{bed.directory}/{one}", new_bytes=MIB) for one in DISKS[1:]]
        for one in more:
            Path(one.path).touch()
        self.migration = bed.keep_record("source", disks=(vda, *more))
        self.home = bed.root / "qemu" / f"domain-{bed.domain().id()}-web1"
        self.home.mkdir(parents=True)

    def params(self, *targets: str, **values: Any) -> dict[str, Any]:
        default = {
            "exports": [{"target": one, "socket": f"/run/{one}.sock"} for one in targets or ("vda",)],
            "started": [],
            "user": "kvmops",
            "port": 22,
            "identity_file": "/k",
            "known_hosts_file": "/h",
            "bandwidth_mib_s": 0,
            "parallel": 2,
            "stall_s": 5,
            "tls": False,
            "tls_directory": "/etc/pki/qemu",
            "write_limit_bytes_s": 0,
            "wait_s": 15,
        }
        return {**default, **values}

    def carry_out(self, *targets: str, **values: Any) -> dict[str, Any]:
        return self.bed.carry_out(Step.MIRROR, mirror.plan, **self.params(*targets, **values))

    def run(self, argv: Sequence[str], **_options: Any) -> Completed:
        self.sent.append(tuple(argv))
        return Completed(tuple(argv), 0, "Total bytes sent: 7\n", "")

    def undo(self) -> Any:
        return self.bed.carry_out(Step.UNDO, undo.plan, only=["mirror"])["undone"]

    def fails(self, code: str, *targets: str, **values: Any) -> MobilityError:
        with pytest.raises(MobilityError) as error:
            self.carry_out(*targets, **values)
        assert error.value.code == code
        assert self.bed.domain().state() == "running"
        return error.value


@pytest.fixture
def here(bed: Bed, units: Units, monkeypatch: pytest.MonkeyPatch) -> Source:
    found = Source(bed, units)
    monkeypatch.setattr(mirror, "run", found.run)
    directory = tunnel.domain_directory
    monkeypatch.setattr(tunnel, "domain_directory", lambda number: directory(number, str(bed.root / "qemu")))
    monkeypatch.setattr(tunnel, "_is_socket", lambda _path: True)
    monkeypatch.setattr(planted, "give_socket", lambda _path: None)
    return found


def test_tunnel_other_files_then_jobs_until_ready(here: Source) -> None:
    here.bed.jobs.paces["vda"] = MIB // 4
    result = here.carry_out()
    assert result["effects"] == ["tunnel", "files", "mirror"]
    assert (result["ready"], result["started"]) == (True, ["vda"])
    assert (result["done_bytes"], result["total_bytes"]) == (MIB, MIB)
    assert result["rate_bytes_s"] == round(MIB / 2.5)  # two looks a second
    assert "./kvmops-vda.sock:/run/vda.sock" in here.units.command(TUNNEL)
    assert f"WorkingDirectory={here.home}" in here.units.properties(TUNNEL)
    assert here.units.command(TUNNEL)[-1] == "kvmops@192.0.2.2"


def test_qemu_connects_to_the_socket_of_its_disk(here: Source) -> None:
    here.carry_out("vda", "vdb", bandwidth_mib_s=5)
    assert [(one[0], one[2]) for one in here.bed.jobs.started] == [
        ("vda", {"buf-size": 4 * MIB, "bandwidth": 5 * MIB}),
        ("vdb", {"buf-size": 4 * MIB, "bandwidth": 5 * MIB}),
    ]
    for target, xml, _limits, _flags in here.bed.jobs.started:
        host = ET.fromstring(xml).find("source[@protocol='nbd']/host")
        assert host is not None
        assert host.attrib == {"transport": "unix", "socket": f"{here.home}/kvmops-{target}.sock"}
        driver = ET.fromstring(xml).find("driver")
        assert driver is not None
        assert driver.get("type") == "raw"  # qemu-nbd speaks the image's format itself


def test_only_files_that_the_guest_does_not_write_to_are_sent(here: Source) -> None:
    result = here.carry_out()
    ((*_options, log, definitions, where),) = here.sent
    assert log == f"{here.bed.directory}/console.log"
    assert definitions == str(here.bed.store.migration(ID) / "definitions")
    assert where == f"kvmops@192.0.2.2:{here.migration.staging}/"
    assert here.sent[0][here.sent[0].index("--") + 1] == log
    assert any(f"ControlPath={here.bed.store.migration(ID)}/tunnel.sock" in one for one in here.sent[0])
    status = os.stat(log)
    assert result["files"] == {"console.log": [status.st_ino, status.st_size, status.st_mtime_ns]}


@pytest.mark.parametrize(("parallel", "most"), [(1, 1), (2, 2), (9, 3), (0, 0)])
def test_so_many_disks_at_once(here: Source, parallel: int, most: int) -> None:
    jobs = here.bed.jobs
    jobs.paces = dict.fromkeys(DISKS, MIB // 3)
    working: list[int] = []
    jobs.before_look = lambda: working.append(len(set(jobs.running) - jobs.ready()))
    result = here.carry_out(*DISKS, parallel=parallel, wait_s=60)
    assert result["ready"] is (parallel > 0)
    assert max(working) == most


def test_a_call_that_is_over_says_how_far_it_is_and_the_next_one_goes_on(here: Source) -> None:
    here.bed.jobs.paces["vda"] = MIB // 64
    first = here.carry_out()
    assert (first["ready"], first["started"]) == (False, ["vda"])
    assert 0 < first["done_bytes"] < first["total_bytes"]
    lines = len(here.bed.journal())
    second = here.carry_out(started=["vda"], wait_s=600)
    assert (second["effects"], second["ready"]) == (["ready"], True)
    assert len(here.bed.journal()) == lines
    assert len(here.bed.jobs.started) == 1
    assert len(here.sent) == 1


def test_a_later_call_whose_tunnel_is_gone_does_not_wait_for_what_is_lost(here: Source) -> None:
    here.carry_out()
    here.bed.jobs.running.clear()
    here.units.shown[TUNNEL] = FAILED
    (here.bed.store.migration(ID) / f"{TUNNEL}.err").write_text("Timeout, server c2\nnot responding.\n", "utf-8")
    mirror_plan = mirror.plan(here.bed.context(**here.params(started=["vda"])))
    with pytest.raises(MobilityError, match=r"the tunnel ended: Timeout, server c2 not responding\.") as error:
        mirror_plan.effects[-1].do()
    assert error.value.code == "MIRROR_FAILED"


@pytest.mark.parametrize(
    ("shown", "said", "words"),
    [
        (RUNNING, "", "its export ended, or its storage is full"),
        (FAILED, "Broken pipe\n", "the tunnel ended: Broken pipe"),
        (FAILED, "", "the tunnel ended: without a word"),
    ],
)
def test_a_job_that_is_gone_before_it_was_ready(here: Source, shown: str, said: str, words: str) -> None:
    jobs = here.bed.jobs
    jobs.paces["vda"] = 1
    began = here.bed.clock()

    def lose() -> None:
        if here.bed.clock() - began > 5:
            jobs.running.clear()
            here.units.shown[TUNNEL] = shown
            (here.bed.store.migration(ID) / f"{TUNNEL}.err").write_text(said, encoding="utf-8")

    jobs.before_look = lose
    error = here.fails("MIRROR_FAILED")
    assert "the mirror of vda ended before it was ready" in error.message
    assert words in error.message
    assert "transfer=rsync" in error.remedy


def test_a_guest_that_is_off_cannot_be_mirrored(here: Source) -> None:
    here.bed.domain().shutdown()
    with pytest.raises(Refused) as refusal:
        here.carry_out()
    assert refusal.value.code == "MIRROR_FAILED"
    assert here.units.started == {}


def test_a_qemu_that_may_not_connect(here: Source) -> None:
    here.bed.jobs.refusal = "Failed to connect to '/x/kvmops-vda.sock': Permission denied"
    error = here.fails("MIRROR_CONFINED")
    assert f"{here.home}/kvmops-vda.sock" in error.message
    assert "AppArmor" in error.remedy


def test_another_refusal_keeps_its_words(here: Source) -> None:
    here.bed.jobs.refusal = "Requested operation is not valid"
    assert "not valid" in here.fails("LIBVIRT_FAILED").message


def test_without_the_directory_of_the_domain_nothing_is_begun(here: Source) -> None:
    here.home.rmdir()
    here.fails("MIRROR_CONFINED")
    assert here.units.started == {}
    assert here.bed.journal() == ()


def test_planning_changes_nothing(here: Source) -> None:
    assert names(mirror.plan(here.bed.context(check=True, **here.params()))) == ["tunnel", "files", "mirror"]
    assert (here.units.started, here.bed.jobs.started, here.sent) == ({}, [], [])


# --- a guest that writes too fast --------------------------------------------------------------------------------


def test_its_writes_are_limited_once_and_said(here: Source) -> None:
    before = {"vdb": {"write_bytes_sec": 5 * MIB, "read_bytes_sec": 7 * MIB}, "vdc": {"total_bytes_sec": 3 * MIB}}
    here.bed.jobs.limits.update(before)
    here.carry_out()
    result = here.carry_out(started=["vda"], write_limit_bytes_s=MIB)
    assert result["effects"] == ["throttle", "ready"]
    assert here.bed.jobs.limits == {
        "vda": {"write_bytes_sec": MIB},
        "vdb": {"write_bytes_sec": MIB, "read_bytes_sec": 7 * MIB},
        "vdc": {"write_bytes_sec": MIB, "read_bytes_sec": 3 * MIB},
    }
    assert [one.split(":")[0] for one in here.bed.warnings] == ["MIRROR_THROTTLED"]
    assert here.carry_out(started=["vda"], write_limit_bytes_s=MIB)["effects"] == ["ready"]
    assert len(here.bed.warnings) == 1
    assert here.undo() == ["throttle", "tunnel"]
    assert here.bed.jobs.limits == {"vda": {}, **before}


def test_limits_of_a_guest_that_went_off_went_with_it(here: Source) -> None:
    here.carry_out()
    here.carry_out(started=["vda"], write_limit_bytes_s=MIB)
    here.bed.domain().shutdown()
    assert here.undo() == ["throttle", "tunnel"]
    here.bed.domain().undefine(keep_nvram=False, keep_tpm=False, remove_managed_save=True)
    mirror.unthrottle(here.bed.context(), {"uuid": UUID, "limits": {"vda": {}}})


# --- its end -----------------------------------------------------------------------------------------------------


def test_no_job_no_tunnel_no_socket_and_the_guest_goes_on(here: Source) -> None:
    here.carry_out("vda", "vdb")
    for one in ("vda", "vdb"):
        (here.home / f"kvmops-{one}.sock").touch()
    assert here.undo() == ["tunnel"]
    assert here.bed.jobs.running == {}
    assert here.units.shown == {}
    assert list(here.home.iterdir()) == []
    assert here.bed.domain().state() == "running"
    assert here.undo() == []


def test_how_it_is_taken_back_is_in_the_journal_before_it(here: Source) -> None:
    here.carry_out()
    begun = [one.undo for one in here.bed.journal() if one.event is Event.BEGIN and one.undo]
    assert begun == [
        {"kind": "end_mirror", "uuid": UUID, "unit": TUNNEL, "targets": list(DISKS), "directory": str(here.home)}
    ]


def test_jobs_that_do_not_hear_end_with_their_tunnel(here: Source) -> None:
    """A silent link: QEMU waits for an answer, and libvirt with it."""
    here.carry_out()
    here.bed.jobs.deaf = True
    here.units.on_stop = lambda _name: here.bed.jobs.running.clear()
    began = here.bed.clock()
    assert here.undo() == ["tunnel"]
    assert 3 <= here.bed.clock() - began < 4


def test_jobs_that_do_not_end_at_all_are_told(here: Source) -> None:
    here.carry_out()
    here.bed.jobs.deaf = True
    with pytest.raises(MobilityError, match="web1") as error:
        here.undo()
    assert error.value.code == "MIRROR_STUCK"
    assert here.units.shown == {}  # they have nothing to write to any more
    here.bed.jobs.deaf = False
    assert here.undo() == ["tunnel"]


def test_a_guest_that_is_off_has_no_jobs_to_end(here: Source) -> None:
    here.carry_out()
    (here.home / "kvmops-vda.sock").touch()
    here.bed.domain().shutdown()
    assert here.undo() == ["tunnel"]
    assert here.units.shown == {}
    assert not (here.home / "kvmops-vda.sock").exists()


def test_a_guest_that_goes_off_meanwhile_has_no_jobs_any_more(here: Source) -> None:
    """It was asked to stop before the hand-over was given up, and does so now."""
    here.carry_out()
    here.bed.jobs.deaf = True
    here.units.on_stop = lambda _name: here.bed.domain().shutdown()
    assert here.undo() == ["tunnel"]
    assert here.bed.domain().is_off()


def test_a_job_that_ends_by_itself_before_it_is_asked_to(here: Source) -> None:
    """The link is dead, and QEMU has just noticed."""
    here.carry_out("vda", "vdb")
    here.bed.jobs.before_end = here.bed.jobs.running.clear
    assert here.undo() == ["tunnel"]
    assert here.units.shown == {}


def test_a_guest_that_goes_off_before_its_job_is_asked_to_end(here: Source) -> None:
    here.carry_out()
    here.bed.jobs.before_end = here.bed.domain().shutdown
    assert here.undo() == ["tunnel"]
    assert here.units.shown == {}


def test_a_job_that_libvirt_does_not_want_to_end_is_an_error(here: Source) -> None:
    here.carry_out()

    def fail() -> None:
        raise libvirt_error(libvirt.VIR_ERR_OPERATION_TIMEOUT, "cannot acquire state change lock")

    here.bed.jobs.before_end = fail
    with pytest.raises(MobilityError, match="state change lock"):
        here.undo()


def test_a_tunnel_that_was_announced_and_never_made(here: Source) -> None:
    how = {"uuid": UUID, "unit": TUNNEL, "targets": ["vda"], "directory": str(here.home)}
    here.bed.note(Step.MIRROR, "tunnel", {"kind": "end_mirror", **how})
    assert here.undo() == ["tunnel"]
    assert here.units.calls == []
