# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._unit import process
from ansible_collections.kvmops.mobility.plugins.module_utils._unit.process import Identity, lives, myself


def test_the_caller_lives() -> None:
    assert myself().pid == os.getpid()
    assert myself() == myself()
    assert lives(myself())


def test_it_is_plain_data() -> None:
    assert Identity.from_result(myself().as_result()) == myself()
    assert Identity.from_result({"pid": "5", "started": "6", "boot": "b"}) == Identity(5, 6, "b")


def test_another_process_with_its_number_is_not_it() -> None:
    assert not lives(replace(myself(), started=myself().started + 1))


def test_nothing_lives_across_a_reboot() -> None:
    assert not lives(replace(myself(), boot="another"))


def test_what_has_ended_does_not_live() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        one = Identity(child.pid, process._started(child.pid) or 0, myself().boot)
        assert lives(one)
        child.communicate(b"\n")
    assert not lives(one)


def test_a_program_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is in parentheses, and may hold some itself."""
    fields = " ".join(str(number) for number in range(4, 53))
    status = tmp_path / "stat"
    status.write_text(f"7 (a) R 1 (b) c) S {fields}\n", encoding="utf-8")
    monkeypatch.setattr(process, "Path", lambda _path: status)
    assert process._started(7) == 22
