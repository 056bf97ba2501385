# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds out whether two hypervisors see the same storage: a file of random contents, planted and looked for.

Comparing names or file system ids guesses; Nova's wrong guesses deleted disks (Launchpad 1418855, 2080436). Anything
but a clear answer is C(unknown), and unknown stops the move.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import contextlib
import enum
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Effect

_PREFIX = ".kvmops-probe-"
_STALE_S = 3600


class Seen(enum.Enum):
    """Whether storage is shared."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


def plant(directory: str, clock: Callable[[], float]) -> str:
    """Plant a probe and return its token, empty when the directory cannot be written.

    What an aborted run left is swept: probes are ours by their name, and one older than an hour is nobody's.
    """
    token = secrets.token_hex(16)
    try:
        _sweep(Path(directory), clock() - _STALE_S)
        descriptor = os.open(_path(directory, token), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError:
        return ""
    with os.fdopen(descriptor, "w", encoding="ascii") as probe:
        probe.write(token)
        probe.flush()
        os.fsync(probe.fileno())
    return token


def planting(directories: Sequence[str], clock: Callable[[], float]) -> tuple[Effect, ...]:
    """The effect of planting one in each of *directories*; its result has the tokens as C(probes)."""

    def work() -> dict[str, Any]:
        return {"probes": {where: plant(where, clock) for where in directories}}

    return (Effect("plant", f"plant a probe in {', '.join(directories)}", work),) if directories else ()


def _sweep(directory: Path, before: float) -> None:
    for one in directory.glob(_PREFIX + "*"):
        if one.lstat().st_mtime < before:
            one.unlink()


def pull(directory: str, token: str) -> None:
    """Remove the probe; that it is gone already is no error."""
    with contextlib.suppress(FileNotFoundError):
        _path(directory, token).unlink()


def seen(directory: str, token: str) -> Seen:
    """Whether the probe planted elsewhere is visible here."""
    if not directory or not token:
        return Seen.UNKNOWN
    try:
        found = _path(directory, token).read_text(encoding="ascii")
    except (FileNotFoundError, NotADirectoryError):
        return Seen.NO
    except (OSError, UnicodeDecodeError):
        return Seen.UNKNOWN
    return Seen.YES if found == token else Seen.UNKNOWN


def seen_any(probes: Mapping[str, str]) -> Seen:
    """Whether one of the probes (token by directory) is visible here; C(NO) only when none of them can be."""
    found = {seen(directory, token) for directory, token in probes.items()} or {Seen.UNKNOWN}
    return next(one for one in (Seen.YES, Seen.UNKNOWN, Seen.NO) if one in found)


def _path(directory: str, token: str) -> Path:
    return Path(directory) / f"{_PREFIX}{token}"
