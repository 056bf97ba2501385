# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trust among three hosts: a host key that changed, and somebody who answers at another host's address."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.tests.e2e import lab
from ansible_collections.kvmops.mobility.tests.e2e.lab import ROOT
from ansible_collections.kvmops.mobility.tests.e2e.play import Run
from ansible_collections.kvmops.mobility.tests.e2e.play import play as play_in

INSTANCE = "9"
ADDRESSES = {f"c{number}": f"198.51.100.{100 + number}" for number in (1, 2, 3, 4)}
GUEST = "e2e-trusted"
CONTROLLERS = Path(f"/var/lib/kvmlab-{INSTANCE}/ssh/known_hosts")
THEIRS = "/var/lib/kvmops-home/.ssh/known_hosts"
ROOTS = "/root/.ssh/known_hosts"
REKEY = "rm /etc/ssh/ssh_host_*; ssh-keygen -A >/dev/null; systemctl restart ssh"
SIZE = {"vcpus": 2, "memory_mib": 256, "root_gib": 1}
WRONG = "SHA256:" + "A" * 43


def inventory(hosts: int = 3) -> tuple[Path, ...]:
    further = (f"instance_c{number}.yml" for number in range(3, hosts + 1))
    return tuple(ROOT / "tests/lab" / name for name in ("instance.yml", *further))


def play(playbook: str, variables: Mapping[str, Any] | None = None, *options: str, hosts: int = 3) -> Run:
    """A run that shares no connection with an earlier one: such a connection knows the host by its old key."""
    with tempfile.TemporaryDirectory(prefix="kvm-") as sockets, pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANSIBLE_SSH_CONTROL_PATH_DIR", sockets)
        return play_in(playbook, variables, *options, inventory=inventory(hosts), timeout_s=900)


@pytest.fixture(scope="module", autouse=True)
def three_hosts() -> Iterator[None]:
    """A lab of this module's own, which no other test knows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KVMLAB_INSTANCE", INSTANCE)
        patch.setenv("KVMLAB_HOSTS", "3")
        try:
            lab.run("down", timeout_s=120)
            lab.run("up", "--hosts", "3", timeout_s=900)
            yield
        finally:
            lab.run("down", timeout_s=120)


def known(host: str) -> dict[str, str]:
    """The known_hosts of the migration user and of root."""
    return {path: lab.shell(host, f"cat {path}") for path in (THEIRS, ROOTS)}


def fingerprint(host: str, kind: str = "ecdsa") -> str:
    """As the host's own console shows it."""
    return lab.shell(host, f"ssh-keygen -lf /etc/ssh/ssh_host_{kind}_key.pub").split()[1]


def console(host: str, command: str) -> str:
    """A command on a host whose host key the lab's ssh does not know any more."""
    leader = re.search(r'"leader": \[(\d+)', Path(f"/var/lib/kvmlab-{INSTANCE}/hosts/{host}/host.json").read_text())
    assert leader
    return lab.on_machine("nsenter", "-t", leader.group(1), "-m", "-u", "-i", "-n", "-p", "sh", "-c", command)


def changed_lines(run: Run, action: str) -> set[str]:
    """The lines, without their first sign, that the diffs of a module's tasks add."""
    found = set()
    for one in run.of(action):
        for result in one.get("results", [one]):
            diff = result.get("diff") or {}
            before, after = (str(diff.get(side, "")).splitlines() for side in ("before", "after"))
            found |= set(after) - set(before)
    return found


def cells(run: Run) -> dict[tuple[str, str], str]:
    """The code of every pair of the matrix, empty where it is well."""
    matrix = run.stats["kvmops_trust"]
    return {(here, there): one["code"] for here, row in matrix.items() for there, one in row.items()}


# --- what the lab's own start has made ---------------------------------------------------------------------------


def test_every_pair_is_proven() -> None:
    run = play("repair_trust", {"proof_only": True})
    assert run.code == 0, run.output
    assert len(cells(run)) == 6
    assert set(cells(run).values()) == {""}
    assert not any(one.result.get("changed") for one in run.results)


def test_a_second_run_changes_nothing() -> None:
    run = play("repair_trust")
    assert run.code == 0, run.output
    assert [one.task for one in run.results if one.result.get("changed")] == []


def test_limits_of_sshd_are_warned_of() -> None:
    run = play("repair_trust", {"proof_only": True, "ssh_trust_parallel_moves": 50})
    assert run.code == 0, run.output
    assert "SSHD_LIMITS: c1: MaxStartups begins to drop logins at 10" in run.output


def test_nothing_is_believed_with_host_key_checking_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """As ansible-runner and AWX run, when nothing else is said."""
    monkeypatch.setenv("ANSIBLE_HOST_KEY_CHECKING", "false")
    for given in ({}, {"proof_only": True}, {"fingerprints": {"c2": WRONG}}):
        run = play("repair_trust", given)
        assert run.code != 0
        assert "CONTROLLER_NOT_VERIFYING: c2: " in run.output
        assert not any(one.result.get("changed") for one in run.results)


# --- a host key that changed -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Incident:
    """c2 has new host keys: what was tried, in this order."""

    before: dict[str, dict[str, str]]
    controllers: str
    fingerprint: str
    resize: Run
    untold: Run
    wrong: Run
    preview: Run
    previewed: dict[str, dict[str, str]]
    repair: Run
    again: Run
    after: dict[str, dict[str, str]]
    resized: Run


@pytest.fixture(scope="module")
def incident() -> Iterator[Incident]:
    """The incident this collection began with, from its beginning to its end."""
    try:
        lab.create(GUEST, host="c1")
        lab.verify(GUEST)
        before, controllers = {host: known(host) for host in ("c1", "c3")}, CONTROLLERS.read_text()
        console("c2", REKEY)
        new = console("c2", "ssh-keygen -lf /etc/ssh/ssh_host_ecdsa_key.pub").split()[1]
        vouched = {"fingerprints": {"c2": new}}
        yield Incident(
            before=before,
            controllers=controllers,
            fingerprint=new,
            resize=play("resize", {"vm": GUEST, "dest": "c2", **SIZE}),
            untold=play("repair_trust"),
            wrong=play("repair_trust", {"fingerprints": {"c2": WRONG}}),
            preview=play("repair_trust", vouched, "--check", "--diff"),
            previewed={host: known(host) for host in ("c1", "c3")},
            repair=play("repair_trust", vouched, "--diff"),
            again=play("repair_trust", vouched),
            after={host: known(host) for host in ("c1", "c2", "c3")},
            resized=play("resize", {"vm": GUEST, "dest": "c2", **SIZE}),
        )
    finally:
        lab.destroy(GUEST)


def test_a_resize_is_refused_before_anything_is_changed(incident: Incident) -> None:
    found = incident.resize.findings(GUEST)
    assert re.search(
        rf"^c2: c1 cannot reach c2, .*: it offers \S+ SHA256:\S+, but {THEIRS}:\d+ has SHA256:\S+\.",
        found["HOST_KEY_CHANGED"],
    )
    assert incident.resize.last_lines()[GUEST].startswith(f"{GUEST}: refused, nothing was changed: HOST_KEY_CHANGED: ")


def test_nobody_mends_it_without_a_fingerprint(incident: Incident) -> None:
    assert incident.untold.code != 0
    assert cells(incident.untold)["c1", "c2"] == "HOST_KEY_CHANGED"
    assert cells(incident.untold)["c1", "c3"] == ""
    assert not any(one.result.get("changed") for one in incident.untold.results)


def test_a_wrong_fingerprint_names_both(incident: Incident) -> None:
    (failure,) = incident.wrong.failures()
    assert failure.startswith("HOST_KEY_NOT_VOUCHED: c2: ")
    assert incident.fingerprint in failure
    assert WRONG in failure


def test_the_preview_shows_the_very_lines(incident: Incident) -> None:
    assert incident.preview.code == 0, incident.preview.output
    assert incident.previewed == incident.before
    told = changed_lines(incident.preview, "known_hosts_repair")
    assert told
    assert told == changed_lines(incident.repair, "known_hosts_repair")
    real = {line for host in ("c1", "c3") for text in incident.after[host].values() for line in text.splitlines()}
    assert {line for line in told if line.startswith("c2,198")} <= real


def test_all_three_and_the_controller_are_mended(incident: Incident) -> None:
    assert incident.repair.code == 0, incident.repair.output
    assert set(cells(incident.repair).values()) == {""}
    old = {line for line in incident.controllers.splitlines() if line.startswith("c2,")}
    new = CONTROLLERS.read_text()
    assert len(old) == 3
    assert [line for line in old if line.split(" ", 1)[1] in new] == []
    assert fingerprint("c2") == incident.fingerprint  # by the lab's strict ssh, with the controller's file


def test_the_second_run_changes_nothing(incident: Incident) -> None:
    assert incident.again.code == 0, incident.again.output
    assert [one.task for one in incident.again.results if one.result.get("changed")] == []


def test_then_the_resize_works(incident: Incident) -> None:
    assert incident.resized.code == 0, incident.resized.output
    assert lab.verify(GUEST).host == "c2"


# --- somebody in the middle --------------------------------------------------------------------------------------

PRETEND = f"ip address add {ADDRESSES['c2']}/32 dev host0"
TELL_ALL = "printf 'LogLevel VERBOSE\\n' > /etc/ssh/sshd_config.d/e2e.conf; systemctl reload ssh"


@pytest.fixture(scope="class")
def impostor() -> Iterator[None]:
    """c2 is away, and c3 answers at its address: the neighbours are made to ask again who has it."""
    truth = CONTROLLERS.read_text()
    console("c3", TELL_ALL)
    lab.run("cut", "c2")
    try:
        console("c3", PRETEND)
        console("c1", "ip neighbour flush all")
        lab.on_machine("ip", "neighbour", "flush", "dev", f"kvmlab{INSTANCE}")
        yield
    finally:
        console("c3", PRETEND.replace(" add ", " del "))
        lab.run("heal", "c2")
        console("c1", "ip neighbour flush all")
        lab.on_machine("ip", "neighbour", "flush", "dev", f"kvmlab{INSTANCE}")
        assert CONTROLLERS.read_text() == truth


def log_of_impostor() -> str:
    """What sshd of c3 says of the connections that were meant for c2."""
    lines = console("c3", "journalctl --no-pager --output=cat _COMM=sshd _COMM=sshd-session").splitlines()
    # Whole ends: another host may have come to c3 itself from a port of the same number.
    ends = {
        found.group(1)
        for line in lines
        if (found := re.search(rf"Connection from (\S+ port \d+) on {re.escape(ADDRESSES['c2'])} ", line))
    }
    assert ends, "nobody came to it"
    return "\n".join(line for line in lines if any(re.search(rf"{re.escape(end)}\b", line) for end in ends))


class TestSomebodyInTheMiddle:
    """A class, because the fixture has to end before the tests that need c2."""

    @pytest.mark.parametrize(
        ("playbook", "given"),
        [
            ("repair_trust", {}),
            ("repair_trust", {"proof_only": True}),
            ("repair_trust", {"fingerprints": {"c2": "true"}}),
            ("resize", {"vm": GUEST, "dest": "c2", **SIZE}),
            ("migrate", {"vm": GUEST, "dest": "auto"}),
            ("status", {}),
            ("recover", {}),
        ],
    )
    def test_nobody_accepts_the_key_of_another(
        self, impostor: None, incident: Incident, playbook: str, given: dict[str, Any]
    ) -> None:
        before = {host: known(host) for host in ("c1", "c3")}
        told = {**given, "fingerprints": {"c2": incident.fingerprint}} if "fingerprints" in given else given
        run = play(playbook, told)
        if "fingerprints" in given:
            assert any(one.startswith("HOST_KEY_NOT_VOUCHED: c2: ") for one in run.failures())
        seen = log_of_impostor()
        assert "Accepted" not in seen
        assert "Failed" not in seen
        assert "Postponed" not in seen
        assert {host: known(host) for host in ("c1", "c3")} == before


# --- a host that leaves ------------------------------------------------------------------------------------------


def test_a_host_that_leaves_is_forgotten_by_the_others(impostor_is_gone: None) -> None:
    run = play("repair_trust", {"ssh_trust_absent": ["c3"]})
    assert run.code == 0, run.output
    for host in ("c1", "c2"):
        files = lab.shell(
            host, f"cat {THEIRS} {ROOTS} /root/.ssh/authorized_keys /var/lib/kvmops-home/.ssh/authorized_keys"
        )
        names = [word for word in files.split() if not word.startswith("AAAA")]  # keys have any letters
        assert not any("c3" in word for word in names)
        assert ADDRESSES["c3"] not in files
    assert set(cells(run)) == {("c1", "c2"), ("c2", "c1")}


# --- a host that Ansible does not work on -------------------------------------------------------------------------


def test_a_host_outside_the_inventory_is_known_by_its_fingerprint(impostor_is_gone: None) -> None:
    outside = {"name": "backup", "address": ADDRESSES["c3"]}
    before = known("c1")
    wrong = play("repair_trust", {"ssh_trust_outside": [{**outside, "fingerprint": WRONG}]}, hosts=2)
    assert wrong.code != 0
    assert f"HOST_KEY_NOT_VOUCHED: {ADDRESSES['c3']}: " in wrong.output
    assert known("c1") == before
    run = play("repair_trust", {"ssh_trust_outside": [{**outside, "fingerprint": fingerprint("c3")}]}, hosts=2)
    try:
        assert run.code == 0, run.output
        for host in ("c1", "c2"):
            for text in known(host).values():
                assert [line for line in text.splitlines() if line.startswith(f"backup,{ADDRESSES['c3']} ecdsa-")]
    finally:
        for host in ("c1", "c2"):
            lab.shell(host, f"sed -i /^backup,/d {THEIRS} {ROOTS}")


# --- certificates ------------------------------------------------------------------------------------------------

EVERYTHING = (
    "cd / && find etc root var/lib/kvmops-home usr/local -xdev -type f -printf '%p %m %u %g %s %T@\\n' "
    "| grep -v -e '^etc/\\.updated' -e '\\.ansible' | sort"
)
HOST_KEYS = "/etc/ssh/ssh_host_ed25519_key"


@dataclass(frozen=True)
class Certified:
    """Three hosts with certificates of one authority, and then a fourth."""

    given: dict[str, Any]
    first: Run
    again: Run
    before: dict[str, str]
    fourth: Run
    after: dict[str, str]


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory, impostor_is_gone: None) -> Certified:
    """The mode ca, with a key that has a passphrase."""
    key = tmp_path_factory.mktemp("authority") / "ca"
    given = {"ssh_trust_mode": "ca", "ssh_trust_ca_key": str(key), "ssh_trust_ca_passphrase": "horse-battery"}
    first, again = play("repair_trust", given), play("repair_trust", given)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KVMLAB_TRUST", "no")
        lab.run("up", "--hosts", "4", timeout_s=300)
    before = {host: lab.shell(host, EVERYTHING) for host in ("c1", "c2", "c3")}
    fourth = play("repair_trust", given, hosts=4)
    after = {host: lab.shell(host, EVERYTHING) for host in ("c1", "c2", "c3")}
    return Certified(given, first, again, before, fourth, after)


@pytest.fixture(scope="module")
def impostor_is_gone() -> None:
    """All hosts are themselves."""
    lab.wait_for("c2 to answer", lambda: lab.run("ssh", "c2", "true", check=False).returncode == 0, timeout_s=60)


def test_an_authority_is_enough(certified: Certified) -> None:
    assert certified.first.code == 0, certified.first.output
    assert set(cells(certified.first).values()) == {""}
    for path, text in known("c1").items():
        assert [line.split()[0] for line in text.splitlines()] == ["@cert-authority"], path
    assert [line for line in CONTROLLERS.read_text().splitlines() if line.startswith("@cert-authority * ")]


def test_nothing_is_signed_twice(certified: Certified) -> None:
    assert certified.again.code == 0, certified.again.output
    assert [one.task for one in certified.again.results if one.result.get("changed")] == []


def test_the_private_key_and_its_passphrase_are_on_no_host_and_in_no_output(certified: Certified) -> None:
    key = Path(certified.given["ssh_trust_ca_key"]).read_text().splitlines()[2]
    for run in (certified.first, certified.again, certified.fourth):
        assert "horse-battery" not in run.output
        assert not any("horse-battery" in str(one.result) or key in str(one.result) for one in run.results)
    for host in ("c1", "c4"):
        found = lab.run(
            "ssh", host, f"grep -rlF -e '{key}' -e horse-battery /etc /root /var/lib/kvmops-home /tmp", check=False
        )
        assert found.stdout == ""


def test_a_fourth_host_changes_no_file_on_the_first_three(certified: Certified) -> None:
    assert certified.fourth.code == 0, certified.fourth.output
    assert len(cells(certified.fourth)) == 12
    assert set(cells(certified.fourth).values()) == {""}
    assert certified.after == certified.before


def test_a_certificate_that_has_ended_is_refused_and_renewed(certified: Certified, tmp_path: Path) -> None:
    key = Path(certified.given["ssh_trust_ca_key"])
    ask = tmp_path / "ask"
    ask.write_text("#!/bin/sh\necho horse-battery\n")
    ask.chmod(0o700)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSH_ASKPASS", str(ask))
        patch.setenv("SSH_ASKPASS_REQUIRE", "force")
        for kind in ("rsa", "ecdsa", "ed25519"):
            path = f"/etc/ssh/ssh_host_{kind}_key"
            (tmp_path / f"{kind}.pub").write_text(lab.shell("c4", f"cat {path}.pub"))
            names = ["-h", "-I", "old", "-n", f"c4,{ADDRESSES['c4']}", "-V", "20200101:20200102"]
            lab.on_machine("ssh-keygen", "-q", "-s", str(key), *names, str(tmp_path / f"{kind}.pub"))
            text = (tmp_path / f"{kind}-cert.pub").read_text().strip()
            lab.shell("c4", f"echo '{text}' > {path}-cert.pub")
    lab.shell("c4", "systemctl reload ssh")
    proven = play("repair_trust", {**certified.given, "proof_only": True}, hosts=4)
    assert proven.code != 0
    assert "TRUST_UNPROVEN" in proven.failures()[-1]
    assert cells(proven)["c1", "c4"] == "CERTIFICATE_EXPIRED"
    assert cells(proven)["c4", "c1"] == ""
    mended = play("repair_trust", certified.given, hosts=4)
    assert mended.code == 0, mended.output


def test_a_revoked_certificate_is_refused(certified: Certified) -> None:
    run = play("repair_trust", {**certified.given, "ssh_trust_revoked": ["c4"]}, hosts=4)
    assert run.code != 0
    found = cells(run)
    assert found["c1", "c4"] == "CERTIFICATE_REVOKED"
    assert found["c4", "c1"] == "SSH_AUTH_REFUSED"
    assert found["c1", "c2"] == found["c3", "c1"] == ""
