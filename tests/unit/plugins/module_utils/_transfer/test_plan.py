# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._command import run
from ansible_collections.kvmops.mobility.plugins.module_utils._disk import digest, image
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer.plan import plan
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
        "bandwidth_mib_s": 0,
        "resume": False,
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
