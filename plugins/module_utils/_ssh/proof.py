# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proves from this host that it can do on another one what a migration will do there, and says why not.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import os
import secrets
import shlex
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._command import run
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import CommandFailed, MobilityError
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.transport import Transport, uri
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Plan
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh import errors, identity
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.known_hosts_file import stored_fingerprint
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer import rsync

SSH, RSYNC, SOCKET, LIBVIRT, TLS, TCP, PORTS = "ssh", "rsync", "socket", "libvirt", "tls", "tcp", "ports"
PARTS = (SSH, RSYNC, SOCKET, LIBVIRT, TLS, TCP, PORTS)
USUAL = (SSH, RSYNC, SOCKET, LIBVIRT)
"""Those of every trust; the ports are of live migrations alone."""
_WITHOUT_LOGIN = (LIBVIRT, TLS, TCP, PORTS)
"""These do not go as the user."""
_FIRST_PORT = 49152
"""QEMU listens on it and those above, unless migration_port_min of qemu.conf says another (libvirt's default)."""
_PORT_S = 3
_AT_ONCE = 8
_TIMEOUT_S = 20
_POLL_S = 0.05
_FAILED = {
    SSH: ("SSH_AUTH_REFUSED", "See the log of sshd there, and the shell of the user."),
    RSYNC: ("RSYNC_REFUSED", "See that rsync is installed on both, and that the user's home there can be written."),
    SOCKET: ("SSH_FORWARDING_REFUSED", "See AllowStreamLocalForwarding and DisableForwarding in its sshd_config."),
    LIBVIRT: (
        "LIBVIRT_REFUSED",
        "See that libvirt answers root there, that virt-ssh-helper or netcat is there, and that no start-up file of "
        "root's shell (.bashrc) prints anything: libvirt takes it for a packet that is too large.",
    ),
    TLS: ("LIBVIRT_REFUSED", "See the log of libvirt there, which says why, and the certificates of both."),
    TCP: ("LIBVIRT_REFUSED", "See the log of libvirt there, and that root here has an account of SASL (auth.conf)."),
}
_TOKEN_BYTES = 32
_LISTENER = """
import os, socket, sys
os.umask(0o077)
path = sys.argv[1]
listener = socket.socket(socket.AF_UNIX)
listener.settimeout(15)
try:
    listener.bind(path)
    listener.listen(1)
    link = listener.accept()[0]
    link.settimeout(15)
    got = b""
    while len(got) < %d:
        more = link.recv(64)
        if not more:
            break
        got += more
    link.sendall(got[::-1])
    link.close()
finally:
    os.unlink(path)
"""


@dataclass(frozen=True)
class Target:
    """Whom to reach, and as whom."""

    name: str
    address: str
    port: int
    user: str
    identity: identity.Identity
    listen_port: int = 0
    """Of libvirt's listener there; 0: its own."""
    migration_port: int = _FIRST_PORT
    """The first that QEMU listens on there."""

    @property
    def ssh(self) -> tuple[str, ...]:
        """The very ssh that the copy uses."""
        return rsync.ssh_argv(self.peer(""))

    @property
    def login(self) -> str:
        """User and address, as ssh takes them."""
        return f"{self.user}@{self.address}"

    def peer(self, directory: str) -> rsync.Peer:
        """The other side of a copy into *directory*."""
        return rsync.Peer(
            address=self.address,
            user=self.user,
            directory=directory,
            port=self.port,
            identity_file=self.identity.identity_file,
            known_hosts_file=self.identity.known_hosts_file,
        )


@dataclass(frozen=True)
class Proof:
    """One thing that was tried."""

    part: str
    ok: bool
    seconds: float
    code: str = ""
    message: str = ""
    remedy: str = ""


def plan(context: Context) -> Plan:
    """Every peer, several at once. Nothing is changed here; what is written there is taken away again."""
    params = context.params
    found = identity.of(params["user"], params["identity_file"], params["known_hosts_file"])
    ports = (params["listen_port"], params["migration_port"])
    targets = [_target(one, params["user"], found, *ports) for one in params["peers"]]
    wanted = [part for part in PARTS if part in params["parts"]]
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        proofs = list(pool.map(lambda one: list(prove(one, wanted, context.monotonic)), targets))
    return Plan(result={"proofs": [_result(one, parts) for one, parts in zip(targets, proofs)]})


def _target(peer: Mapping[str, Any], user: str, found: identity.Identity, *ports: int) -> Target:
    return Target(peer["name"], peer["address"], peer["port"], peer["user"] or user, found, *ports)


def _result(target: Target, proofs: Sequence[Proof]) -> Mapping[str, Any]:
    worst = next((one for one in proofs if not one.ok), None)
    return {
        "peer": target.name,
        "ok": worst is None,
        "code": worst.code if worst else "",
        "message": worst.message if worst else "",
        "remedy": worst.remedy if worst else "",
        "parts": [asdict(one) for one in proofs],
    }


def prove(target: Target, parts: Sequence[str], monotonic: Callable[[], float]) -> Iterator[Proof]:
    """Each part; what needs a login is not tried again where the login failed."""
    failed: Proof | None = None
    for part in parts:
        if failed and part not in _WITHOUT_LOGIN:
            yield Proof(part, False, 0.0, failed.code, failed.message, failed.remedy)
            continue
        began = monotonic()
        try:
            _ATTEMPTS[part](target)
        except MobilityError as error:
            proof = Proof(part, False, round(monotonic() - began, 3), error.code, error.message, error.remedy)
            failed = failed or (proof if part == SSH else None)
        else:
            proof = Proof(part, True, round(monotonic() - began, 3))
        yield proof


def _run(target: Target, argv: Sequence[str], what: str, timeout_s: float = _TIMEOUT_S) -> str:
    try:
        return run(argv, timeout_s=timeout_s).stdout
    except CommandFailed as error:
        raise _explained(target, what, error) from None


def _explained(target: Target, what: str, error: CommandFailed) -> MobilityError:
    """ssh's own reason where there is one, else what could not be done."""
    if error.code != "COMMAND_FAILED":
        return error
    words = error.message.partition(": ")[2]  # without the exit code
    failure = errors.parse_error(words, target.address)
    if failure is not None:
        return errors.as_error(errors.with_stored(failure, stored_fingerprint), target.name)
    code, remedy = _FAILED[what]
    return MobilityError(code, target.name, f"{what}: {' '.join(error.message.split())}", remedy)


def _ssh(target: Target) -> None:
    _run(target, [*target.ssh, target.login, "true"], SSH)


def _rsync(target: Target) -> None:
    """A small file there, and away again."""
    there = f"kvmops-proof-{secrets.token_hex(6)}"
    with tempfile.NamedTemporaryFile(prefix="kvmops-proof-") as file:
        file.write(secrets.token_bytes(4096))
        file.flush()
        copy = rsync.Copy((file.name,), target.peer(there), compress=False, bandwidth_mib_s=0, resume=False)
        try:
            _run(target, rsync.copy_argv(copy), RSYNC)
        finally:
            _run(target, [*target.ssh, target.login, shlex.join(["rm", "-rf", "--", there])], RSYNC)


def _socket(target: Target) -> None:
    """Bytes there and back through a UNIX socket that ssh forwards, as a mirrored disk goes."""
    there = f"/tmp/kvmops-proof-{secrets.token_hex(8)}"
    with tempfile.TemporaryDirectory(prefix="kvmops-proof-") as scratch, ThreadPoolExecutor(max_workers=1) as aside:
        here = os.path.join(scratch, "socket")
        forward = ["-o", "ExitOnForwardFailure=yes", "-L", f"{here}:{there}"]
        listen = shlex.join(["python3", "-c", _LISTENER % _TOKEN_BYTES, there])
        tunnel = aside.submit(_run, target, [*target.ssh, *forward, target.login, listen], SOCKET)
        token = secrets.token_bytes(_TOKEN_BYTES)
        answer = _exchanged(here, token, tunnel)
        tunnel.result()
    if answer != token[::-1]:
        raise MobilityError(
            "SSH_FORWARDING_REFUSED",
            target.name,
            "a forwarded socket does not carry what is sent through it.",
            _FAILED[SOCKET][1],
        )


def _exchanged(path: str, token: bytes, tunnel: Future[str]) -> bytes:
    """What comes back for *token*; empty when the tunnel ended without an answer."""
    while not tunnel.done():
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(_TIMEOUT_S)
            try:
                link.connect(path)
                link.sendall(token)
                answer = _all(link)
            except OSError:
                answer = b""  # not yet forwarded, or the listener there not yet ready
        if answer:
            return answer
        time.sleep(_POLL_S)
    return b""


def _all(link: socket.socket) -> bytes:
    got = b""
    while len(got) < _TOKEN_BYTES:
        more = link.recv(64)
        if not more:
            break
        got += more
    return got


def _libvirt(target: Target) -> None:
    """What libvirt does for a peer-to-peer migration: root's ssh, with root's own files."""
    _ask(target, LIBVIRT, uri(Transport.SSH, target.address, target.port))


def _tls(target: Target) -> None:
    """A handshake of both certificates, by the address that is used for moves."""
    _ask(target, TLS, uri(Transport.TLS, target.address, target.listen_port))


def _tcp(target: Target) -> None:
    """As whom root's auth.conf says; nobody is asked."""
    _ask(target, TCP, uri(Transport.TCP, target.address, target.listen_port))


def _ask(target: Target, part: str, where: str) -> None:
    _run(target, ["virsh", "-c", where, "hostname"], part)


def _ports(target: Target) -> None:
    """Whether a firewall lets the memory of a guest through. Mostly nobody listens there, and that is an answer too."""
    try:
        socket.create_connection((target.address, target.migration_port), timeout=_PORT_S).close()
    except ConnectionRefusedError:
        return
    except OSError as error:
        raise MobilityError(
            "LIVE_PORTS_CLOSED",
            target.name,
            f"its port {target.migration_port} does not answer: {error.strerror or error}.",
            "Let the source through to the ports there that its qemu.conf names, or else to 49152 to 49215.",
        ) from None


_ATTEMPTS: Mapping[str, Callable[[Target], None]] = {
    SSH: _ssh,
    RSYNC: _rsync,
    SOCKET: _socket,
    LIBVIRT: _libvirt,
    TLS: _tls,
    TCP: _tcp,
    PORTS: _ports,
}
