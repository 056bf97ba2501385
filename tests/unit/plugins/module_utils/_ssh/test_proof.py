# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a proof says of each way it can fail; the programs are played."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.action import ssh_proof_matrix, ssh_trust_plan
from ansible_collections.kvmops.mobility.plugins.module_utils._checks import trust as checks
from ansible_collections.kvmops.mobility.plugins.module_utils._command import Completed
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import CommandFailed
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import ProofFacts
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh import proof
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.identity import Identity
from ansible_collections.kvmops.mobility.plugins.plugin_utils import _site
from ansible_collections.kvmops.mobility.tests.unit.builders import move, site
from ansible_collections.kvmops.mobility.tests.unit.controller import action, variables
from ansible_collections.kvmops.mobility.tests.unit.ssh_keys import host_key

TARGET = proof.Target("c2", "192.0.2.2", 22, "kvmops", Identity("/key", "/known"))
UNKNOWN = "No ED25519 host key is known for 192.0.2.2 and you have requested strict checking.\r\n"


def play(monkeypatch: pytest.MonkeyPatch, fails: str, words: str) -> list[list[str]]:
    """Programs whose command line has *fails* in it end with *words*."""
    calls: list[list[str]] = []

    def run(argv: Sequence[str], **_more: Any) -> Completed:
        calls.append(list(argv))
        if fails and any(fails in word for word in argv):
            raise CommandFailed("COMMAND_FAILED", argv[0], f"ended with 255: {words}", "")
        return Completed(tuple(argv), 0, "", "")

    monkeypatch.setattr(proof, "run", run)
    return calls


def prove(*parts: str) -> list[proof.Proof]:
    return list(proof.prove(TARGET, parts, lambda: 0.0))


def test_it_is_the_very_ssh_of_the_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = play(monkeypatch, "", "")
    assert [one.ok for one in prove("ssh", "rsync")] == [True, True]
    assert calls[0][-2:] == ["kvmops@192.0.2.2", "true"]
    for option in ("BatchMode=yes", "StrictHostKeyChecking=yes", "UserKnownHostsFile=/known", "/key"):
        assert option in calls[0]
    copied, removed = calls[1], calls[2]
    assert copied[0] == "rsync"
    there = copied[-1].rpartition(":")[2].rstrip("/")
    assert removed[-1] == f"rm -rf -- {there}"


def test_where_the_login_fails_nothing_else_is_tried_but_libvirt(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = play(monkeypatch, "kvmops@", UNKNOWN)
    found = prove("ssh", "rsync", "socket", "libvirt")
    assert [one.code for one in found] == ["HOST_KEY_UNKNOWN"] * 3 + [""]
    assert [call[0] for call in calls] == ["ssh", "virsh"]


@pytest.mark.parametrize(
    ("part", "fails", "words", "code"),
    [
        ("ssh", "true", "This account is currently not available.", "SSH_AUTH_REFUSED"),
        ("ssh", "true", "kvmops@192.0.2.2: Permission denied (publickey).", "SSH_AUTH_REFUSED"),
        ("ssh", "true", "ssh: connect to host 192.0.2.2 port 22: No route to host", "SSH_UNREACHABLE"),
        ("rsync", "rsync", "sh: 1: rsync: not found", "RSYNC_REFUSED"),
        ("socket", "-L", "administratively prohibited", "SSH_FORWARDING_REFUSED"),
        ("libvirt", "qemu+ssh", "error: Failed to connect socket", "LIBVIRT_REFUSED"),
        ("tls", "qemu+tls://192.0.2.2/system", "error: The certificate is not trusted.", "LIBVIRT_REFUSED"),
        ("tcp", "qemu+tcp://192.0.2.2/system", "error: authentication failed", "LIBVIRT_REFUSED"),
    ],
)
def test_codes(monkeypatch: pytest.MonkeyPatch, part: str, fails: str, words: str, code: str) -> None:
    play(monkeypatch, fails, words)
    (found,) = prove(part)
    assert (found.ok, found.code) == (False, code)
    assert found.remedy


def test_a_socket_that_carries_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    play(monkeypatch, "", "")
    (found,) = prove("socket")
    assert found.code == "SSH_FORWARDING_REFUSED"


class Link:
    """A connection."""

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (None, ""),
        (ConnectionRefusedError(111, "Connection refused"), ""),
        (TimeoutError("timed out"), "LIVE_PORTS_CLOSED"),
        (OSError(113, "No route to host"), "LIVE_PORTS_CLOSED"),
    ],
)
def test_ports_that_a_firewall_closes(monkeypatch: pytest.MonkeyPatch, error: OSError | None, code: str) -> None:
    asked = []

    def connect(address: tuple[str, int], timeout: float) -> Link:
        asked.append((address, timeout))
        if error is not None:
            raise error
        return Link()

    monkeypatch.setattr(socket, "create_connection", connect)
    (found,) = prove("ports")
    assert (found.ok, found.code, asked) == (not code, code, [(("192.0.2.2", 49152), 3)])


def test_ports_are_tried_where_the_login_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    play(monkeypatch, "kvmops@", UNKNOWN)
    monkeypatch.setattr(socket, "create_connection", lambda *_more, **_words: Link())
    assert [one.code for one in prove("ssh", "ports")] == ["HOST_KEY_UNKNOWN", ""]


# --- the check of a move -----------------------------------------------------------------------------------------

CHANGED = ProofFacts(False, "HOST_KEY_CHANGED", "it offers another key.", "Repair it.")


def test_closed_ports_warn_of_a_live_migration() -> None:
    closed = ProofFacts(False, "LIVE_PORTS_CLOSED", "its port 49152 does not answer: timed out.", "Open it.")
    (found,) = checks.reach(move(where=site(proofs={"c1": {"c2": closed}})))
    assert (found.code, found.blocks) == ("LIVE_PORTS_CLOSED", False)


def test_a_move_is_refused_where_ssh_does_not_get_there() -> None:
    (found,) = checks.reach(move(where=site(proofs={"c1": {"c2": CHANGED}})))
    assert (found.code, found.subject, found.blocks) == ("HOST_KEY_CHANGED", "c2", True)
    assert found.message == "c1 cannot reach c2, the destination of web1: it offers another key."
    assert list(checks.reach(move(where=site(proofs={"c1": {"c2": ProofFacts(True)}})))) == []
    assert list(checks.reach(move(where=site()))) == []


def test_a_silent_destination_is_said_once() -> None:
    silent = ProofFacts(False, "SSH_UNREACHABLE", "no route.", "")
    where = site(proofs={"c1": {"c2": silent}}, unreachable={"c2": "no route"})
    assert list(checks.reach(move(where=where))) == []


def test_a_proof_that_could_not_be_made_is_told_of_every_destination() -> None:
    failed = {
        "code": "CONTROLLER_NOT_VERIFYING",
        "subject": "c1",
        "remedy": "Set it.",
        "msg": "CONTROLLER_NOT_VERIFYING: c1: believes anything. Set it.",
    }
    hosts: dict[str, dict[str, Any]] = {
        "c1": {"kvmops_proofs": failed, "kvmops_visitors": {"peers": [{"name": "c2"}]}, "kvmops_survey": {}},
        "c2": {"kvmops_survey": {}},
    }
    found = _site._proofs(variables(hosts), "c1")
    assert found == {"c2": ProofFacts(False, "CONTROLLER_NOT_VERIFYING", "believes anything.", "Set it.")}


@pytest.mark.parametrize(("destination", "names"), [("", ["c2", "c3"]), ("auto", ["c2", "c3"]), ("c3", ["c3"])])
def test_whom_a_source_has_to_reach(destination: str, names: list[str]) -> None:
    hosts: dict[str, dict[str, Any]] = {
        name: {"kvmops_survey": {}, "ansible_host": f"{name}.example.com"} for name in ("c1", "c2", "c3")
    }
    hosts["c1"]["kvmops_survey"] = {"domains": [{}]}
    found = _site.peers(variables(hosts), "c1", destination, 2222)
    assert [(one["name"], one["address"], one["port"]) for one in found] == [
        (name, f"{name}.example.com", 2222) for name in names
    ]
    assert _site.peers(variables(hosts), "c2", destination, 22) == []


# --- on the controller -------------------------------------------------------------------------------------------


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    well = {"peer": "c1", "ok": True, "code": "", "message": "", "remedy": "", "parts": []}
    bad = {**well, "peer": "c2", "ok": False, "code": "HOST_KEY_CHANGED", "message": "m.", "remedy": "r."}
    hosts: dict[str, dict[str, Any]] = {
        "c1": {"ssh_trust_proofs": {"proofs": [bad, {**well, "peer": "c3"}]}},
        "c2": {"ssh_trust_proofs": {"proofs": [well, {**well, "peer": "c3"}]}},
        "c3": {"kvmops_unusable": "HOST_UNREACHABLE: c3: did not answer."},
    }
    found = action(ssh_proof_matrix.ActionModule, hosts=list(hosts)).run(task_vars=variables(hosts))
    assert found["unproven"] == ["c1 -> c2", "c3 -> c1", "c3 -> c2"]
    assert found["matrix"]["c3"]["c1"]["code"] == "HOST_UNREACHABLE"
    assert found["lines"][1].split() == ["c1", "-", "HOST_KEY_CHANGED", "ok"]
    assert "c1 -> c2: HOST_KEY_CHANGED: m. r." in found["lines"]
    assert found["ansible_stats"]["data"]["kvmops_trust"] == found["matrix"]


def test_clones_are_refused() -> None:
    truth = {"ssh_trust_truth": {"host_keys": [{"line": host_key(1).line}], "addresses": []}}
    found = action(ssh_trust_plan.ActionModule, hosts=["c1", "c2"]).run(
        task_vars=variables({"c1": truth, "c2": truth}, inventory_hostname="c1")
    )
    assert (found["failed"], found["code"]) == (True, "HOST_KEY_SHARED")
