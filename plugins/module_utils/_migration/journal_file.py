# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing a journal: each line is on disk when the call returns, and has its place there beforehand.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils import _command
from ansible_collections.kvmops.mobility.plugins.module_utils._file.durable import sync_directory, write_all
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import (
    JOURNAL,
    Entry,
    Event,
    Phase,
    Step,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.store import Store

RESERVED = 128 * 1024
"""Bytes that a journal is given when it begins, several times what a migration writes: a disk that fills up later
must not keep anybody from taking back what was begun on it."""
_RESERVE_S = 30


class Journal:
    """Appends to one journal file; every line is on disk when the call returns."""

    def __init__(self, store: Store, migration_id: str, phase: Phase, step: Step, clock: Callable[[], float]) -> None:
        self._id = migration_id
        self._store = store
        self._phase = phase
        self._step = step
        self._clock = clock

    def write(
        self,
        event: Event,
        effect: str = "",
        undo: Mapping[str, Any] | None = None,
        result: Mapping[str, Any] | None = None,
    ) -> Entry:
        """Append one line and wait until the disk has it. Raises OSError when it cannot be kept."""
        entry = Entry(self._clock(), self._phase, self._step, event, effect, undo, result or {})
        self._store.reopen(self._id)
        path = self._store.migration(self._id) / JOURNAL
        self._store.make(path.parent)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fresh = os.fstat(descriptor).st_size == 0
            if fresh:
                _reserve(path, RESERVED)
            _drop_torn_line(descriptor)
            write_all(descriptor, json.dumps(entry.as_result(), sort_keys=True).encode() + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if fresh:
            sync_directory(path.parent)
        return entry


def _drop_torn_line(descriptor: int) -> None:
    """Without this, the next line would be glued to what a power loss left and both would be lost."""
    size = os.fstat(descriptor).st_size
    if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n":
        return
    whole = os.pread(descriptor, size, 0)
    os.ftruncate(descriptor, whole.rfind(b"\n") + 1)


def _reserve(path: Path, size: int) -> None:
    """Give *path*, which stays as long as it is, blocks for *size* bytes, so that what is appended later always fits.

    A file system that cannot promise blocks is left without. Raises OSError (ENOSPC) when it has not so many, and
    CommandFailed without fallocate (util-linux).
    """
    argv = ["fallocate", "--keep-size", "--length", str(size), str(path)]
    done = _command.run(argv, timeout_s=_RESERVE_S, accept=(0, 1))
    if os.strerror(errno.ENOSPC) in done.stderr:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
