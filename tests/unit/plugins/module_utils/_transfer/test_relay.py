# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Both ends of the way through TLS, as programs on the loopback, with certificates of real authorities."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._transfer import relay
from ansible_collections.kvmops.mobility.tests.certificates import Authority

HERE = "127.0.0.1"
STALL_S = "5"
_WAIT_S = 20


@dataclass(frozen=True)
class Certificates:
    """Directories: of the two hypervisors, and of those who should not get in."""

    source: Path
    destination: Path
    namesake: Path
    """Made for the source's name, by another authority; it trusts the destination's."""
    foreign: Path
    """Of another authority altogether."""
    other: Path
    """Of the same authority, for another name."""


def _trusting(authority: Authority, directory: Path) -> Path:
    (directory / "ca.pem").write_bytes(authority.certificate.read_bytes())
    return directory


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    root = tmp_path_factory.mktemp("pki")
    ours, foreign = Authority(root / "ours"), Authority(root / "foreign")
    return Certificates(
        source=ours.sign(root / "source", f"IP:{HERE}", "DNS:c1.example.com"),
        destination=ours.sign(root / "destination", f"IP:{HERE}"),
        namesake=_trusting(ours, foreign.sign(root / "namesake", f"IP:{HERE}")),
        foreign=foreign.sign(root / "elsewhere", f"IP:{HERE}"),
        other=ours.sign(root / "other", "DNS:c3.example.com"),
    )


class Bench:
    """The programs that run, and a server that stands for an export: it greets, and returns what it gets."""

    def __init__(self, root: Path, stack: ExitStack) -> None:
        self._root = root
        self._stack = stack
        self.clients = 0
        self.export = root / "export.sock"
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(self.export))
        listener.listen()
        threading.Thread(target=self._serve, args=(listener,), daemon=True).start()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _address = listener.accept()
            except OSError:
                return
            self.clients += 1
            client.sendall(b"hello")
            threading.Thread(target=self._echo, args=(client,), daemon=True).start()

    @staticmethod
    def _echo(client: socket.socket) -> None:
        with client:
            while data := client.recv(1 << 16):
                client.sendall(data)

    def program(self, certificates: Path, *words: str) -> subprocess.Popen[str]:
        """One end, ended with the test."""
        environment = {**os.environ, "CREDENTIALS_DIRECTORY": str(certificates)}
        argv = [sys.executable, relay.__file__, *words]
        one = subprocess.Popen(argv, env=environment, stderr=subprocess.PIPE, text=True)
        self._stack.callback(one.wait)
        self._stack.callback(one.terminate)
        return one

    def arrive(self, certificates: Path, peer: str = HERE) -> int:
        """The entrance; its port."""
        self.program(certificates, "arrive", HERE, peer, STALL_S, str(self._root), f"vda={self.export}")
        listed = self._root / "ports.json"
        self._until(listed)
        return int(json.loads(listed.read_text())["vda"])

    def leave(self, certificates: Path, port: int) -> Path:
        """The exit; its socket."""
        path = self._root / "exit.sock"
        self.program(certificates, "leave", HERE, HERE, STALL_S, f"{path}={port}")
        self._until(path)
        return path

    def refused(self, certificates: Path, port: int, peer: str = HERE) -> str:
        """What an exit says that is not let in."""
        one = self.program(certificates, "leave", HERE, peer, STALL_S, f"{self._root / 'exit.sock'}={port}")
        assert one.wait(_WAIT_S) == 1
        assert one.stderr is not None
        assert not (self._root / "exit.sock").exists()
        return one.stderr.read()

    @staticmethod
    def _until(path: Path) -> None:
        give_up = time.monotonic() + _WAIT_S
        while not path.exists():
            assert time.monotonic() < give_up, path
            time.sleep(0.02)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(tmp_path, stack)


def connected(path: Path) -> socket.socket:
    one = socket.socket(socket.AF_UNIX)
    one.settimeout(_WAIT_S)
    one.connect(str(path))
    return one


def received(one: socket.socket, length: int) -> bytes:
    got = b""
    while len(got) < length and (data := one.recv(1 << 16)):
        got += data
    return got


def test_what_goes_in_comes_out(bench: Bench, certificates: Certificates) -> None:
    path = bench.leave(certificates.source, bench.arrive(certificates.destination))
    sent = os.urandom(3 << 20)
    with connected(path) as one:
        assert received(one, 5) == b"hello"
        threading.Thread(target=one.sendall, args=(sent,), daemon=True).start()
        assert received(one, len(sent)) == sent
    assert bench.clients == 1  # the proof before was none of the export's


def test_a_peer_may_be_named_by_name(bench: Bench, certificates: Certificates) -> None:
    path = bench.leave(certificates.source, bench.arrive(certificates.destination, peer="C1.example.com"))
    with connected(path) as one:
        assert received(one, 5) == b"hello"


def test_each_side_learns_that_the_other_is_gone(bench: Bench, certificates: Certificates) -> None:
    entrance = bench.arrive(certificates.destination)
    path = bench.leave(certificates.source, entrance)
    with connected(path) as one, connected(path) as another:
        assert received(one, 5) + received(another, 5) == b"hellohello"
        one.shutdown(socket.SHUT_WR)
        assert one.recv(1) == b""
        another.sendall(b"goes on")
        assert received(another, 7) == b"goes on"


def test_who_comes_when_the_export_is_gone_is_told_so(bench: Bench, certificates: Certificates) -> None:
    path = bench.leave(certificates.source, bench.arrive(certificates.destination))
    bench.export.unlink()
    with connected(path) as one:
        assert one.recv(1) == b""


def test_the_bound_on_silence_is_handed_on_to_who_comes_in() -> None:
    with socket.create_server((HERE, 0)) as listener:
        relay.bound(listener, 7)
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as inside:
            assert inside.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 7000
            assert inside.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 1
            assert inside.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


def _heard(port: int, authority: Path) -> bytes:
    """What somebody without a certificate hears."""
    secure = ssl.create_default_context(cafile=str(authority))
    secure.set_alpn_protocols(["nbd"])
    try:
        plain = socket.create_connection((HERE, port), _WAIT_S)
        with plain, secure.wrap_socket(plain, server_hostname=HERE) as one:
            return one.recv(64)
    except (ssl.SSLError, ConnectionError):
        return b""


def test_strangers_are_not_let_in(bench: Bench, certificates: Certificates) -> None:
    port = bench.arrive(certificates.destination)
    for stranger in (certificates.namesake, certificates.other):
        assert "it does not trust our certificate, or expects another name" in bench.refused(stranger, port)
    assert _heard(port, certificates.destination / "ca.pem") == b""
    with socket.create_connection((HERE, port), _WAIT_S) as plain:
        plain.sendall(b"NBD, please" * 10)
        assert b"hello" not in received(plain, 1 << 10)
    assert bench.clients == 0


@pytest.mark.parametrize(("shown", "why"), [("foreign", "certificate verify failed"), ("other", "IP address mismatch")])
def test_a_destination_that_is_another_is_not_written_to(
    bench: Bench, certificates: Certificates, shown: str, why: str
) -> None:
    port = bench.arrive(getattr(certificates, shown))
    assert why in bench.refused(certificates.source, port)
    assert bench.clients == 0


@pytest.mark.parametrize(
    ("peer", "named"),
    [
        ("192.0.2.7", True),
        ("2001:db8::7", True),
        ("2001:DB8:0::7", True),
        ("192.0.2.8", False),
        ("c1.example.com", True),
        ("C1.Example.COM", True),
        ("c2.example.com", False),
        ("anything.example.org", False),
        ("common", False),
    ],
)
def test_whose_certificate_it_is(peer: str, named: bool) -> None:
    names = (
        ("IP Address", "192.0.2.7"),
        ("IP Address", "2001:DB8:0:0:0:0:0:7"),
        ("DNS", "c1.example.com"),
        ("DNS", "*.example.org"),
    )
    certificate = {"subject": ((("commonName", "common"),),), "subjectAltName": names}
    assert relay.is_named(certificate, peer) is named
    assert not relay.is_named({"subject": ((("commonName", peer),),)}, peer)
