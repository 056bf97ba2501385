# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run on a host of the lab: runs a program in a guest there, through its agent."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from typing import Any

_ENDS_S = 45


def main(payload: dict[str, Any]) -> str:
    """What *argv* printed in the guest *name*; it has to succeed."""
    path, *words = payload["argv"]
    began = {"path": path, "arg": words, "capture-output": True}
    process = agent(payload["name"], "guest-exec", began)["pid"]
    deadline = time.monotonic() + _ENDS_S
    while True:
        status = agent(payload["name"], "guest-exec-status", {"pid": process})
        if status["exited"]:
            break
        if time.monotonic() > deadline:
            raise SystemExit(f"{path} goes on in {payload['name']} after {_ENDS_S} s")
        time.sleep(0.1)
    if status.get("exitcode") != 0:
        raise SystemExit(f"{path} ended with {status.get('exitcode')} in {payload['name']}")
    return base64.b64decode(status.get("out-data", "")).decode()


def agent(name: str, command: str, arguments: dict[str, Any]) -> Any:
    """One command of the guest's agent and its answer."""
    request = json.dumps({"execute": command, "arguments": arguments})
    argv = ["virsh", "-q", "-c", "qemu:///system", "qemu-agent-command", "--timeout", "10", name, request]
    done = subprocess.run(argv, capture_output=True, check=True, text=True, timeout=20)
    return json.loads(done.stdout)["return"]
