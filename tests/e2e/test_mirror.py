# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A running guest's disks are at the destination before it stops; what that opens, and what is left of it."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.tests.certificates import Authority
from ansible_collections.kvmops.mobility.tests.e2e import lab, pki
from ansible_collections.kvmops.mobility.tests.e2e.lab import HOSTS, IMAGES, PREFIX
from ansible_collections.kvmops.mobility.tests.e2e.play import ROOMY, Run, play

BUSY, SLOW, STUBBORN = (f"{PREFIX}{name}" for name in ("busy", "slow", "stubborn"))
SLOW_MIB_S = 24
"""The limit counts holes, too: a disk of 1 GiB takes three quarters of a minute."""
LISTENERS = "ss -Hltnu | awk '{print $5}' | sort -u"
UNITS = "systemctl list-units --all --plain --no-legend 'kvmops-*' | awk '{print $1}'"
SOCKETS = "find /run /var/lib/libvirt/qemu -path '*kvmops*' -type s"
AS_NOBODY = (
    "runuser -u nobody -- python3 -c "
    "'import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])' {} 2>&1 | grep -c PermissionError"
)


def run(name: str, **variables: Any) -> Run:
    return play("migrate", {"vm": name, "dest": "c2", "kvmops_capacity": ROOMY, **variables}, timeout_s=400)


def left_over() -> dict[str, list[str]]:
    """Units and sockets of a mirror, on both hosts."""
    return {host: lab.shell(host, f"{UNITS}; {SOCKETS}").split() for host in HOSTS}


def steps(done: Run, name: str) -> dict[str, str]:
    """The steps of the receipt, with what they did."""
    return {one["step"]: one["did"] for one in done.receipt(name)["steps"]}


def line_of(key: str, text: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(key))


@pytest.fixture
def guest(request: pytest.FixtureRequest) -> Iterator[str]:
    name, *options = request.param
    lab.create(name, *options)
    yield name
    lab.destroy(name)


@pytest.mark.parametrize("guest", [(BUSY, "--disks", "2", "--config-drive", "--load", "disk=1")], indirect=True)
def test_a_guest_that_writes_is_moved_with_nothing_left_to_copy(guest: str) -> None:
    before = lab.verify(guest)
    done = run(guest, transfer="mirror")
    assert done.code == 0, done.output
    assert "copy" not in steps(done, guest)
    assert steps(done, guest)["take_over"].startswith("evidence")
    after = lab.verify(guest)
    assert (after.host, after.problems, after.sums) == ("c2", (), before.sums)
    assert after.config_drive_ok
    _rehearsed, taken = done.of("domain_take_over")
    for seen in taken["mirror_evidence"].values():
        assert (seen["errors"], seen["unflushed"], seen["unanswered"], seen["said_goodbye"]) == (0, 0, 0, True)
    kept = [lab.shell("c1", f"qemu-img info -f qcow2 {IMAGES}/{guest}_resize/{one}") for one in ("disk", "disk1")]
    made = [lab.shell("c2", f"qemu-img info -U -f qcow2 {IMAGES}/{guest}/{one}") for one in ("disk", "disk1")]
    assert [line_of("cluster_size", one) for one in kept] == [line_of("cluster_size", one) for one in made]
    assert left_over() == {"c1": [], "c2": []}


@pytest.mark.parametrize("guest", [(SLOW, "--data-mib", "64")], indirect=True)
def test_nobody_else_can_reach_what_a_mirror_opens(guest: str) -> None:
    """While it copies: no new listener, and sockets that another user of the host cannot connect to."""
    listening = {host: lab.shell(host, LISTENERS) for host in HOSTS}
    found: dict[str, Any] = {}
    with moving(guest, found, cold_resize_bandwidth_mib_s=SLOW_MIB_S):
        lab.wait_for("the mirror to copy", lambda: mirroring(guest), timeout_s=180)
        assert {host: lab.shell(host, LISTENERS) for host in HOSTS} == listening
        for host in HOSTS:
            sockets = lab.shell(host, SOCKETS).split()
            assert sockets
            refused = [lab.shell(host, AS_NOBODY.format(one)).strip() for one in sockets]
            assert refused == ["1"] * len(sockets)
            assert lab.shell(host, f"runuser -u nobody -- ls {IMAGES}/{guest}*.staging 2>/dev/null || true") == ""
    assert found["run"].code == 0, found["run"].output
    assert left_over() == {"c1": [], "c2": []}


@pytest.mark.parametrize("guest", [(SLOW, "--data-mib", "64")], indirect=True)
def test_without_its_tunnel_the_disks_go_by_rsync(guest: str) -> None:
    found: dict[str, Any] = {}
    with moving(guest, found, cold_resize_bandwidth_mib_s=SLOW_MIB_S):
        lab.wait_for("the mirror to copy", lambda: mirroring(guest), timeout_s=180)
        lab.shell("c1", f"systemctl kill --signal=KILL $({UNITS} | grep tunnel)")
    assert found["run"].code == 0, found["run"].output
    assert "MIRROR_FAILED" in found["run"].output
    assert "copy" in steps(found["run"], guest)
    assert (lab.verify(guest).host, lab.verify(guest).problems) == ("c2", ())
    assert left_over() == {"c1": [], "c2": []}


@pytest.mark.parametrize("guest", [(STUBBORN, "--data-mib", "64")], indirect=True)
def test_asked_for_it_is_the_mirror_or_nothing(guest: str) -> None:
    found: dict[str, Any] = {}
    with moving(guest, found, cold_resize_bandwidth_mib_s=SLOW_MIB_S, transfer="mirror"):
        lab.wait_for("the mirror to copy", lambda: mirroring(guest), timeout_s=180)
        lab.shell("c2", f"systemctl kill --signal=KILL $({UNITS} | grep export)")
    assert found["run"].code != 0
    assert any("MIRROR_FAILED" in one for one in found["run"].failures())
    view = lab.verify(guest)
    assert (view.host, view.problems, view.defined_on) == ("c1", (), ("c1",))
    assert left_over() == {"c1": [], "c2": []}


@pytest.fixture(scope="class")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Both hypervisors have certificates of one authority; what is returned is one of that authority, too, for another
    address."""
    root = tmp_path_factory.mktemp("pki")
    authority = Authority(root / "ours")
    try:
        for host in HOSTS:
            pki.install(host, authority.sign(root / host, f"IP:{lab.ADDRESSES[host]}"))
        yield authority.sign(root / "stranger", "IP:198.51.100.250")
    finally:
        for host in HOSTS:
            pki.remove(host)


@pytest.mark.usefixtures("certificates")
class TestTls:
    """The other way for the bytes: a port of the destination that only the source is let in at."""

    @pytest.mark.parametrize("guest", [(BUSY, "--disks", "2", "--load", "disk=1")], indirect=True)
    def test_the_copy_is_whole_and_proven_and_nothing_stays_open(self, guest: str) -> None:
        before, listening = lab.verify(guest), {host: lab.shell(host, LISTENERS) for host in HOSTS}
        done = run(guest, transfer="mirror", cold_resize_mirror_tls=True)
        assert done.code == 0, done.output
        assert steps(done, guest)["take_over"].startswith("evidence")
        after = lab.verify(guest)
        assert (after.host, after.problems, after.sums) == ("c2", (), before.sums)
        assert left_over() == {"c1": [], "c2": []}
        assert {host: lab.shell(host, LISTENERS) for host in HOSTS} == listening

    @pytest.mark.parametrize("guest", [(SLOW, "--data-mib", "64")], indirect=True)
    def test_a_stranger_is_refused_and_the_mirror_goes_on(self, guest: str, certificates: Path) -> None:
        found: dict[str, Any] = {}
        listening = {host: set(lab.shell(host, LISTENERS).split()) for host in HOSTS}
        with moving(
            guest, found, transfer="mirror", cold_resize_mirror_tls=True, cold_resize_bandwidth_mib_s=SLOW_MIB_S
        ):
            lab.wait_for("the mirror to copy", lambda: mirroring(guest), timeout_s=180)
            opened = {host: set(lab.shell(host, LISTENERS).split()) - listening[host] for host in HOSTS}
            assert opened["c1"] == set()
            (entrance,) = opened["c2"]
            address, _colon, port = entrance.rpartition(":")
            assert address == lab.ADDRESSES["c2"]
            assert _asked(int(port), certificates) == ""
            assert _asked(int(port), None) == ""
        assert found["run"].code == 0, found["run"].output
        assert left_over() == {"c1": [], "c2": []}

    @pytest.mark.parametrize("guest", [(SLOW, "--data-mib", "64")], indirect=True)
    def test_where_it_cannot_be_had_the_disks_go_by_rsync(self, guest: str) -> None:
        lab.shell("c1", "mv /etc/pki/qemu/client-key.pem /etc/pki/qemu/kept")
        try:
            done = run(guest, cold_resize_mirror_tls=True)
        finally:
            lab.shell("c1", "mv /etc/pki/qemu/kept /etc/pki/qemu/client-key.pem")
        assert done.code == 0, done.output
        assert any("TLS_UNUSABLE" in one and "client-key.pem" in one for one in done.failures())
        assert "copy" in steps(done, guest)
        assert (lab.verify(guest).host, left_over()) == ("c2", {"c1": [], "c2": []})


def _asked(port: int, shown: Path | None) -> str:
    """What the entrance on c2 says to somebody of this machine, with or without a certificate; an export greets."""
    secure = ssl.create_default_context()
    secure.check_hostname, secure.verify_mode = False, ssl.CERT_NONE
    secure.set_alpn_protocols(["nbd"])
    if shown is not None:
        secure.load_cert_chain(shown / "cert.pem", shown / "key.pem")
    try:
        with socket.create_connection((lab.ADDRESSES["c2"], port), 10) as plain, secure.wrap_socket(plain) as one:
            return one.recv(64).decode("latin-1")
    except (ssl.SSLError, ConnectionError):
        return ""


def mirroring(guest: str) -> bool:
    return "Block Copy" in lab.shell("c1", f"virsh blockjob {guest} vda 2>&1; true")


@contextmanager
def moving(guest: str, found: dict[str, Any], **variables: Any) -> Iterator[None]:
    """A move in the background; its run is in *found* once the block has ended."""

    def work() -> None:
        found["run"] = run(guest, **variables)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join(400)
