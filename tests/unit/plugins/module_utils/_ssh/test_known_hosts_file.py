# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files as they are found on hosts: links, modes, attributes, sizes. The tests run as root, as the module does."""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError, Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._file.text import back_up, check_writable, write
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.keys import fingerprint
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.known_hosts_file import (
    KIND,
    of_user,
    read,
    stored_fingerprint,
)
from ansible_collections.kvmops.mobility.tests.unit.ssh_keys import host_key

NOBODY = pwd.getpwnam("nobody").pw_uid
ROOT = os.geteuid() == 0
OLD, NEW = b"c2 old\n", b"c2 new\n"

as_root = pytest.mark.skipif(not ROOT, reason="needs root, as the module does for the files of others")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "ssh" / "known_hosts"
    found.parent.mkdir(mode=0o700)
    found.write_bytes(OLD)
    found.chmod(0o640)
    return found


def left(directory: Path) -> list[str]:
    return sorted(one.name for one in directory.iterdir())


def code(deed: Callable[[], object]) -> str:
    with pytest.raises(MobilityError) as error:
        deed()
    return error.value.code


# --- the ordinary ------------------------------------------------------------------------------------------------


@as_root
def test_owner_and_mode_are_kept(path: Path) -> None:
    os.chown(path, NOBODY, 12345)
    text = read(str(path))
    assert (text.data, text.real, text.owner) == (OLD, str(path), (NOBODY, 12345))
    check_writable(text)
    write(text, NEW)
    status = path.stat()
    assert path.read_bytes() == NEW
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (NOBODY, 12345, 0o640)
    assert left(path.parent) == ["known_hosts"]


def test_access_lists_are_kept(path: Path) -> None:
    # user::rw-, user:65534:r--, group::r--, mask::r--, other::---
    entries = [(1, 6, -1), (2, 4, NOBODY), (4, 4, -1), (16, 4, -1), (32, 0, -1)]
    packed = b"\2\0\0\0" + b"".join(
        tag.to_bytes(2, "little") + may.to_bytes(2, "little") + (who & 0xFFFFFFFF).to_bytes(4, "little")
        for tag, may, who in entries
    )
    try:
        os.setxattr(path, "system.posix_acl_access", packed)
    except OSError:
        pytest.skip("this file system has no access lists")
    write(read(str(path)), NEW)
    assert os.getxattr(path, "system.posix_acl_access") == packed


@pytest.mark.parametrize(("directory", "mode"), [(0o700, 0o600), (0o755, 0o644), (0o711, 0o600)])
def test_a_missing_file_is_made(tmp_path: Path, directory: int, mode: int) -> None:
    home = tmp_path / "etc"
    home.mkdir()
    home.chmod(directory)
    text = read(str(home / "known_hosts"))
    assert (text.data, text.status, text.writable_by_others) == (b"", None, False)
    check_writable(text)
    write(text, NEW)
    assert (home / "known_hosts").read_bytes() == NEW
    assert stat.S_IMODE((home / "known_hosts").stat().st_mode) == mode


@as_root
def test_a_users_file_is_made_with_its_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = pwd.struct_passwd(("nova", "x", NOBODY, 12345, "", str(tmp_path), "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwnam", lambda _name: entry)
    write(read(*of_user("nova")), NEW)
    home, file = (tmp_path / ".ssh").stat(), (tmp_path / ".ssh" / "known_hosts").stat()
    assert (home.st_uid, home.st_gid, stat.S_IMODE(home.st_mode)) == (NOBODY, 12345, 0o700)
    assert (file.st_uid, file.st_gid, stat.S_IMODE(file.st_mode)) == (NOBODY, 12345, 0o600)


def test_a_user_who_does_not_exist() -> None:
    assert code(lambda: of_user("nobody-at-all")) == "USER_MISSING"


def test_a_backup_is_the_old_file(path: Path) -> None:
    text = read(str(path))
    kept = Path(back_up(text, "20260704T102006"))
    write(text, NEW)
    assert (kept.parent, kept.read_bytes(), stat.S_IMODE(kept.stat().st_mode)) == (path.parent, OLD, 0o640)
    assert kept.name.startswith("known_hosts.20260704T102006.")
    assert kept.name.endswith("~")


@pytest.mark.parametrize(("mode", "others"), [(0o600, False), (0o644, False), (0o664, True), (0o602, True)])
def test_a_file_that_others_may_write_is_noticed_and_stays_so(path: Path, mode: int, others: bool) -> None:
    path.chmod(mode)
    text = read(str(path))
    assert text.writable_by_others is others
    write(text, NEW)
    assert stat.S_IMODE(path.stat().st_mode) == mode


# --- links -------------------------------------------------------------------------------------------------------


def test_a_link_stays_a_link(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("ssh/known_hosts")
    text = read(str(link))
    assert (text.path, text.real) == (str(link), str(path))
    write(text, NEW)
    assert link.is_symlink()
    assert path.read_bytes() == NEW


def test_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "known_hosts").symlink_to("nothing")
    assert code(lambda: read(str(tmp_path / "known_hosts"))) == "KNOWN_HOSTS_UNSAFE"


@as_root
@pytest.mark.parametrize("what", ["file", "directory"])
def test_a_users_link_to_a_file_of_others_is_a_trap(path: Path, tmp_path: Path, what: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    link = home / (".ssh" if what == "directory" else "known_hosts")
    link.symlink_to(path.parent if what == "directory" else path)
    os.chown(link, NOBODY, -1, follow_symlinks=False)
    asked = link / "known_hosts" if what == "directory" else link
    assert code(lambda: read(str(asked))) == "KNOWN_HOSTS_UNSAFE"
    os.chown(path if what == "file" else path.parent, NOBODY, -1)
    assert read(str(asked)).data == OLD


def test_a_link_that_appears_after_the_reading_is_not_followed(path: Path, tmp_path: Path) -> None:
    text = read(str(path))
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    path.unlink()
    path.symlink_to(victim)
    assert code(lambda: write(text, NEW)) == "KNOWN_HOSTS_BUSY"
    assert victim.read_bytes() == b"precious"
    assert left(path.parent) == ["known_hosts"]


# --- what is no such file ----------------------------------------------------------------------------------------


def test_a_directory(tmp_path: Path) -> None:
    assert code(lambda: read(str(tmp_path))) == "KNOWN_HOSTS_INVALID"


def test_a_file_where_a_directory_should_be(path: Path) -> None:
    assert code(lambda: read(str(path / "known_hosts"))) == "KNOWN_HOSTS_INVALID"


def test_a_pipe_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "known_hosts")
    assert code(lambda: read(str(tmp_path / "known_hosts"))) == "KNOWN_HOSTS_INVALID"


def test_binary_data_is_refused_with_its_line(path: Path) -> None:
    path.write_bytes(b"c1 x\nc2\0y\n")
    with pytest.raises(Refused, match="line 2") as refusal:
        read(str(path))
    assert refusal.value.code == "KNOWN_HOSTS_INVALID"


def test_a_huge_file_is_not_read(path: Path) -> None:
    os.truncate(path, KIND.most_bytes + 1)
    with pytest.raises(Refused, match="64 MiB") as refusal:
        read(str(path))
    assert refusal.value.code == "KNOWN_HOSTS_TOO_LARGE"


def test_a_file_that_grows_while_it_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "read", lambda _descriptor, count: b"x" * count)
    assert code(lambda: read(str(path))) == "KNOWN_HOSTS_TOO_LARGE"


@pytest.fixture
def unprivileged(tmp_path: Path) -> Iterator[None]:
    """Root may read everything."""
    for one in (tmp_path, *tmp_path.parents[:2]):
        one.chmod(0o755)
    if ROOT:
        os.seteuid(NOBODY)
    yield
    if ROOT:
        os.seteuid(0)


def test_a_file_that_may_not_be_read(path: Path, unprivileged: None) -> None:
    assert code(lambda: read(str(path))) == "KNOWN_HOSTS_UNREADABLE"


# --- what cannot be written --------------------------------------------------------------------------------------


def attribute(path: Path, change: str) -> None:
    done = subprocess.run(["chattr", change, path], check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"this file system has no attributes: {done.stderr}")


@as_root
@pytest.mark.parametrize("flag", ["i", "a"])
@pytest.mark.parametrize("what", ["file", "directory"])
def test_what_is_immutable_stays_whole(path: Path, what: str, flag: str) -> None:
    locked = path if what == "file" else path.parent
    attribute(locked, f"+{flag}")
    try:
        text = read(str(path))
        deeds: tuple[Callable[[], None], ...] = (lambda: check_writable(text), lambda: write(text, NEW))
        for deed in deeds:
            with pytest.raises(Refused, match="immutable") as refusal:
                deed()
            assert refusal.value.code == "KNOWN_HOSTS_IMMUTABLE"
        assert path.read_bytes() == OLD
    finally:
        attribute(locked, f"-{flag}")
    if (what, flag) != ("directory", "a"):  # there nothing can be taken away again
        assert left(path.parent) == ["known_hosts"]


@pytest.mark.parametrize("change", ["content", "gone"])
def test_a_file_that_somebody_else_changed_meanwhile(path: Path, change: str) -> None:
    text = read(str(path))
    path.unlink() if change == "gone" else path.write_bytes(OLD + b"c3 more\n")
    assert code(lambda: write(text, NEW)) == "KNOWN_HOSTS_BUSY"
    assert left(path.parent) == ([] if change == "gone" else ["known_hosts"])


def test_a_file_that_somebody_else_made_meanwhile(tmp_path: Path) -> None:
    text = read(str(tmp_path / "known_hosts"))
    (tmp_path / "known_hosts").write_bytes(OLD)
    assert code(lambda: write(text, NEW)) == "KNOWN_HOSTS_BUSY"
    assert (tmp_path / "known_hosts").read_bytes() == OLD


def test_a_disk_that_is_full_leaves_the_old_file_and_nothing_else(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = read(str(path))

    def full(_descriptor: int, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        write(text, NEW)
    assert path.read_bytes() == OLD
    assert left(path.parent) == ["known_hosts"]


# --- what ssh has stored -----------------------------------------------------------------------------------------


def test_the_fingerprint_in_a_line(path: Path) -> None:
    key = host_key(1)
    path.write_text(f"# one\nc2 {key.line}\n", encoding="ascii")
    assert stored_fingerprint(str(path), 2) == fingerprint(key)
    assert [stored_fingerprint(str(path), number) for number in (0, 1, 3)] == ["", "", ""]
    assert stored_fingerprint(str(path.parent), 1) == ""
    assert stored_fingerprint("/nothing/here", 1) == ""
