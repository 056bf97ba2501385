# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._command import Completed, run
from ansible_collections.kvmops.mobility.plugins.module_utils._disk import digest, image
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import CommandFailed, Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import Verify
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import DiskPlan, Layout, Link
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.way import Way
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer import probe, rsync
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer.plan import plan, presync
from ansible_collections.kvmops.mobility.plugins.module_utils._unit import transient
from ansible_collections.kvmops.mobility.tests.unit.bed import ID, Bed, names


def params(bed: Bed, **values: Any) -> dict[str, Any]:
    default = {
        "migration": "",
        "src": [f"{bed.directory}/"],
        "dest": "/there",
        "also": [],
        "flatten": [],
        "address": "c2",
        "user": "kvmops",
        "port": 22,
        "identity_file": None,
        "known_hosts_file": None,
        "compress": False,
        "probe": False,
        "bandwidth_mib_s": 0,
        "resume": False,
        "block_bytes": 65536,
        "verify": "checksum",
        "deadline_s": 0,
    }
    return {**default, **values}


@pytest.mark.parametrize(
    ("verify", "effects"), [("checksum", ["copy", "verify"]), ("digest", ["copy"]), ("none", ["copy"])]
)
def test_the_effects(bed: Bed, verify: str, effects: list[str]) -> None:
    Path(bed.directory).mkdir()
    found = plan(bed.context(**params(bed, verify=verify)))
    assert names(found) == effects
    assert found.after == {"copied_to": "kvmops@c2:/there/"}


def test_what_is_not_there_is_not_copied(bed: Bed) -> None:
    with pytest.raises(Refused) as refusal:
        plan(bed.context(**params(bed)))
    assert (refusal.value.code, refusal.value.subject) == ("PATH_LOST", f"{bed.directory}/")


def test_digests_are_counted_of_what_is_copied(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(bed.directory).mkdir()
    Path(bed.directory, "disk").write_bytes(b"x" * 100)
    fake_rsync(bed, monkeypatch)
    (effect,) = plan(bed.context(**params(bed, verify="digest"))).effects
    made = effect.do()
    assert made is not None
    assert made["bytes_sent"] == 7
    assert made["digests"] == {"disk": digest.digest(f"{bed.directory}/disk")}
    (effect,) = plan(bed.context(**params(bed, verify="none"))).effects
    assert "digests" not in (effect.do() or {})


@pytest.mark.parametrize(("verify", "compared"), [(Verify.QUICK, {"log", "raw"}), (Verify.FULL, {"log"})])
def test_what_something_else_vouches_for_is_not_digested(
    bed: Bed, monkeypatch: pytest.MonkeyPatch, verify: Verify, compared: set[str]
) -> None:
    bed.guest()
    (disk,) = bed.migration().disks
    raw = replace(disk, target="vdb", path=f"{bed.directory}/raw", format="raw")
    bed.keep_record("source", disks=(disk, raw), verify=verify)
    for name in ("raw", "log"):
        Path(bed.directory, name).write_bytes(b"x")
    monkeypatch.setattr(transient, "carry_out", lambda _unit, argv, *_more: Completed(tuple(argv), 0, "", ""))
    (effect,) = plan(bed.context(**params(bed, migration=ID, verify="digest"))).effects
    assert set((effect.do() or {})["digests"]) == compared


def test_the_copy_of_a_migration_is_a_unit_that_an_undo_ends(bed: Bed) -> None:
    Path(bed.directory).mkdir()
    (effect,) = plan(bed.context(**params(bed, migration=ID, verify="none"))).effects
    assert effect.undo == {"kind": "stop_unit", "name": f"kvmops-{ID}-copy"}
    (alone,) = plan(bed.context(**params(bed, verify="none"))).effects
    assert alone.undo is None


def chain(bed: Bed) -> dict[str, Any]:
    """An overlay on a raw base, both with something in it, and how they are flattened."""
    base, top = bed.root / "base", bed.root / "parked" / "disk"
    top.parent.mkdir()
    base.write_bytes(b"base" * 2**18)
    run(("qemu-img", "create", "-q", "-f", "qcow2", "-b", str(base), "-F", "raw", str(top)), timeout_s=20)
    run(("qemu-io", "-f", "qcow2", "-c", "write -P 7 65536 65536", str(top)), timeout_s=20)
    links = [{"path": str(top), "format": "qcow2"}, {"path": str(base), "format": "raw"}]
    to = str(bed.root / f"web1.{ID}.flat" / "disk")
    return {"target": "vda", "links": links, "to": to, "cluster_bytes": 131072}


def flattening(bed: Bed) -> dict[str, Any]:
    how = chain(bed)
    return params(bed, flatten=[how], src=[how["to"]], verify="digest")


def test_an_image_is_flattened_then_sent_then_gone(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    given = flattening(bed)
    to = given["flatten"][0]["to"]
    effects = plan(bed.context(**given)).effects
    assert [one.name for one in effects] == ["room", "flatten_vda", "copy", "tidy"]
    room, flatten, copy, tidy = effects
    assert room.undo == {"kind": "remove", "path": os.path.dirname(to)}
    room.do()
    flatten.do()
    found = image.inspect(to, "qcow2")
    assert (found.backing_path, found.virtual_bytes, found.cluster_bytes) == ("", 2**20, 131072)
    assert os.stat(os.path.dirname(to)).st_mode & 0o777 == 0o700
    top = given["flatten"][0]["links"][0]["path"]
    run(("qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", top, to), timeout_s=20)
    fake_rsync(bed, monkeypatch)
    assert (copy.do() or {})["digests"] == {"disk": digest.digest(to)}
    tidy.do()
    assert not os.path.lexists(os.path.dirname(to))


def test_the_headers_do_not_say_where_the_chain_is(bed: Bed) -> None:
    """The guest's directory was renamed since, and the base with it: the links count, not the headers."""
    given = flattening(bed)
    links = given["flatten"][0]["links"]
    os.rename(links[1]["path"], bed.root / "moved")
    links[1]["path"] = str(bed.root / "moved")
    room, flatten, *_rest = plan(bed.context(**given)).effects
    room.do()
    flatten.do()
    assert os.path.exists(given["flatten"][0]["to"])


def test_what_was_flattened_before_is_not_flattened_again(bed: Bed) -> None:
    given = flattening(bed)
    to = Path(given["flatten"][0]["to"])
    to.parent.mkdir()
    to.with_name("disk.part").touch()
    assert names(plan(bed.context(**given))) == ["room", "flatten_vda", "copy", "tidy"]
    to.touch()
    assert names(plan(bed.context(**given))) == ["copy", "tidy"]


def test_without_room_nothing_is_flattened(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    room, flatten, *_rest = plan(bed.context(**flattening(bed))).effects
    room.do()
    full = type("Full", (), {"f_bavail": 1, "f_frsize": 4096})()
    monkeypatch.setattr(os, "statvfs", lambda _path: full)
    with pytest.raises(Refused) as refusal:
        flatten.do()
    assert refusal.value.code == "SOURCE_DISK_FULL"


def test_further_directories_are_copies_of_their_own(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has its unit, and files of one name in both are told apart."""
    for where in ("a", "b"):
        (bed.root / where).mkdir()
        (bed.root / where / "disk").write_bytes(where.encode())
    also = [{"src": [f"{bed.root}/b/"], "dest": "/there-b"}]
    given = params(bed, src=[f"{bed.root}/a/"], also=also, verify="digest")
    found = plan(bed.context(**{**given, "migration": ID})).effects
    assert [one.undo for one in found] == [
        {"kind": "stop_unit", "name": f"kvmops-{ID}-{name}"} for name in ("copy", "copy_2")
    ]
    fake_rsync(bed, monkeypatch)
    first, second = plan(bed.context(**given)).effects
    first.do()
    result = second.do() or {}
    assert (result["bytes_sent"], set(result["digests"])) == (14, {"disk", "/there-b/disk"})
    assert len(set(result["digests"].values())) == 2
    assert names(plan(bed.context(**{**given, "verify": "checksum"}))) == ["copy", "copy_2", "verify", "verify_2"]


def fake_rsync(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that does nothing: the digests are of this side."""
    programs = bed.root / "bin"
    programs.mkdir()
    (programs / "rsync").write_text("#!/bin/sh\necho 'Total bytes sent: 7'\n", encoding="ascii")
    (programs / "rsync").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")


# --- the first pass ----------------------------------------------------------------------------------------------


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The unit that copies: what it was asked for under "argv", and how it ends: an error under "error"."""
    seen: dict[str, Any] = {}

    def carry_out(unit: transient.Unit, argv: Sequence[str], *_more: object) -> Completed:
        seen.update(unit=unit.name, argv=list(argv))
        if "error" in seen:
            raise seen["error"]
        return Completed(tuple(argv), 0, "Total bytes sent: 7\n", "")

    monkeypatch.setattr(transient, "carry_out", carry_out)
    return seen


def a_link(monkeypatch: pytest.MonkeyPatch, mib_s: float) -> None:
    monkeypatch.setattr(probe, "link_mib_s", lambda _peer: mib_s)


def a_presync(bed: Bed) -> dict[str, Any]:
    bed.guest()
    bed.keep_record("source")
    return dict(bed.carry_out(Step.PRESYNC, presync, **params(bed, migration=ID)))


def test_the_first_pass_copies_the_live_images_into_the_staging_directory(bed: Bed, ended: dict[str, Any]) -> None:
    made = a_presync(bed)
    assert (made["complete"], made["bytes_sent"], made["block_bytes"]) == (True, 7, 65536)
    assert ended["unit"] == f"kvmops-{ID}-presync"
    assert ended["argv"][-2:] == [f"{bed.directory}/disk", f"kvmops@192.0.2.2:{bed.directory}.{ID}.staging/"]
    assert "--whole-file" in ended["argv"]
    (begun,) = [one for one in bed.journal() if one.effect and one.undo]
    assert begun.undo == {"kind": "stop_unit", "name": f"kvmops-{ID}-presync"}


@pytest.mark.parametrize(("mib_s", "compress"), [(100.0, True), (1000.0, False)])
def test_the_probe_decides_how_it_goes_over_the_wire(
    bed: Bed, ended: dict[str, Any], monkeypatch: pytest.MonkeyPatch, mib_s: float, compress: bool
) -> None:
    a_link(monkeypatch, mib_s)
    bed.guest()
    Path(bed.directory, "disk").write_bytes(b"word " * 100_000)
    bed.keep_record("source", zstd=True)
    made = bed.carry_out(Step.PRESYNC, presync, **params(bed, migration=ID))
    assert made["compress"] is compress
    assert ("--compress-choice=zstd" in ended["argv"]) is compress
    assert made["link_mib_s"] == mib_s
    assert f"carries {mib_s:.0f} MiB/s" in made["wire"]


def test_without_zstd_on_both_sides_nothing_is_asked(
    bed: Bed, ended: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "measure", lambda *_given: pytest.fail("measured"))
    made = a_presync(bed)
    assert (made["compress"], "wire" in made) == (False, False)


def test_a_first_pass_that_is_broken_off_is_a_warning(
    bed: Bed, ended: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "answers", lambda _peer: True)
    ended["error"] = CommandFailed("COMMAND_FAILED", "rsync", "ended with 20: killed", "")
    made = a_presync(bed)
    assert (made["complete"], made["block_bytes"]) == (False, 65536)
    assert "bytes_sent" not in made
    (warning,) = bed.warnings
    assert "web1: the first pass did not end" in warning


def test_a_destination_that_does_not_answer_ends_the_move_while_the_guest_runs(
    bed: Bed, ended: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "answers", lambda _peer: False)
    ended["error"] = CommandFailed("COMMAND_FAILED", "rsync", "ended with 30: timeout", "")
    with pytest.raises(CommandFailed) as error:
        a_presync(bed)
    assert error.value.code == "COPY_FAILED"
    assert not bed.domain().is_off()


def test_what_would_stop_the_second_pass_too_fails_while_the_guest_runs(bed: Bed, ended: dict[str, Any]) -> None:
    ended["error"] = CommandFailed("COMMAND_FAILED", "rsync", "ended with 11: No space left on device", "")
    with pytest.raises(CommandFailed) as error:
        a_presync(bed)
    assert error.value.code == "DEST_DISK_FULL"
    assert not bed.domain().is_off()


def test_each_directory_of_the_copy_has_a_first_pass_and_the_link_is_asked_once(
    bed: Bed, ended: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Sequence[str]] = []

    def measure(_peer: rsync.Peer, paths: Sequence[str]) -> probe.Measured:
        asked.append(paths)
        return probe.Measured(100.0, 0.5)

    monkeypatch.setattr(probe, "measure", measure)
    paths = [str(bed.root / where / "disk") for where in ("a", "b")]
    for path in paths:
        Path(path).parent.mkdir()
        Path(path).write_bytes(b"x")
    disks = tuple(
        DiskPlan(target, path, "raw", "disk", 1, 1, 1, cluster_bytes=size)
        for target, path, size in zip(("vda", "vdb"), paths, (65536, 8192))
    )
    bed.keep_record("source", layout=Layout.FILES, directory=str(bed.root / "a"), disks=disks, zstd=True)
    made = bed.carry_out(Step.PRESYNC, presync, **params(bed, migration=ID))
    assert made["effects"] == ["presync", "presync_2"]
    assert (made["complete"], made["compress"], made["bytes_sent"], made["block_bytes"]) == (True, True, 14, 8192)
    assert ended["unit"] == f"kvmops-{ID}-presync_2"
    assert ended["argv"][-2:] == [paths[1], f"kvmops@192.0.2.2:{bed.root}/b/.{ID}.staging/"]
    assert asked == [paths]


def test_an_image_that_is_flattened_later_has_no_first_pass(bed: Bed, ended: dict[str, Any]) -> None:
    (vda,) = bed.migration().disks
    backing = (Link("/base", "raw"),)
    bed.keep_record("source", disks=(replace(vda, flatten=True, backing=backing),))
    made = bed.carry_out(Step.PRESYNC, presync, **params(bed, migration=ID))
    assert (made["effects"], "complete" in made, ended) == ([], False, {})


def test_what_something_else_vouches_for_is_not_counted(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """In further directories by the path there, as the destination calls it."""
    for where in ("a", "b"):
        (bed.root / where).mkdir()
        (bed.root / where / "disk").write_bytes(where.encode())
    disks = tuple(
        DiskPlan(target, f"{bed.root}/{where}/disk", image_format, "disk", 1, 1, 1)
        for target, where, image_format in (("vda", "a", "raw"), ("vdb", "b", "qcow2"))
    )
    values = {"layout": Layout.FILES, "directory": str(bed.root / "a"), "disks": disks}
    migration = bed.keep_record("source", **values)
    assert Way(migration, back=False).vouched_for == {f"{bed.root}/b/.{ID}.staging/disk"}
    first, second = migration.staged_in
    also = [{"src": [f"{bed.root}/b/"], "dest": second}]
    given = params(bed, src=[f"{bed.root}/a/"], dest=first, also=also, verify="digest", migration=ID)
    monkeypatch.setattr(transient, "carry_out", lambda *_given: Completed((), 0, "", ""))
    assert list(bed.carry_out(Step.COPY, plan, **given)["digests"]) == ["disk"]
    full = bed.migration(**values, verify=Verify.FULL)
    assert Way(full, back=False).vouched_for == {"disk", f"{second}/disk"}


def test_of_what_comes_back_nothing_is_counted_that_could_vouch_for_it(bed: Bed) -> None:
    """So with full all files are compared."""
    disks = tuple(
        DiskPlan(target, f"{bed.root}/{where}/disk", "qcow2", "disk", 1, 1, 1)
        for target, where in (("vda", "a"), ("vdb", "b"))
    )
    values = {"layout": Layout.FILES, "directory": str(bed.root / "a"), "disks": disks}
    assert Way(bed.migration(**values), back=True).vouched_for == {"disk", f"{bed.root}/b/.{ID}.returning/disk"}
    full = Way(bed.migration(**values, verify=Verify.FULL), back=True)
    assert (full.is_counted, full.vouched_for) == (False, frozenset())
