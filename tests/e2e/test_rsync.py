# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The copy in two passes: what a guest writes under the first arrives with the second, and nothing torn is started.

The copies are slowed down, so that there is time to do something to them.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.tests.e2e import lab
from ansible_collections.kvmops.mobility.tests.e2e.lab import IMAGES, ROOT
from ansible_collections.kvmops.mobility.tests.e2e.play import Run, play

MIB = 2**20
HERE = (ROOT / "tests/lab/instance.yml",)
SLOW = {"dest": "c2", "transfer": "rsync", "cold_resize_bandwidth_mib_s": 6}
WRITTEN_MIB = 8
WRITTEN_AT_MIB = 600
"""Behind what the lab seeded."""
METADATA = MIB
"""Clusters of an image that say where its clusters are, the definitions, the console, and rsync's own talk."""


@pytest.fixture
def guest(request: pytest.FixtureRequest) -> Iterator[str]:
    """A running guest on c1, of the format that the test asks for."""
    name = f"e2e-rsync-{request.param}"
    lab.create(name, "--data-mib", "96", "--format", request.param)
    try:
        yield name
    finally:
        lab.destroy(name)


@pytest.fixture
def aside() -> Iterator[ThreadPoolExecutor]:
    """Where a playbook runs while the test does something else."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        yield pool


def begin(aside: ThreadPoolExecutor, name: str, **variables: Any) -> Future[Run]:
    """A move whose first pass has come some way."""
    going = aside.submit(play, "migrate", {"vm": name, **SLOW, **variables}, inventory=HERE, timeout_s=540)
    size = f"stat -c %s {IMAGES}/{name}.*.staging/disk 2>/dev/null || echo 0"
    lab.wait_for(
        "the first pass", lambda: going.done() or int(lab.shell("c2", size)) > 8 * MIB, timeout_s=200, interval_s=0.5
    )
    assert not going.done(), going.result().output
    return going


def in_guest(host: str, name: str, command: str) -> str:
    """What a shell's command line printed in a guest."""
    found: str = lab.remote(host, "guest_exec", {"name": name, "argv": ["/bin/sh", "-c", command]})
    return found


def region() -> str:
    """The command that sums what the test wrote."""
    return f"dd if=/dev/vda bs=1M skip={WRITTEN_AT_MIB} count={WRITTEN_MIB} 2>/dev/null | sha256sum"


@pytest.mark.parametrize("guest", ["qcow2"], indirect=True)
def test_what_is_written_under_the_first_pass_arrives(guest: str, aside: ThreadPoolExecutor) -> None:
    going = begin(aside, guest, verify="full")
    write = f"dd if=/dev/urandom of=/dev/vda bs=1M seek={WRITTEN_AT_MIB} count={WRITTEN_MIB} conv=notrunc,fsync"
    in_guest("c1", guest, f"{write} 2>/dev/null")
    wrote = in_guest("c1", guest, region())
    run = going.result()
    assert run.code == 0, run.output
    receipt = run.receipt(guest)
    view = lab.verify(guest)
    assert (view.host, view.problems) == ("c2", ())
    in_guest("c2", guest, "echo 3 > /proc/sys/vm/drop_caches")
    assert in_guest("c2", guest, region()) == wrote
    assert receipt["bytes_before"] > 90 * MIB
    assert 0 < receipt["bytes_sent"] - receipt["bytes_before"] <= 1.05 * WRITTEN_MIB * MIB + METADATA
    counted = [one["contents"] for one in run.of("disk_digest") if "contents" in one]
    assert len(counted) == 2
    assert counted[0] == counted[1]
    assert run.of("domain_take_over")[-1]["contents"] == counted[0]


@pytest.mark.parametrize("guest", ["qcow2"], indirect=True)
def test_a_first_pass_that_is_killed_costs_time_and_not_the_move(guest: str, aside: ThreadPoolExecutor) -> None:
    going = begin(aside, guest)
    assert lab.remote("c1", "end_copy", f"{IMAGES}/{guest}.") != []
    run = going.result()
    assert run.code == 0, run.output
    assert run.of("disk_presync")[0]["complete"] is False
    assert "the first pass did not end" in run.output
    view = lab.verify(guest)
    assert (view.host, view.problems) == ("c2", ())
    # How far the first pass had come is up to how busy the machine is; at 6 MiB/s it was not at its end.
    assert run.receipt(guest)["bytes_sent"] > 8 * MIB


@pytest.mark.parametrize("guest", ["raw"], indirect=True)
def test_full_refuses_a_copy_that_was_tampered_with(guest: str, aside: ThreadPoolExecutor) -> None:
    """After the copy, before anybody looks: the definitions are the last that arrives."""
    going = begin(aside, guest, verify="full")
    staging = f"{IMAGES}/{guest}.*.staging"
    waiting = f"until ls {staging}/definitions/new.xml >/dev/null 2>&1; do sleep 0.1; done"
    flip = f"printf X | dd of=$(echo {staging}/disk) bs=1 seek={3 * MIB} conv=notrunc status=none"
    lab.run("ssh", "c2", f"{waiting}; sleep 0.2; {flip}", timeout_s=300)
    run = going.result()
    assert run.code != 0
    assert any("COPY_DIFFERS" in one and "vda" in one for one in run.failures()), run.output
    view = lab.verify(guest)
    assert (view.host, view.state, view.problems) == ("c1", "running", ())
    assert lab.shell("c2", f"ls -d {IMAGES}/{guest}* 2>/dev/null || true") == ""
