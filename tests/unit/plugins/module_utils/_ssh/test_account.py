# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts, key pairs and host keys in directories of the test's own, with the real ssh-keygen."""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._command import Completed
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import CommandFailed, MobilityError
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Plan
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh import account as accounts
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh import (
    authorized_keys,
    identity,
    installed,
    truth,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.sshd import Settings
from ansible_collections.kvmops.mobility.tests.unit.ssh_keys import host_key


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of the one user there is, ann."""
    made = tmp_path / "home"
    made.mkdir(mode=0o755)

    def getpwnam(name: str) -> Any:
        if name != "ann":
            raise KeyError(name)
        return SimpleNamespace(pw_dir=str(made), pw_uid=os.getuid(), pw_gid=os.getgid(), pw_shell="/bin/sh")

    monkeypatch.setattr(pwd, "getpwnam", getpwnam)
    return made


def context(check: bool = False, **params: Any) -> Context:
    fake = SimpleNamespace(params={"user": "ann", "rotate": False, **params}, check=check, warn=lambda _text: None)
    return cast(Context, fake)


def carried_out(plan: Plan) -> list[str]:
    for effect in plan.effects:
        effect.do()
    return [effect.name for effect in plan.effects]


def raising(*_all: Any) -> None:
    """A kill: nothing of ours runs behind it."""
    raise KeyboardInterrupt


@pytest.mark.parametrize("writes", [0, 1])
def test_killed_while_a_pair_is_replaced_both_halves_belong_together(
    home: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    carried_out(identity.plan(context()))
    real = accounts.write
    seen: list[None] = []

    def write(*given: Any) -> None:
        if len(seen) == writes:
            raising()
        real(*given)
        seen.append(None)

    with monkeypatch.context() as killed:
        killed.setattr(accounts, "write", write)
        with pytest.raises(KeyboardInterrupt):
            carried_out(identity.plan(context(rotate=True)))
    told = identity.plan(context()).result["public_key"]
    key = home / ".ssh/id_ed25519"
    said = subprocess.run(["ssh-keygen", "-y", "-f", str(key)], capture_output=True, text=True, check=True).stdout
    assert told == " ".join(said.split()[:2])


def test_a_key_pair_is_made_once(home: Path) -> None:
    assert carried_out(identity.plan(context())) == ["directory", "key_pair"]
    key = home / ".ssh/id_ed25519"
    assert [(home / ".ssh").stat().st_mode & 0o777, key.stat().st_mode & 0o777] == [0o700, 0o600]
    again = identity.plan(context())
    assert again.effects == ()
    assert again.result["public_key"] in key.with_suffix(".pub").read_text()
    assert (again.result["identity_file"], again.result["certificate"]) == (str(key), "")


def test_a_new_pair_is_made_when_asked_and_the_old_certificate_goes(home: Path) -> None:
    carried_out(identity.plan(context()))
    before = identity.plan(context()).result["public_key"]
    (home / ".ssh/id_ed25519-cert.pub").write_text("old")
    assert carried_out(identity.plan(context(rotate=True))) == ["key_pair"]
    assert identity.plan(context()).result["public_key"] != before
    assert sorted(one.name for one in (home / ".ssh").iterdir()) == ["id_ed25519", "id_ed25519.pub"]


def test_modes_that_sshd_would_not_accept_are_put_right(home: Path) -> None:
    carried_out(identity.plan(context()))
    home.chmod(0o775)
    (home / ".ssh").chmod(0o755)
    (home / ".ssh/id_ed25519").chmod(0o644)
    assert carried_out(identity.plan(context())) == ["home", "directory", "key_mode"]
    assert identity.plan(context()).effects == ()
    assert home.stat().st_mode & 0o777 == 0o755


def test_a_public_half_that_is_gone_is_told_again(home: Path) -> None:
    carried_out(identity.plan(context()))
    before = identity.plan(context()).result["public_key"]
    (home / ".ssh/id_ed25519.pub").unlink()
    assert identity.plan(context()).result["public_key"] == before


def test_a_key_that_needs_a_person_is_refused(home: Path) -> None:
    (home / ".ssh").mkdir(mode=0o700)
    (home / ".ssh/id_ed25519").write_text("no key")
    with pytest.raises(MobilityError) as refusal:
        identity.plan(context())
    assert refusal.value.code == "IDENTITY_UNREADABLE"


def test_a_link_in_the_place_of_the_directory_is_not_followed(home: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (home / ".ssh").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MobilityError) as refusal:
        identity.plan(context())
    assert refusal.value.code == "PATH_NOT_OURS"
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_user_that_is_not_there(home: Path) -> None:
    with pytest.raises(MobilityError) as refusal:
        identity.plan(context(user="bob"))
    assert refusal.value.code == "USER_MISSING"
    preview = identity.plan(context(check=True, user="bob"))
    assert ([one.name for one in preview.effects], preview.result["public_key"]) == (["key_pair"], "")


def test_whom_root_stands_for(home: Path) -> None:
    assert identity.of("ann", None, None) == identity.Identity()
    assert identity.of("bob", None, None) == identity.Identity()
    carried_out(identity.plan(context()))
    ssh = f"{home}/.ssh"
    assert identity.of("ann", None, None) == identity.Identity(f"{ssh}/id_ed25519", f"{ssh}/known_hosts")
    assert identity.of("ann", "/key", None) == identity.Identity("/key", "")


def test_authorized_keys_are_written_and_left_alone(home: Path) -> None:
    keys = [
        {"name": "c2", "key": host_key(2).line, "addresses": ["192.0.2.2"]},
        {"name": "c3", "key": "", "addresses": []},
    ]
    asked = context(keys=keys, absent=[], purge=False, authority="", principal="")
    assert carried_out(authorized_keys.plan(asked)) == ["directory", "write"]
    path = home / ".ssh/authorized_keys"
    assert path.stat().st_mode & 0o777 == 0o600
    assert authorized_keys.plan(asked).effects == ()
    path.chmod(0o664)
    assert carried_out(authorized_keys.plan(asked)) == ["write"]
    assert path.stat().st_mode & 0o777 == 0o600


# --- host keys ---------------------------------------------------------------------------------------------------


def test_host_keys_are_read_from_their_files(tmp_path: Path) -> None:
    (tmp_path / "a.pub").write_text(f"{host_key(1).line} root@c1\n")
    (tmp_path / "a-cert.pub").write_text("a certificate\n")
    (found,) = truth._keys([str(tmp_path / "a"), str(tmp_path / "b")])
    assert (found["line"], found["certificate"]) == (host_key(1).line, "a certificate")
    with pytest.raises(MobilityError) as refusal:
        truth._keys([str(tmp_path / "b")])
    assert refusal.value.code == "HOST_KEYS_MISSING"


def test_addresses_are_those_that_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    listing = '[{"addr_info": [{"local": "192.0.2.1"}, {"local": "2001:db8::9", "temporary": true}]}, {}]'
    monkeypatch.setattr(truth, "run", lambda argv, **_more: Completed(tuple(argv), 0, listing, ""))
    assert truth._addresses() == ("192.0.2.1",)
    monkeypatch.setattr(truth, "run", lambda argv, **_more: Completed(tuple(argv), 0, "2: eth0", ""))
    with pytest.raises(MobilityError) as refusal:
        truth._addresses()
    assert refusal.value.code == "HOST_ADDRESSES_UNKNOWN"


def test_an_sshd_that_cannot_be_asked_has_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_all: Any, **_more: Any) -> Completed:
        raise CommandFailed("COMMAND_FAILED", "sshd", "ended with 255: no", "")

    monkeypatch.setattr(truth, "run", run)
    assert truth._settings(context()) == Settings()


# --- certificates ------------------------------------------------------------------------------------------------


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """An /etc/ssh of the test's own, and an sshd that takes and reads everything; what was run."""
    calls: list[list[str]] = []
    for name in ("SERVER", "CLIENT", "REVOKED", "PENDING"):
        monkeypatch.setattr(installed, name, str(tmp_path / name / "file"))

    def run(argv: Any, **_more: Any) -> Completed:
        calls.append(list(argv))
        server = Path(installed.SERVER)
        text = server.read_text() if server.exists() else ""
        return Completed(tuple(argv), 0, "active" if "is-active" in argv else text, "")

    monkeypatch.setattr(installed, "run", run)
    return calls


def certificates(tmp_path: Path, revocations: str = "") -> Plan:
    given = {str(tmp_path / "key.pub"): "a-certificate"}
    return installed.plan(context(host_certificates=given, user_certificates={}, revocations=revocations))


def test_certificates_are_named_to_sshd_and_it_reads_them_again(tmp_path: Path, etc: list[list[str]]) -> None:
    assert carried_out(certificates(tmp_path)) == ["sshd"]
    assert f"HostCertificate {tmp_path}/key-cert.pub\n" in Path(installed.SERVER).read_text()
    assert etc[-1] == ["systemctl", "reload", "ssh.service"]
    assert certificates(tmp_path).effects == ()


def test_a_run_that_was_killed_before_sshd_read_again_is_made_up_for(
    tmp_path: Path, etc: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:
        killed.setattr(installed, "_reload", raising)
        with pytest.raises(KeyboardInterrupt):
            carried_out(certificates(tmp_path))
    assert carried_out(certificates(tmp_path)) == ["sshd"]
    assert etc[-1] == ["systemctl", "reload", "ssh.service"]
    assert certificates(tmp_path).effects == ()


def test_a_list_of_revoked_ones_comes_and_goes(tmp_path: Path, etc: list[list[str]]) -> None:
    carried_out(certificates(tmp_path, "S1JM"))
    assert Path(installed.REVOKED).read_bytes() == b"KRL"
    assert "RevokedHostKeys" in Path(installed.CLIENT).read_text()
    carried_out(certificates(tmp_path))
    assert not Path(installed.REVOKED).exists()
    assert not Path(installed.CLIENT).exists()


@pytest.mark.parametrize("fault", ["-t", "-T"])
def test_what_sshd_does_not_take_is_taken_back(
    tmp_path: Path, etc: list[list[str]], monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    carried_out(certificates(tmp_path))
    before = Path(installed.SERVER).read_text()

    def run(argv: Any, **_more: Any) -> Completed:
        if fault == "-t" and "-t" in argv:
            raise CommandFailed("COMMAND_FAILED", "sshd", "ended with 255: Bad configuration option", "")
        return Completed(tuple(argv), 0, "", "")

    monkeypatch.setattr(installed, "run", run)
    with pytest.raises(MobilityError) as refusal:
        carried_out(certificates(tmp_path, "S1JM"))
    assert refusal.value.code == "SSHD_CONFIG_REFUSED"
    assert Path(installed.SERVER).read_text() == before
    assert not Path(installed.REVOKED).exists()
    assert not Path(installed.PENDING).exists()
