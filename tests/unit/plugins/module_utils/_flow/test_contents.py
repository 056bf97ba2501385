# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._command import Completed, run
from ansible_collections.kvmops.mobility.plugins.module_utils._disk import content, image
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import (
    CommandFailed,
    MobilityError,
    Refused,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._flow import contents
from ansible_collections.kvmops.mobility.plugins.module_utils._flow import proof as proofs
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Event, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Link
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.way import Way
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer import export
from ansible_collections.kvmops.mobility.plugins.module_utils._unit import transient
from ansible_collections.kvmops.mobility.tests.unit.bed import ID, Bed, names
from ansible_collections.kvmops.mobility.tests.unit.builders import MIB

NAME = f"kvmops-{ID}-digest"


@pytest.fixture
def units(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """systemd, which runs the program here and now when it is waited for."""
    seen: dict[str, Any] = {"begun": []}

    def begin(unit: transient.Unit, argv: Sequence[str]) -> None:
        seen["begun"].append((unit.name, list(argv)))

    def carry_out(unit: transient.Unit, argv: Sequence[str], *_more: object) -> Completed:
        begin(unit, argv)
        if content.main([argv[-1]]):
            raise CommandFailed("COMMAND_FAILED", argv[0], f"ended with 1: {capsys.readouterr().err}", "")
        return Completed(tuple(argv), 0, capsys.readouterr().out, "")

    monkeypatch.setattr(transient, "phase", lambda _name: transient.Phase.ABSENT)
    monkeypatch.setattr(transient, "begin", begin)
    monkeypatch.setattr(transient, "carry_out", carry_out)
    return seen


def count(bed: Bed, **params: Any) -> dict[str, Any]:
    return bed.carry_out(Step.DIGEST, contents.plan, **{"images": None, "wait": True, "deadline_s": 0, **params})


def test_both_sides_have_the_same(bed: Bed, units: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    source = bed.keep_record("source")
    bed.images(source.parked)
    here = count(bed)["contents"]
    other = Bed(bed.root / "other", bed.connection)
    there = other.keep_record("destination")
    other.images(there.staging)
    found = count(other)
    assert here == found["contents"]
    assert list(here) == ["vda"]
    assert found["effects"] == ["close", "digest"]
    status = os.stat(there.staging)
    assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o700, 0)
    (end,) = [one for one in other.journal() if one.event is Event.END and not one.effect]
    assert end.result["contents"] == here


def test_it_is_begun_and_left_alone(bed: Bed, units: dict[str, Any]) -> None:
    bed.images(bed.keep_record("source").parked)
    assert "contents" not in count(bed, wait=False)
    ((name, argv),) = units["begun"]
    assert name == NAME
    assert json.loads(Path(argv[-1]).read_text("utf-8"))["disks"] == [
        {"name": "vda", "path": f"{bed.directory}_resize/disk", "format": "qcow2", "backing": []}
    ]
    (begun,) = [one for one in bed.journal() if one.undo]
    assert begun.undo == {"kind": "stop_unit", "name": NAME}


def test_what_cannot_be_read_fails_with_its_words(bed: Bed, units: dict[str, Any]) -> None:
    bed.keep_record("source")
    with pytest.raises(MobilityError, match="No such file") as error:
        count(bed)
    assert error.value.code == "DIGEST_FAILED"


def test_planning_reads_nothing(bed: Bed) -> None:
    bed.keep_record("source")
    assert names(contents.plan(bed.context(check=True, images=None, wait=True))) == ["digest"]


def test_without_a_migration_it_is_counted_at_once(bed: Bed) -> None:
    bed.images(bed.directory)
    image = {"name": "a", "path": f"{bed.directory}/disk", "format": "qcow2"}
    plan = contents.plan(bed.context(migration="", images=[image], wait=True))
    assert (names(plan), list(plan.result["contents"])) == ([], ["a"])


def test_a_chain_is_read_where_it_is_parked(bed: Bed, units: dict[str, Any]) -> None:
    """Its headers name places where its backing file no longer is, and the copy is one image."""
    (vda,) = bed.migration().disks
    here = Path(bed.directory)
    here.mkdir(parents=True)
    base, top, flat = (here / name for name in ("base", "disk", "flat"))
    run(("qemu-img", "create", "-q", "-f", "qcow2", str(base), str(MIB)), timeout_s=20)
    run(("qemu-io", "-f", "qcow2", "-c", "write -P 7 0 64k", str(base)), timeout_s=20)
    run(("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(base), str(top)), timeout_s=20)
    run(("qemu-io", "-f", "qcow2", "-c", "write -P 8 128k 64k", str(top)), timeout_s=20)
    run(("qemu-img", "convert", "-f", "qcow2", "-O", "qcow2", str(top), str(flat)), timeout_s=20)
    disk = replace(vda, path=str(top), flatten=True, backing=(Link(str(base), "qcow2"),))
    source = bed.keep_record("source", disks=(disk,))
    expected = content.digests([content.Disk("vda", str(flat), "qcow2")])
    here.rename(source.parked)
    assert count(bed)["contents"] == expected


def test_a_copy_that_names_a_backing_file_is_read_without_it(bed: Bed, units: dict[str, Any]) -> None:
    migration = bed.keep_record("destination")
    bed.images(migration.staging)
    secret = bed.root / "secret"
    secret.write_bytes(b"x" * MIB)
    disk = Path(migration.staging) / "disk"
    size = image.inspect(str(disk), "qcow2").virtual_bytes
    disk.unlink()
    made = ("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(secret), str(disk), str(size))
    run(made, timeout_s=20)
    empty = bed.root / "empty"
    run(("qemu-img", "create", "-q", "-f", "qcow2", str(empty), str(size)), timeout_s=20)
    assert count(bed)["contents"] == content.digests([content.Disk("vda", str(empty), "qcow2")])


# --- what was mirrored -------------------------------------------------------------------------------------------


@pytest.fixture
def mirrored(bed: Bed, units: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A destination whose export has this state, and the units that were ended."""
    migration = bed.keep_record("destination")
    bed.images(migration.staging)
    good = {"errors": 0, "unflushed": 0, "unanswered": 0, "said_goodbye": True, "gone": True, "not_understood": ""}
    clients = [{**good, "stalled_s": 0.0, "requests": 9}]
    seen: dict[str, Any] = {"state": {"clients": clients, "exit_code": None}, "ended": []}
    monkeypatch.setattr(export, "state", lambda _served: seen["state"])
    monkeypatch.setattr(transient, "forget", seen["ended"].append)
    return seen


def test_the_exports_are_closed_before_anybody_counts(bed: Bed, mirrored: dict[str, Any]) -> None:
    result = count(bed, mirrored=True)
    assert result["effects"] == ["evidence", "close", "digest"]
    assert mirrored["ended"] == [f"kvmops-{ID}-export-vda"]
    assert list(result["mirror_evidence"]) == ["vda"]
    again = proofs.plan(bed.context(mirrored=True), Way(bed.migration(), back=False))
    assert again == ()  # the take-over does not ask exports that are gone


def test_what_is_not_proven_is_not_counted(bed: Bed, mirrored: dict[str, Any], units: dict[str, Any]) -> None:
    mirrored["state"]["clients"][0]["said_goodbye"] = False
    with pytest.raises(Refused) as refusal:
        count(bed, mirrored=True)
    assert refusal.value.code == "MIRROR_NOT_PROVEN"
    assert (mirrored["ended"], units["begun"], bed.journal()) == ([], [], ())
