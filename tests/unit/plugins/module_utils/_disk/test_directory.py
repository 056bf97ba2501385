# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._disk import directory
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError, Refused

HOLD = "import sys; f = open(sys.argv[1]); print('open', flush=True); sys.stdin.read()"


@pytest.fixture
def web1(tmp_path: Path) -> Path:
    path = tmp_path / "web1"
    path.mkdir()
    (path / "disk").write_bytes(b"contents")
    return path


def test_entries(web1: Path) -> None:
    (web1 / "sub").mkdir()
    (web1 / "link").symlink_to("disk")
    os.mkfifo(web1 / "pipe")
    with (web1 / "sparse").open("wb") as sparse:
        sparse.truncate(2**20)
    (web1 / "disk").chmod(0o640)
    found = {one.name: one for one in directory.entries(str(web1))}
    assert {name: one.kind for name, one in found.items()} == {
        "disk": "file",
        "link": "symlink",
        "pipe": "other",
        "sparse": "file",
        "sub": "directory",
    }
    assert list(found) == sorted(found)
    assert (found["sparse"].apparent_bytes, found["sparse"].allocated_bytes) == (2**20, 0)
    assert (found["disk"].mode, found["disk"].uid, found["disk"].gid) == (0o640, os.getuid(), os.getgid())


def test_entries_of_what_is_not_there(tmp_path: Path) -> None:
    assert directory.entries(str(tmp_path / "nothing")) == ()


def test_owner(web1: Path) -> None:
    web1.chmod(0o711)
    assert directory.owner(str(web1)) == {"uid": os.getuid(), "gid": os.getgid(), "mode": 0o711}


# --- who has it open ---------------------------------------------------------------------------------------------


@pytest.fixture
def holder(web1: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has the disk open."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(web1 / "disk")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.communicate()


def test_a_process_that_has_a_file_open_is_named(web1: Path, holder: subprocess.Popen[bytes]) -> None:
    (name,) = directory.holders([str(web1 / "disk"), str(web1 / "nothing")])
    assert name.split()[0] == str(holder.pid)
    assert "python" in name
    holder.communicate()
    assert directory.holders([str(web1 / "disk")]) == ()


def test_it_is_found_after_a_rename(web1: Path, holder: subprocess.Popen[bytes], tmp_path: Path) -> None:
    parked = tmp_path / "web1_resize"
    directory.rename(str(web1), str(parked))
    (name,) = directory.holders([str(parked / "disk")])
    assert name.startswith(f"{holder.pid} ")


def test_another_file_of_that_name_is_nobodys(web1: Path, holder: subprocess.Popen[bytes]) -> None:
    (web1 / "disk").rename(web1 / "old")
    (web1 / "disk").write_bytes(b"new")
    assert directory.holders([str(web1 / "disk")]) == ()
    assert len(directory.holders([str(web1 / "old")])) == 1
    assert holder.poll() is None


def test_nobody_holds_nothing(tmp_path: Path) -> None:
    assert directory.holders([]) == ()
    assert directory.holders([str(tmp_path / "nothing")]) == ()


def test_processes_that_end_while_we_look(web1: Path, tmp_path: Path) -> None:
    (tmp_path / "proc" / "17").mkdir(parents=True)
    (tmp_path / "proc" / "18" / "fd").mkdir(parents=True)
    (tmp_path / "proc" / "18" / "fd" / "3").symlink_to("/nowhere")
    (tmp_path / "proc" / "18" / "fd" / "4").symlink_to(web1 / "disk")
    (tmp_path / "proc" / "meminfo").touch()
    assert directory.holders([str(web1 / "disk")], str(tmp_path / "proc")) == ("18 (gone)",)


def test_a_loop_device_on_a_file_is_named(web1: Path, tmp_path: Path) -> None:
    """What the kernel writes there: the path as it is now, and nothing of who set it up."""
    for number, backing in enumerate((web1 / "disk", web1 / "other", f"{web1}/disk (deleted)", f"{web1}/disk/x")):
        (tmp_path / f"sys/loop{number}/loop").mkdir(parents=True)
        (tmp_path / f"sys/loop{number}/loop/backing_file").write_text(f"{backing}\n", encoding="utf-8")
    (tmp_path / "sys/loop9").mkdir()
    (tmp_path / "proc").mkdir()
    found = directory.holders([str(web1 / "disk")], str(tmp_path / "proc"), str(tmp_path / "sys"))
    assert found == ("/dev/loop0",)


# --- rename ------------------------------------------------------------------------------------------------------


def test_a_rename_is_durable_and_can_be_repeated(web1: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))
    parked = tmp_path / "web1_resize"
    for _time in range(2):
        directory.rename(str(web1), str(parked))
        assert (parked / "disk").read_bytes() == b"contents"
        assert not web1.exists()
    assert synced == [str(tmp_path)]


Obstacle = Callable[[Path], object]


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda path: path.mkdir(), id="an empty directory, which the kernel would replace"),
        pytest.param(lambda path: path.touch(), id="a file"),
        pytest.param(lambda path: path.symlink_to("/nowhere"), id="a dangling link"),
    ],
)
def test_what_has_the_name_is_never_replaced(web1: Path, tmp_path: Path, make: Obstacle) -> None:
    taken = tmp_path / "web1_resize"
    make(taken)
    with pytest.raises(Refused) as refusal:
        directory.rename(str(web1), str(taken))
    assert (refusal.value.code, refusal.value.subject) == ("PATH_TAKEN", str(taken))
    assert (web1 / "disk").exists()
    assert os.path.lexists(taken)


def test_when_neither_name_is_there(tmp_path: Path) -> None:
    with pytest.raises(MobilityError) as error:
        directory.rename(str(tmp_path / "a"), str(tmp_path / "b"))
    assert (error.value.code, error.value.subject) == ("PATH_LOST", str(tmp_path / "a"))


# --- remove ------------------------------------------------------------------------------------------------------


def test_remove(web1: Path) -> None:
    (web1 / "sub").mkdir()
    assert directory.remove(str(web1)) is True
    assert not web1.exists()
    assert directory.remove(str(web1)) is False


def test_what_a_link_points_to_stays(web1: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    (web1 / "link").symlink_to(outside)
    directory.remove(str(web1))
    assert (outside / "precious").exists()


@pytest.mark.parametrize("kind", ["link", "file"])
def test_what_could_not_be_removed_is_reported(web1: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "odd"
    if kind == "link":
        path.symlink_to(web1)
    else:
        path.touch()
    with pytest.raises(MobilityError) as error:
        directory.remove(str(path))
    assert (error.value.code, error.value.subject) == ("REMOVAL_FAILED", str(path))
    assert str(path) in error.value.message
    assert (web1 / "disk").exists()
    assert os.path.lexists(path)


# --- ownership ---------------------------------------------------------------------------------------------------

ODD_ID = 54321


def test_owner_and_mode_are_given_as_recorded(web1: Path) -> None:
    (entry,) = directory.entries(str(web1))
    absent = replace(entry, name="absent")
    wanted = replace(entry, uid=ODD_ID, gid=ODD_ID + 1, mode=0o640)
    directory.take_ownership(str(web1), (wanted, absent), ODD_ID, ODD_ID + 2, 0o711)
    (now,) = directory.entries(str(web1))
    assert (now.uid, now.gid, now.mode) == (ODD_ID, ODD_ID + 1, 0o640)
    assert directory.owner(str(web1)) == {"uid": ODD_ID, "gid": ODD_ID + 2, "mode": 0o711}


@pytest.mark.parametrize("how", ["symlink", "hardlink", "directory"])
def test_nothing_outside_is_given_away(web1: Path, tmp_path: Path, how: str) -> None:
    """Until then an unprivileged user could write there, and a link would hand somebody else's file over."""
    shadow = tmp_path / "shadow"
    shadow.touch(mode=0o600)
    (entry,) = directory.entries(str(web1))
    (web1 / "disk").unlink()
    if how == "symlink":
        (web1 / "disk").symlink_to(shadow)
    elif how == "hardlink":
        os.link(shadow, web1 / "disk")
    else:
        (web1 / "disk").mkdir()
    before = shadow.stat()
    with pytest.raises(Refused) as refusal:
        directory.take_ownership(str(web1), (replace(entry, uid=ODD_ID, mode=0o666),), ODD_ID, ODD_ID, 0o711)
    assert (refusal.value.code, refusal.value.subject) == ("PATH_NOT_OURS", str(web1 / "disk"))
    assert (shadow.stat().st_uid, shadow.stat().st_mode) == (before.st_uid, before.st_mode)
    assert directory.owner(str(web1))["mode"] == 0o700
