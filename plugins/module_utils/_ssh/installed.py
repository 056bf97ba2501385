# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts certificates, and the list of revoked ones, where sshd and ssh of this host use them.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ansible_collections.kvmops.mobility.plugins.module_utils._command import run
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import CommandFailed, MobilityError, Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._file.own import put
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect, Plan
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh import account as accounts
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.identity import NAME
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.truth import program

_ETC = "/etc/ssh"
SERVER = f"{_ETC}/sshd_config.d/10-kvmops-mobility.conf"
CLIENT = f"{_ETC}/ssh_config.d/10-kvmops-mobility.conf"
REVOKED = f"{_ETC}/kvmops_mobility_revoked.krl"
PENDING = f"{_ETC}/kvmops_mobility_pending"
"""Is there while sshd has not read again what was written: who comes after a run that was killed lets it."""
_HEAD = "# Written by kvmops.mobility (role ssh_trust); a change made here is lost.\n"
_MODE = 0o644
_TIMEOUT_S = 30


@dataclass(frozen=True)
class File:
    """A file of root's, and what it has to hold; None: it must not be there."""

    path: str
    data: bytes | None

    @property
    def held(self) -> bytes | None:
        """What it holds."""
        try:
            with open(self.path, "rb") as handle:
                return handle.read()
        except FileNotFoundError:
            return None

    @property
    def fits(self) -> bool:
        """Whether that is it."""
        return self.held == self.data


def wanted(host_certificates: Mapping[str, str], revocations: str) -> list[File]:
    """The files of sshd and ssh, the list before those that name it: both refuse everything when it is not there."""
    certified = {f"{path[: -len('.pub')]}-cert.pub": text for path, text in host_certificates.items() if text}
    server = [f"HostCertificate {path}\n" for path in certified]
    server += [f"RevokedKeys {REVOKED}\n"] if revocations else []
    client = [f"RevokedHostKeys {REVOKED}\n"] if revocations else []
    krl = File(REVOKED, base64.b64decode(revocations) if revocations else None)
    settings = [File(SERVER, _text(server)), File(CLIENT, _text(client))]
    return [
        *(File(path, f"{text}\n".encode()) for path, text in certified.items()),
        *([krl, *settings] if revocations else [*settings, krl]),
    ]


def _text(lines: list[str]) -> bytes | None:
    return (_HEAD + "".join(lines)).encode() if lines else None


def plan(context: Context) -> Plan:
    """Write what differs, let sshd judge it, and let sshd read it again."""
    params = context.params
    files = wanted(params["host_certificates"], params["revocations"])
    differ = [one for one in files if not one.fits]
    users = list(_users(params["user_certificates"], context.check))
    effects = [
        Effect("user", f"write the certificate of {name}", partial(_write_user, name, text)) for name, text in users
    ]
    if differ or os.path.exists(PENDING):
        what = f"write {', '.join(one.path for one in differ)}" if differ else "let sshd read its settings again"
        effects.append(Effect("sshd", what, lambda: _apply(differ)))
    return Plan(
        tuple(effects),
        before={one.path: _shown(one.held) for one in differ},
        after={one.path: _shown(one.data) for one in differ},
    )


def _shown(data: bytes | None) -> str:
    return "" if data is None else data.decode("ascii", "replace") if data.isascii() else f"{len(data)} bytes"


def _users(certificates: Mapping[str, str], check: bool) -> Iterator[tuple[str, str]]:
    for name, text in certificates.items():
        try:
            held = accounts.read(accounts.account(name), f"{NAME}-cert.pub")
        except MobilityError:
            if not check:
                raise
            held = None
        if text and held != f"{text}\n".encode():
            yield name, text


def _write_user(name: str, text: str) -> None:
    accounts.write(accounts.account(name), f"{NAME}-cert.pub", f"{text}\n".encode(), _MODE)


def _apply(files: list[File]) -> None:
    """All of them or none: what sshd would refuse is taken back. Raises Refused(SSHD_CONFIG_REFUSED)."""
    before = [File(one.path, one.held) for one in files]
    _put(File(PENDING, b""))
    for one in files:
        _put(one)
    try:
        run([program(), "-t"], timeout_s=_TIMEOUT_S)
        _be_read(files)
    except MobilityError as error:
        for one in (*reversed(before), File(PENDING, None)):
            _put(one)
        if isinstance(error, CommandFailed):
            raise Refused(
                "SSHD_CONFIG_REFUSED",
                SERVER,
                f"sshd does not take it, and everything is as it was: {' '.join(error.message.split())}",
                "Mend sshd's configuration on this host, then run it again.",
            ) from None
        raise
    _reload()
    _put(File(PENDING, None))


def _put(file: File) -> None:
    put(Path(file.path), file.data, _MODE)


def _be_read(files: list[File]) -> None:
    """A configuration without the Include line never sees ours. Raises Refused(SSHD_CONFIG_REFUSED)."""
    server = next((one for one in files if one.path == SERVER), None)
    if server is None or server.data is None:
        return
    effective = run([program(), "-T"], timeout_s=_TIMEOUT_S).stdout.lower()
    lines = [one.lower() for one in server.data.decode("ascii").splitlines() if not one.startswith("#")]
    if not all(one in effective for one in lines):
        raise Refused(
            "SSHD_CONFIG_REFUSED",
            SERVER,
            "sshd does not read it, and everything is as it was.",
            f"Put this line first in {_ETC}/sshd_config: Include {_ETC}/sshd_config.d/*.conf",
        )


def _reload() -> None:
    """Debian calls it ssh, others sshd; a socket-activated one reads its files at each connection anyway."""
    for unit in ("ssh.service", "sshd.service"):
        state = run(["systemctl", "is-active", unit], timeout_s=_TIMEOUT_S, accept=range(256))
        if state.stdout.strip() in ("active", "reloading"):
            run(["systemctl", "reload", unit], timeout_s=_TIMEOUT_S)
            return
