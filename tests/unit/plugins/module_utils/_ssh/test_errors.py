# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ssh really said, see tests/unit/data/ssh/README.md."""

from __future__ import annotations

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._checks.codes import CODES
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh import errors
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.errors import as_error, parse_error, with_stored
from ansible_collections.kvmops.mobility.tests.unit.repository import ROOT

SAID = ROOT / "tests/unit/data/ssh"
OFFERED = "SHA256:fFbGcjsMxybEkXjbkNfqyg2j3oy5kYYyViuGE2PmsVA"
FILE = "/root/.ssh/known_hosts"


def said(name: str) -> str:
    return (SAID / f"{name}.txt").read_text(encoding="ascii").replace("\n", "\r\n")


@pytest.mark.parametrize(
    ("name", "code", "host"),
    [
        ("auth-refused", "SSH_AUTH_REFUSED", "127.0.0.1"),
        ("certificate-authority-revoked", "CERTIFICATE_REVOKED", "[127.0.0.1]:22026"),
        ("certificate-authority-revoked-by-file", "CERTIFICATE_REVOKED", "c2"),
        ("certificate-expired", "CERTIFICATE_EXPIRED", "[127.0.0.1]:22024"),
        ("certificate-expired-plain", "CERTIFICATE_EXPIRED", "[127.0.0.1]:22024"),
        ("certificate-good-no-auth", "SSH_AUTH_REFUSED", "127.0.0.1"),
        ("certificate-other-name", "HOST_KEY_UNKNOWN", "[127.0.0.1]:22025"),
        ("certificate-revoked", "CERTIFICATE_REVOKED", "c2"),
        ("changed-alias", "HOST_KEY_CHANGED", "c2.example.com"),
        ("changed-ecdsa", "HOST_KEY_CHANGED", "[127.0.0.1]:22022"),
        ("changed-ed25519", "HOST_KEY_CHANGED", "[127.0.0.1]:22022"),
        ("changed-openssh6", "HOST_KEY_CHANGED", "c2"),
        ("changed-rsa", "HOST_KEY_CHANGED", "[127.0.0.1]:22022"),
        ("closed", "SSH_UNREACHABLE", "c2"),
        ("key-type-other", "HOST_KEY_CHANGED", "[127.0.0.1]:22022"),
        ("no-common-algorithm", "SSH_UNREACHABLE", "127.0.0.1"),
        ("refused", "SSH_UNREACHABLE", "127.0.0.1"),
        ("revoked", "HOST_KEY_REVOKED", "[127.0.0.1]:22022"),
        ("revoked-by-file", "HOST_KEY_REVOKED", "c2"),
        ("unknown", "HOST_KEY_UNKNOWN", "[127.0.0.1]:22022"),
        ("unresolved", "SSH_UNREACHABLE", "nowhere.invalid"),
    ],
)
@pytest.mark.parametrize("ending", ["\r\n", "\n"])
def test_what_ssh_said(name: str, code: str, host: str, ending: str) -> None:
    found = parse_error(said(name).replace("\r\n", ending), "c2")
    assert found is not None
    assert (found.code, found.host) == (code, host)
    assert found.message.endswith(".")
    assert found.remedy


def test_every_text_is_tested() -> None:
    marked = next(mark for mark in test_what_ssh_said.pytestmark if "name" in mark.args[0])  # type: ignore[attr-defined]
    assert sorted(one[0] for one in marked.args[1]) == sorted(path.stem for path in SAID.glob("*.txt"))


def test_every_code_is_in_the_guide() -> None:
    assert set(errors._REMEDIES) <= set(CODES)


def test_a_changed_key_is_told_with_all_there_is() -> None:
    found = parse_error(said("changed-ed25519"))
    assert found is not None
    assert (found.file, found.line, found.key_type, found.offered_fingerprint) == (FILE, 2, "ED25519", OFFERED)
    assert found.message == f"it offers ED25519 {OFFERED}, but {FILE}:2 has another one."
    known = with_stored(found, lambda file, line: f"SHA256:{file}:{line}")
    assert known.have_fingerprint == f"SHA256:{FILE}:2"
    assert known.message == f"it offers ED25519 {OFFERED}, but {FILE}:2 has SHA256:{FILE}:2."
    assert with_stored(found, lambda _file, _line: "") == found


def test_the_founding_incident() -> None:
    found = parse_error(said("changed-openssh6"), "172.16.231.26")
    assert found is not None
    assert (found.host, found.file, found.line) == ("172.16.231.26", "/var/lib/nova/.ssh/known_hosts", 34)
    assert found.offered_fingerprint == "c8:0b:98:9d:8d:d8:14:89:e6:fe:97:66:22:4e:57:13"


def test_an_error_for_the_operator() -> None:
    found = parse_error(said("changed-rsa"))
    assert found is not None
    error = as_error(found, "c2")
    assert (error.code, error.subject) == ("HOST_KEY_CHANGED", "c2")
    assert "ansible-playbook kvmops.mobility.repair_trust" in error.remedy
    assert error.facts["host"] == "[127.0.0.1]:22022"
    assert as_error(found).subject == "[127.0.0.1]:22022"


def test_what_lies_between_other_words_is_found() -> None:
    words = (
        "Warning: Permanently added nothing\r\n" + said("changed-ecdsa") + "rsync error: unexplained error (code 255)\n"
    )
    found = parse_error(words)
    assert found is not None
    assert found.code == "HOST_KEY_CHANGED"


def test_a_verification_that_failed_without_a_reason() -> None:
    found = parse_error("Host key verification failed.\r\n", "c2")
    assert found is not None
    assert (found.code, found.host) == ("HOST_KEY_UNKNOWN", "c2")


@pytest.mark.parametrize(
    "words",
    [
        "",
        "rsync: mkdir failed: Permission denied (13)\n",
        "bash: line 1: /x: Permission denied\n",
        "No space left on device\n",
        "client_loop: send disconnect: Broken pipe\n",
    ],
)
def test_what_is_not_about_getting_in(words: str) -> None:
    assert parse_error(words, "c2") is None


def test_no_file_no_look() -> None:
    found = parse_error(said("unknown"))
    assert found is not None
    assert with_stored(found, lambda _file, _line: "SHA256:x") == found
