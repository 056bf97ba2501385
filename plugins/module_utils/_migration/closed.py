# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Closed migrations: a note of each, so that a survey need not read their journals, and the archive they go to.

The note says what the journal says, and how long that was: a journal only grows, so a note of another length is of
before something was added, and counts for nothing. It is written when the journal has its last line, never before.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._fields import known
from ansible_collections.kvmops.mobility.plugins.module_utils._file.durable import replace, sync_directory, write_all
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import journal, lock, record, state
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import JOURNAL
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.store import Store
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.unreadable import MALFORMED, SCHEMA, Unreadable

NOTES = "closed.jsonl"
"""In the state directory, a line for each: files of their own would take longer to open than to read."""
ARCHIVE_DAYS = 30
"""Migrations that ended longer ago go to the archive."""
MOST = 200
"""So many of them are noted or archived in one go, each some milliseconds."""
_DAY_S = 86400
_UNITS = Path("/run/systemd/transient")


@dataclass(frozen=True)
class Closed:
    """What is told of a closed migration without reading its journal."""

    id: str
    role: str
    status: str
    operation: str
    uuid: str
    name: str
    source: str
    destination: str
    at: float
    """Unix time of the claim, seconds."""
    ended_at: float
    """Of the journal's last line."""
    journal_bytes: int
    """Of the journal that this was read from."""
    schema: int = SCHEMA

    def as_result(self) -> dict[str, Any]:
        """Plain JSON; C(closed) tells it from a migration that is told as a whole."""
        return {**asdict(self), "closed": True}


def read_all(store: Store, *, archived: bool = False) -> dict[str, Closed]:
    """By id, the notes that are true of their journals: of migrations that a survey looks at, or of archived ones."""
    where = str(store.archive if archived else store.root / "migrations")
    found = {}
    for one in _lines(store.root / NOTES):
        try:
            if one["schema"] == SCHEMA and os.stat(f"{where}/{one['id']}/{JOURNAL}").st_size == one["journal_bytes"]:
                found[one["id"]] = _closed(one)
        except (OSError, *MALFORMED):
            continue
    return found


def _closed(data: Mapping[str, Any]) -> Closed:
    try:
        return Closed(**data)
    except TypeError:
        return Closed(**known(Closed, data))


def _lines(path: Path) -> list[Any]:
    """The notes, whatever they say. One that a power loss has torn is none."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    lines = [one for one in text.split("\n") if one]
    try:
        found: list[Any] = json.loads(f"[{','.join(lines)}]")  # all at once takes a fifth of the time
    except ValueError:
        return [parsed for one in lines if (parsed := _parsed(one)) is not None]
    return found


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def note(store: Store, migration_id: str) -> bool:
    """Add a note when its journal says that it is closed; whether it did. Raises OSError when it cannot be kept."""
    found = _look(store, migration_id)
    if found is not None:
        _append(store, found)
    return found is not None


def _append(store: Store, one: Closed) -> None:
    """In one write, behind a new line: whatever is torn before it, and whoever writes at the same time."""
    descriptor = os.open(store.root / NOTES, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        write_all(descriptor, b"\n" + json.dumps(asdict(one)).encode() + b"\n")
    finally:
        os.close(descriptor)


def _look(store: Store, migration_id: str) -> Closed | None:
    """What its record and journal say; None for one that is open, cannot be read, or has a torn last line."""
    path = store.migration(migration_id) / JOURNAL
    try:
        kept, text = record.read(store, migration_id), path.read_bytes()
        entries = journal.parse(text.decode("utf-8"), path)
    except (OSError, ValueError, Unreadable):
        return None
    if kept is None or not entries or not text.endswith(b"\n"):
        return None
    status = state.derive_alone(entries, kept.role)
    if status not in state.CLOSED:
        return None
    one = kept.migration
    return Closed(
        id=one.id,
        role=kept.role,
        status=status.value,
        operation=one.operation,
        uuid=one.uuid,
        name=one.name,
        source=one.source,
        destination=one.destination,
        at=kept.at,
        ended_at=entries[-1].at,
        journal_bytes=len(text),
    )


@dataclass(frozen=True)
class Tidying:
    """What is to be done with those that are closed."""

    noted: tuple[str, ...] = ()
    archived: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.noted or self.archived)

    def words(self) -> str:
        """For an operator."""
        parts = ((self.noted, "note that {} migrations are closed"), (self.archived, "archive {} closed migrations"))
        return ", ".join(text.format(len(ids)) for ids, text in parts if ids)


def tidying(store: Store, days: int, now: float) -> Tidying:
    """Which are to be noted, and which, closed for *days*, to be archived (0: none); MOST of each.

    One that is locked here, or has left something, stays where a survey finds it.
    """
    locked = {word for one in lock.all_held(store) for word in (one.migration, one.uuid)}
    notes = read_all(store)
    noted: list[str] = []
    archived: list[str] = []
    for one in store.migrations():
        found = notes.get(one)
        if found is None:
            noted += [one] if len(noted) < MOST and _look(store, one) is not None else []
        elif days and len(archived) < MOST and now - found.ended_at > days * _DAY_S:
            free = not {found.id, found.uuid} & locked and not _left_over(store, one)
            archived += [one] if free else []
    return Tidying(tuple(noted), tuple(archived))


def _left_over(store: Store, migration_id: str) -> bool:
    """Whether something of it is on this hypervisor but its record: images, definitions with secrets, a unit."""
    kept = record.readable(store, migration_id)
    if kept is None:
        return True
    definitions = record.definitions_directory(store, migration_id)
    units = f"kvmops-{migration_id}-*.service"
    return (
        any(os.path.lexists(one) for one in kept.migration.set_aside)
        or any(definitions.glob("*"))
        or any(_UNITS.glob(units))
    )


def tidy(store: Store, wanted: Tidying) -> None:
    """Do it. Raises OSError when the file system does not take it; what was done until then is whole."""
    for one in wanted.noted:
        note(store, one)
    archive(store, wanted.archived)
    _shorten(store)


def _shorten(store: Store) -> None:
    """Drop what counts no more, once that is half of it. What is added meanwhile may be lost, and is noted again."""
    path = store.root / NOTES
    lines, notes = len(_lines(path)), {**read_all(store), **read_all(store, archived=True)}
    if lines > 2 * len(notes) + MOST:
        replace(path, "".join(json.dumps(asdict(one)) + "\n" for one in notes.values()).encode())


def _is_true(directory: Path, one: Closed) -> bool:
    return os.stat(directory / JOURNAL).st_size == one.journal_bytes


def archive(store: Store, ids: Iterable[str]) -> None:
    """Rename the directories of closed migrations into the archive, durably; one that a step works on stays."""
    moved, notes = False, read_all(store)
    for one in ids:
        origin = store.root / "migrations" / one
        descriptor = os.open(origin, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if one in notes and _is_true(origin, notes[one]):  # nobody has begun something since
                    os.rename(origin, store.make(store.archive) / one)
                    moved = True
        finally:
            os.close(descriptor)
    if moved:
        sync_directory(store.archive)
        sync_directory(store.root / "migrations")
