# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The authority's certificates before OpenSSL, which is stricter than GnuTLS, and what makes a host get a new one."""

from __future__ import annotations

import datetime
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError, Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._file.durable import write_durably
from ansible_collections.kvmops.mobility.plugins.plugin_utils import _pki
from ansible_collections.kvmops.mobility.plugins.plugin_utils._pki import Authority, Pair

NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
NAMES = ["c1", "c1.example.com", "192.0.2.11", "2001:db8::11"]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(str(tmp_path / "ca" / "key"))
    with made.alone():
        made.make(NOW)
    return made


def files(directory: Path, authority: Authority, pair: Pair) -> tuple[str, str, str]:
    """Paths of certificate, key and authority."""
    directory.mkdir()
    for name, text in (("cert", pair.certificate), ("key", pair.key), ("ca", authority.certificate())):
        (directory / name).write_text(text, encoding="ascii")
    return str(directory / "cert"), str(directory / "key"), str(directory / "ca")


def test_private_keys_are_private(authority: Authority) -> None:
    assert Path(authority.path).stat().st_mode & 0o777 == 0o600
    assert Path(authority.path).parent.stat().st_mode & 0o777 == 0o700


def test_openssl_believes_it(authority: Authority, tmp_path: Path) -> None:
    certificate, _key, ca = files(tmp_path / "c1", authority, authority.sign("c1", NAMES, NOW, 30))
    for purpose in ("sslserver", "sslclient"):
        argv = ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", ca, certificate]
        assert subprocess.run(argv, capture_output=True, text=True, check=False).returncode == 0
    shown = subprocess.run(
        ["openssl", "x509", "-noout", "-text", "-in", certificate], capture_output=True, text=True, check=True
    )
    assert "DNS:c1, DNS:c1.example.com, IP Address:192.0.2.11, IP Address:2001:DB8:0:0:0:0:0:11" in shown.stdout
    assert "Subject: CN = c1\n" in shown.stdout


@pytest.mark.parametrize(
    ("name", "same", "well"), [("192.0.2.11", True, True), ("192.0.2.12", True, False), ("c1", False, False)]
)
def test_a_handshake_of_two_hosts(authority: Authority, tmp_path: Path, name: str, same: bool, well: bool) -> None:
    """Both sides show one; a name that it is not for, and another authority, are refused."""
    server = files(tmp_path / "server", authority, authority.sign("c1", NAMES, NOW, 30))
    other = Authority(str(tmp_path / "other" / "key"))
    with other.alone():
        other.make(NOW)
    signer = authority if same else other
    client = files(tmp_path / "client", signer, signer.sign("c2", ["c2"], NOW, 30))
    assert handshake(server, client, name) is well


def handshake(server: tuple[str, str, str], client: tuple[str, str, str], name: str) -> bool:
    listening = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    listening.load_cert_chain(*server[:2])
    listening.load_verify_locations(server[2])
    listening.verify_mode = ssl.CERT_REQUIRED
    asking = ssl.create_default_context(cafile=client[2])
    asking.verify_flags |= ssl.VERIFY_X509_STRICT
    asking.load_cert_chain(*client[:2])
    here, there = socket.socketpair()

    def answer() -> None:
        try:
            with listening.wrap_socket(here, server_side=True) as line:
                line.sendall(b"well")
        except (ssl.SSLError, OSError):
            here.close()

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        with asking.wrap_socket(there, server_hostname=name) as line:
            return bool(line.recv(4) == b"well")
    except (ssl.SSLError, OSError):
        return False
    finally:
        there.close()
        thread.join(10)


@pytest.mark.parametrize(
    ("days", "names", "why"),
    [
        (90, NAMES, ""),
        (90, [*NAMES, "c1.new"], "it is not for c1.new"),
        (59, NAMES, "it ends in 59 days"),
        (60, NAMES, ""),
    ],
)
def test_when_a_new_one_is_due(authority: Authority, days: int, names: list[str], why: str) -> None:
    held = authority.sign("c1", NAMES, NOW, days).certificate
    judged = _pki.judge(held, authority.certificate(), names, NOW, 60)
    assert (judged.why_not, judged.subject, judged.days_left) == (why, "CN=c1", days)


def test_ended_missing_or_of_another(authority: Authority, tmp_path: Path) -> None:
    held = authority.sign("c1", NAMES, NOW - datetime.timedelta(days=10), 5).certificate
    said = [
        _pki.judge(text, authority.certificate(), NAMES, NOW, 60).why_not for text in (held, "", "-----BEGIN nothing")
    ]
    assert said[0].startswith("it ended on ")
    assert said[1:] == ["there is none", "it cannot be read"]
    other = Authority(str(tmp_path / "other" / "key"))
    with other.alone():
        other.make(NOW)
    assert _pki.judge(held, other.certificate(), NAMES, NOW, 60).why_not == "another authority signed it"
    both = other.certificate() + authority.certificate()
    assert _pki.judge(held, both, NAMES, NOW, 60).why_not.startswith("it ended")


def test_a_passphrase(tmp_path: Path) -> None:
    made = Authority(str(tmp_path / "ca" / "key"), "open sesame")
    with made.alone():
        made.make(NOW)
    assert "ENCRYPTED" in Path(made.path).read_text(encoding="ascii")
    assert made.sign("c1", NAMES, NOW, 5).certificate
    for passphrase in ("", "closed"):
        with pytest.raises(Refused) as error:
            Authority(made.path, passphrase).sign("c1", NAMES, NOW, 5)
        assert (error.value.code, "sesame" in str(error.value)) == ("TLS_CA_UNUSABLE", False)


def test_a_key_that_cannot_sign(authority: Authority) -> None:
    argv = ["openssl", "genpkey", "-algorithm", "x25519", "-out", authority.path]
    subprocess.run(argv, capture_output=True, check=True)
    with pytest.raises(Refused, match="neither of ECDSA nor of RSA") as error:
        authority.sign("c1", NAMES, NOW, 5)
    assert error.value.code == "TLS_CA_UNUSABLE"


def test_one_that_was_killed_leaves_no_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Authority(str(tmp_path / "key"))
    written: list[Path] = []

    def killed(path: Path, data: bytes) -> None:
        if written:
            raise KeyboardInterrupt
        written.append(path)
        write_durably(path, data)

    monkeypatch.setattr(_pki, "write_durably", killed)
    with pytest.raises(KeyboardInterrupt):
        made.make(NOW)
    assert (len(written), made.exists()) == (1, False)
    monkeypatch.undo()
    made.make(NOW)
    assert made.sign("c1", NAMES, NOW, 5).certificate


def test_a_key_belongs_to_its_certificate(authority: Authority) -> None:
    one, other = authority.sign("c1", NAMES, NOW, 5), authority.sign("c1", NAMES, NOW, 5)
    assert _pki.belongs(one.certificate, one.key)
    assert not _pki.belongs(one.certificate, other.key)
    assert not _pki.belongs("", one.key)
    assert not _pki.belongs(one.certificate, "")


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    _pki.check_library()
    monkeypatch.setattr(_pki, "HAS_CRYPTOGRAPHY", False)
    with pytest.raises(MobilityError, match="cryptography>=42") as error:
        _pki.check_library()
    assert error.value.code == "CRYPTOGRAPHY_MISSING"
