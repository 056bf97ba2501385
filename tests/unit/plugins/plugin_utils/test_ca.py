# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's authority, with the real ssh-keygen."""

from __future__ import annotations

import base64
import subprocess
import time
from pathlib import Path

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.certificate import (
    HOST,
    USER,
    Wanted,
    parse,
    why_renew,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.keys import parse_public
from ansible_collections.kvmops.mobility.plugins.plugin_utils._ca import Authority, current
from ansible_collections.kvmops.mobility.tests.unit.ssh_keys import host_key

SECRET = "a passphrase's $HOME"
DAY_S = 86400


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(str(tmp_path / "made" / "ca"))
    made.make()
    return made


@pytest.fixture
def key(tmp_path: Path) -> str:
    path = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return parse_public((tmp_path / "id.pub").read_text()).line


def test_a_host_certificate_says_what_was_wanted(authority: Authority, key: str) -> None:
    wanted = Wanted(HOST, parse_public(key), "c1 host", ("c1", "192.0.2.1", "2001:db8::1"))
    found = parse(authority.sign(wanted, "c1", 90))
    assert (found.kind, found.identity, found.principals, found.sources) == (HOST, "c1 host", wanted.principals, ())
    assert (found.key, found.authority.line, found.serial) == (wanted.key, authority.public().line, 1)
    assert 89 * DAY_S < found.valid_before - time.time() <= 90 * DAY_S
    assert why_renew(found, wanted, authority.public(), time.time(), 30 * DAY_S) == ""


def test_a_user_certificate_is_for_its_addresses(authority: Authority, key: str) -> None:
    wanted = Wanted(USER, parse_public(key), "c1 kvmops", ("kvmops.mobility",), ("192.0.2.1", "2001:db8::1"))
    found = parse(authority.sign(wanted, "c1", 90))
    assert (found.kind, found.principals, found.sources) == (USER, ("kvmops.mobility",), wanted.sources)


@pytest.mark.parametrize("kind", ["rsa", "ecdsa", "ed25519"])
def test_every_type_of_host_key(authority: Authority, tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(path)], check=True)
    public = parse_public(path.with_suffix(".pub").read_text())
    assert parse(authority.sign(Wanted(HOST, public, "c1", ("c1",)), "c1", 1)).key.line == public.line


def test_when_a_certificate_is_renewed(authority: Authority, key: str) -> None:
    public, now = parse_public(key), time.time()
    wanted = Wanted(HOST, public, "c1 host", ("c1",))
    found = parse(authority.sign(wanted, "c1", 10))

    def why(asked: Wanted = wanted, at: float = now, days: int = 3) -> str:
        return why_renew(found, asked, authority.public(), at, days * DAY_S)

    assert why() == ""
    assert why(days=30) == "it ends soon"
    assert why(at=now + 11 * DAY_S) == "it has ended"
    assert why(Wanted(HOST, public, "c1 host", ("c1", "192.0.2.1"))) == "the names are others"
    assert why(Wanted(HOST, public, "c1 host", ("c1",), ("192.0.2.1",))) == "the addresses are others"
    assert why(Wanted(HOST, host_key(5), "c1 host", ("c1",))) == "the key is another one"
    assert why_renew(found, wanted, host_key(6), now, 0) == "the authority is another one"
    assert why_renew(None, wanted, host_key(6), now, 0) == "there is none"


def test_serials_are_noted_and_revoked_for_good(authority: Authority, key: str) -> None:
    wanted = Wanted(HOST, parse_public(key), "c1 host", ("c1",))
    assert [parse(authority.sign(wanted, host, 1)).serial for host in ("c1", "c2", "c1")] == [1, 2, 3]
    assert authority.revocations() == ""
    authority.revoke(["c1"])
    authority.revoke(["c1"])
    assert authority.revoked() == [1, 3]
    once = authority.revocations()
    assert base64.b64decode(once).startswith(b"SSHKRL\n")
    assert once == authority.revocations()
    assert parse(authority.sign(wanted, "c1", 1)).serial == 4
    assert authority.revoked() == [1, 3]


def test_a_passphrase_protects_the_key_and_is_nowhere_else(tmp_path: Path, key: str) -> None:
    locked = Authority(str(tmp_path / "ca"), SECRET)
    locked.make()
    wanted = Wanted(HOST, parse_public(key), "c1 host", ("c1",))
    assert current(locked.sign(wanted, "c1", 1)) is not None
    assert all(SECRET.encode() not in path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    with pytest.raises(Refused) as refusal:
        Authority(locked.path, "another one").sign(wanted, "c1", 1)
    assert refusal.value.code == "CA_UNUSABLE"
    assert SECRET not in str(refusal.value)
    assert (tmp_path / "ca").stat().st_mode & 0o777 == 0o600


def test_an_agent_without_the_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused) as refusal:
        Authority(str(tmp_path / "ca"), agent=True).make()
    assert refusal.value.code == "CA_UNUSABLE"


@pytest.mark.parametrize("text", ["x", "ssh-ed25519-cert-v01@openssh.com AAAA", host_key(1).line, "a b=c"])
def test_what_is_no_certificate(text: str) -> None:
    with pytest.raises(Refused) as refusal:
        parse(text)
    assert refusal.value.code == "CERTIFICATE_INVALID"
    assert current(text) is None
