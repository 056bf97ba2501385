# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._disk import digest
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
    """rsync is a program that does nothing: the digests are of this side."""
    Path(bed.directory).mkdir()
    Path(bed.directory, "disk").write_bytes(b"x" * 100)
    programs = bed.root / "bin"
    programs.mkdir()
    (programs / "rsync").write_text("#!/bin/sh\necho 'Total bytes sent: 7'\n", encoding="ascii")
    (programs / "rsync").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
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
