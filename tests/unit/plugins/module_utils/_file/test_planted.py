# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._file import planted

Given = list[tuple[str, int, int]]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Given:
    """What would be given away, by its real path, and to whom."""
    found: Given = []
    monkeypatch.setattr(os, "chown", lambda path, uid, gid: found.append((os.readlink(path), uid, gid)))
    return found


@pytest.fixture
def qemus(tmp_path: Path) -> Iterator[Path]:
    """A directory with a socket."""
    directory = tmp_path / "domain-1-web1"
    directory.mkdir()
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(directory / "s"))
        yield directory


def test_a_socket_is_given_to_whom_its_directory_belongs(qemus: Path, given: Given) -> None:
    planted.give_socket(str(qemus / "s"))
    owner = qemus.stat()
    assert given == [(str(qemus / "s"), owner.st_uid, owner.st_gid)]


def test_a_directory_is_given_and_has_a_mode(qemus: Path, given: Given) -> None:
    planted.give_directory(str(qemus), 4711, 4712)
    assert given == [(str(qemus), 4711, 4712)]
    planted.set_mode(str(qemus), 0o711)
    assert qemus.stat().st_mode & 0o777 == 0o711


def link(path: Path, victim: Path) -> None:
    path.unlink()
    path.symlink_to(victim)


def hard(path: Path, victim: Path) -> None:
    path.unlink()
    path.hardlink_to(victim)


def linked_directory(path: Path, victim: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))
    path.parent.symlink_to(victim.parent)
    victim.rename(victim.with_name(path.name))


@pytest.mark.parametrize("plant", [link, hard, linked_directory])
def test_what_somebody_planted_is_left_alone(
    qemus: Path, given: Given, plant: Callable[[Path, Path], None], tmp_path: Path
) -> None:
    """Red before: chown followed the link, so that any file of the host could become QEMU's."""
    (tmp_path / "etc").mkdir()
    victim = tmp_path / "etc" / "shadow"
    victim.write_text("secret", encoding="ascii")
    plant(qemus / "s", victim)
    with pytest.raises(Refused) as refusal:
        planted.give_socket(str(qemus / "s"))
    assert (refusal.value.code, refusal.value.subject) == ("PATH_NOT_OURS", str(qemus / "s"))
    assert given == []


def test_a_link_is_no_directory_of_ours(tmp_path: Path, given: Given) -> None:
    (tmp_path / "etc").mkdir(mode=0o755)
    (tmp_path / "staging").symlink_to(tmp_path / "etc")
    with pytest.raises(Refused, match="is not the directory that root made"):
        planted.give_directory(str(tmp_path / "staging"), 4711, 4711)
    with pytest.raises(Refused, match="is not the directory that root made"):
        planted.set_mode(str(tmp_path / "staging"), 0o777)
    assert given == []
    assert (tmp_path / "etc").stat().st_mode & 0o777 == 0o755


def test_what_somebody_else_wrote_is_read_when_it_is_a_plain_file(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("ä", encoding="utf-8")
    (tmp_path / "link").symlink_to(tmp_path / "plain")
    os.mkfifo(tmp_path / "pipe")
    assert planted.text_of(str(tmp_path / "plain")) == "ä"
    for name in ("link", "pipe", "nothing"):
        with pytest.raises(OSError, match=name):
            planted.text_of(str(tmp_path / name))
