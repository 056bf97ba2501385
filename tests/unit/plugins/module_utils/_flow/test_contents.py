# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._command import Completed
from ansible_collections.kvmops.mobility.plugins.module_utils._disk import content
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import CommandFailed, MobilityError
from ansible_collections.kvmops.mobility.plugins.module_utils._flow import contents
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Event, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._unit import transient
from ansible_collections.kvmops.mobility.tests.unit.bed import ID, Bed, names

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
