# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trouble on purpose: a link that is cut or slow, a host that loses power.

Nothing is recorded: whether a link is cut or shaped is asked of the kernel, so that `status` cannot be wrong.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time

from .config import LabError
from .host import Host
from .run import run

_DISABLED, _FORWARDING = "0", "3"
"""Port states of the kernel's bridge: a disabled port passes no frame in either direction, and keeps its carrier."""
_INSIDE = "host0"
_MAX_SECONDS = 3600


def cut(host: Host, seconds: float | None) -> None:
    """Cut the host's link both ways, silently, as a broken switch does; heals by itself after *seconds*."""
    if seconds is not None and not 0 < seconds <= _MAX_SECONDS:
        raise LabError(f"{seconds:g} seconds: give more than 0 and up to {_MAX_SECONDS}")
    _set_port(host, _DISABLED)
    if seconds is not None:
        subprocess.Popen(
            [sys.executable, "-m", "kvmlab", "heal", host.name, "--after", str(seconds)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


def heal(host: Host, after_s: float = 0) -> None:
    """Let frames pass again."""
    time.sleep(after_s)
    if _has_port(host):
        _set_port(host, _FORWARDING)


def shape(host: Host, mbit: int) -> None:
    """Limit the host's link to so many megabits a second, each way; 0 takes the limit away."""
    if mbit < 0:
        raise LabError(f"{mbit} Mbit/s: give 0 or more")
    for enter, device in (([], host.port), (_in_network_of(host), _INSIDE)):
        if mbit:
            limit = ["tbf", "rate", f"{mbit}mbit", "burst", "256k", "latency", "50ms"]
            run([*enter, "tc", "qdisc", "replace", "dev", device, "root", *limit])
        else:
            run([*enter, "tc", "qdisc", "delete", "dev", device, "root"], check=False)


def troubles(host: Host) -> list[str]:
    """What is wrong with the host on purpose: cut, shaped, crashed."""
    if not host.made():
        return []
    if host.leader() is None:
        return ["crashed"]
    return [word for word, holds in (("cut", _is_cut(host)), ("shaped", _is_shaped(host))) if holds]


def put_right(host: Host) -> None:
    """Take every trouble but a crash away."""
    heal(host)
    if _is_shaped(host):
        shape(host, 0)


def _in_network_of(host: Host) -> list[str]:
    leader = host.leader()
    if leader is None:
        raise LabError(f"host {host.name} is down")
    return ["nsenter", f"--target={leader.pid}", "--net"]


def _has_port(host: Host) -> bool:
    return run(["ip", "link", "show", "dev", host.port], check=False).returncode == 0


def _set_port(host: Host, state: str) -> None:
    if not _has_port(host):
        raise LabError(f"host {host.name} has no link: it is down")
    run(["bridge", "link", "set", "dev", host.port, "state", state])


def _is_cut(host: Host) -> bool:
    shown = run(["bridge", "-json", "link", "show", "dev", host.port], check=False)
    ports = json.loads(shown.stdout) if shown.returncode == 0 and shown.stdout.strip() else []
    return any(port.get("state") == "disabled" for port in ports)


def _is_shaped(host: Host) -> bool:
    shown = run(["tc", "-json", "qdisc", "show", "dev", host.port], check=False)
    queues = json.loads(shown.stdout) if shown.returncode == 0 and shown.stdout.strip() else []
    return any(queue.get("kind") == "tbf" for queue in queues)
