# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests that move while they run, and what can be said to them meanwhile."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.tests.certificates import Authority
from ansible_collections.kvmops.mobility.tests.e2e import lab, pki, snapshot
from ansible_collections.kvmops.mobility.tests.e2e.lab import HOSTS, PREFIX
from ansible_collections.kvmops.mobility.tests.e2e.play import Run, play

GUEST = f"{PREFIX}live"
LINK_MBIT = 40
"""So slow that a guest that writes 64 MiB of its memory a second never fits through."""
THROTTLING_MBIT = 160
"""So slow that a guest that writes 32 MiB of its memory a second has to be slowed down, and then fits through."""
CRAWLING_MBIT = 4
HASTY = {"name": "fast", "completion_timeout_s": 2}
DIRTY = ("--ticks", "--load", "memory=64")
GAP_S = 3.0
"""A live move stops a guest for less; the machine's own hiccups are in it."""
GONE_S = 2.0
"""How long an abort may take to be rid of libvirt's job."""


def migrate(dest: str = "c2", live: dict[str, Any] | None = None, **variables: Any) -> Run:
    """Without a forecast: most of what is moved here is held up on purpose."""
    given = {"forecast": "off", **(live or {})}
    return play("live_migrate", {"vm": GUEST, "dest": dest, "live": given, **variables}, timeout_s=400)


def outage() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(lab.run("guest", "outage", GUEST, "--json").stdout)
    return found


def left(host: str) -> list[str]:
    """What there is of the guest, but its console's log: a live migration removes nothing that it has not copied."""
    kept = (f"/images/{GUEST}", "/console.log")
    return [one for one in snapshot.of_guest(snapshot.take(), host, GUEST) if not one.endswith(kept)]


def units() -> dict[str, str]:
    """Units of ours that are there, by host."""
    listed = "systemctl list-units --all --plain --no-legend 'kvmops-*' | awk '{print $1}'"
    return {host: lab.shell(host, listed).strip() for host in HOSTS}


@pytest.fixture
def guest(request: pytest.FixtureRequest) -> Iterator[str]:
    with lab.guest(GUEST, *request.param) as name:
        yield name


@pytest.fixture
def narrow(guest: str) -> str:
    """The guest's memory does not fit through the link."""
    lab.shape(LINK_MBIT)
    return guest


class Running:
    """A live migration in the background."""

    def __init__(self, **variables: Any) -> None:
        self._variables = variables
        self.done: Run | None = None
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self) -> None:
        self.done = migrate(**self._variables)

    def end(self) -> Run:
        self._thread.join(400)
        assert self.done is not None
        return self.done


@contextmanager
def running(**variables: Any) -> Iterator[Running]:
    one = Running(**variables)
    try:
        yield one
    finally:
        one.end()


def job(host: str = "c1") -> str:
    """What libvirt says of the guest's job, empty without the guest."""
    return lab.shell(host, f"virsh domjobinfo {GUEST} 2>/dev/null || true")


def sends_memory() -> bool:
    said = job()
    return "Memory total" in said and "Iteration" in said


def state(host: str) -> str:
    return lab.shell(host, f"virsh domstate --reason {GUEST} 2>/dev/null || true").strip()


def holds_here(done: Run, code: str) -> None:
    """It failed with that, the guest never noticed, and nothing is left on the other host."""
    assert done.code != 0
    assert any(code in one for one in (*done.failures(), *done.last_lines().values())), done.output
    view = lab.verify(GUEST)
    assert (view.host, view.state, view.problems, view.defined_on) == ("c1", "running", (), ("c1",))
    assert left("c2") == []
    assert units() == {"c1": "", "c2": ""}
    seen = outage()
    assert seen["boots"] == 1
    assert seen["longest_gap_s"] < GAP_S


def arrived(done: Run, boots: int = 1) -> None:
    """It is on the destination, whole, and nothing is left where it was."""
    assert done.code == 0, done.output
    view = lab.verify(GUEST)
    assert (view.host, view.state, view.problems, view.defined_on) == ("c2", "running", (), ("c2",))
    assert left("c1") == []
    assert units() == {"c1": "", "c2": ""}
    assert outage()["boots"] == boots
    assert done.receipt(GUEST)["status"] == "completed"


@pytest.mark.parametrize(
    "guest",
    [
        pytest.param(("--ticks", "--disks", "2", "--format", "raw"), id="raw"),
        pytest.param(("--ticks", "--disks", "2", "--format", "qcow2", "--load", "disk=1"), id="qcow2, writing"),
    ],
    indirect=True,
)
def test_a_guest_moves_with_its_disks_and_back(guest: str) -> None:
    before = lab.verify(guest)
    done = migrate()
    arrived(done)
    assert lab.verify(guest).sums == before.sums
    assert outage()["longest_gap_s"] < GAP_S
    back = migrate("c1")
    assert back.code == 0, back.output
    view = lab.verify(guest)
    assert (view.host, view.problems, view.sums, view.defined_on) == ("c1", (), before.sums, ("c1",))
    assert left("c2") == []


@pytest.mark.parametrize("guest", [DIRTY], indirect=True)
class TestWhileItGoesOn:
    """A guest that writes faster than the link carries goes on for ever, unless something is done."""

    def test_abort_in_the_memory_phase(self, narrow: str) -> None:
        with running() as one:
            lab.wait_for("memory to be sent", sends_memory, timeout_s=120)
            given_up = play("abort", {"vm": narrow}, timeout_s=120)
            (ordered,) = given_up.of("live_control")
            assert "Memory total" not in job()
            assert ordered["gone_after_s"] <= GONE_S
        assert given_up.code == 0, given_up.output
        holds_here(one.end(), "LIVE_ABORTED")

    def test_made_to_finish_by_pausing(self, narrow: str) -> None:
        with running() as one:
            lab.wait_for("memory to be sent", sends_memory, timeout_s=120)
            forced = play("force_complete", {"vm": narrow}, timeout_s=120)
        assert forced.code == 0, forced.output
        arrived(one.end())

    def test_the_policy_makes_it_finish_when_its_time_is_up(self, narrow: str) -> None:
        policy = {"name": "fast", "completion_timeout_s": 3, "on_timeout": "force_complete"}
        arrived(migrate(policy=policy))

    def test_the_policy_gives_it_up_when_its_time_is_up(self, narrow: str) -> None:
        holds_here(migrate(policy={"name": "fast", "completion_timeout_s": 3}), "LIVE_NOT_CONVERGING")


@pytest.mark.parametrize(
    "guest", [("--ticks", "--allocated-gib", "1", "--content", "mixed", "--root-gib", "2")], indirect=True
)
def test_abort_while_disks_are_copied(guest: str) -> None:
    lab.shape(LINK_MBIT)
    with running() as one:
        lab.wait_for(
            "disks to be copied",
            lambda: "Copy" in lab.shell("c1", f"virsh blockjob {GUEST} vda 2>&1; true"),
            timeout_s=120,
        )
        given_up = play("abort", {"vm": guest}, timeout_s=120)
    assert given_up.code == 0, given_up.output
    holds_here(one.end(), "LIVE_ABORTED")


def slows_down() -> bool:
    return re.search(r"Auto converge throttle:\s+[1-9]", job()) is not None


@pytest.mark.parametrize("guest", [("--ticks", "--load", "memory=32,disk=1")], indirect=True)
class TestHowItIsCarriedOut:
    """Each option is seen at work, or at least by libvirt."""

    def test_in_parallel_and_compressed_there_and_with_changes_only_back(self, guest: str) -> None:
        options = {"connections": 2, "compression": "zstd", "bandwidth_mib_s": 200, "announce": True}
        arrived(migrate(policy="fast", live=options))
        back = migrate("c1", policy="fast", live={"compression": "xbzrle"})
        assert back.code == 0, back.output
        view = lab.verify(guest)
        assert (view.host, view.state, view.problems) == ("c1", "running", ())
        assert "compression_pages" in " ".join(back.of("live_arrive")[0]["statistics"])

    def test_slowed_down_until_it_fits_through(self, guest: str) -> None:
        lab.shape(THROTTLING_MBIT)
        with running(policy="fast", live={"auto_converge": True}) as one:
            lab.wait_for("the guest to be slowed down", slows_down, timeout_s=180)
        arrived(one.end())

    def test_post_copy_wins_over_slowing_down(self, guest: str) -> None:
        lab.shape(LINK_MBIT)
        with running(live={"auto_converge": True, "post_copy": True}) as one:
            lab.wait_for("memory to be sent", sends_memory, timeout_s=120)
            forced = play("force_complete", {"vm": guest}, timeout_s=120)
            assert forced.code == 0, forced.output
            assert [found["by"] for found in forced.of("live_control")] == ["post-copy"]
            lab.shape(CRAWLING_MBIT)
            assert "post-copy" in state("c1")
            refused = play("abort", {"vm": guest}, timeout_s=120)
            lab.shape(0)
            assert any("ABORT_TOO_LATE" in words for words in refused.failures()), refused.output
        done = one.end()
        arrived(done)
        assert "LIVE_OPTION_LEFT_OUT" in done.findings(guest, "warn")

    def test_another_policy_and_bandwidth_while_it_goes_on(self, guest: str) -> None:
        lab.shape(LINK_MBIT)
        with running(policy="gentle") as one:
            lab.wait_for("memory to be sent", sends_memory, timeout_s=120)
            slower = play("retune", {"vm": guest, "live": {"bandwidth_mib_s": 3}}, timeout_s=120)
            assert slower.code == 0, slower.output
            assert lab.shell("c1", f"virsh migrate-getspeed {guest}").strip() == "3"
            hastier = play("retune", {"vm": guest, "policy": HASTY}, timeout_s=120)
            assert hastier.code == 0, hastier.output
        assert one.end().code != 0
        holds_here(one.end(), "LIVE_NOT_CONVERGING")

    def test_through_tls(self, guest: str, tmp_path: Path) -> None:
        authority = Authority(tmp_path / "ours")
        try:
            for host in HOSTS:
                pki.install(host, authority.sign(tmp_path / host, f"IP:{lab.ADDRESSES[host]}"))
            arrived(migrate(policy="fast", live={"tls": True}))
        finally:
            for host in HOSTS:
                pki.remove(host)


@pytest.fixture
def believed() -> Iterator[None]:
    """libvirt takes the guest's directory for shared; by itself it believes that of a few file systems only."""
    line = f"shared_filesystems = [ '/var/lib/libvirt/images/{GUEST}' ]"
    try:
        for host in HOSTS:
            lab.shell(host, f'echo "{line}" >> /etc/libvirt/qemu.conf; systemctl restart libvirtd')
        yield
    finally:
        for host in HOSTS:
            lab.shell(host, "sed -i /^shared_filesystems/d /etc/libvirt/qemu.conf; systemctl restart libvirtd")


@pytest.mark.parametrize("guest", [("--ticks", "--load", "memory=32,disk=1")], indirect=True)
def test_a_disk_that_both_see_stays_where_it_is(guest: str, believed: None) -> None:
    lab.run("guest", "share", guest)
    before = lab.shell("c1", f"stat -c %i /var/lib/libvirt/images/{guest}/disk")
    done = migrate(policy="fast")
    assert done.code == 0, done.output
    assert done.planned()[guest]["migration"]["live"]["copied"] == []
    view = lab.verify(guest)
    assert (view.state, view.problems, view.defined_on) == ("running", (), ("c2",))
    assert lab.shell("c2", f"stat -c %i /var/lib/libvirt/images/{guest}/disk") == before
    assert outage()["boots"] == 1


@pytest.mark.parametrize("guest", [("--ticks",)], indirect=True)
def test_a_paused_guest_arrives_paused(guest: str) -> None:
    lab.shell("c1", f"virsh suspend {guest}")
    done = migrate()
    assert done.code == 0, done.output
    assert (state("c1"), state("c2").partition(" ")[0]) == ("", "paused")
    lab.shell("c2", f"virsh resume {guest}")
    assert lab.verify(guest).problems == ()
    assert outage()["boots"] == 1


@pytest.mark.parametrize("guest", [("--ticks",)], indirect=True)
@pytest.mark.parametrize(
    ("asked", "code", "words"),
    [
        ({"live": {"tunnelled": True}}, "LIVE_OPTIONS_CONFLICT", "tunnelled"),
        ({"live": {"compression": "xbzrle", "connections": 4}}, "LIVE_OPTIONS_CONFLICT", "one connection only"),
        ({"live": {"compression": "zstd"}}, "LIVE_OPTIONS_CONFLICT", "several connections only"),
        ({"live": {"zero_copy": True}}, "LIVE_OPTIONS_CONFLICT", "several connections only"),
        ({"live": {"zero_copy": True, "connections": 2, "tls": True}}, "LIVE_OPTIONS_CONFLICT", "tls=true"),
        ({"live": {"post_copy": True, "connections": 2}}, "LIVE_TOO_OLD", "needs QEMU 10.1"),
        ({"policy": "slow"}, "POLICY_INVALID", "nova, fast, gentle"),
    ],
)
def test_what_does_not_go_together_is_refused_first(guest: str, asked: dict[str, Any], code: str, words: str) -> None:
    before = snapshot.take()
    done = migrate(**asked)
    assert done.code != 0
    said = " ".join((*done.failures(), *done.last_lines().values(), done.output))
    assert code in said
    assert words in said
    assert snapshot.difference(before, snapshot.take(), guest) == []
