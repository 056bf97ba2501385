# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of one migration: what was asked and planned, written once on each hypervisor.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import NotFound, Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._fields import known
from ansible_collections.kvmops.mobility.plugins.module_utils._file.durable import write_durably
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Migration
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.store import Store
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.unreadable import (
    MALFORMED,
    SCHEMA,
    Unreadable,
    check_schema,
    told,
    unreadable,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._version import VERSION

RECORD = "record.json"
OLD_DEFINITION = "old.xml"
NEW_DEFINITION = "new.xml"
RECEIPT = "receipt.json"
"""Beside the record: what became of it."""


@dataclass(frozen=True)
class Record:
    """One migration as one of its two hypervisors knows it."""

    role: str
    """source or destination: which of the two this hypervisor is."""
    migration: Migration
    owner: str
    command: str
    at: float
    """Unix time of the claim, seconds."""

    def as_result(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**asdict(self), "migration": self.migration.as_result()}

    @property
    def peer(self) -> str:
        """Inventory name of the other hypervisor."""
        return self.migration.destination if self.role == "source" else self.migration.source


def write(store: Store, record: Record) -> None:
    """Write the record. A second write of the same is no change, of another is refused (RECORD_DIFFERS)."""
    there = read(store, record.migration.id)
    if there is None:
        path = store.migration(record.migration.id) / RECORD
        store.write_json(path, {"schema": SCHEMA, "written_by": VERSION, **record.as_result()})
    elif there.migration != record.migration:
        raise Refused(
            "RECORD_DIFFERS",
            record.migration.id,
            "this hypervisor has another record under the same id; a record is written once.",
            "Look at both with kvmops.mobility.status.",
        )


def read(store: Store, migration_id: str) -> Record | None:
    """The record of *migration_id*, None when this hypervisor has none. Raises Unreadable."""
    path = store.migration(migration_id) / RECORD
    try:
        data = store.read_json(path)
        if data is None:
            return None
        check_schema(data, path)
        return Record(**{**known(Record, data), "migration": Migration.from_result(data["migration"])})
    except (OSError, *MALFORMED) as error:
        raise unreadable(path, told(error)) from None


def readable(store: Store, migration_id: str) -> Record | None:
    """Like C(read()), None also for one that cannot be read."""
    try:
        return read(store, migration_id)
    except Unreadable:
        return None


def required(store: Store, migration_id: str) -> Record:
    """Like C(read()). Raises NotFound(MIGRATION_NOT_FOUND), Unreadable."""
    record = read(store, migration_id)
    if record is None:
        raise NotFound(
            "MIGRATION_NOT_FOUND",
            migration_id,
            f"this hypervisor has no record of it in {store.root}.",
            "kvmops.mobility.status lists the migrations each hypervisor knows of.",
        )
    return record


def definition(store: Store, migration_id: str, name: str) -> str:
    """One of the two definitions (OLD_DEFINITION, NEW_DEFINITION), with secrets. Raises NotFound(DEFINITION_LOST)."""
    path = definition_path(store, migration_id, name)
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotFound(
            "DEFINITION_LOST",
            migration_id,
            f"{path} is not there.",
            "The other hypervisor has a copy in its own record of this migration.",
        ) from None


def definition_path(store: Store, migration_id: str, name: str) -> Path:
    """Where C(definition()) reads."""
    return definitions_directory(store, migration_id) / name


def definitions_directory(store: Store, migration_id: str) -> Path:
    """Holds both definitions; it travels to the destination with the images."""
    return store.migration(migration_id) / "definitions"


def keep_definition(store: Store, migration_id: str, name: str, xml: str) -> None:
    """Keep a definition with its secrets beside the record, readable by root only."""
    path = definition_path(store, migration_id, name)
    store.make(path.parent)
    write_durably(path, xml.encode())


def forget_definitions(store: Store, migration_id: str) -> None:
    """Remove both definitions, which may hold passwords; a closed migration needs them no more."""
    directory = definitions_directory(store, migration_id)
    for path in sorted(directory.iterdir()) if directory.is_dir() else ():
        path.unlink()  # with what a power loss left half written
