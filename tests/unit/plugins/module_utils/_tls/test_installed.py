# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates on a host: modes, owners, and that a key is never shown. Under another root than /etc."""

from __future__ import annotations

import datetime
import grp
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.kvmops.mobility.plugins.module_utils._tls import installed
from ansible_collections.kvmops.mobility.plugins.module_utils._tls.places import DIRECTORIES, PLACES, Part
from ansible_collections.kvmops.mobility.plugins.modules import tls_certificates, tls_certificates_info
from ansible_collections.kvmops.mobility.plugins.plugin_utils._pki import Authority, Pair

NOW = datetime.datetime.now(datetime.timezone.utc)
GROUP = grp.getgrnam("daemon")
Call = Callable[..., dict[str, Any]]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, as the module does")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Everything in /etc/pki is in here."""

    def under(path: str) -> str:
        return str(tmp_path / "host") + path

    (tmp_path / "host/etc").mkdir(parents=True)
    monkeypatch.setattr(installed, "PLACES", tuple(replace(one, path=under(one.path)) for one in PLACES))
    monkeypatch.setattr(installed, "DIRECTORIES", {under(path): mode for path, mode in DIRECTORIES.items()})
    for name in ("FIRST_CERTIFICATE", "FIRST_KEY", "QEMU_DIRECTORY"):
        monkeypatch.setattr(installed, name, under(getattr(installed, name)))
    return tmp_path / "host"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(str(tmp_path / "ca" / "key"))
    with made.alone():
        made.make(NOW)
    return made


@pytest.fixture
def call(root: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    def call(module: ModuleType = tls_certificates, **params: Any) -> dict[str, Any]:
        assert root.is_dir()
        with patch_module_args({"_ansible_diff": True, **params}), pytest.raises(SystemExit):
            module.main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        return result

    return call


def given(authority: Authority, pair: Pair, **more: Any) -> dict[str, Any]:
    known = {"authority": authority.certificate(), "certificate": pair.certificate, "key": pair.key}
    return {**known, "groups": ["no-such-group", GROUP.gr_name], **more}


def test_installed_once(call: Call, root: Path, authority: Authority) -> None:
    pair = authority.sign("c1", ["c1"], NOW, 30)
    shown = call(**given(authority, pair), _ansible_check_mode=True)
    assert (shown["changed"], list((root / "etc").iterdir())) == (True, [])
    done = call(**given(authority, pair))
    assert done["changed"] is True
    modes = {
        path.relative_to(root / "etc/pki").as_posix(): (path.stat().st_mode & 0o777, path.stat().st_gid)
        for path in (root / "etc/pki").rglob("*")
        if path.is_file()
    }
    qemu = (0o640, GROUP.gr_gid)
    assert modes == {
        "CA/cacert.pem": (0o644, 0),
        "libvirt/private/serverkey.pem": (0o600, 0),
        "libvirt/private/clientkey.pem": (0o600, 0),
        "libvirt/servercert.pem": (0o644, 0),
        "libvirt/clientcert.pem": (0o644, 0),
        **{f"qemu/{name}.pem": qemu for name in ("ca-cert", "server-key", "server-cert", "client-key", "client-cert")},
    }
    directories = {
        path.relative_to(root / "etc").as_posix(): path.stat().st_mode & 0o777
        for path in (root / "etc").rglob("*")
        if path.is_dir()
    }
    # QEMU has to get through to its own, whatever the umask of the module.
    assert directories == {
        "pki": 0o755,
        "pki/CA": 0o755,
        "pki/libvirt": 0o755,
        "pki/libvirt/private": 0o700,
        "pki/qemu": 0o750,
    }
    assert call(**given(authority, pair))["changed"] is False
    assert call(**given(authority, pair, key=""))["changed"] is False


def test_no_key_is_shown(call: Call, authority: Authority) -> None:
    pair = authority.sign("c1", ["c1"], NOW, 30)
    secret = pair.key.splitlines()[1]
    for check in (True, False):
        assert secret not in json.dumps(call(**given(authority, pair), _ansible_check_mode=check))
    other = authority.sign("c1", ["c1"], NOW, 30)
    told = json.dumps(call(**given(authority, other)))
    assert secret not in told
    assert other.key.splitlines()[1] not in told


def test_what_was_changed_by_hand_is_mended(call: Call, root: Path, authority: Authority) -> None:
    pair = authority.sign("c1", ["c1"], NOW, 30)
    call(**given(authority, pair))
    key = root / "etc/pki/libvirt/private/serverkey.pem"
    key.chmod(0o644)
    (root / "etc/pki/qemu/client-cert.pem").unlink()
    (root / "etc/pki/libvirt/private").chmod(0o777)
    assert call(**given(authority, pair, key=""))["changed"] is True
    assert key.stat().st_mode & 0o777 == 0o600
    assert (root / "etc/pki/libvirt/private").stat().st_mode & 0o777 == 0o700
    assert (root / "etc/pki/qemu/client-cert.pem").read_text(encoding="ascii") == pair.certificate
    assert call(**given(authority, pair, key=""))["changed"] is False


@pytest.mark.parametrize(
    ("name", "mode", "after"),
    [
        ("pki", 0o700, 0o755),
        ("pki", 0o775, 0o755),
        ("pki/qemu", 0o755, 0o755),
        ("pki/qemu", 0o700, 0o750),
        ("pki/libvirt/private", 0o755, 0o755),
    ],
)
def test_directories(call: Call, root: Path, authority: Authority, name: str, mode: int, after: int) -> None:
    pair = authority.sign("c1", ["c1"], NOW, 30)
    call(**given(authority, pair))
    (root / "etc" / name).chmod(mode)
    assert call(**given(authority, pair, key=""))["changed"] is (mode != after)
    assert (root / "etc" / name).stat().st_mode & 0o777 == after


def test_what_is_there(call: Call, root: Path, authority: Authority) -> None:
    assert call(tls_certificates_info)["mistake"] == "there is none"
    one, other = authority.sign("c1", ["c1"], NOW, 30), authority.sign("c1", ["c1"], NOW, 30)
    call(**given(authority, one))
    found = call(tls_certificates_info)
    assert (found["certificate"], found["authority"], found["mistake"]) == (
        one.certificate,
        authority.certificate(),
        "",
    )
    (root / "etc/pki/libvirt/private/serverkey.pem").write_text(other.key, encoding="ascii")
    found = call(tls_certificates_info)
    assert found["certificate"] == ""
    assert "are no pair" in found["mistake"]


@pytest.mark.parametrize("name", ["libvirt/private/clientkey", "qemu/server-key", "qemu/client-key"])
def test_a_copy_of_the_key_that_is_another(call: Call, root: Path, authority: Authority, name: str) -> None:
    """As one would find that was restored from somewhere; what is gone is copied again, and no mistake."""
    one, other = authority.sign("c1", ["c1"], NOW, 30), authority.sign("c1", ["c1"], NOW, 30)
    call(**given(authority, one))
    path = root / f"etc/pki/{name}.pem"
    path.write_text(other.key, encoding="ascii")
    found = call(tls_certificates_info)
    assert (found["certificate"], f"{path} are no pair" in found["mistake"]) == ("", True)
    path.unlink()
    assert call(tls_certificates_info)["certificate"] == one.certificate
    path.write_text(other.key, encoding="ascii")
    call(**given(authority, other))
    assert call(tls_certificates_info)["certificate"] == other.certificate


def test_refusals(call: Call, authority: Authority) -> None:
    pair = authority.sign("c1", ["c1"], NOW, 30)
    assert call(**given(authority, pair, key=""))["code"] == "TLS_KEY_MISSING"
    assert call(**given(authority, pair, groups=["no-such-group"]))["code"] == "GROUP_MISSING"
    assert call(**given(authority, pair, groups=["no-such-group"]), _ansible_check_mode=True)["changed"] is True


def test_keys_come_before_their_certificates() -> None:
    parts = [one.part for one in PLACES if "libvirt" in one.path or "qemu" in one.path]
    for index, part in enumerate(parts):
        if part is Part.CERTIFICATE:
            assert parts[index - 1] is Part.KEY
