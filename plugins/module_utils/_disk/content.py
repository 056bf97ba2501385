# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A digest of what a guest sees on its disk, whatever the file around it looks like.

The same contents have the same digest in every format and layout: a mirrored qcow2 has other bytes than its source, and
a backing chain may have become one file. It is counted like that of a file (_disk/digest.py), over the virtual disk.

This file is also a program of its own (C(main())), for the unit that counts while nobody waits.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.kvmops.mobility.plugins.module_utils._command import Child, run, running
from ansible_collections.kvmops.mobility.plugins.module_utils._disk import digest, image, nbd
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError

_MAP_S = 600
_READY_S = 30
_POLL_S = 0.02
_AT_ONCE = 4
"""Images that are read at the same time: more only compete for the storage."""
_SECTOR = 512


@dataclass(frozen=True)
class Disk:
    """An image whose contents are counted."""

    name: str
    """What its digest is called by."""
    path: str
    format: str
    backing: Sequence[tuple[str, str]] | None = None
    """Path and format of its backing files, the nearest first; None: those that the headers name."""

    def named(self) -> tuple[str, ...]:
        """What qemu-img and qemu-nbd are told to open."""
        if self.backing is None:
            return (f"--format={self.format}", "--", self.path)
        return ("--", image.named_chain([(self.path, self.format), *self.backing]))


def digests(disks: Sequence[Disk]) -> Mapping[str, str]:
    """The digest of the contents of each, by name. Raises MobilityError(DIGEST_FAILED)."""
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        counting = {one.name: pool.submit(_explained, one) for one in disks}
        return {name: future.result() for name, future in counting.items()}


def _explained(disk: Disk) -> str:
    try:
        return _of_file(disk.path) if disk.format == "raw" else _of_image(disk)
    except (OSError, MobilityError) as error:
        raise MobilityError(
            "DIGEST_FAILED", disk.path, f"its contents cannot be read: {error}.", "Look at the storage it is on."
        ) from error


def _of_file(path: str) -> str:
    """A raw image is its own contents. Its last sector is a whole one to the guest, as it is in a copy of it."""
    with open(path, "rb", buffering=0) as opened:
        descriptor = opened.fileno()
        size = os.fstat(descriptor).st_size
        whole = -(-size // _SECTOR) * _SECTOR

        def read(offset: int, length: int) -> bytes:
            return os.pread(descriptor, length, offset).ljust(length, b"\0")

        return digest.over(whole, digest.extents(descriptor, size), read)


def _of_image(disk: Disk) -> str:
    with _exported(disk) as reader:
        return digest.over(reader.size, _extents(disk), reader.read)


def _extents(disk: Disk) -> Iterator[tuple[int, int]]:
    """What of the virtual disk may hold anything but zeros, through the whole backing chain."""
    argv = ("qemu-img", "map", "--output=json", *disk.named())
    for one in json.loads(run(argv, timeout_s=_MAP_S).stdout):
        if one["data"] and not one["zero"]:
            yield one["start"], one["start"] + one["length"]


@contextmanager
def _exported(disk: Disk) -> Iterator[nbd.Reader]:
    """The disk as QEMU itself reads it, at a socket in a directory that nobody else can enter."""
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="kvmops-"))
        path = str(Path(directory) / "nbd")
        argv = ("qemu-nbd", "--read-only", f"--socket={path}", "--shared=1", *disk.named())
        server = stack.enter_context(running(argv))
        yield _reached(stack, path, server)


def _reached(stack: ExitStack, path: str, server: Child) -> nbd.Reader:
    began = time.monotonic()
    while True:
        try:
            return stack.enter_context(nbd.connected(path))
        except OSError:  # it has not got so far yet, or it found what it cannot open
            if server.ended() or time.monotonic() - began >= _READY_S:
                raise OSError(f"qemu-nbd does not serve it: {server.words() or 'it says nothing'}") from None
            time.sleep(_POLL_S)


def main(words: Sequence[str]) -> int:
    """Count what the JSON file *words[0]* lists, and print the digests; the exit code."""
    listed = json.loads(Path(words[0]).read_text(encoding="utf-8"))
    disks = [Disk(**one) for one in listed["disks"]]
    try:
        sys.stdout.write(json.dumps(digests(disks)) + "\n")
    except MobilityError as error:
        sys.stderr.write(f"{error.subject}: {error.message}\n")
        return 1
    return 0
