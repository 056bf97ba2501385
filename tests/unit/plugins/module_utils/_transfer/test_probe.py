# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import zlib
from pathlib import Path

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._transfer import probe
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer.probe import Measured, decide
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer.rsync import Peer

PEER = Peer("c2.example.com", "kvmops", "/images/web1.id.staging")
MIB = 2**20


@pytest.mark.parametrize(
    ("link", "share", "limit", "compress", "words"),
    [
        (110.0, 0.57, 0, True, "zstd: the link carries 110 MiB/s and samples of the images shrink to 57%"),
        (238.0, 0.57, 0, True, "carries 238 MiB/s"),
        (239.0, 0.57, 0, False, "carries 239 MiB/s, more than zstd does"),
        (1000.0, 0.57, 50, True, "carries 50 MiB/s, as it is limited, and"),
        (1000.0, 0.57, 500, False, "carries 500 MiB/s"),
        (10.0, 0.57, 50, True, "carries 10 MiB/s and"),
        (10.0, 0.9, 0, True, "shrink to 90%"),
        (10.0, 0.91, 0, False, "keep 91% of their size"),
        (10.0, None, 0, False, "hold nothing"),
        (None, 0.1, 0, False, "could not be measured"),
    ],
)
def test_the_rule(link: float | None, share: float | None, limit: int, compress: bool, words: str) -> None:
    found = decide(Measured(link, share), limit)
    assert found.compress is compress
    assert words in found.why


@pytest.mark.parametrize(
    ("said", "mib_s"),
    [
        ("0+512 records in\n8388608 bytes (8.4 MB, 8.0 MiB) copied, 0.08 s, 105 MB/s\n", 100.0),
        ("8388608 bytes (8.4 MB, 8.0 MiB) copied, 8e-05 s, 105 GB/s", 100_000.0),
        ("This account is not available.\n", None),
        ("", None),
    ],
)
def test_what_dd_says(said: str, mib_s: float | None) -> None:
    assert probe.parse_rate(said) == (None if mib_s is None else pytest.approx(mib_s))


def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    (tmp_path / "ssh").write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")


def test_the_link_is_measured_by_who_receives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ssh(tmp_path, monkeypatch, 'while [ "$1" != kvmops@c2.example.com ]; do shift; done\nshift\nexec "$@"')
    found = probe.link_mib_s(PEER)
    assert found is not None
    assert found > 1
    assert probe.answers(PEER)


def test_a_link_that_does_not_carry_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ssh(tmp_path, monkeypatch, "exit 255")
    assert probe.link_mib_s(PEER) is None
    assert not probe.answers(PEER)
    ssh(tmp_path, monkeypatch, "exec sleep 30")
    monkeypatch.setattr(probe, "_ANSWER_S", 0.5)
    assert not probe.answers(PEER)
    monkeypatch.setattr(probe, "_PROBE_S", 0.5)
    assert probe.link_mib_s(PEER) == 16.0


def test_samples_tell_what_shrinks(tmp_path: Path) -> None:
    noise, words, empty = (tmp_path / name for name in ("noise", "words", "empty"))
    noise.write_bytes(os.urandom(4 * MIB))
    words.write_bytes(b"the same words " * 300_000)
    with empty.open("wb") as file:
        file.truncate(MIB)
    share = probe.shrinks_to
    assert (share([str(noise)]) or 0) > 0.99
    assert 0 < (share([str(words)]) or 1) < 0.1
    assert 0.4 < (share([str(noise), str(words)]) or 0) < 0.6
    assert share([str(empty)]) is None
    assert share([]) is None


def test_samples_are_few_and_of_what_is_allocated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(2**40)
        file.seek(2**39)
        file.write(os.urandom(20 * MIB))
    sizes: list[int] = []

    def compress(data: bytes, _level: int) -> bytes:
        sizes.append(len(data))
        return data

    monkeypatch.setattr(zlib, "compress", compress)
    assert probe.shrinks_to([str(image)]) == 1.0
    assert len(sizes) == 64
    assert set(sizes) == {65536}
