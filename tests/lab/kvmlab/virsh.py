# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt and the guest agent on a host, through virsh inside it."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

from .config import LabError
from .host import Host
from .run import wait_for

VIRSH = ("virsh", "--quiet", "--connect", "qemu:///system")


def virsh(host: Host, *words: str, stdin: str | None = None, timeout_s: int = 60) -> str:
    """Run one virsh command that has to succeed."""
    return host.exec([*VIRSH, *words], stdin=stdin, timeout_s=timeout_s).stdout


def guest_states(host: Host) -> dict[str, str]:
    """All guests a host knows, with libvirt's word for their state."""
    states = {}
    for line in virsh(host, "list", "--all").splitlines():
        _id, name, state = line.split(maxsplit=2)
        states[name] = state.strip()
    return states


def agent(host: Host, name: str, command: str, arguments: dict[str, object], timeout_s: int = 10) -> Any:
    """One guest agent command and its answer."""
    request = json.dumps({"execute": command, "arguments": arguments})
    answer = virsh(host, "qemu-agent-command", "--timeout", str(timeout_s), name, request, timeout_s=timeout_s + 5)
    return json.loads(answer)["return"]


def wait_for_agent(host: Host, name: str, timeout_s: float) -> None:
    """Wait until the guest's agent answers."""
    ping = [*VIRSH, "qemu-agent-command", "--timeout", "2", name, '{"execute": "guest-ping"}']
    wait_for(
        f"the agent of guest {name} on {host.name}",
        lambda: host.exec(ping, check=False, timeout_s=10).returncode == 0,
        timeout_s=timeout_s,
        interval_s=0.2,
    )


def agent_exec(host: Host, name: str, argv: list[str], timeout_s: float) -> str:
    """Run a program in the guest and return what it printed."""
    request: dict[str, object] = {"path": argv[0], "arg": argv[1:], "capture-output": True}
    pid: int = agent(host, name, "guest-exec", request)["pid"]
    deadline = time.monotonic() + timeout_s
    while True:
        status = agent(host, name, "guest-exec-status", {"pid": pid})
        if status["exited"]:
            break
        if time.monotonic() > deadline:
            raise LabError(f"waited {timeout_s:g} s for `{' '.join(argv)}` in guest {name}")
        time.sleep(0.2)
    if status.get("exitcode") != 0:
        raise LabError(f"`{' '.join(argv)}` in guest {name} ended with {status.get('exitcode')}")
    return base64.b64decode(status.get("out-data", "")).decode()
