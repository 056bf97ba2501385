# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a host's own public keys and names from its files: the truth that other hosts' known_hosts are made from.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import socket
from collections.abc import Sequence
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._command import run
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError, NotFound, Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Plan
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh import sshd
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.keys import fingerprint, parse_public

SSHD = ("/usr/sbin/sshd", "/usr/local/sbin/sshd", "/sbin/sshd")
NO_LOGIN = ("nologin", "false", "true")
_TIMEOUT_S = 20
_NOVA = "/etc/nova"


def plan(context: Context) -> Plan:
    """The facts; nothing changes."""
    settings = _settings(context)
    parallel, root = context.params["parallel_moves"], context.params["root"]
    return Plan(
        result={
            "host_keys": _keys(settings.host_keys),
            "hostname": socket.gethostname(),
            "fqdn": socket.getfqdn(),
            "addresses": list(_addresses()),
            "sshd": settings.as_result(),
            "limits": list(sshd.limits(settings, parallel, root)) if parallel else [],
            "has_nova": os.path.isdir(_NOVA),
            "users": {name: _user(name) for name in context.params["users"]},
        }
    )


def program() -> str:
    """Where sshd is; it wants to be called by its full path."""
    return next((one for one in SSHD if os.access(one, os.X_OK)), SSHD[0])


def _settings(context: Context) -> sshd.Settings:
    try:
        return sshd.parse(run([program(), "-T"], timeout_s=_TIMEOUT_S).stdout)
    except MobilityError as error:
        context.warn(f"sshd -T cannot be asked ({error}), so OpenSSH's defaults are taken for its settings")
        return sshd.Settings()


def _keys(private: Sequence[str]) -> list[dict[str, Any]]:
    """The public halves of sshd's host keys. Raises NotFound(HOST_KEYS_MISSING)."""
    found = []
    for path in (f"{one}.pub" for one in private):
        with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8", errors="replace") as handle:
            key = parse_public(handle.read())
            told = {"file": path, "type": key.type, "line": key.line, "fingerprint": fingerprint(key)}
            found.append({**told, "certificate": _certificate(path)})
    if not found:
        raise NotFound(
            "HOST_KEYS_MISSING",
            socket.gethostname(),
            f"none of sshd's host keys has its public half beside it: {', '.join(private)}.",
            "Make them again on this host: ssh-keygen -y -f KEY > KEY.pub.",
        )
    return found


def _certificate(public: str) -> str:
    """The certificate that is beside a public key; empty without one."""
    try:
        with open(f"{public[: -len('.pub')]}-cert.pub", encoding="utf-8", errors="replace") as handle:
            return handle.read().strip()
    except FileNotFoundError:
        return ""


def _addresses() -> tuple[str, ...]:
    """The addresses others may reach it by. Raises Refused(HOST_ADDRESSES_UNKNOWN)."""
    listing = run(["ip", "-json", "address", "show", "scope", "global"], timeout_s=_TIMEOUT_S).stdout
    try:
        links = json.loads(listing)
    except json.JSONDecodeError:
        raise Refused(
            "HOST_ADDRESSES_UNKNOWN",
            socket.gethostname(),
            "ip -json gave none.",
            "Install a newer iproute2.",
        ) from None
    # A temporary address (RFC 8981) is another one tomorrow.
    infos = [info for link in links for info in link.get("addr_info", ()) if not info.get("temporary")]
    return tuple(str(info["local"]) for info in infos if "local" in info)


def _user(name: str) -> dict[str, Any]:
    """An account of this host, if there is one."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return {"exists": False, "home": "", "shell": "", "can_log_in": False}
    return {
        "exists": True,
        "home": entry.pw_dir,
        "shell": entry.pw_shell,
        "can_log_in": os.path.basename(entry.pw_shell) not in NO_LOGIN,
    }
