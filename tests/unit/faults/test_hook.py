# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stops whom: a line of a journal, words in a file that is replaced whole. In a process that stops itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kvmfaults import hook

LINE = {"phase": "move", "step": "live", "event": "begin", "effect": "live"}
TOLD = {"file": "live.json", "words": '"paused": true'}
PROGRAM = """
import importlib.util, os, sys
spec = importlib.util.spec_from_file_location("hook", sys.argv[1])
hook = importlib.util.module_from_spec(spec)
spec.loader.exec_module(hook)
hook.ARMED, hook.TAKEN, hook.STOPPED = (f"{sys.argv[2]}/{name}" for name in ("armed", "taken", "stopped"))
hook.install()
for name, text in zip(sys.argv[3::2], sys.argv[4::2]):
    if name == "journal.jsonl":
        descriptor = os.open(f"{sys.argv[2]}/{name}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(descriptor, text.encode())
        os.close(descriptor)
    else:
        with open(f"{sys.argv[2]}/new", "w") as file:
            file.write(text)
        os.replace(f"{sys.argv[2]}/new", f"{sys.argv[2]}/{name}")
"""


def stops(directory: Path, wanted: dict[str, Any], *written: str) -> bool:
    """Whether a process that writes that is stopped, and says who it is."""
    (directory / "armed").write_text(json.dumps(wanted))
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, hook.__file__, str(directory), *written])
    _pid, status = os.waitpid(process.pid, os.WUNTRACED)
    if not os.WIFSTOPPED(status):
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        return False
    stopped = json.loads((directory / "stopped").read_text())
    assert stopped["pid"] == process.pid
    assert not (directory / "armed").exists()
    process.send_signal(signal.SIGCONT)
    assert process.wait(20) == 0
    return True


@pytest.mark.parametrize(
    ("wanted", "name", "text", "stopped"),
    [
        (LINE, "journal.jsonl", json.dumps({**LINE, "at": 1}) + "\n", True),
        (LINE, "journal.jsonl", json.dumps({**LINE, "event": "end"}) + "\n", False),
        (LINE, "live.json", json.dumps(LINE), False),
        (TOLD, "live.json", json.dumps({"paused": True}), True),
        (TOLD, "live.json", json.dumps({"paused": False}), False),
        (TOLD, "tuning.json", json.dumps({"paused": True}), False),
    ],
)
def test_who_stops(tmp_path: Path, wanted: dict[str, Any], name: str, text: str, stopped: bool) -> None:
    assert stops(tmp_path, wanted, name, text) is stopped


def test_only_the_first_one_stops(tmp_path: Path) -> None:
    told = json.dumps({"paused": True})
    assert stops(tmp_path, TOLD, "live.json", "{}", "live.json", told, "live.json", told)
