# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A record or journal that cannot be read is a finding about its migration, and nothing else stops."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._flow import claim as claiming
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import journal, lock, record
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.claim import usage
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import UNREADABLE, ClaimFacts
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.unreadable import Unreadable
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Plan
from ansible_collections.kvmops.mobility.plugins.module_utils._survey import forecast, hypervisor, migration
from ansible_collections.kvmops.mobility.plugins.module_utils._version import VERSION
from ansible_collections.kvmops.mobility.tests.unit.bed import ID, Bed
from ansible_collections.kvmops.mobility.tests.unit.builders import MIB, UUID

Damage = Callable[[Path], None]
OTHER = "ffffffffffff"


def rewrite(name: str, change: Callable[[str], str]) -> Damage:
    def damage(directory: Path) -> None:
        path = directory / name
        path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")

    return damage


def with_keys(**more: Any) -> Callable[[str], str]:
    return lambda text: json.dumps({**json.loads(text), **more})


def line(**more: Any) -> Callable[[str], str]:
    """One more journal line, with something else in it."""
    return lambda text: text + json.dumps({**json.loads(text.splitlines()[0]), **more}) + "\n"


def not_text(directory: Path) -> None:
    (directory / "record.json").write_bytes(b"\xff\xfe")


def a_directory(directory: Path) -> None:
    (directory / "journal.jsonl").unlink()
    (directory / "journal.jsonl").mkdir()


def read(bed: Bed) -> None:
    """As a step of that migration does."""
    record.required(bed.store, OTHER)
    journal.read(bed.store, OTHER)


DAMAGES = [
    pytest.param(rewrite("record.json", lambda text: text[:40]), "RECORD_UNREADABLE", id="torn record"),
    pytest.param(rewrite("record.json", lambda _text: ""), "RECORD_UNREADABLE", id="empty record"),
    pytest.param(rewrite("record.json", lambda _text: "[]"), "RECORD_UNREADABLE", id="no object"),
    pytest.param(rewrite("record.json", with_keys(migration={})), "RECORD_UNREADABLE", id="a key is missing"),
    pytest.param(rewrite("record.json", with_keys(migration=None)), "RECORD_UNREADABLE", id="no migration"),
    pytest.param(rewrite("record.json", with_keys(schema="x")), "RECORD_UNREADABLE", id="odd schema"),
    pytest.param(rewrite("record.json", with_keys(schema=2, written_by="9.1.0")), "RECORD_NEWER", id="newer record"),
    pytest.param(not_text, "RECORD_UNREADABLE", id="no text"),
    pytest.param(rewrite("journal.jsonl", line(schema=2)), "RECORD_NEWER", id="newer journal"),
    pytest.param(rewrite("journal.jsonl", line(step="teleport")), "RECORD_UNREADABLE", id="unknown step"),
    pytest.param(rewrite("journal.jsonl", line(event="paused")), "RECORD_UNREADABLE", id="unknown event"),
    pytest.param(rewrite("journal.jsonl", lambda text: "{\n" + text), "RECORD_UNREADABLE", id="torn line"),
    pytest.param(a_directory, "RECORD_UNREADABLE", id="no file"),
]


@pytest.fixture
def beside(bed: Bed) -> Bed:
    """A hypervisor with an open migration, and one beside it that is to be damaged."""
    bed.guest()
    bed.keep_record("source")
    bed.carry_out(Step.CLAIM, lambda _context: Plan())
    kept = record.Record("destination", bed.migration(id=OTHER, uuid="other", name="db1"), "o", "c", 1.0)
    record.write(bed.store, kept)
    text = (bed.store.migration(ID) / "journal.jsonl").read_text(encoding="utf-8")
    (bed.store.migration(OTHER) / "journal.jsonl").write_text(text, encoding="utf-8")
    return bed


def known(bed: Bed, **params: Any) -> dict[str, Any]:
    asked = {"guests": None, "migrations": None, "open_only": False, **params}
    return dict(migration.plan(bed.context(**asked)).result)


@pytest.mark.parametrize(("damage", "code"), DAMAGES)
def test_the_others_are_told_and_it_is_a_finding(beside: Bed, damage: Damage, code: str) -> None:
    damage(beside.store.migration(OTHER))
    found = known(beside)
    assert [one["id"] for one in found["migrations"]] == [ID]
    (failed,) = found["unreadable"]
    assert (failed["id"], failed["problem"]["code"]) == (OTHER, code)
    assert str(beside.store.migration(OTHER)) in failed["problem"]["message"]
    claims = {one.migration: one for one in hypervisor.claims(beside.store)}
    assert claims[ID].problem == {}
    assert (claims[OTHER].status, claims[OTHER].problem["code"]) == (UNREADABLE, code)
    assert forecast.past(beside.store) == {}
    with pytest.raises(Unreadable) as refusal:
        read(beside)
    assert (refusal.value.code, refusal.value.subject) == (code, OTHER)


def test_what_its_record_says_is_taken(beside: Bed) -> None:
    rewrite("journal.jsonl", line(step="teleport"))(beside.store.migration(OTHER))
    (found,) = (one for one in hypervisor.claims(beside.store) if one.migration == OTHER)
    assert (found.uuid, found.name, found.role, found.peer) == ("other", "db1", "destination", "c1")
    assert (found.vcpus, found.memory_mib, found.disk_bytes) == (3, 128, 2 * MIB)


def test_of_a_torn_one_the_lock_says_whose_it_is(beside: Bed) -> None:
    rewrite("record.json", lambda text: text[:40])(beside.store.migration(OTHER))
    (nobody,) = (one for one in hypervisor.claims(beside.store) if one.migration == OTHER)
    assert (nobody.uuid, nobody.vcpus) == (OTHER, 0)
    lock.take(beside.store, lock.Lock("other", OTHER, "o", "c", 1.0))
    (found,) = (one for one in hypervisor.claims(beside.store) if one.migration == OTHER)
    assert found.uuid == "other"
    assert [one["uuid"] for one in known(beside, guests=["web1"])["unreadable"]] == []


def test_a_newer_one_names_the_version_that_reads_it(beside: Bed) -> None:
    rewrite("record.json", with_keys(schema=2, written_by="9.1.0"))(beside.store.migration(OTHER))
    (failed,) = known(beside)["unreadable"]
    assert failed["problem"]["remedy"] == "Use kvmops.mobility >= 9.1.0 for this migration."


def test_more_keys_of_the_same_schema_are_nothing_to_talk_about(beside: Bed) -> None:
    path = beside.store.migration(OTHER) / "record.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    assert (data["schema"], data["written_by"]) == (1, VERSION)
    before = record.read(beside.store, OTHER)
    data["more"] = data["migration"]["more"] = data["migration"]["disks"][0]["more"] = {"a": 1}
    data["migration"]["old"]["more"] = data["migration"]["stop"]["more"] = data["migration"]["capacity"]["more"] = 1
    path.write_text(json.dumps(data), encoding="utf-8")
    assert record.read(beside.store, OTHER) == before
    rewrite("journal.jsonl", line(more=1))(beside.store.migration(OTHER))
    assert known(beside)["unreadable"] == []


def test_files_of_before_there_was_a_schema_are_read(beside: Bed) -> None:
    for name in ("record.json", "journal.jsonl"):
        path = beside.store.migration(OTHER) / name
        lines = path.read_text(encoding="utf-8")
        kept = [json.loads(one) for one in (lines.splitlines() if name == "journal.jsonl" else [lines])]
        assert all(one.pop("schema") == 1 for one in kept)
        path.write_text("".join(json.dumps(one) + "\n" for one in kept), encoding="utf-8")
    assert known(beside)["unreadable"] == []


def test_a_claim_beside_it_goes_on(beside: Bed) -> None:
    lock.take(beside.store, lock.Lock("other", OTHER, "o", "c", 1.0))
    rewrite("record.json", lambda text: text[:40])(beside.store.migration(OTHER))
    wanted = beside.migration(id="111111111111")
    asked: dict[str, Any] = {"role": "source", "slots": 1, "record": wanted.as_result(), "migration": wanted.id}
    assert [one.name for one in claiming.plan(beside.context(check=True, **asked)).effects][:2] == ["record", "lock"]


def test_a_lock_that_cannot_be_read_is_never_free(bed: Bed) -> None:
    bed.guest()
    bed.store.make(bed.store.lock(UUID).parent)
    bed.store.lock(UUID).write_text('{"uuid": "', encoding="utf-8")
    assert [one.uuid for one in lock.all_held(bed.store)] == [UUID]
    with pytest.raises(Refused, match=f"LOCK_UNREADABLE.*locks/{UUID}.json"):
        lock.take(bed.store, lock.Lock(UUID, ID, "root@control", "resize web1", 1.0))
    assert bed.store.lock(UUID).exists()
    facts = hypervisor.survey(bed.hypervisor, bed.store, str(bed.root), bed.clock)
    assert [(one.uuid, one.migration) for one in facts.locks] == [(UUID, "")]


def test_what_is_unknown_takes_what_is_known_of_it(beside: Bed) -> None:
    rewrite("journal.jsonl", line(step="teleport"))(beside.store.migration(OTHER))
    facts = hypervisor.survey(beside.hypervisor, beside.store, str(beside.root), beside.clock)
    again = type(facts).from_result(json.loads(json.dumps(facts.as_result())))
    assert any(isinstance(one, ClaimFacts) and one.problem for one in again.claims)
    assert usage(again).vcpus >= 5
