# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A text file of this host: read with care, replaced as a whole or not at all.

Root edits files in directories that belong to others. So the directory is opened once and everything happens in it by
name without following links; a link is followed only when its owner could have written to its target anyway.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._file.durable import write_all

_GET_FLAGS = 0x80086601  # FS_IOC_GETFLAGS
_IMMUTABLE, _APPEND_ONLY = 0x10, 0x20
_KEPT_ATTRIBUTES = ("security.selinux", "system.posix_acl_access")
_OTHERS_READ = 0o005


@dataclass(frozen=True)
class Kind:
    """What sort of file it is: errors are told in its words."""

    called: str
    """Such as known_hosts file."""
    most_bytes: int
    """A file beyond this is refused: it is read into memory, where it takes about four times its size."""
    # Codes of its refusals.
    busy: str
    immutable: str
    invalid: str
    too_large: str
    unreadable: str
    unsafe: str


@dataclass(frozen=True)
class Asked:
    """A file as somebody asked for it."""

    path: str
    kind: Kind

    def refused(self, code: str, message: str, remedy: str) -> Refused:
        """Why not, with a code of its kind."""
        return Refused(code, self.path, message, remedy)


@dataclass(frozen=True)
class Text:
    """A file as it was read."""

    asked: Asked
    real: str
    """Where it is, with links followed."""
    data: bytes
    status: os.stat_result | None
    """None: there is no such file yet."""
    owner: tuple[int, int]
    """uid and gid of the file, or of the one that will be made."""

    @property
    def path(self) -> str:
        """Where it was asked for; findings name this."""
        return self.asked.path

    @property
    def writable_by_others(self) -> bool:
        """Whether group or others may write to it: they choose then what is in it."""
        return self.status is not None and bool(self.status.st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def read(path: str, kind: Kind, owner: tuple[int, int] | None = None) -> Text:
    """Read *path*; a file that is not there is empty. *owner* is for one that is to be made, else its directory's.

    Raises Refused: the codes invalid, too_large, unsafe and unreadable of its kind.
    """
    asked = Asked(path, kind)
    real = _followed(asked)
    with _directory(asked, os.path.dirname(real)) as directory:
        if directory is None:
            return Text(asked, real, b"", None, owner or (os.geteuid(), os.getegid()))
        descriptor = _opened(asked, os.path.basename(real), directory)
        if descriptor is None:
            home = os.fstat(directory)
            return Text(asked, real, b"", None, owner or (home.st_uid, home.st_gid))
        try:
            status = os.fstat(descriptor)
            data = _checked(asked, descriptor, status)
        finally:
            os.close(descriptor)
    return Text(asked, real, data, status, (status.st_uid, status.st_gid))


def _followed(asked: Asked) -> str:
    """Where the file is, once the link that it is, or that its directory is, was found to be no trap."""
    directory, name = os.path.split(os.path.abspath(asked.path))
    with _readable(asked):
        home = _leads_to(asked, directory)
        return _leads_to(asked, os.path.join(home, name))


def _leads_to(asked: Asked, here: str) -> str:
    real = os.path.realpath(here)
    try:
        link = os.lstat(here)
    except (FileNotFoundError, NotADirectoryError):
        return real
    if not stat.S_ISLNK(link.st_mode):
        return real
    try:
        target = os.stat(real)
    except FileNotFoundError:
        message = f"{here} is a link to {real}, which is not there."
        raise asked.refused(asked.kind.unsafe, message, "Remove the link, or mend it.") from None
    if link.st_uid not in (0, target.st_uid):
        message = f"{here} is a link to {real}, which belongs to somebody else than the link."
        raise asked.refused(
            asked.kind.unsafe, message, "Remove the link; who made it could have us write to a file of others."
        )
    return real


@contextmanager
def _readable(asked: Asked) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise asked.refused(
            asked.kind.unreadable,
            f"cannot be read: {error.strerror}.",
            "Run it as root or as the owner of the file.",
        ) from None


@contextmanager
def _directory(asked: Asked, directory: str) -> Iterator[int | None]:
    """The open directory of the file, None when there is none."""
    with _readable(asked):
        try:
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            yield None
            return
        except NotADirectoryError:
            raise asked.refused(
                asked.kind.invalid, f"{directory} is no directory.", "Give the path of a file."
            ) from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _opened(asked: Asked, name: str, directory: int) -> int | None:
    # O_NONBLOCK: a pipe that somebody put there must not hold us.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with _readable(asked):
        try:
            return os.open(name, flags, dir_fd=directory)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO):
                raise _not_a_file(asked) from None
            raise


def _not_a_file(asked: Asked) -> Refused:
    return asked.refused(asked.kind.invalid, "is not a file.", f"Give the path of a {asked.kind.called}.")


def _checked(asked: Asked, descriptor: int, status: os.stat_result) -> bytes:
    if not stat.S_ISREG(status.st_mode):
        raise _not_a_file(asked)
    most = asked.kind.most_bytes
    data = _bounded(descriptor, most) if status.st_size <= most else None
    if data is None:
        raise asked.refused(
            asked.kind.too_large,
            f"is larger than {most // 2**20} MiB.",
            "See what is in it; its readers read all of it each time, too.",
        )
    if b"\0" in data:
        raise asked.refused(
            asked.kind.invalid,
            f"holds binary data (line {data[: data.index(0)].count(10) + 1}), so it is no {asked.kind.called}.",
            "See what it is, and move it away. We change nothing in it.",
        )
    return data


def _bounded(descriptor: int, most: int) -> bytes | None:
    """All of it, None when it grew beyond the bound meanwhile."""
    found: list[bytes] = []
    left = most + 1
    while left:
        part = os.read(descriptor, min(left, 2**20))
        if not part:
            return b"".join(found)
        found.append(part)
        left -= len(part)
    return None


def check_writable(text: Text) -> None:
    """What would keep C(write()) from its work, found before. Raises Refused: the code immutable of its kind."""
    for path in (text.real, os.path.dirname(text.real)):
        if _flags(path) & (_IMMUTABLE | _APPEND_ONLY):
            raise _immutable(text.asked, path)


def _flags(path: str) -> int:
    """The attributes that chattr sets; 0 where the file system has none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        return int.from_bytes(fcntl.ioctl(descriptor, _GET_FLAGS, b"\0" * 8)[:4], "little")
    except OSError:
        return 0
    finally:
        os.close(descriptor)


def _immutable(asked: Asked, what: str) -> Refused:
    return asked.refused(
        asked.kind.immutable,
        f"{what} is immutable or append-only, so it cannot be replaced.",
        f"Somebody wants it to stay as it is (lsattr {what}); when not: chattr -i -a {what}",
    )


def write(text: Text, data: bytes) -> None:
    """Replace the file: beside it, synced, renamed, with owner, mode, ACL and SELinux context of the old one.

    Raises Refused: the code busy when it was changed since it was read, immutable; and OSError. In each case the file
    is as it was.
    """
    home = os.path.dirname(text.real)
    if text.status is None:
        _make_home(home, text.owner)
    directory = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        name = os.path.basename(text.real)
        scratch = f".{name}.{secrets.token_hex(6)}"
        try:
            _place(text, data, scratch, directory)
            _check_unchanged(text, name, directory)
            os.replace(scratch, name, src_dir_fd=directory, dst_dir_fd=directory)
            os.fsync(directory)
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.unlink(scratch, dir_fd=directory)
            if isinstance(error, PermissionError) and error.errno == errno.EPERM:
                raise _immutable(text.asked, text.real) from None
            raise
    finally:
        os.close(directory)


def _make_home(home: str, owner: tuple[int, int]) -> None:
    """C(~/.ssh), private as ssh makes it; what is above it must be there."""
    try:
        os.mkdir(home, 0o700)
    except FileExistsError:
        return
    descriptor = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(descriptor).st_uid == os.geteuid():
            os.fchown(descriptor, *owner)
    finally:
        os.close(descriptor)


def _place(text: Text, data: bytes, name: str, directory: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, 0o600, dir_fd=directory)
    try:
        write_all(descriptor, data)
        _dress(text, descriptor, directory)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _dress(text: Text, descriptor: int, directory: int) -> None:
    """Owner first: it takes special bits off the mode."""
    made = os.fstat(descriptor)
    if (made.st_uid, made.st_gid) != text.owner:
        os.fchown(descriptor, *text.owner)
    if text.status is None:
        public = os.fstat(directory).st_mode & _OTHERS_READ == _OTHERS_READ
        os.fchmod(descriptor, 0o644 if public else 0o600)
        return
    os.fchmod(descriptor, stat.S_IMODE(text.status.st_mode))
    for attribute in _KEPT_ATTRIBUTES:
        # Most files have neither; a file system without them says so in several ways.
        with contextlib.suppress(OSError):
            os.setxattr(descriptor, attribute, os.getxattr(text.real, attribute, follow_symlinks=False))


def _check_unchanged(text: Text, name: str, directory: int) -> None:
    try:
        now = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        now = None
    if _version(now) != _version(text.status):
        raise text.asked.refused(
            text.asked.kind.busy,
            "was changed by somebody else meanwhile.",
            "Nothing was changed by us. Run it again.",
        )


def _version(status: os.stat_result | None) -> tuple[int, ...]:
    return () if status is None else (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def back_up(text: Text, stamp: str) -> str:
    """Keep the file as it was beside it, with the same owner and mode. Returns the path of the copy."""
    name = f"{os.path.basename(text.real)}.{stamp}.{secrets.token_hex(2)}~"
    directory = os.open(os.path.dirname(text.real), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _place(text, text.data, name, directory)
        os.fsync(directory)
    finally:
        os.close(directory)
    return os.path.join(os.path.dirname(text.real), name)
