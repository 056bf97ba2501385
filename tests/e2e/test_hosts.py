# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that prepare_hosts.yml alone has prepared: guests move live by each transport, and tick on meanwhile."""

from __future__ import annotations

import base64
import json
import secrets
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.tests.e2e import lab
from ansible_collections.kvmops.mobility.tests.e2e.lab import ADDRESSES, HOSTS, PREFIX
from ansible_collections.kvmops.mobility.tests.e2e.play import Run, play
from ansible_collections.kvmops.mobility.tests.e2e.wire import Listening

GUESTS = {f"{PREFIX}hosts-a": "c1", f"{PREFIX}hosts-b": "c2"}
MOVING = f"{PREFIX}hosts-a"
GAP_S = 1.0
PORTS = {"tls": 16514, "tcp": 16509}
MARKER = secrets.token_hex(32)
MARKED_BYTES = 2**16
_PATIENCE_S = 2.0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("authority") / "ca")


@pytest.fixture(scope="module", autouse=True)
def guests(authority: str) -> Iterator[None]:
    """Two that tick, one on each host, one of which has in its memory what nobody else has."""
    for name, host in GUESTS.items():
        lab.create(name, "--ticks", host=host)
    remember(MOVING, "c1")
    try:
        yield
    finally:
        prepare("ssh", authority)
        left = "/etc/pki /etc/libvirt/auth.conf /etc/libvirt/passwd.db /etc/sasl2/libvirt.conf"
        lab.parallel(lambda host: lab.shell(host, f"rm -rf {left}"), HOSTS)
        lab.destroy(*GUESTS)


def remember(name: str, host: str) -> None:
    """Put the marker into the guest's memory, and nowhere else: into a file of /run, many times."""

    def agent(command: str, **arguments: Any) -> Any:
        asked = json.dumps({"execute": command, "arguments": arguments})
        answer = lab.run("ssh", host, f'virsh qemu-agent-command {name} "$(cat)"', stdin=asked).stdout
        return json.loads(answer)["return"]

    handle = agent("guest-file-open", path="/run/marker", mode="w")
    text = base64.b64encode((MARKER * (MARKED_BYTES // len(MARKER))).encode()).decode()
    agent("guest-file-write", handle=handle, **{"buf-b64": text})
    agent("guest-file-close", handle=handle)


def prepare(transport: str, authority: str, **more: Any) -> Run:
    wanted = {"libvirt_host_transport": transport, "libvirt_host_restart": True, "libvirt_host_ca_key": authority}
    return play("prepare_hosts", {**wanted, **more}, timeout_s=400)


def prepared(transport: str, authority: str, **more: Any) -> float:
    """Prepare them, twice: the second run has nothing to do. Returns when it began."""
    began = time.time()
    first = prepare(transport, authority, **more)
    assert first.code == 0, first.output
    again = prepare(transport, authority, **more)
    assert again.code == 0, again.output
    assert [one.task for one in again.results if one.result.get("changed")] == []
    (matrix,) = again.of("ssh_proof_matrix")[-1:]
    assert matrix["unproven"] == []
    return began


def ticked(since: float, *names: str) -> None:
    """No guest stood still for longer than it may, and none was started anew."""
    for name in names or GUESTS:
        seen = json.loads(lab.run("guest", "outage", name, "--since", str(since), "--json").stdout)
        assert (seen["problems"], seen["boots"]) == ([], 1)
        assert seen["ticks"] > 0
        assert seen["longest_gap_s"] <= GAP_S + seen["watcher_late_s"], seen


def moved(transport: str) -> Listening:
    """Move the guest to the other host and see by what way; what was to be heard of that on the link."""
    here = lab.verify(MOVING).host
    there = next(host for host in HOSTS if host != here)
    with Listening(here, MARKER.encode()) as heard:
        asked = {"vm": MOVING, "dest": there, "libvirt_host_transport": transport, "live": {"forecast": "off"}}
        done = play("live_migrate", asked, timeout_s=300)
    assert done.code == 0, done.output
    view = lab.verify(MOVING)
    assert (view.host, view.state, view.problems) == (there, "running", ())
    (directory,) = lab.shell(here, f"ls -td {lab.RECORDS}/migrations/* | head -1").split()
    ordered = json.loads(lab.shell(here, f"cat {directory}/live-order.json"))
    assert ordered["peer_uri"].startswith(f"qemu+{transport}://")
    assert heard.packets > 0
    return heard


def stranger(host: str, port: int) -> str:
    """How the machine that the hosts run on fares, which is none of the peers."""
    try:
        socket.create_connection((ADDRESSES[host], port), timeout=_PATIENCE_S).close()
    except TimeoutError:
        return "dropped"
    except ConnectionRefusedError:
        return "refused"
    return "connected"


def test_by_ssh_memory_is_there_to_be_read(authority: str) -> None:
    """What the listener below is worth: it hears the marker where nothing is encrypted."""
    ticked(prepared("ssh", authority))
    assert [stranger(host, port) for host in HOSTS for port in PORTS.values()] == ["refused"] * 4
    assert moved("ssh").telling > 0


def test_to_tls_and_back_guests_tick_on_and_nothing_of_their_memory_is_seen(authority: str, tmp_path: Path) -> None:
    ticked(prepared("tls", authority))
    assert moved("tls").telling == 0
    done = lab.run("ssh", "c1", f"virsh -c qemu+tls://{ADDRESSES['c2']}/system hostname")
    assert done.stdout.strip() == "c2"
    ticked(prepared("ssh", authority))
    assert [stranger(host, port) for host in HOSTS for port in PORTS.values()] == ["refused"] * 4


def test_by_tcp_with_an_account(authority: str) -> None:
    account = {"libvirt_host_sasl_user": "kvmops", "libvirt_host_sasl_password": secrets.token_urlsafe(12)}
    ticked(prepared("tcp", authority, **account))
    moved("tcp")
    lab.shell("c1", "mv /etc/libvirt/auth.conf /etc/libvirt/auth.conf.away")
    refused = lab.run("ssh", "c1", f"virsh -c qemu+tcp://{ADDRESSES['c2']}/system hostname", check=False)
    lab.shell("c1", "mv /etc/libvirt/auth.conf.away /etc/libvirt/auth.conf")
    assert refused.returncode != 0
    assert "authentication failed" in refused.stderr


def test_by_tcp_unasked_strangers_are_dropped_also_after_a_reboot(authority: str) -> None:
    ticked(prepared("tcp", authority, libvirt_host_accept_unauthenticated_root=True))
    moved("tcp")
    assert {stranger(host, port) for host in HOSTS for port in (PORTS["tcp"], 49152)} == {"dropped"}
    empty = next(host for host in HOSTS if host != lab.verify(MOVING).host)
    lab.destroy(*(name for name in GUESTS if name != MOVING))
    lab.run("crash", empty)
    lab.run("boot", empty, timeout_s=120)
    lab.wait_for("libvirt's listener", lambda: ":16509" in lab.shell(empty, "ss -Hlnt"), timeout_s=60)
    assert stranger(empty, PORTS["tcp"]) == "dropped"
    waiting = prepare("ssh", authority, libvirt_host_restart=False)  # libvirt listens on, and asks nobody
    assert waiting.code == 0, waiting.output
    assert {stranger(host, PORTS["tcp"]) for host in HOSTS} == {"dropped"}
    ticked(prepared("ssh", authority), MOVING)
    assert "kvmops_mobility" not in lab.shell("c1", "nft list ruleset")
    assert {stranger(host, 49152) for host in HOSTS} == {"refused"}
