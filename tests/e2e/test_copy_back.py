# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A revert that takes along what the guests wrote: mirrored back, copied back when that fails, undone when all fails.

Two guests that write all the time are moved to c2; the fixtures are one story, and each keeps what it saw.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from ansible_collections.kvmops.mobility.tests.e2e import lab, snapshot
from ansible_collections.kvmops.mobility.tests.e2e.lab import View
from ansible_collections.kvmops.mobility.tests.e2e.play import Run, play
from ansible_collections.kvmops.mobility.tests.e2e.snapshot import Snapshot

GIB = 2**30
OLD_AND_GROWN = (1, 256, 2 * GIB)
NEW = (2, 512, 2 * GIB)
SIZE = {"vcpus": 2, "memory_mib": 512, "root_gib": 2, "dest": "c2"}
MIRRORED = "e2e-back"
COPIED = "e2e-torn"
"""Its tunnel is killed while its disks are mirrored back."""
NAMES = (MIRRORED, COPIED)
EMULATOR = "/usr/bin/qemu-system-x86_64"
SLOW_MIB_S = 2
"""So that the mirror of the second lasts long enough to be killed."""
_UNIT_S = 120


@dataclass(frozen=True)
class Stage:
    """A call, the hosts after it, and the guests; what each had written for certain before the call."""

    run: Run
    after: Snapshot
    views: Mapping[str, View]
    written: Mapping[str, int]


def acknowledged(name: str) -> int:
    """The last record of the guest's load that it was told is on its disk."""
    found = json.loads(lab.run("guest", "outage", name, "--json").stdout)
    return int(found["acknowledged"])


def newest(name: str) -> int:
    """The newest record on its disk."""
    found = json.loads(lab.run("guest", "verify", name, "--json", timeout_s=120).stdout)
    return int(found["load_newest"])


def revert(name: str, **variables: object) -> Stage:
    """Copy one of them back."""
    written = {name: acknowledged(name)}
    run = play("revert", {"vm": name, "data": "copy_back", **variables}, timeout_s=400)
    return Stage(run, snapshot.take(), {name: lab.verify(name)}, written)


@pytest.fixture(scope="module")
def moved() -> Iterator[Stage]:
    """Both on c2 at their new size."""
    try:
        lab.parallel(lambda name: lab.create(name, "--disks", "2", "--ticks", "--load", "disk=1"), NAMES)
        run = play("resize", {"vm": list(NAMES), **SIZE}, timeout_s=400)
        yield Stage(run, snapshot.take(), lab.verify_all(NAMES), {})
    finally:
        lab.destroy(*NAMES)


@pytest.fixture(scope="module")
def undone(moved: Stage) -> Stage:
    """The old host cannot start the first any more: its take-over fails at the last moment."""
    breaker = _once_active("c1", f"{_ours(moved, MIRRORED)}-export-vda", f"chmod a-x {EMULATOR}")
    try:
        return revert(MIRRORED)
    finally:
        breaker.join()
        lab.shell("c1", f"chmod a+x {EMULATOR}")


@pytest.fixture(scope="module")
def mirrored(undone: Stage) -> Stage:
    """The same again, with nothing in the way."""
    return revert(MIRRORED)


@pytest.fixture(scope="module")
def copied(moved: Stage) -> Stage:
    """The second, whose tunnel is killed in the middle."""
    tunnel = f"{_ours(moved, COPIED)}-tunnel"
    killer = _once_active("c2", tunnel, f"sleep 3; systemctl kill --signal=KILL {tunnel}")
    done = revert(COPIED, cold_resize_bandwidth_mib_s=SLOW_MIB_S)
    killer.join()
    return done


def _ours(stage: Stage, name: str) -> str:
    """How the units of a guest's migration are called in front."""
    return f"kvmops-{stage.run.planned()[name]['migration']['id']}"


def _once_active(host: str, unit: str, command: str) -> threading.Thread:
    """Run *command* on *host* as soon as *unit* is there, while something else goes on."""
    waiting = f"until systemctl --quiet is-active {unit}; do sleep 0.2; done"
    words = ("ssh", host, f"timeout {_UNIT_S} sh -c '{waiting}' && {{ {command}; }}")
    one = threading.Thread(target=lab.run, args=words, kwargs={"timeout_s": 2 * _UNIT_S})
    one.start()
    return one


def kept_on(after: Snapshot, host: str, name: str) -> list[str]:
    """What is left of a guest on *host*, besides the place where it lives."""
    return [one for one in snapshot.of_guest(after, host, name) if "_re" in one or f"{name}." in one]


class TestUndone:
    """A take-over that fails on the old host."""

    def test_it_says_so(self, undone: Stage) -> None:
        assert undone.run.code != 0
        assert "LIBVIRT_FAILED" in undone.run.last_lines()[MIRRORED]

    def test_it_got_as_far_as_the_start(self, undone: Stage) -> None:
        (handed,) = undone.run.of("domain_hand_over")
        assert handed["mirrored"]
        (line,) = [one for one in undone.run.receipt(MIRRORED)["lines"] if "take_over" in one]
        assert "failed: LIBVIRT_FAILED" in line

    def test_the_receipt_says_that_it_waits_for_a_verdict_again(self, undone: Stage) -> None:
        assert undone.run.receipt(MIRRORED)["nova_status"] == "VERIFY_RESIZE"

    def test_the_guest_runs_where_it_was_with_all_it_wrote(self, undone: Stage) -> None:
        view = undone.views[MIRRORED]
        assert (view.host, view.state, view.size, view.problems) == ("c2", "running", NEW, ())
        assert newest(MIRRORED) >= undone.written[MIRRORED]

    def test_nothing_is_left_on_the_old_host(self, undone: Stage) -> None:
        assert snapshot.mentioning(undone.after, f"{lab.IMAGES}/{MIRRORED}.") == []
        assert snapshot.mentioning(undone.after, f"{MIRRORED}_reverted") == []
        assert any(f"{MIRRORED}_resize" in one for one in undone.after)
        assert snapshot.locks(undone.after, MIRRORED) == []


class Back:
    """What holds for a guest that came back, whichever way."""

    name: str

    def back(self, stage: Stage) -> None:
        """Old vCPUs and memory, the disks as they were on c2, and all that the guest was told is written."""
        view = stage.views[self.name]
        assert stage.run.code == 0, stage.run.output
        assert (view.host, view.state, view.size, view.problems) == ("c1", "running", OLD_AND_GROWN, ())
        assert newest(self.name) >= stage.written[self.name]

    def nothing_is_left(self, stage: Stage) -> None:
        """The old disks are gone, and so is everything on c2."""
        assert snapshot.of_guest(stage.after, "c2", self.name) == []
        assert kept_on(stage.after, "c1", self.name) == []
        assert snapshot.locks(stage.after, self.name) == []
        assert stage.run.receipt(self.name)["nova_status"] == "reverted"
        ours = _ours(stage, self.name)
        for host in lab.HOSTS:
            assert lab.shell(host, f"systemctl list-units --all --no-legend '{ours}*'") == ""
            assert lab.shell(host, f"find /run -name '{ours}*'") == ""
            assert lab.shell(host, f"ls -d /var/lib/libvirt/qemu/domain-*-{self.name}/kvmops-*; true") == ""


class TestMirrored(Back):
    """The way it goes when nothing is in it."""

    name = MIRRORED

    def test_it_is_back(self, mirrored: Stage) -> None:
        self.back(mirrored)

    def test_nothing_is_left(self, mirrored: Stage) -> None:
        self.nothing_is_left(mirrored)

    def test_the_disks_were_mirrored(self, mirrored: Stage) -> None:
        (handed,) = mirrored.run.of("domain_hand_over")
        assert handed["mirrored"]
        assert mirrored.run.of("disk_copy") == ()
        _rehearsed, taken = mirrored.run.of("domain_take_over")
        assert set(taken["mirror_evidence"]) == {"vda", "vdb"}

    def test_the_receipt_says_the_size_it_has(self, mirrored: Stage) -> None:
        assert "1 vCPUs, 256 MiB, root 2 GiB" in "\n".join(mirrored.run.receipt(MIRRORED)["lines"])


class TestCopied(Back):
    """A mirror that is lost on the way."""

    name = COPIED

    def test_it_is_back(self, copied: Stage) -> None:
        self.back(copied)

    def test_nothing_is_left(self, copied: Stage) -> None:
        self.nothing_is_left(copied)

    def test_the_disks_were_copied_after_all(self, copied: Stage) -> None:
        assert any("MIRROR_FAILED" in one for one in copied.run.failures())
        assert len(copied.run.of("disk_copy")) == 1
