# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which certificate a host gets, and which of somebody else's is refused. What becomes of it is seen on real hosts."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.action.tls_certify import issued, judged_own
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.plugin_utils._pki import Authority

NAMES = ["c1", "192.0.2.11"]
NOW = datetime.datetime.now(datetime.timezone.utc)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    (tmp_path / "authority").mkdir()
    return Authority(str(tmp_path / "authority" / "key"))


def test_a_dry_run_makes_nothing(authority: Authority) -> None:
    found = issued(authority, {}, "c1", NAMES, "", check=True)
    assert (found.reason, found.certificate, found.subject) == ("the certificate authority will be made", "", "CN=c1")
    assert not authority.exists()
    authority.make(NOW)
    found = issued(authority, {}, "c1", NAMES, "", check=True)
    assert (found.reason, found.certificate, found.key, found.subject) == ("there is none", "", "", "CN=c1")


def test_made_once_and_kept(authority: Authority) -> None:
    first = issued(authority, {"validity_days": 100}, "c1", NAMES, "", check=False)
    assert first.key.startswith("-----BEGIN PRIVATE KEY")
    assert (first.reason, first.subject, first.days_left) == ("there is none", "CN=c1", 99)
    again = issued(authority, {}, "c1", NAMES, first.certificate, check=False)
    assert (again.reason, again.key, again.certificate) == ("", "", first.certificate)


@pytest.mark.parametrize(
    ("arguments", "names", "reason"),
    [
        ({"renew_before_days": 150}, NAMES, "it ends in 99 days"),
        ({}, [*NAMES, "2001:db8::11"], "it is not for 2001:db8::11"),
    ],
)
def test_made_anew(authority: Authority, arguments: dict[str, Any], names: list[str], reason: str) -> None:
    first = issued(authority, {"validity_days": 100}, "c1", NAMES, "", check=False)
    found = issued(authority, arguments, "c1", names, first.certificate, check=False)
    assert found.reason == reason
    assert found.key
    assert found.certificate != first.certificate


def own(directory: Path, authority: Authority, names: list[str], **files: str) -> dict[str, str]:
    pair = authority.sign("c1.example.com", names, NOW, 30)
    texts = {"cert": pair.certificate, "key": pair.key, "ca": authority.certificate(), **files}
    for name, text in texts.items():
        (directory / name).write_text(text, encoding="ascii")
    return {
        "ca": str(directory / "ca"),
        "certificate": str(directory / "cert"),
        "private_key": str(directory / "key"),
    }


def test_somebody_elses_will_do(authority: Authority, tmp_path: Path) -> None:
    authority.make(NOW)
    found = judged_own(own(tmp_path, authority, NAMES), NAMES)
    assert (found.reason, found.subject, found.days_left) == ("", "CN=c1.example.com", 29)


@pytest.mark.parametrize(
    ("names", "files", "says"),
    [
        (["c1"], {}, "it is not for 192.0.2.11"),
        (NAMES, {"key": "-----BEGIN"}, "the private key is another's"),
        (NAMES, {"cert": "nothing"}, "it cannot be read"),
    ],
)
def test_somebody_elses_will_not_do(
    authority: Authority, tmp_path: Path, names: list[str], files: dict[str, str], says: str
) -> None:
    authority.make(NOW)
    with pytest.raises(Refused, match=says) as error:
        judged_own(own(tmp_path, authority, names, **files), NAMES)
    assert error.value.code == "TLS_CERTIFICATE_UNFIT"


def test_a_file_that_is_not_there(authority: Authority, tmp_path: Path) -> None:
    authority.make(NOW)
    given = {**own(tmp_path, authority, NAMES), "private_key": str(tmp_path / "nowhere")}
    with pytest.raises(Refused, match="cannot be read"):
        judged_own(given, NAMES)
