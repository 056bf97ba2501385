# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._flow import claim, release
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import closed, journal, lock, record
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.closing import closed_book
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Event, Phase, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal_file import Journal
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.state import (
    CLOSED,
    Status,
    derive,
    derive_alone,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Plan
from ansible_collections.kvmops.mobility.plugins.module_utils._survey import hypervisor, migration
from ansible_collections.kvmops.mobility.tests.unit.bed import ID, Bed
from ansible_collections.kvmops.mobility.tests.unit.builders import UUID

DAY_S = 86400.0


@pytest.fixture
def over(bed: Bed) -> Bed:
    """A source whose migration was confirmed; the discard was its last step."""
    bed.keep_record("source")
    bed.carry_out(Step.CLAIM, lambda _context: Plan())
    bed.carry_out(Step.DISCARD, lambda _context: Plan(), Phase.CONFIRM)
    return bed


def end(bed: Bed) -> None:
    """As confirm does, at last."""
    bed.carry_out(Step.RELEASE, release.plan, Phase.CONFIRM, receipt={})


def known(bed: Bed, **params: Any) -> dict[str, Any]:
    asked = {"guests": None, "migrations": None, "open_only": False, "brief": False, **params}
    return dict(migration.plan(bed.context(**asked)).result)


def tidying(bed: Bed, days: int = 30) -> closed.Tidying:
    return closed.tidying(bed.store, days, bed.clock())


def unread(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on nobody may read its journal."""
    assert bed.store.migrations() == [ID]
    monkeypatch.setattr(journal, "read", lambda _store, one: pytest.fail(f"{one} was read"))
    monkeypatch.setattr(record, "read", lambda _store, one: pytest.fail(f"{one} was read"))


def test_the_last_step_notes_what_its_journal_says(over: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    assert closed.read_all(over.store).get(ID) is None
    end(over)
    found = closed.read_all(over.store).get(ID)
    assert found is not None
    assert (found.id, found.role, found.status, found.name, found.uuid) == (ID, "source", "confirmed", "web1", UUID)
    unread(over, monkeypatch)
    assert hypervisor.claims(over.store) == ()
    assert known(over, guests=["db1"])["migrations"] == []
    assert [one["id"] for one in known(over, brief=True)["closed"]] == [ID]


def test_one_that_goes_on_is_read_again(over: Bed) -> None:
    """A note of before the last line counts for nothing: the journal alone says where a migration stands."""
    end(over)
    Journal(over.store, ID, Phase.REVERT, Step.TAKE_OVER, over.clock).write(Event.BEGIN)
    assert closed.read_all(over.store).get(ID) is None
    assert [one.status for one in hypervisor.claims(over.store)] == ["reverting"]


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"schema": 2}', '{"schema": 1}'])
def test_a_note_that_says_nothing_is_none(over: Bed, text: str) -> None:
    end(over)
    path = over.store.root / closed.NOTES
    whole = path.read_text(encoding="utf-8")
    path.write_text(text, encoding="utf-8")
    assert closed.read_all(over.store) == {}
    assert hypervisor.claims(over.store) == ()
    path.write_text(f"{text}\n{whole}", encoding="utf-8")
    assert list(closed.read_all(over.store)) == [ID]


def test_a_note_of_a_newer_version_is_none(over: Bed) -> None:
    end(over)
    path = over.store.root / closed.NOTES
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), "schema": 2}), encoding="utf-8")
    assert closed.read_all(over.store) == {}


def test_what_counts_no_more_is_dropped(over: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closed, "MOST", 3)
    for _time in range(6):
        end(over)
        closed.tidy(over.store, closed.Tidying())
    lines = [one for one in (over.store.root / closed.NOTES).read_text(encoding="utf-8").splitlines() if one]
    assert len(lines) <= 5
    assert list(closed.read_all(over.store)) == [ID]


def test_nothing_is_noted_ahead_of_its_effect(bed: Bed) -> None:
    bed.keep_record("source")
    bed.carry_out(Step.RELEASE, release.plan, receipt={})
    assert not (bed.store.root / closed.NOTES).exists()
    assert not closed.note(bed.store, ID)


def test_a_torn_last_line_is_not_noted(over: Bed) -> None:
    with open(over.store.migration(ID) / journal.JOURNAL, "ab") as file:
        file.write(b'{"at": 1')
    assert not closed.note(over.store, ID)


# --- the archive -------------------------------------------------------------------------------------------------


def test_one_of_before_there_were_notes_is_noted_then_archived(over: Bed) -> None:
    assert tidying(over) == closed.Tidying(noted=(ID,))
    closed.tidy(over.store, tidying(over))
    assert not tidying(over)
    over.clock.sleep(31 * DAY_S)
    assert not tidying(over, days=0)
    assert tidying(over) == closed.Tidying(archived=(ID,))
    closed.tidy(over.store, tidying(over))
    assert (over.store.migrations(), over.store.archived()) == ([], [ID])
    assert not tidying(over)


@pytest.fixture
def archived(over: Bed) -> Bed:
    end(over)
    over.clock.sleep(31 * DAY_S)
    closed.tidy(over.store, tidying(over))
    assert over.store.archived() == [ID]
    return over


def test_an_archived_one_is_told_and_found_by_its_id(archived: Bed) -> None:
    found = known(archived)
    assert found["migrations"] == []
    assert [(one["id"], one["status"], one["closed"]) for one in found["closed"]] == [(ID, "confirmed", True)]
    assert known(archived, guests=["db1"])["closed"] == []
    assert [one["id"] for one in known(archived, migrations=[ID])["migrations"]] == [ID]
    assert record.required(archived.store, ID).migration.name == "web1"


def test_one_that_is_worked_on_again_comes_out(archived: Bed) -> None:
    before = len(archived.journal())
    Journal(archived.store, ID, Phase.REVERT, Step.TAKE_OVER, archived.clock).write(Event.BEGIN)
    assert (archived.store.migrations(), archived.store.archived()) == ([ID], [])
    assert len(archived.journal()) == before + 1
    assert [one.status for one in hypervisor.claims(archived.store)] == ["reverting"]


def leave_parked(bed: Bed) -> None:
    Path(f"{bed.directory}_resize").mkdir(parents=True)


def leave_definitions(bed: Bed) -> None:
    record.keep_definition(bed.store, ID, record.OLD_DEFINITION, "<domain/>")


def leave_lock(bed: Bed) -> None:
    lock.take(bed.store, lock.Lock(UUID, ID, "o", "c", 1.0))


def leave_torn_lock(bed: Bed) -> None:
    bed.store.make(bed.store.lock(UUID).parent)
    bed.store.lock(UUID).write_text("{", encoding="utf-8")


def leave_torn_record(bed: Bed) -> None:
    (bed.store.migration(ID) / record.RECORD).write_text("{", encoding="utf-8")


def leave_open(bed: Bed) -> None:
    Journal(bed.store, ID, Phase.REVERT, Step.TAKE_OVER, bed.clock).write(Event.BEGIN)


@pytest.mark.parametrize(
    "leave", [leave_parked, leave_definitions, leave_lock, leave_torn_lock, leave_torn_record, leave_open]
)
def test_what_has_something_to_do_yet_stays(over: Bed, leave: Any) -> None:
    end(over)
    leave(over)
    over.clock.sleep(31 * DAY_S)
    assert tidying(over).archived == ()
    assert over.store.migrations() == [ID]


def test_one_with_a_unit_stays(over: Bed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    end(over)
    over.clock.sleep(31 * DAY_S)
    monkeypatch.setattr(closed, "_UNITS", tmp_path)
    (tmp_path / f"kvmops-{ID}-tunnel.service").touch()
    assert tidying(over).archived == ()


def test_one_that_a_step_works_on_stays(over: Bed) -> None:
    end(over)
    descriptor = os.open(over.store.migration(ID), os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        closed.archive(over.store, [ID])
    finally:
        os.close(descriptor)
    assert over.store.migrations() == [ID]


def test_so_many_at_a_time(over: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (over.store.migration(ID) / journal.JOURNAL).read_text(encoding="utf-8")
    for number in range(4):
        other = over.migration(id=f"{number:012}", uuid=f"u{number}", name=f"db{number}")
        record.write(over.store, record.Record("source", other, "o", "c", 1.0))
        (over.store.migration(other.id) / journal.JOURNAL).write_text(text, encoding="utf-8")
    monkeypatch.setattr(closed, "MOST", 3)
    over.clock.sleep(31 * DAY_S)
    counts = []
    while tidying(over):
        counts.append((len(tidying(over).noted), len(tidying(over).archived)))
        closed.tidy(over.store, tidying(over))
    assert counts == [(3, 0), (2, 3), (0, 2)]


def full(*_arguments: object) -> None:
    """A disk on which nothing can be archived."""
    raise OSError("full")


def test_a_claim_tidies_and_says_so(over: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    over.guest()
    end(over)
    over.clock.sleep(31 * DAY_S)
    asked: dict[str, Any] = {"role": "source", "record": over.migration(id="111111111111").as_result()}
    plan = claim.plan(over.context(check=True, archive_days=30, **asked))
    assert (plan.effects[-1].name, plan.effects[-1].describe) == ("tidy", "archive 1 closed migrations")
    assert over.store.archived() == []
    none = claim.plan(over.context(check=True, archive_days=0, **asked))
    assert "tidy" not in [one.name for one in none.effects]
    plan.effects[-1].do()
    assert over.store.archived() == [ID]
    monkeypatch.setattr(closed, "tidy", full)
    plan.effects[-1].do()
    assert over.warnings == ["closed migrations could not be archived: full"]


@pytest.mark.parametrize("role", ["source", "destination"])
@pytest.mark.parametrize("status", [one for one in Status if one in CLOSED])
def test_a_note_stands_for_its_journal(role: str, status: Status) -> None:
    """The other side may be open yet: what both say is found from the one's journal and the other's note."""
    book = closed_book(role, status)
    assert derive_alone(book, role) is status
    assert derive(*((book, ()) if role == "source" else ((), book))) is status
