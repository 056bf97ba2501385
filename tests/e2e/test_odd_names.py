# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests in whose name and directory ssh, systemd and Ansible would read something: they move all the same."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ansible_collections.kvmops.mobility.tests.e2e import lab
from ansible_collections.kvmops.mobility.tests.e2e.lab import HOSTS, IMAGES, PREFIX
from ansible_collections.kvmops.mobility.tests.e2e.play import ROOMY, Run, play

INVENTORY = (lab.ROOT / "tests/lab/instance.yml",)
MIRRORED, COPIED = (f"{PREFIX}{short}" for short in ("m", "r"))
ODD = {plain: f"{plain}:50%h${{HOME}}$$" for plain in (MIRRORED, COPIED)}
"""ssh takes a colon for the end of a socket's path, and expands % and ${} there; systemd $ in commands; Ansible ${} in
paths. libvirt names a directory for sockets after the guest, of whose name it takes the first 20 characters."""


def rename(plain: str, odd: str) -> None:
    """The guest gets another name, and so does its directory."""
    edits = f"-e 's#images/{plain}/#images/{odd}/#' -e 's#<name>{plain}</name>#<name>{odd}</name>#'"
    commands = (
        f"mv {IMAGES}/{plain} '{IMAGES}/{odd}'",
        f"virsh dumpxml --inactive {plain} | sed {edits} > /root/odd.xml",
        f"virsh undefine {plain}",
        "virsh define /root/odd.xml",
    )
    lab.shell("c1", " && ".join(commands))


def remove(odd: str) -> None:
    for host in HOSTS:
        lab.shell(host, f"virsh destroy '{odd}' || true; virsh undefine '{odd}' || true; rm -rf '{IMAGES}/{odd}'*")


def contents(host: str, odd: str) -> str:
    return lab.shell(host, f"sha256sum < '{IMAGES}/{odd}/disk'")


@pytest.fixture(scope="module")
def sums() -> Iterator[dict[str, str]]:
    """Two such guests on c1, one of them running; what the other has on its disk."""
    for plain, odd in ODD.items():
        lab.create(plain, "--off")
        rename(plain, odd)
    lab.shell("c1", f"virsh start '{ODD[MIRRORED]}'")
    yield {COPIED: contents("c1", ODD[COPIED])}
    for odd in ODD.values():
        remove(odd)
    for host in HOSTS:
        lab.remote(host, "forget", list(ODD.values()))
    lab.destroy(*ODD)


@pytest.fixture(scope="module")
def moved(sums: dict[str, str]) -> Run:
    assert sums
    asked = {"vm": list(ODD.values()), "dest": "c2", "kvmops_capacity": ROOMY}
    return play("migrate", asked, inventory=INVENTORY, timeout_s=300)


def test_they_arrive(sums: dict[str, str], moved: Run) -> None:
    assert moved.code == 0, moved.output
    assert contents("c2", ODD[COPIED]) == sums[COPIED]
    assert lab.shell("c2", f"virsh domstate '{ODD[MIRRORED]}'").split() == ["running"]
    assert lab.shell("c1", f"virsh domstate '{ODD[MIRRORED]}'").split() == ["shut", "off"]


def test_one_went_by_a_mirror(moved: Run) -> None:
    ways = {name: moved.planned()[odd]["migration"]["transfer"] for name, odd in ODD.items()}
    assert ways == {MIRRORED: "mirror", COPIED: "rsync"}
