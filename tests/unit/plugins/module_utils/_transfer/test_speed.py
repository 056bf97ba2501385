# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a link carries, by a real receiver behind an ssh of the test's own."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import SpeedFacts
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer import speed
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer.rsync import Peer
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer.speed import MIB, measure, parse

PEER = Peer("c2.example.com", "root", "")
PASS = 'while [ "$1" != root@c2.example.com ]; do shift; done\nshift\n'


def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    (tmp_path / "ssh").write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")


def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> SpeedFacts:
    ssh(tmp_path, monkeypatch, script)
    return measure([("c2", PEER)], time.monotonic)["c2"]


def test_as_fast_as_it_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = one(tmp_path, monkeypatch, PASS + 'eval "$@"')
    assert found.reason == ""
    assert found.bytes_s is not None
    assert found.bytes_s > 5 * MIB


SLOW = """exec python3 -c '
import os, subprocess, sys, time
child = subprocess.Popen(sys.argv[1], shell=True, stdin=subprocess.PIPE)
left = 2**20  # the burst
began = time.monotonic()
try:
    while child.poll() is None:
        left += 65536
        child.stdin.write(os.read(0, 65536))
        child.stdin.flush()
        sent = left - 2**20
        time.sleep(max(0, (sent - 2**20) / (4 * 2**20) - (time.monotonic() - began)))
except BrokenPipeError:
    pass
sys.exit(child.wait())
' "$1"
"""
"""A mebibyte at once, then 4 MiB/s."""


def test_a_slow_link_is_measured_in_a_second_without_its_burst(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()
    found = one(tmp_path, monkeypatch, PASS + SLOW)
    assert found.bytes_s == pytest.approx(4 * MIB, rel=0.25)
    assert time.monotonic() - began < 6


def test_what_is_not_measured_has_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Permission denied" in one(tmp_path, monkeypatch, "echo Permission denied >&2; exit 255").reason
    assert "did not say" in one(tmp_path, monkeypatch, "echo This account is not available.").reason
    monkeypatch.setattr(speed, "_ONE_S", 0.5)
    found = one(tmp_path, monkeypatch, "exec sleep 30")
    assert (found.bytes_s, found.reason) == (None, "ssh did not end within 0 s")


def test_too_many_peers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ssh(tmp_path, monkeypatch, "echo 100 0.5")
    times = iter((0.0, 1.0, 25.0))
    found = measure([("c2", PEER), ("c3", PEER)], lambda: next(times))
    assert found["c2"] == SpeedFacts(200)
    assert "too many" in found["c3"].reason


def test_no_space_for_what_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.TemporaryFile", partial(Path("/dev/full").open, "w+b", buffering=0))
    found = measure([("c2", PEER), ("c3", PEER)], lambda: 0.0)
    assert [one.bytes_s for one in found.values()] == [None, None]
    assert all("No space left" in one.reason for one in found.values())
    assert measure([], time.monotonic) == {}


@pytest.mark.parametrize(
    ("said", "bytes_s"),
    [
        ("1048576 0.5\n", 2097152),
        ("Welcome!\n10 2.0\n", 5),
        ("0 1.0", None),
        ("5 0.0", None),
        ("x y", None),
        ("", None),
    ],
)
def test_what_the_receiver_says(said: str, bytes_s: int | None) -> None:
    assert parse(said) == bytes_s
