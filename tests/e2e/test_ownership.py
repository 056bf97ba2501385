# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests whose directory is not their own: what is others' stays untouched through move and confirm."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ansible_collections.kvmops.mobility.tests.e2e import lab
from ansible_collections.kvmops.mobility.tests.e2e.lab import HOSTS, PREFIX
from ansible_collections.kvmops.mobility.tests.e2e.play import ROOMY, Run, play

INVENTORY = (lab.ROOT / "tests/lab/instance.yml",)
POOL, LINK, MOUNT = (f"/srv/{PREFIX}{name}" for name in ("pool", "link", "mount"))
"""A directory of several guests, its second name, and a file system of one guest."""
POOLED, LINKED, MOUNTED = (f"{PREFIX}{name}" for name in ("pooled", "linked", "mounted"))
PLACES = {POOLED: POOL, LINKED: LINK, MOUNTED: MOUNT}
MOVED = [POOLED, MOUNTED]


def definition(name: str) -> str:
    disk = (
        "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>"
        f"<source file='{PLACES[name]}/{name}.qcow2'/><target dev='vda' bus='virtio'/></disk>"
    )
    return (
        f"<domain type='qemu'><name>{name}</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>"
        f"<os><type arch='x86_64'>hvm</type></os><devices>{disk}</devices></domain>"
    )


def make(name: str) -> None:
    image = f"{PLACES[name]}/{name}.qcow2"
    write = f"qemu-io -f qcow2 -c 'write -P {len(name)} 0 1M' {image}"
    xml = f'printf %s "{definition(name)}" > /root/own.xml'
    lab.shell("c1", f"qemu-img create -q -f qcow2 {image} 64M && {write} && {xml} && virsh define /root/own.xml")


def sweep() -> None:
    for host in HOSTS:
        undefine = "; ".join(f"virsh undefine {name}" for name in PLACES)
        lab.shell(host, f"({undefine}; umount {MOUNT}; rm -rf {POOL} {MOUNT}; rm -f {LINK}) > /dev/null 2>&1; true")
        lab.remote(host, "forget", list(PLACES))


def pool() -> str:
    """All that is in the pool, with its contents, but for the guest that moves."""
    return lab.shell("c1", f"cd {POOL} && sha256sum {LINKED}.qcow2 stranger.qcow2")


@pytest.fixture(scope="module")
def before() -> Iterator[str]:
    """The neighbour names the pool otherwise, and one image there belongs to nobody that libvirt knows."""
    sweep()
    for host in HOSTS:
        lab.shell(host, f"mkdir -p -m 711 {POOL} {MOUNT} && ln -s {POOL} {LINK}")
    lab.shell("c1", f"mount -t tmpfs -o size=64m,mode=711 none {MOUNT}")
    for name in PLACES:
        make(name)
    lab.shell("c1", f"cp {POOL}/{LINKED}.qcow2 {POOL}/stranger.qcow2")
    yield pool()
    sweep()


@pytest.fixture(scope="module")
def moved(before: str) -> Run:
    assert before
    asked = {"vm": MOVED, "dest": "c2", "kvmops_capacity": ROOMY}
    return play("migrate", asked, inventory=INVENTORY, timeout_s=300)


@pytest.fixture(scope="module")
def confirmed(moved: Run) -> Run:
    assert moved.code == 0, moved.output
    return play("confirm", {"vm": MOVED, "force": True}, inventory=INVENTORY, timeout_s=300)


def test_they_move_file_by_file(before: str, moved: Run) -> None:
    assert moved.code == 0, moved.output
    assert [moved.planned()[name]["migration"]["layout"] for name in MOVED] == ["files", "files"]
    assert f"{POOL} has disks of {LINKED}" in moved.output
    assert f"{MOUNT} is not the guest's own: it is a mount point" in moved.output
    assert pool() == before


def test_a_confirm_takes_nothing_but_theirs(before: str, confirmed: Run) -> None:
    assert confirmed.code == 0, confirmed.output
    assert pool() == before
    left = lab.shell("c1", f"ls -A {POOL} {MOUNT}").split()
    assert sorted(left) == sorted([f"{POOL}:", f"{LINKED}.qcow2", "stranger.qcow2", f"{MOUNT}:"])
    there = lab.shell("c2", f"ls -A {POOL} {MOUNT}").split()
    assert sorted(there) == sorted([f"{POOL}:", f"{POOLED}.qcow2", f"{MOUNT}:", f"{MOUNTED}.qcow2"])
