# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the controller verifies, and what it takes from whom; ssh itself is played."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._command import Completed
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.keys import fingerprint
from ansible_collections.kvmops.mobility.plugins.plugin_utils import _verifying, _vouch, _voucher
from ansible_collections.kvmops.mobility.plugins.plugin_utils._verifying import Route, lookup, require, require_setting
from ansible_collections.kvmops.mobility.plugins.plugin_utils._vouch import Offer, require_fingerprint, vouched
from ansible_collections.kvmops.mobility.tests.unit.ssh_keys import RSA, host_key


class Connection:
    """As much of a connection plugin as is asked."""

    def __init__(self, transport: str = "ssh", **options: Any) -> None:
        self.transport = transport
        self._options = {"host_key_checking": True, "host": "192.0.2.2", "port": 2222, "remote_user": "root", **options}

    def get_option(self, name: str) -> Any:
        return self._options.get(name)


@pytest.fixture
def ssh(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """ssh that says of strictness what the last option says; the command lines it was given."""
    calls: list[list[str]] = []

    def run(argv: Sequence[str], **_more: Any) -> Completed:
        calls.append(list(argv))
        strict = [word.partition("=")[2] for word in argv if word.startswith("StrictHostKeyChecking=")]
        text = f"stricthostkeychecking {strict[0] if strict else 'ask'}\nhostname 192.0.2.2\n"
        refused = "known" not in argv and "-G" not in argv
        return Completed(
            tuple(argv), 255 if refused else 0, text, "Host key verification failed.\r\n" if refused else ""
        )

    monkeypatch.setattr(_verifying, "run", run)
    return calls


def refusal(connection: Any) -> str:
    with pytest.raises(Refused) as refused:
        require(connection, "c2")
    assert refused.value.subject == "c2"
    return refused.value.code


@pytest.mark.parametrize("strict", ["yes", "true"])
def test_a_strict_connection_will_do(ssh: list[list[str]], strict: str) -> None:
    require(Connection(ssh_common_args=f"-o StrictHostKeyChecking={strict}"), "c2")  # type: ignore[arg-type]
    (call,) = ssh
    assert call[0] == "ssh"
    assert call[-2:] == ["-G", "192.0.2.2"]
    assert call[call.index("-p") : call.index("-p") + 2] == ["-p", "2222"]


@pytest.mark.parametrize("strict", ["no", "off", "accept-new", "false"])
@pytest.mark.parametrize("where", ["ssh_args", "ssh_common_args", "ssh_extra_args"])
def test_a_connection_that_believes_anything_will_not(ssh: list[list[str]], strict: str, where: str) -> None:
    found = refusal(Connection(**{where: f"-C -o StrictHostKeyChecking={strict}"}))
    assert found == "CONTROLLER_NOT_VERIFYING"


def test_what_ansible_runner_sets_is_refused_before_ssh_is_asked(ssh: list[list[str]]) -> None:
    assert refusal(Connection(host_key_checking=False)) == "CONTROLLER_NOT_VERIFYING"
    assert refusal(Connection("paramiko_ssh")) == "CONTROLLER_NOT_VERIFYING"
    assert ssh == []


def test_the_controller_itself_needs_no_key(ssh: list[list[str]]) -> None:
    require(Connection("ansible.builtin.local"), "localhost")  # type: ignore[arg-type]


def test_a_question_is_no_verification(ssh: list[list[str]]) -> None:
    assert refusal(Connection()) == "HOST_KEY_UNKNOWN"
    probe = ssh[-1]
    for option in ("StrictHostKeyChecking=yes", "PreferredAuthentications=none", "IdentityAgent=none", "BatchMode=yes"):
        assert option in probe
    require(Connection(ssh_args="known"), "c2")  # type: ignore[arg-type]


def test_a_vouched_host_is_not_asked_for_what_is_known(ssh: list[list[str]]) -> None:
    assert require_setting(Connection(), "c2") is True  # type: ignore[arg-type]


# --- vouching ----------------------------------------------------------------------------------------------------

ROUTE = Route("ssh", (), "192.0.2.2", None, "root")
TRUE, OTHER = Offer(host_key(2), "192.0.2.2"), Offer(host_key(3, RSA), "192.0.2.2")


def offering(monkeypatch: pytest.MonkeyPatch, *offers: Offer) -> None:
    waiting = [[one] for one in offers]
    monkeypatch.setattr(
        _vouch, "_offers", lambda *_all: (waiting.pop(0) if waiting else [], "ssh: connect to host: refused")
    )


def test_any_of_the_hosts_keys_may_be_the_one(monkeypatch: pytest.MonkeyPatch) -> None:
    offering(monkeypatch, OTHER, TRUE)
    assert vouched(ROUTE, fingerprint(TRUE.key), "c2") == TRUE


def test_another_key_is_named_beside_the_one_that_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    offering(monkeypatch, OTHER)
    with pytest.raises(Refused) as refused:
        vouched(ROUTE, fingerprint(TRUE.key), "c2")
    assert refused.value.code == "HOST_KEY_NOT_VOUCHED"
    assert fingerprint(OTHER.key) in refused.value.message
    assert fingerprint(TRUE.key) in refused.value.message


def test_a_silent_host_offers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    offering(monkeypatch)
    with pytest.raises(Refused) as refused:
        vouched(ROUTE, fingerprint(TRUE.key), "c2")
    assert refused.value.code == "SSH_UNREACHABLE"


@pytest.mark.parametrize("text", ["", "true", "MD5:c8:0b:98", "SHA256:short", "SHA256:" + "A" * 44])
def test_what_is_no_fingerprint(text: str) -> None:
    with pytest.raises(Refused) as refused:
        require_fingerprint(text, "c2")
    assert refused.value.code == "VALUE_INVALID"


def test_the_voucher_vouches_for_one_key_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notes, wanted = str(tmp_path / "notes"), fingerprint(TRUE.key)
    kind, key = TRUE.key.line.split()
    assert _voucher.main([notes, wanted, "NONE", "NONE", "NONE", "h"]) == 0
    assert _voucher.main([notes, wanted, fingerprint(OTHER.key), *OTHER.key.line.split(), "h"]) == 0
    assert capsys.readouterr().out == ""
    assert _voucher.main([notes, wanted, wanted, kind, key, "[h]:2222"]) == 0
    assert capsys.readouterr().out == f"[h]:2222 {TRUE.key.line}\n"
    assert _voucher.main([notes]) == 2
    assert [one.name for one in _vouch._read(notes)] == ["h", "[h]:2222"]


def test_what_the_controllers_ssh_looks_a_host_up_by(monkeypatch: pytest.MonkeyPatch) -> None:
    said = (
        "hostname 192.0.2.2\nport 2222\nuserknownhostsfile /a/known ~/.ssh/b /dev/null\nglobalknownhostsfile none /c\n"
    )
    monkeypatch.setattr(_verifying, "run", lambda argv, **_more: Completed(tuple(argv), 0, said, ""))
    monkeypatch.setenv("HOME", "/root")
    path = Route("ssh", (), "c2", 2222, "root")
    assert lookup(path).as_result() == {
        "names": ["192.0.2.2"],
        "port": 2222,
        "known_hosts_files": ["/a/known", "/root/.ssh/b", "/c"],
    }
    said += "hostkeyalias c2.example.com\n"
    assert (lookup(path).names, lookup(path).port) == (("c2.example.com",), 22)
