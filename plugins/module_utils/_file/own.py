# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of root's own, where nobody else writes: read as a whole, put in their places, taken away.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from ansible_collections.kvmops.mobility.plugins.module_utils._file.durable import write_durably


def text_of(path: Path, errors: str = "replace") -> str:
    """What is in it; empty when it is not there. *errors* says what becomes of bytes that are no text."""
    try:
        return path.read_text(encoding="utf-8", errors=errors)
    except FileNotFoundError:
        return ""


def put(path: Path, data: bytes | None, mode: int) -> None:
    """Make it hold *data*, durably, in a directory that is made when it is missing; None: it must not be there."""
    if data is None:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        return
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    write_durably(path, data, mode)
