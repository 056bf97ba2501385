# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import NotFound, Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import record
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.record import NEW_DEFINITION, OLD_DEFINITION
from ansible_collections.kvmops.mobility.tests.unit.bed import ID, Bed


def kept(bed: Bed, role: str = "source") -> record.Record:
    return record.Record(role, bed.migration(), "root@control", "resize web1", 5.0)


def test_it_is_read_as_it_was_written(bed: Bed) -> None:
    assert record.read(bed.store, ID) is None
    record.write(bed.store, kept(bed))
    assert record.read(bed.store, ID) == kept(bed)
    assert record.required(bed.store, ID) == kept(bed)


@pytest.mark.parametrize(("role", "peer"), [("source", "c2"), ("destination", "c1")])
def test_the_other_hypervisor(bed: Bed, role: str, peer: str) -> None:
    assert kept(bed, role).peer == peer


def test_it_is_written_once(bed: Bed) -> None:
    record.write(bed.store, kept(bed))
    record.write(bed.store, replace(kept(bed), at=99.0, owner="somebody else"))
    assert record.read(bed.store, ID) == kept(bed)


def test_another_record_under_the_same_id_is_refused(bed: Bed) -> None:
    record.write(bed.store, kept(bed))
    with pytest.raises(Refused, match=ID) as refusal:
        record.write(bed.store, replace(kept(bed), migration=bed.migration(destination="c3")))
    assert refusal.value.code == "RECORD_DIFFERS"
    assert record.read(bed.store, ID) == kept(bed)


def test_without_a_record(bed: Bed) -> None:
    with pytest.raises(NotFound, match=ID) as missing:
        record.required(bed.store, ID)
    assert missing.value.code == "MIGRATION_NOT_FOUND"
    assert str(bed.store.root) in str(missing.value)


def test_only_root_reads_it_and_the_definitions(bed: Bed) -> None:
    record.write(bed.store, kept(bed))
    record.keep_definition(bed.store, ID, OLD_DEFINITION, "<domain/>")
    directory = record.definitions_directory(bed.store, ID)
    assert (bed.store.migration(ID) / "record.json").stat().st_mode & 0o777 == 0o600
    assert (directory / OLD_DEFINITION).stat().st_mode & 0o777 == 0o600
    assert directory.stat().st_mode & 0o777 == 0o700


def test_definitions_are_kept_and_forgotten(bed: Bed) -> None:
    for name in (OLD_DEFINITION, NEW_DEFINITION):
        record.keep_definition(bed.store, ID, name, f"<domain name='{name}'/>")
    assert record.definition(bed.store, ID, NEW_DEFINITION) == "<domain name='new.xml'/>"
    record.forget_definitions(bed.store, ID)
    record.forget_definitions(bed.store, ID)
    for name in (OLD_DEFINITION, NEW_DEFINITION):
        with pytest.raises(NotFound, match=name) as missing:
            record.definition(bed.store, ID, name)
        assert missing.value.code == "DEFINITION_LOST"
    assert list(record.definitions_directory(bed.store, ID).iterdir()) == []


def test_forgetting_where_nothing_was_kept(bed: Bed) -> None:
    record.forget_definitions(bed.store, ID)
    assert not bed.store.migration(ID).exists()
