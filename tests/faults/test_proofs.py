# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stays true whatever is tried: fences, states, records that are lost. On a lab of its own (KVMLAB_INSTANCE)."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kvmfaults.case import Trigger
from kvmfaults.controller import REPOSITORY, Controller
from kvmfaults.stage import GUEST, Stage
from kvmlab import lab
from kvmlab.run import wait_for
from kvmlab.verify import verify
from kvmlab.virsh import wait_for_agent

_END_S = 300
_AGENT_S = 120
"""A guest booting on a busy machine that emulates it."""
_RESIZE = {"vm": GUEST, "dest": "c2", "vcpus": 2}


class Site:
    """The lab with one guest on c1, and a way to run playbooks at it."""

    def __init__(self, scratch: Path) -> None:
        self.stage = Stage()
        self._scratch = scratch
        self._runs = 0

    def begin(self, playbook: str, **variables: Any) -> Controller:
        """Start one run."""
        self._runs += 1
        log = self._scratch / f"{self._runs}-{playbook}.log"
        return Controller(playbook, variables, REPOSITORY / ".tree", log)

    def play(self, playbook: str, **variables: Any) -> tuple[int, str]:
        """Exit code and output of one run."""
        controller = self.begin(playbook, **variables)
        try:
            return controller.wait(_END_S), controller.log.read_text()
        finally:
            controller.forget()

    def migrations(self, host: str) -> Path:
        """Where a host keeps its records."""
        return self.stage.hosts[host].storage.records / "migrations"

    def exec(self, host: str, *argv: str) -> tuple[int, str]:
        """A command on a host."""
        done = self.stage.hosts[host].exec(argv, check=False)
        return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def lab_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Both hosts, made anew."""
    site = Site(tmp_path_factory.mktemp("proofs"))
    site.stage.fresh()
    yield site
    lab.down()


@pytest.fixture
def site(lab_of_its_own: Site) -> Iterator[Site]:
    """A guest on c1, and nothing of it afterwards."""
    lab_of_its_own.stage.make_guest("c1")
    yield lab_of_its_own
    lab_of_its_own.stage.repair()
    lab_of_its_own.stage.drop_guest()
    for host in lab_of_its_own.stage.hosts.values():
        assert not [one.name for one in host.storage.images.iterdir() if one.name.startswith(GUEST)]


def _changed(output: str) -> bool:
    return "changed=0" not in output or any(f"changed={count}" in output for count in range(1, 30))


def test_the_fence_holds_on_the_source_and_the_guest_comes_back_on_the_destination(site: Site) -> None:
    assert site.play("resize", **_RESIZE)[0] == 0
    assert site.exec("c1", "virsh", "autostart", GUEST)[0] == 0
    for host in ("c1", "c2"):
        assert site.exec(host, "systemctl", "enable", "libvirt-guests.service")[0] == 0
    site.stage.power_loss("c1")
    site.stage.boot("c1")
    assert site.stage.states() == {"c1": "shut off", "c2": "running"}
    code, words = site.exec("c1", "virsh", "start", GUEST)
    assert code != 0
    assert "No such file" in words
    site.stage.power_loss("c2")
    site.stage.boot("c2")
    wait_for("the guest on c2", lambda: site.stage.states().get("c2") == "running", timeout_s=60)
    assert site.stage.states() == {"c1": "shut off", "c2": "running"}
    wait_for_agent(site.stage.hosts["c2"], GUEST, _AGENT_S)
    assert verify(GUEST, lab.all_hosts()).problems == []


def test_confirm_twice_and_recover_of_a_healthy_guest_change_nothing(site: Site) -> None:
    assert site.play("resize", **_RESIZE)[0] == 0
    code, output = site.play("recover", vm=GUEST)
    assert (code, _changed(output)) == (0, False)
    assert site.play("confirm", vm=GUEST)[0] == 0
    code, output = site.play("confirm", vm=GUEST)
    assert (code, _changed(output)) == (0, False)
    assert "is confirmed already" in output


def test_revert_twice_changes_nothing(site: Site) -> None:
    assert site.play("resize", **_RESIZE)[0] == 0
    assert site.play("revert", vm=GUEST, data="discard")[0] == 0
    code, output = site.play("revert", vm=GUEST, data="discard")
    assert (code, _changed(output)) == (0, False)
    assert "is reverted already" in output


def test_confirm_while_migrating_is_refused_with_the_name_of_the_state(site: Site) -> None:
    trigger = Trigger("hand_over", "source", "begin")
    site.stage.arm("c1", trigger.line)
    moving = site.begin("resize", **_RESIZE)
    try:
        wait_for("the hand-over", lambda: site.stage.stopped("c1") is not None, timeout_s=120)
        stopped = site.stage.stopped("c1")
        assert stopped is not None
        code, output = site.play("confirm", vm=GUEST)
        assert code != 0
        assert "ILLEGAL_MOVE" in output
        assert "is migrating; confirm needs it to be" in output
        code, output = site.play("recover", vm=GUEST, kvmops_quiet_s=1)
        assert code != 0
        assert "BUSY" in output
        site.stage.disarm()
        site.stage.signal("c1", stopped["pid"], signal.SIGCONT)
        # It goes on; where it was held for longer than libvirt waits for a silent client, it takes everything back.
        moved = moving.wait(_END_S) == 0
        assert site.stage.states().get("c2" if moved else "c1") == "running"
        assert list(site.stage.states().values()).count("running") == 1
    finally:
        moving.kill()
        moving.forget()


def test_a_record_that_is_lost_on_one_host_is_told_by_the_other(site: Site) -> None:
    assert site.play("resize", **_RESIZE)[0] == 0
    kept = site.migrations("c1").rename(site.migrations("c1").with_name("away"))
    code, output = site.play("recover", vm=GUEST)
    assert "finished" in output
    assert "c2: the guest is running" in output
    code, output = site.play("confirm", vm=GUEST)
    assert code != 0
    assert "RECORD_LOST" in output
    assert (site.stage.hosts["c1"].storage.images / f"{GUEST}_resize" / "disk").exists()
    kept.rename(site.migrations("c1"))
    assert site.play("confirm", vm=GUEST)[0] == 0


def test_without_any_record_nothing_is_touched(site: Site) -> None:
    assert site.play("resize", **_RESIZE)[0] == 0
    for host in ("c1", "c2"):
        assert site.exec(host, "rm", "-rf", "/var/lib/kvmops/migrations")[0] == 0
    code, output = site.play("recover", vm=GUEST)
    assert (code, _changed(output)) == (0, False)
    assert "knows of a migration of" in output
    assert site.stage.states() == {"c1": "shut off", "c2": "running"}
    assert (site.stage.hosts["c1"].storage.images / f"{GUEST}_resize" / "disk").exists()


def test_a_parked_directory_of_unknown_origin_is_never_removed(site: Site) -> None:
    assert site.play("resize", **_RESIZE)[0] == 0
    (journal,) = site.migrations("c1").glob("*/journal.jsonl")
    lines = [line for line in journal.read_text().splitlines() if '"effect": "fence"' not in line]
    journal.write_text("\n".join(lines) + "\n")
    code, output = site.play("confirm", vm=GUEST)
    assert code != 0
    assert "PATH_NOT_OURS" in output
    assert (site.stage.hosts["c1"].storage.images / f"{GUEST}_resize" / "disk").exists()
    assert site.stage.states()["c2"] == "running"
