# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.keys import (
    fingerprint,
    fingerprint_matches,
    fingerprint_of,
    parse_public,
)
from ansible_collections.kvmops.mobility.tests.unit.ssh_keys import ECDSA, ED25519, RSA, host_key


@pytest.mark.parametrize("kind", [ED25519, RSA, ECDSA])
def test_a_line_of_a_key(kind: str) -> None:
    key = host_key(1, kind)
    found = parse_public(f"  {key.line} root@c2  the second\n")
    assert (found.type, found.blob_base64, found.comment) == (kind, key.blob_base64, "root@c2  the second")
    assert parse_public(found.line) == key


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_real_keys_have_the_fingerprint_that_ssh_keygen_says(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", path], check=True)
    key = parse_public(path.with_suffix(".pub").read_text(encoding="ascii"))
    said = subprocess.run(["ssh-keygen", "-l", "-f", path], check=True, capture_output=True, text=True).stdout.split()
    assert fingerprint(key) == said[1]
    assert fingerprint_matches(said[1], key)
    assert fingerprint_matches(f" {said[1]}=\n", key)


GOOD = host_key(1).blob_base64


@pytest.mark.parametrize(
    "line",
    [
        "",
        "ssh-ed25519",
        f"ssh-rsa {GOOD}",
        f"ssh-nothing {GOOD}",
        f"ssh-ed25519 {GOOD[:-4]}",
        f"ssh-ed25519 {GOOD}AAAA",
        "ssh-ed25519 !!!!",
        "ssh-ed25519 AAAA",
        f"c2 ssh-ed25519 {GOOD}",
        f"ssh-ed25519-cert-v01@openssh.com {GOOD}",
        "ssh-ed25519 schlüssel",
    ],
)
def test_what_is_no_key(line: str) -> None:
    with pytest.raises(Refused) as refusal:
        parse_public(line)
    assert refusal.value.code == "PUBLIC_KEY_INVALID"


@pytest.mark.parametrize("text", ["", "SHA256:", GOOD, "c8:0b:98:9d:8d:d8:14:89:e6:fe:97:66:22:4e:57:13"])
def test_only_the_whole_sha256_fingerprint_is_a_match(text: str) -> None:
    assert not fingerprint_matches(text, host_key(1))
    assert not fingerprint_matches(fingerprint(host_key(1))[:-1], host_key(1))
    assert not fingerprint_matches(fingerprint(host_key(2)), host_key(1))


def test_the_fingerprint_of_damaged_text() -> None:
    assert fingerprint_of(b"!") == ""
