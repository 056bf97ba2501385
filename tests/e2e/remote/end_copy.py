# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run on a host of the lab: ends the rsync that copies to a directory, as a crash of it would."""

from __future__ import annotations

import os
import pathlib
import signal


def main(directory: str) -> list[int]:
    """Kill the processes called rsync that have *directory* among their arguments; their ids."""
    ended = []
    for process in pathlib.Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if os.path.basename(words[0]) == "rsync" and any(directory in word for word in words):
            os.kill(int(process.name), signal.SIGKILL)
            ended.append(int(process.name))
    return ended
