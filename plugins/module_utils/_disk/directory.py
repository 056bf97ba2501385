# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest's own directory: what is in it, who has its files open, and moving it aside.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Collection, Iterable
from pathlib import Path

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError, Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._file.durable import sync_directory
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import EntryFacts

_BLOCK = 512
_REMOVAL_ATTEMPTS = 3


def entries(directory: str) -> tuple[EntryFacts, ...]:
    """What is directly in *directory*, by name; empty when it is not there."""
    path = Path(directory)
    if not path.is_dir():
        return ()
    found = (entry(str(one)) for one in sorted(path.iterdir()))
    return tuple(one for one in found if one is not None)


def entry(path: str) -> EntryFacts | None:
    """What is at *path*; None for what is gone since the directory was read, such as another run's probe."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    kinds = ((stat.S_ISREG, "file"), (stat.S_ISDIR, "directory"), (stat.S_ISLNK, "symlink"))
    return EntryFacts(
        name=os.path.basename(path),
        kind=next((kind for test, kind in kinds if test(status.st_mode)), "other"),
        apparent_bytes=status.st_size,
        allocated_bytes=status.st_blocks * _BLOCK,
        uid=status.st_uid,
        gid=status.st_gid,
        mode=stat.S_IMODE(status.st_mode),
    )


def owner(directory: str) -> dict[str, int]:
    """uid, gid and mode of the directory itself."""
    status = os.stat(directory)
    return {"uid": status.st_uid, "gid": status.st_gid, "mode": stat.S_IMODE(status.st_mode)}


def holders(paths: Iterable[str], processes: str = "/proc", blocks: str = "/sys/block") -> tuple[str, ...]:
    """Processes ('pid name') that have one of *paths* open, of any mount namespace, and loop devices ('/dev/loop0').

    They are found by device and inode, so that a file renamed meanwhile is still found. A loop device is the kernel's
    own use of a file: no process has it open.
    """
    paths = tuple(paths)
    wanted = _identities(paths)
    if not wanted:
        return ()
    found = (one for one in Path(processes).iterdir() if one.name.isdigit() and _holds(one, wanted))
    return (*sorted(f"{one.name} {_command_name(one)}" for one in found), *loops(paths, blocks))


def loops(paths: Iterable[str], blocks: str = "/sys/block") -> tuple[str, ...]:
    """Loop devices ('/dev/loop0') that stand on one of *paths*. They come and go while we look."""
    wanted, found = _identities(paths), []
    for one in Path(blocks).glob("loop*/loop/backing_file"):
        try:
            backing = one.read_text(encoding="utf-8", errors="surrogateescape").rstrip("\n")
        except OSError:
            continue
        if _identities([backing]) & wanted:
            found.append(f"/dev/{one.parent.parent.name}")
    return tuple(sorted(found))


def _identities(paths: Iterable[str]) -> frozenset[tuple[int, int]]:
    found = set()
    for path in paths:
        try:
            status = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        found.add((status.st_dev, status.st_ino))
    return frozenset(found)


def _holds(process: Path, wanted: Collection[tuple[int, int]]) -> bool:
    """Processes come and go while we look: one that is gone holds nothing."""
    try:
        descriptors = list(os.scandir(process / "fd"))
    except OSError:
        return False
    for descriptor in descriptors:
        try:
            status = os.stat(descriptor.path)
        except OSError:
            continue
        if (status.st_dev, status.st_ino) in wanted:
            return True
    return False


def _command_name(process: Path) -> str:
    try:
        return (process / "comm").read_text(encoding="utf-8").strip()
    except OSError:
        return "(gone)"


def rename(origin: str, target: str) -> None:
    """Rename durably, within one file system. Done already is no error; what is not ours is never replaced.

    Raises Refused(PATH_TAKEN) when both exist, MobilityError(PATH_LOST) when neither does.
    """
    if os.path.lexists(target):
        if os.path.lexists(origin):
            raise Refused(
                "PATH_TAKEN",
                target,
                f"exists, so {origin} cannot be renamed to it; what is there is not ours to remove.",
                "Look what it is and move it away.",
            )
        return
    try:
        os.rename(origin, target)
    except FileNotFoundError:
        raise MobilityError(
            "PATH_LOST", origin, f"is gone, and {target} is not there either.", "Look for it before anything else."
        ) from None
    sync_directory(Path(target).parent)
    if os.path.dirname(origin) != os.path.dirname(target):
        sync_directory(Path(origin).parent)


def make_room(path: str) -> None:
    """Make a directory that only root can look into. Ours already is no error.

    Raises Refused(PATH_TAKEN) for what somebody else put there, such as a link that leads elsewhere.
    """
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        status = os.lstat(path)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            raise Refused(
                "PATH_TAKEN", path, "exists and is not a directory of root's.", "Look what it is and move it away."
            ) from None
    sync_directory(Path(path).parent)


def remove_room(path: str) -> None:
    """Remove an empty directory. Gone already is no error; raises MobilityError(REMOVAL_FAILED) when it holds more."""
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise MobilityError(
            "REMOVAL_FAILED",
            path,
            f"could not be removed: {error.strerror}.",
            "Look what is in it, and remove it by hand; then run this again.",
        ) from None
    sync_directory(Path(path).parent)


def remove(path: str) -> bool:
    """Remove a directory and what is in it; whether it was there.

    Raises MobilityError(REMOVAL_FAILED) when some of it stays.
    """
    if not os.path.lexists(path):
        return False
    problems: list[str] = []

    def note(_function: object, where: str, reason: tuple[object, BaseException, object]) -> None:
        problems.append(f"{where}: {reason[1]}")

    for _attempt in range(_REMOVAL_ATTEMPTS):  # a receiver that is just ending may still make a file
        problems.clear()
        shutil.rmtree(path, onerror=note)
        if not os.path.lexists(path):
            break
    if os.path.lexists(path):
        raise MobilityError(
            "REMOVAL_FAILED",
            path,
            f"could not be removed: {'; '.join(problems[:3]) or 'it is still there'}.",
            "Remove it by hand and run this again; the migration stays as it is until then.",
        )
    sync_directory(Path(path).parent)
    return True


def remove_files(directory: str, names: Iterable[str]) -> None:
    """Remove the files *names* of *directory* and leave all else in it. Gone already is no error.

    Raises MobilityError(REMOVAL_FAILED).
    """
    for name in names:
        path = os.path.join(directory, name)
        try:
            os.unlink(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise MobilityError(
                "REMOVAL_FAILED", path, f"could not be removed: {error.strerror}.", "Remove it by hand; run this again."
            ) from None
    sync_directory(Path(directory))


def close(directory: str) -> None:
    """Keep everybody but root out."""
    os.chown(directory, 0, 0)
    os.chmod(directory, 0o700)


def take_ownership(directory: str, wanted: Iterable[EntryFacts], uid: int, gid: int, mode: int) -> None:
    """Give *directory* and its entries the owner and mode they had on the source, as recorded.

    Until now an unprivileged user could write there. So the directory is closed first, and then nothing is trusted
    that could lead out of it: a link would hand somebody else's file over.
    Raises Refused(PATH_NOT_OURS) for an entry that is not a plain file with one name.
    """
    close(directory)
    for entry in wanted:
        path = Path(directory) / entry.name
        if not os.path.lexists(path):
            continue
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise Refused(
                "PATH_NOT_OURS", str(path), "is not a plain file with one name.", "Find out who put it there."
            )
        os.chown(path, entry.uid, entry.gid)
        path.chmod(entry.mode)
    os.chown(directory, uid, gid)
    os.chmod(directory, mode)
