# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import fcntl
import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._domain.definition import GuestDefinition
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._flow import claim
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import lock, record
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Phase, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Migration, Size
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.store import Store
from ansible_collections.kvmops.mobility.tests.unit.bed import ID, RUN, Bed, names
from ansible_collections.kvmops.mobility.tests.unit.builders import MIB, OTHER_UUID, UUID
from ansible_collections.kvmops.mobility.tests.unit.lively import live

USER = pwd.getpwuid(os.getuid()).pw_name


def close_lock(store: Store) -> None:
    """A module's process ends and with it the lock on its hypervisor's claims; a test's process goes on."""
    wanted = os.stat(store.root / "claims.lock")
    for name in os.listdir("/proc/self/fd"):
        try:
            found = os.fstat(int(name))
        except OSError:
            continue
        if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
            os.close(int(name))


@pytest.fixture(autouse=True)
def _claims_lock(bed: Bed) -> Iterator[None]:
    yield
    if (bed.store.root / "claims.lock").exists():
        close_lock(bed.store)


def params(bed: Bed, role: str, **values: Any) -> dict[str, Any]:
    return {"role": role, "record": bed.migration(**values).as_result(), "migration_user": USER}


def carry_out(bed: Bed, role: str, **values: Any) -> dict[str, Any]:
    found = bed.carry_out(Step.CLAIM, claim.plan, **params(bed, role, **values))
    close_lock(bed.store)
    return found


def refused(bed: Bed, role: str, code: str, **values: Any) -> Refused:
    """Planning is refused with *code*, and nothing was changed."""
    with pytest.raises(Refused) as refusal:
        claim.plan(bed.context(**params(bed, role, **values)))
    assert refusal.value.code == code
    assert refusal.value.remedy
    assert lock.held(bed.store, UUID) is None
    assert bed.store.migrations() == []
    assert not os.path.lexists(bed.migration(**values).staging)
    return refusal.value


# --- the source --------------------------------------------------------------------------------------------------


def test_the_source_takes_lock_and_record_and_keeps_both_definitions(bed: Bed) -> None:
    bed.guest()
    result = carry_out(bed, "source")
    assert result["effects"] == ["record", "lock", "definitions"]
    held = lock.held(bed.store, UUID)
    assert held == lock.Lock(UUID, ID, "root@control", "resize web1", bed.clock(), RUN)
    kept = record.required(bed.store, ID)
    assert (kept.role, kept.migration, kept.owner, kept.command) == (
        "source",
        bed.migration(),
        "root@control",
        "resize web1",
    )
    old = record.definition(bed.store, ID, record.OLD_DEFINITION)
    new = record.definition(bed.store, ID, record.NEW_DEFINITION)
    assert old == bed.domain().xml(inactive=True, secure=True)
    assert (GuestDefinition.from_xml(new).vcpus, GuestDefinition.from_xml(new).memory_mib) == (3, 128)
    assert result["definition_digests"] == {"old.xml": claim.sha256(old), "new.xml": claim.sha256(new)}
    where = Path(result["definitions_directory"])
    assert sorted((one.name, one.stat().st_mode & 0o777) for one in where.iterdir()) == [
        ("new.xml", 0o600),
        ("old.xml", 0o600),
    ]


def test_the_guest_itself_is_not_touched(bed: Bed) -> None:
    before = bed.guest().xml()
    carry_out(bed, "source")
    assert bed.domain().xml() == before
    assert bed.domain().state() == "running"
    assert os.listdir(bed.directory) == ["disk"]


def test_the_source_claims_again_what_it_has(bed: Bed) -> None:
    bed.guest()
    first = carry_out(bed, "source")
    second = carry_out(bed, "source")
    assert second["effects"] == ["definitions"]
    assert second["definition_digests"] == first["definition_digests"]


def test_a_definition_that_was_changed_since_the_plan(bed: Bed) -> None:
    bed.guest()
    planned = bed.migration().definition_digest
    bed.hypervisor.define(bed.xml(vcpu="<vcpu>4</vcpu>"))
    error = refused(bed, "source", "DEFINITION_CHANGED", definition_digest=planned)
    assert error.subject == "web1"


@pytest.mark.parametrize(("running", "state"), [(True, "running"), (False, "shut off")])
def test_a_guest_that_was_started_or_stopped_since_the_plan(bed: Bed, running: bool, state: str) -> None:
    bed.guest(running=running)
    error = refused(bed, "source", "STATE_CHANGED", was_running=not running)
    assert f"is {state} now" in str(error)


def test_a_guest_that_is_gone(bed: Bed) -> None:
    with pytest.raises(Exception, match="DOMAIN_NOT_FOUND"):
        claim.plan(bed.context(**params(bed, "source")))
    assert lock.held(bed.store, UUID) is None


# --- the destination ---------------------------------------------------------------------------------------------


def test_the_destination_makes_a_place_for_the_copy(bed: Bed) -> None:
    result = carry_out(bed, "destination")
    assert result["effects"] == ["record", "lock", "stage"]
    staging = Path(bed.migration().staging)
    assert ID in staging.name
    assert staging.stat().st_mode & 0o777 == 0o700
    assert staging.owner() == USER
    (undo,) = (one.undo for one in bed.journal() if one.effect == "stage" and one.undo)
    assert undo == {"kind": "remove", "path": str(staging)}
    assert record.required(bed.store, ID).role == "destination"
    assert carry_out(bed, "destination")["effects"] == []


@pytest.mark.parametrize("name", ["web1", "web1_reverted"])
def test_what_is_in_the_way_is_not_touched(bed: Bed, name: str) -> None:
    path = bed.root / "images" / name
    path.mkdir()
    (path / "precious").touch()
    error = refused(bed, "destination", "LEFTOVER_PATHS")
    assert error.subject == str(path)
    assert (path / "precious").exists()


def test_a_dangling_link_is_in_the_way_too(bed: Bed) -> None:
    os.symlink("/nowhere", bed.directory)
    assert refused(bed, "destination", "LEFTOVER_PATHS").subject == bed.directory


def test_without_the_migration_user(bed: Bed) -> None:
    asked = {**params(bed, "destination"), "migration_user": "nobody-of-that-name"}
    with pytest.raises(Refused, match="nobody-of-that-name") as refusal:
        claim.plan(bed.context(**asked))
    assert refusal.value.code == "MIGRATION_USER_MISSING"
    assert lock.held(bed.store, UUID) is None
    assert not os.path.lexists(bed.migration().staging)


@pytest.mark.parametrize(
    ("code", "new"),
    [("DEST_VCPUS_FULL", Size(100_000, 128, 2 * MIB)), ("DEST_MEMORY_FULL", Size(3, 2**40, 2 * MIB))],
)
def test_capacity_is_counted_again_when_it_is_claimed(bed: Bed, code: str, new: Size) -> None:
    error = refused(bed, "destination", code, new=new)
    assert error.subject == "c2"
    assert "web1 asks for" in str(error)


def test_what_really_is_free_is_counted_again(bed: Bed) -> None:
    assert "really free" in str(refused(bed, "destination", "DEST_DISK_FULL", bytes_to_copy=2**60))


@pytest.mark.parametrize(
    ("mine", "slots", "free"), [("destination", 1, False), ("destination", 2, True), ("source", 1, True)]
)
def test_moves_at_a_time(bed: Bed, mine: str, slots: int, free: bool) -> None:
    """Those that leave do not count against those that arrive."""
    other = bed.migration(id="other", uuid=OTHER_UUID, name="db1")
    record.write(bed.store, record.Record(mine, other, "root@control", "resize db1", bed.clock()))
    lock.take(bed.store, lock.Lock(OTHER_UUID, "other", "root@control", "resize db1", bed.clock()))
    asked = {**params(bed, "destination"), "slots": slots}
    if free:
        assert names(claim.plan(bed.context(**asked))) == ["record", "lock", "stage"]
    else:
        with pytest.raises(Refused, match=r"db1 \(other\)") as refusal:
            claim.plan(bed.context(**asked))
        assert refusal.value.code == "SLOTS_FULL"


# --- both --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["source", "destination"])
def test_while_another_migration_works_on_the_guest(bed: Bed, role: str) -> None:
    if role == "source":
        bed.guest()
    others = lock.Lock(UUID, "others", "ann@laptop", "migrate web1", 5.0)
    lock.take(bed.store, others)
    with pytest.raises(Refused, match="ann@laptop") as refusal:
        claim.plan(bed.context(**params(bed, role)))
    assert refusal.value.code == "BUSY"
    assert lock.held(bed.store, UUID) == others
    assert bed.store.migrations() == []


@pytest.mark.parametrize("role", ["source", "destination"])
def test_check_mode_plans_the_same_and_writes_nothing(bed: Bed, role: str) -> None:
    if role == "source":
        bed.guest()
    plan = claim.plan(bed.context(check=True, **params(bed, role)))
    assert names(plan)[:2] == ["record", "lock"]
    assert not bed.store.root.exists()


@pytest.mark.parametrize("phase", [Phase.CONFIRM, Phase.REVERT])
def test_a_confirm_or_revert_takes_the_lock_alone(bed: Bed, phase: Phase) -> None:
    bed.guest()
    bed.keep_record("source")
    assert bed.carry_out(Step.CLAIM, claim.plan, phase)["effects"] == ["lock"]
    assert lock.held(bed.store, UUID) is not None
    (undo,) = (one.undo for one in bed.journal() if one.undo)
    assert (undo["kind"], undo["uuid"]) == ("unlock", UUID)
    assert bed.carry_out(Step.CLAIM, claim.plan, phase)["effects"] == []


def test_a_revert_waits_for_the_confirm_of_another_operator(bed: Bed) -> None:
    bed.guest()
    bed.keep_record("source")
    lock.take(bed.store, lock.Lock(UUID, ID, "ann@laptop", "confirm web1", 5.0))
    with pytest.raises(Refused, match=r"ann@laptop \(confirm web1\)") as refusal:
        bed.carry_out(Step.CLAIM, claim.plan, Phase.REVERT)
    assert refusal.value.code == "BUSY"
    assert bed.journal() == ()


def test_the_record_is_that_of_the_plan(bed: Bed) -> None:
    bed.guest()
    bed.keep_record("source", destination="c3")
    with pytest.raises(Refused, match=ID) as refusal:
        carry_out(bed, "source")
    assert refusal.value.code == "RECORD_DIFFERS"
    assert Migration.from_result(record.required(bed.store, ID).migration.as_result()).destination == "c3"


# --- a live migration ----------------------------------------------------------------------------------------------


def test_a_live_migration_keeps_no_definitions_on_its_source(bed: Bed) -> None:
    bed.guest()
    assert carry_out(bed, "source", live=live())["effects"] == ["record", "lock"]
    assert not record.definitions_directory(bed.store, ID).exists()


@pytest.mark.parametrize(("paused", "was_paused"), [(True, False), (False, True)])
def test_a_guest_that_was_paused_or_let_run_since_the_plan(bed: Bed, paused: bool, was_paused: bool) -> None:
    bed.guest()
    if paused:
        bed.connection.lookupByName("web1").suspend()
    refused(bed, "source", "STATE_CHANGED", live=live(was_paused=was_paused))


def test_a_guest_that_was_paused_is_claimed(bed: Bed) -> None:
    bed.guest()
    bed.connection.lookupByName("web1").suspend()
    carry_out(bed, "source", live=live(was_paused=True))


def test_a_guest_that_is_off_is_not_moved_live(bed: Bed) -> None:
    bed.guest(running=False)
    refused(bed, "source", "STATE_CHANGED", live=live())


def test_nothing_is_staged_for_a_live_migration(bed: Bed) -> None:
    Path(bed.directory).mkdir()  # as on storage that both see, or after a log was left
    assert carry_out(bed, "destination", live=live())["effects"] == ["record", "lock"]
    assert sorted(one.name for one in (bed.root / "images").iterdir()) == ["web1"]


def test_only_an_image_that_is_copied_must_not_be_there(bed: Bed) -> None:
    bed.images(bed.directory)
    assert refused(bed, "destination", "LEFTOVER_PATHS", live=live()).subject == f"{bed.directory}/disk"
    close_lock(bed.store)
    carry_out(bed, "destination", live=live(copied=()))


def test_a_claim_that_does_not_end_is_not_waited_for_for_ever(bed: Bed) -> None:
    bed.guest()
    bed.store.make(bed.store.root)
    with open(bed.store.root / "claims.lock", "w", encoding="ascii") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        began = bed.clock()
        with pytest.raises(Refused, match="was not done after 120 s") as refusal:
            claim.plan(bed.context(role="source", record=bed.migration().as_result()))
    assert (refusal.value.code, refusal.value.subject) == ("BUSY", "web1")
    assert 120 <= bed.clock() - began < 122
    assert f"fuser -v {bed.store.root}/claims.lock" in refusal.value.remedy
