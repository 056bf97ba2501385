# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._flow import hand_over
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import lock
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import HypervisorFacts
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import CLOSE, Event, Phase, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal_file import Journal
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.store import Store
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Effect, Plan
from ansible_collections.kvmops.mobility.plugins.module_utils._survey import hypervisor as hypervisors
from ansible_collections.kvmops.mobility.plugins.module_utils._survey import migration as migrations
from ansible_collections.kvmops.mobility.plugins.module_utils._survey.hypervisor import claims, survey
from ansible_collections.kvmops.mobility.plugins.module_utils._unit import transient
from ansible_collections.kvmops.mobility.plugins.module_utils._unit.process import Identity, myself
from ansible_collections.kvmops.mobility.tests.unit.bed import ID, Bed
from ansible_collections.kvmops.mobility.tests.unit.builders import MIB, UUID
from ansible_collections.kvmops.mobility.tests.unit.flows import whole


def ask(bed: Bed, images: str = "/") -> HypervisorFacts:
    return survey(bed.hypervisor, bed.store, images, bed.clock)


def test_an_empty_hypervisor(bed: Bed) -> None:
    found = ask(bed, str(bed.root / "no" / "such"))
    assert (found.domains, found.claims, found.locks) == ((), (), ())
    assert found.vcpus_total == os.cpu_count()
    assert 0 < found.memory_mib_free <= found.memory_mib_total
    space = os.statvfs(bed.root)
    assert found.disk_bytes_total == space.f_blocks * space.f_frsize
    assert found.libvirt_version >= 8_000_000
    assert (found.hostname, found.clock) == (bed.hypervisor.hostname, bed.clock())
    assert not bed.store.root.exists()


def test_its_guests_with_what_they_take(bed: Bed) -> None:
    bed.guest()
    (only,) = ask(bed).domains
    assert (only.uuid, only.name, only.state) == (UUID, "web1", "running")
    assert (only.vcpus, only.memory_mib, only.disk_bytes) == (2, 64, MIB)


def test_a_guest_whose_disks_are_parked_counts_without_them(bed: Bed) -> None:
    bed.guest(running=False)
    os.rename(bed.directory, f"{bed.directory}_resize")
    assert ask(bed).domains[0].disk_bytes == 0


@pytest.mark.parametrize(
    ("role", "peer", "size"),
    [("source", "c2", (2, 64, MIB)), ("destination", "c1", (3, 128, 2 * MIB))],
)
def test_what_an_open_migration_holds(bed: Bed, role: str, peer: str, size: tuple[int, int, int]) -> None:
    bed.keep_record(role)
    (only,) = claims(bed.store)
    assert (only.migration, only.uuid, only.name, only.role, only.peer) == (ID, UUID, "web1", role, peer)
    assert (only.vcpus, only.memory_mib, only.disk_bytes) == size


@pytest.mark.parametrize(
    ("role", "step", "phase"),
    [
        ("source", Step.DISCARD, Phase.CONFIRM),
        ("destination", Step.DISCARD, Phase.CONFIRM),
        ("destination", Step.DISCARD, Phase.REVERT),
        ("source", Step.UNDO, Phase.MOVE),
    ],
)
def test_what_a_closed_one_held_is_free(bed: Bed, role: str, step: Step, phase: Phase) -> None:
    bed.keep_record(role)
    effects = (Effect(CLOSE, "close the book", lambda: None),) if step is Step.UNDO else ()
    bed.carry_out(step, lambda _context: Plan(effects), phase)
    assert len(bed.journal()) == len(whole(step))
    assert claims(bed.store) == ()


def test_a_journal_without_a_record_holds_nothing(bed: Bed) -> None:
    bed.note(Step.UNDO, "close", None)
    assert claims(bed.store) == ()
    assert bed.store.migrations() == [ID]


def test_who_works_on_which_guest(bed: Bed) -> None:
    lock.take(bed.store, lock.Lock(UUID, ID, "root@control", "resize web1", 5.0))
    (only,) = ask(bed).locks
    assert (only.uuid, only.migration, only.owner, only.since) == (UUID, ID, "root@control", 5.0)


@pytest.mark.parametrize(
    ("says", "zstd"),
    [("echo 'Compress list:'; echo '    zstd lz4 zlibx none'", True), ("echo 'zlibx none'", False), ("exit 1", False)],
)
def test_whether_rsync_has_zstd(bed: Bed, monkeypatch: pytest.MonkeyPatch, says: str, zstd: bool) -> None:
    program = bed.root / "rsync"
    program.write_text(f"#!/bin/sh\n{says}\n", encoding="ascii")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(bed.root))
    assert ask(bed).rsync_zstd is zstd
    program.unlink()
    assert ask(bed).rsync_zstd is False


@pytest.mark.parametrize(
    ("text", "forced"),
    [
        ("migrate_tls_force = 1\n", True),
        ("#migrate_tls_force = 1\n", False),
        ("migrate_tls_force = 0\nmigrate_tls_force = 1\n", False),
        ("migrate_tls_force = \n", False),
        (None, False),
    ],
)
def test_whether_libvirt_insists_on_tls(tmp_path: Path, text: str | None, forced: bool) -> None:
    conf = tmp_path / "qemu.conf"
    if text is not None:
        conf.write_text(text, encoding="ascii")
    assert hypervisors._tls_forced(str(conf)) is forced


def test_bridges_are_told_from_other_links(tmp_path: Path) -> None:
    for name in ("br1/bridge", "br0/bridge", "eth0"):
        (tmp_path / name).mkdir(parents=True)
    assert hypervisors._bridges(str(tmp_path)) == ("br0", "br1")
    assert hypervisors._bridges(str(tmp_path / "nothing")) == ()


# --- migrations --------------------------------------------------------------------------------------------------


def known(store: Store, bed: Bed, **params: Any) -> list[dict[str, Any]]:
    asked = {"guests": None, "migrations": None, "open_only": False, **params}
    found: list[dict[str, Any]] = migrations.plan(bed.context(**{**asked})).result["migrations"]
    assert store.root == bed.store.root
    return found


def test_a_migration_with_its_journal_and_paths(bed: Bed) -> None:
    bed.guest()
    migration = bed.keep_record("source")
    bed.carry_out(Step.HAND_OVER, hand_over.plan)
    lock.take(bed.store, lock.Lock(UUID, ID, "root@control", "resize web1", 5.0))
    (only,) = known(bed.store, bed)
    assert (only["id"], only["role"], only["status_here"]) == (ID, "source", "migrating")
    assert only["record"]["migration"] == migration.as_result()
    assert len(only["journal"]) == len(bed.journal())
    assert only["lock"]["owner"] == "root@control"
    assert [path for path, there in only["paths"].items() if there] == [migration.parked]


@pytest.mark.parametrize(
    ("params", "count"),
    [
        ({"guests": ["web1"]}, 1),
        ({"guests": [UUID]}, 1),
        ({"guests": ["db1"]}, 0),
        ({"guests": []}, 0),
        ({"migrations": [ID]}, 1),
        ({"migrations": ["other"]}, 0),
        ({"guests": ["web1"], "migrations": ["other"]}, 0),
        ({"open_only": True}, 1),
    ],
)
def test_filters(bed: Bed, params: dict[str, Any], count: int) -> None:
    bed.keep_record("source")
    assert len(known(bed.store, bed, **params)) == count


def test_closed_ones_are_left_out_when_only_open_ones_are_wanted(bed: Bed) -> None:
    bed.keep_record("source")
    bed.carry_out(Step.DISCARD, lambda _context: Plan(), Phase.CONFIRM)
    assert known(bed.store, bed, open_only=True) == []
    assert len(known(bed.store, bed)) == 1


@pytest.mark.parametrize(("process", "working"), [(myself(), True), (replace(myself(), started=1), False)])
def test_whether_a_step_is_at_work(bed: Bed, process: Identity, working: bool) -> None:
    bed.keep_record("source")
    book = Journal(bed.store, ID, Phase.MOVE, Step.HAND_OVER, bed.clock)
    book.write(Event.BEGIN, result={"effects": [], "process": process.as_result()})
    bed.clock.sleep(7)
    (one,) = known(bed.store, bed, migrations=[ID])
    assert (one["working"], one["copying"], one["idle_s"]) == (working, False, 7.0)
    book.write(Event.END)
    (one,) = known(bed.store, bed, migrations=[ID])
    assert (one["working"], one["idle_s"]) == (False, 0.0)


@pytest.mark.parametrize(("phase", "copying"), [("ABSENT", False), ("RUNNING", True), ("ENDED", True)])
def test_whether_a_copy_outlived_its_step(bed: Bed, monkeypatch: pytest.MonkeyPatch, phase: str, copying: bool) -> None:
    monkeypatch.setattr(transient, "phase", lambda _name: transient.Phase[phase])
    bed.keep_record("source")
    Journal(bed.store, ID, Phase.MOVE, Step.COPY, bed.clock).write(Event.BEGIN)
    (one,) = known(bed.store, bed, migrations=[ID])
    assert one["copying"] is copying


def test_a_first_pass_that_outlived_its_step_is_no_copy(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guest was not stopped for it: there is nothing to carry through."""
    monkeypatch.setattr(transient, "phase", lambda _name: transient.Phase.RUNNING)
    bed.keep_record("source")
    Journal(bed.store, ID, Phase.MOVE, Step.PRESYNC, bed.clock).write(Event.BEGIN)
    (one,) = known(bed.store, bed, migrations=[ID])
    assert one["copying"] is False
