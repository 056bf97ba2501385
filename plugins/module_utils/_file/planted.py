# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What root does in directories that QEMU or the migration user can write to: nothing is done to a link's target.

A name there may lead elsewhere a moment after it was looked at. So what is there is opened first, without following
links, looked at by its descriptor, and changed through that.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused

_MOST_BYTES = 16 * 2**20
"""A definition or a list of ports is no longer."""


@contextmanager
def _itself(path: str, is_kind: Callable[[int], bool], kind: str) -> Iterator[tuple[str, os.stat_result]]:
    """A name for what is at *path* that stays its own, and the status of the directory it is in.

    Raises Refused(PATH_NOT_OURS) when that is not a *kind* of ours, or one of the two is a link.
    """
    directory, name = os.path.split(path)
    above = here = -1
    try:
        above = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        here = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
        _check_ours(here, is_kind)
        yield f"/proc/self/fd/{here}", os.fstat(above)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOTDIR, errno.ENOTSUP):
            raise
        raise Refused(
            "PATH_NOT_OURS", path, f"is not the {kind} that root made there.", "Find out who put it there."
        ) from None
    finally:
        for one in (here, above):
            if one >= 0:
                os.close(one)


def _check_ours(descriptor: int, is_kind: Callable[[int], bool]) -> None:
    status = os.fstat(descriptor)
    if not is_kind(status.st_mode) or status.st_uid != os.geteuid():
        raise OSError(errno.ENOTSUP, "not what we made")


def give_socket(path: str) -> None:
    """Give the socket that root has made at *path* to whom its directory belongs. Raises Refused(PATH_NOT_OURS)."""
    with _itself(path, stat.S_ISSOCK, "socket") as (itself, directory):
        os.chown(itself, directory.st_uid, directory.st_gid)


def give_directory(path: str, uid: int, gid: int) -> None:
    """Give the directory that root has made at *path* to somebody. Raises Refused(PATH_NOT_OURS)."""
    with _itself(path, stat.S_ISDIR, "directory") as (itself, _above):
        os.chown(itself, uid, gid)


def set_mode(path: str, mode: int) -> None:
    """Set the mode of the directory that root has made at *path*. Raises Refused(PATH_NOT_OURS)."""
    with _itself(path, stat.S_ISDIR, "directory") as (itself, _above):
        os.chmod(itself, mode)


def text_of(path: str) -> str:
    """What is in the plain file at *path*, which somebody else wrote; 16 MiB at most.

    Raises OSError, also for a link, and for what never ends such as a pipe; ValueError for what is no text.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "is no plain file", path)
        return file.read(_MOST_BYTES).decode("utf-8")
