# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests whose images are among those of others, and guests on a base image, there and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.tests.e2e import lab
from ansible_collections.kvmops.mobility.tests.e2e.lab import HOSTS, IMAGES, PREFIX, View
from ansible_collections.kvmops.mobility.tests.e2e.play import ROOMY, Run, play

FLAT, NEIGHBOUR, CHAIN, CLONE = (f"{PREFIX}{name}" for name in ("flat", "neighbour", "chain", "clone"))
GUESTS = (FLAT, NEIGHBOUR, CHAIN, CLONE)
MORE = f"{IMAGES}/{PREFIX}more"
GOLDEN = f"{IMAGES}/{PREFIX}golden.qcow2"
INVENTORY = (lab.ROOT / "tests/lab/instance.yml",)
NEW = {"vcpus": 2, "root_gib": 2}
PATTERN = "-P 7 700M 1M"
"""Where the overlay has something of its own, above what was seeded into the base."""


def run(playbook: str, **variables: Any) -> Run:
    return play(playbook, {"kvmops_capacity": ROOMY, **variables}, inventory=INVENTORY, timeout_s=400)


def redefine(name: str, *paths: tuple[str, str]) -> None:
    """Other paths in the stored definition; the console's log does not travel with single files."""
    edits = [*paths, (f"{IMAGES}/{name}/console.log", f"/var/log/libvirt/qemu/{name}-console.log")]
    words = " ".join(f"-e 's#{old}#{new}#'" for old, new in edits)
    file = f"/root/{name}.xml"
    lab.shell("c1", f"virsh dumpxml --security-info --inactive {name} | sed {words} > {file} && virsh define {file}")


def flatten_layout(name: str, disks: Mapping[str, str]) -> None:
    """Put the disks of a guest, by their name in its directory, where *disks* says."""
    moves = " && ".join(f"mv {IMAGES}/{name}/{file} {path}" for file, path in disks.items())
    lab.shell("c1", f"{moves} && rm -r {IMAGES}/{name}")
    longest_first = sorted(disks.items(), reverse=True)  # disk1 before disk
    redefine(name, *((f"{IMAGES}/{name}/{file}", path) for file, path in longest_first))


def put_on_base(name: str, base: str) -> None:
    """The guest's disk becomes an overlay, with something of its own, on a base that has the disk's contents."""
    disk = f"{IMAGES}/{name}/disk"
    lab.shell("c1", f"mv {disk} {base}")
    lab.shell("c1", f"cd {IMAGES}/{name} && qemu-img create -q -f qcow2 -F qcow2 -b ../{base.rpartition('/')[2]} disk")
    lab.shell("c1", f"qemu-io -f qcow2 -c 'write {PATTERN}' {disk}")


def files(host: str) -> list[str]:
    """Everything of these tests below the images, hidden directories and what is in them included."""
    found = lab.shell(host, f"cd {IMAGES} && find . -mindepth 1 -printf '%P\\n'").splitlines()
    return sorted(one for one in found if PREFIX in one or one.startswith("."))


def backing(host: str, path: str) -> bool:
    return "backing file" in lab.shell(host, f"qemu-img info -U -f qcow2 {path}")


@pytest.fixture(scope="module")
def made() -> Iterator[dict[str, View]]:
    """flat in two directories, its neighbour in one of them, and two guests on base images: one is off."""
    for host in HOSTS:
        lab.shell(host, f"mkdir -p {MORE}")
    for name in GUESTS:
        lab.create(name, "--off", *(("--disks", "2") if name == FLAT else ()))
    flatten_layout(FLAT, {"disk": f"{IMAGES}/{FLAT}.qcow2", "disk1": f"{MORE}/{FLAT}.qcow2"})
    flatten_layout(NEIGHBOUR, {"disk": f"{IMAGES}/{NEIGHBOUR}.qcow2"})
    put_on_base(CHAIN, GOLDEN)
    put_on_base(CLONE, f"{IMAGES}/{PREFIX}clone.base")
    for name in (FLAT, NEIGHBOUR, CLONE):
        lab.shell("c1", f"virsh start {name}")
    views = lab.verify_all(GUESTS)
    assert [view.problems for view in views.values()] == [()] * len(GUESTS)
    yield views
    lab.destroy(*GUESTS)


@pytest.fixture(scope="module")
def before(made: dict[str, View]) -> dict[str, list[str]]:
    assert made
    return {host: files(host) for host in HOSTS}


@pytest.fixture(scope="module")
def moved(before: dict[str, list[str]]) -> Run:
    assert before
    # The clone was just started; nobody is in the middle of anything there.
    return run("resize", vm=[FLAT, CHAIN, CLONE], dest="c2", transfer="rsync", **NEW)


@pytest.fixture(scope="module")
def after_move(moved: Run) -> dict[str, View]:
    assert moved.code == 0, moved.output
    return lab.verify_all(GUESTS)


def test_the_plan_says_what_is_flattened_and_why(moved: Run) -> None:
    for name, base in ((CHAIN, GOLDEN), (CLONE, f"{IMAGES}/{PREFIX}clone.base")):
        assert base in moved.findings(name, "warn")["BACKING_CHAIN"]
    assert moved.planned()[FLAT]["migration"]["layout"] == "files"


@pytest.mark.parametrize("name", [FLAT, CHAIN, CLONE])
def test_content_and_size_are_as_they_should_be(made: dict[str, View], after_move: dict[str, View], name: str) -> None:
    old, new = made[name], after_move[name]
    assert (new.host, new.state, new.sums, new.problems) == ("c2", old.state, old.sums, ())
    assert (new.vcpus, new.root_bytes) == (2, 2 * 2**30)


def test_the_neighbour_was_not_touched(made: dict[str, View], after_move: dict[str, View]) -> None:
    assert after_move[NEIGHBOUR] == made[NEIGHBOUR]
    assert after_move[NEIGHBOUR].state == "running"


@pytest.mark.parametrize("name", [CHAIN, CLONE])
def test_the_copy_is_one_image_with_what_both_had(after_move: dict[str, View], name: str) -> None:
    assert after_move
    path = f"{IMAGES}/{name}/disk"
    assert not backing("c2", path)
    assert "Pattern verification failed" not in lab.shell("c2", f"qemu-io -r -U -f qcow2 -c 'read {PATTERN}' {path}")


def test_each_image_is_parked_alone(moved: Run, before: dict[str, list[str]], after_move: dict[str, View]) -> None:
    assert after_move
    migration = moved.planned()[FLAT]["migration"]["id"]
    now = {host: files(host) for host in HOSTS}
    more = MORE.rpartition("/")[2]
    assert f".{migration}.resize/{FLAT}.qcow2" in now["c1"]
    assert f"{more}/.{migration}.resize/{FLAT}.qcow2" in now["c1"]
    assert f"{PREFIX}golden.qcow2" in now["c1"]
    assert {f"{FLAT}.qcow2", f"{more}/{FLAT}.qcow2"} <= set(now["c2"])
    assert [one for one in now["c1"] + now["c2"] if "staging" in one or ".flat" in one] == []
    assert set(before["c2"]) < set(now["c2"])


@pytest.fixture(scope="module")
def closed(after_move: dict[str, View]) -> tuple[Run, Run]:
    assert after_move
    return run("confirm", vm=[FLAT, CHAIN]), run("revert", vm=CLONE, data="discard")


def test_confirm_removes_its_own_and_revert_brings_back(
    made: dict[str, View], before: dict[str, list[str]], closed: tuple[Run, Run]
) -> None:
    confirmed, reverted = closed
    assert confirmed.code == 0, confirmed.output
    assert reverted.code == 0, reverted.output
    now = lab.verify_all(GUESTS)
    assert (now[FLAT].host, now[CHAIN].host) == ("c2", "c2")
    assert now[NEIGHBOUR] == made[NEIGHBOUR]
    assert now[CLONE] == made[CLONE]
    assert backing("c1", f"{IMAGES}/{CLONE}/disk")
    gone = [one for one in before["c1"] if one.endswith(f"{FLAT}.qcow2") or one.startswith(CHAIN)]
    assert files("c1") == sorted(set(before["c1"]) - set(gone))
    assert [one for one in files("c2") if CLONE in one or one.startswith(".")] == []


def test_the_neighbour_goes_and_comes_back(made: dict[str, View], closed: tuple[Run, Run]) -> None:
    assert closed
    was = {host: files(host) for host in HOSTS}
    there = run("migrate", vm=NEIGHBOUR, dest="c2", transfer="rsync")
    assert there.code == 0, there.output
    assert lab.verify(NEIGHBOUR).host == "c2"
    back = run("revert", vm=NEIGHBOUR, data="discard")
    assert back.code == 0, back.output
    assert lab.verify(NEIGHBOUR) == made[NEIGHBOUR]
    assert {host: files(host) for host in HOSTS} == was
