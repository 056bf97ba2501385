# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files in a user's C(.ssh), written by root so that sshd accepts them and the user cannot lead root elsewhere.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import NotFound, Refused

DIRECTORY_MODE = 0o700
_WRITABLE_BY_OTHERS = 0o022


@dataclass(frozen=True)
class Account:
    """A user of this host."""

    name: str
    home: str
    uid: int
    gid: int

    @property
    def ssh(self) -> str:
        """Where ssh keeps this user's files."""
        return os.path.join(self.home, ".ssh")


def account(name: str) -> Account:
    """The user of that name. Raises NotFound(USER_MISSING)."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise NotFound("USER_MISSING", name, "there is no such user here.", "Create it, or name another one.") from None
    return Account(name, entry.pw_dir, entry.pw_uid, entry.pw_gid)


def is_open_to_others(path: str) -> bool:
    """Whether others may write to *path*, so that sshd would not believe what is below it."""
    return bool(stat.S_IMODE(os.stat(path).st_mode) & _WRITABLE_BY_OTHERS)


def close_to_others(path: str) -> None:
    """Take the right to write from group and others."""
    os.chmod(path, stat.S_IMODE(os.stat(path).st_mode) & ~_WRITABLE_BY_OTHERS)


def fits(path: str, mode: int, uid: int) -> bool:
    """Whether *path* is there with exactly this mode and owner."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return False
    return stat.S_IMODE(found.st_mode) == mode and found.st_uid == uid


def make_directory(owner: Account) -> None:
    """The user's C(.ssh) with the mode and owner that sshd wants. Raises Refused(PATH_NOT_OURS)."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(owner.ssh, DIRECTORY_MODE)
    with opened(owner) as directory:
        os.fchown(directory, owner.uid, owner.gid)
        os.fchmod(directory, DIRECTORY_MODE)


@contextlib.contextmanager
def opened(owner: Account) -> Iterator[int]:
    """A descriptor of the user's C(.ssh), which must be a directory and no link. Raises Refused(PATH_NOT_OURS)."""
    try:
        directory = os.open(owner.ssh, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (NotADirectoryError, OSError) as error:
        raise Refused(
            "PATH_NOT_OURS", owner.ssh, f"cannot be used as a directory of keys: {error}.", "Look what it is."
        ) from None
    try:
        yield directory
    finally:
        os.close(directory)


def read(owner: Account, name: str) -> bytes | None:
    """A file of the user's C(.ssh); None when it is not there. Raises Refused(PATH_NOT_OURS), for a link too."""
    try:
        with opened(owner) as directory:
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
            with open(descriptor, "rb") as handle:
                return handle.read()
    except Refused:
        if os.path.lexists(owner.ssh):
            raise
        return None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Refused(
            "PATH_NOT_OURS", os.path.join(owner.ssh, name), f"cannot be read: {error}.", "Look what it is."
        ) from None


def write(owner: Account, name: str, data: bytes, mode: int) -> None:
    """Put *data* in the place of a file of the user's C(.ssh), whole or not at all."""
    part = f".{name}.{secrets.token_hex(4)}.part"
    with opened(owner) as directory:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(part, flags, 0o600, dir_fd=directory)
        try:
            with open(descriptor, "wb") as handle:
                handle.write(data)
                handle.flush()
                os.fchown(handle.fileno(), owner.uid, owner.gid)
                os.fchmod(handle.fileno(), mode)
                os.fsync(handle.fileno())
            os.rename(part, name, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(part, dir_fd=directory)
            raise
        os.fsync(directory)


def remove(owner: Account, name: str) -> None:
    """Take a file of the user's C(.ssh) away if it is there."""
    with opened(owner) as directory, contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory)
