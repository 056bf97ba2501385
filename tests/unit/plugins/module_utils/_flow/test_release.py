# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import NotFound
from ansible_collections.kvmops.mobility.plugins.module_utils._flow import release
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import lock
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Step
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Plan
from ansible_collections.kvmops.mobility.tests.unit.bed import ID, RUN, Bed, names
from ansible_collections.kvmops.mobility.tests.unit.builders import UUID
from ansible_collections.kvmops.mobility.tests.unit.units import RUNNING, Units

RECEIPT: dict[str, object] = {"status": "finished", "lines": ["web1: VERIFY_RESIZE"]}


def take(bed: Bed, migration: str = ID, run: str = RUN) -> None:
    lock.take(bed.store, lock.Lock(UUID, migration, "root@control", "resize web1", 5.0, run))


def carry_out(bed: Bed, receipt: dict[str, object] | None = None) -> list[str]:
    found: list[str] = bed.carry_out(Step.RELEASE, release.plan, receipt=receipt)["effects"]
    return found


def test_the_receipt_is_kept_and_the_lock_given_back(bed: Bed) -> None:
    bed.keep_record("source")
    take(bed)
    assert carry_out(bed, RECEIPT) == ["receipt", "unlock"]
    assert bed.store.read_json(bed.store.migration(ID) / "receipt.json") == RECEIPT
    assert lock.held(bed.store, UUID) is None
    assert carry_out(bed, RECEIPT) == []


def test_a_newer_receipt_replaces_the_older(bed: Bed) -> None:
    bed.keep_record("source")
    take(bed)
    carry_out(bed, RECEIPT)
    take(bed)
    assert carry_out(bed, {**RECEIPT, "status": "confirmed"}) == ["receipt", "unlock"]
    kept = bed.store.read_json(bed.store.migration(ID) / "receipt.json")
    assert kept is not None
    assert kept["status"] == "confirmed"


def test_another_migrations_lock_is_left_alone(bed: Bed) -> None:
    bed.keep_record("source")
    take(bed, "others")
    assert carry_out(bed) == []
    holder = lock.held(bed.store, UUID)
    assert holder is not None
    assert holder.migration == "others"


def test_planning_changes_nothing(bed: Bed) -> None:
    bed.keep_record("source")
    take(bed)
    assert names(release.plan(bed.context(check=True, receipt=RECEIPT))) == ["receipt", "unlock"]
    assert lock.held(bed.store, UUID) is not None
    assert bed.store.read_json(bed.store.migration(ID) / "receipt.json") is None


def test_without_a_record(bed: Bed) -> None:
    with pytest.raises(NotFound) as error:
        release.plan(bed.context(receipt=None))
    assert error.value.code == "MIGRATION_NOT_FOUND"


def test_a_mirrors_tunnel_is_closed_with_the_lock(bed: Bed, units: Units) -> None:
    """In the outage it was left open, so that the last words of what it carried got through."""
    bed.keep_record("source")
    take(bed)
    bed.note(Step.MIRROR, "tunnel", {"kind": "end_mirror"})
    units.shown[f"kvmops-{ID}-tunnel"] = RUNNING
    control = bed.store.migration(ID) / "tunnel.sock"  # an ssh that is killed leaves it
    control.touch()
    assert carry_out(bed, RECEIPT) == ["receipt", "tunnel", "unlock"]
    assert units.shown == {}
    assert not control.exists()
    assert carry_out(bed, RECEIPT) == []


def test_a_run_that_lost_the_migration_releases_and_keeps_nothing(bed: Bed) -> None:
    bed.keep_record("source")
    take(bed, run="6f6f")
    assert carry_out(bed, RECEIPT) == []
    assert lock.held(bed.store, UUID) is not None
    assert bed.store.read_json(bed.store.migration(ID) / "receipt.json") is None


def test_an_undo_has_given_the_lock_back_before_the_receipt(bed: Bed) -> None:
    bed.keep_record("source")
    bed.carry_out(Step.UNDO, lambda _context: Plan())
    assert carry_out(bed, RECEIPT) == ["receipt"]
