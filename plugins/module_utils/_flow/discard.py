# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Step discard: the side that lost the guest gives up what it kept. The only step that removes a guest's disks.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import os
import posixpath

from ansible_collections.kvmops.mobility.plugins.module_utils._disk import directory
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import journal, record, reverting
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import Data
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Entry, Event, Phase, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Layout, Migration
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.starting import may_have_run
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect, Plan, numbered


def plan(context: Context) -> Plan:
    """Confirm: the source removes its parked copy. Revert: the destination does. The other side closes its book.

    A source that took the newer disks back removes the old ones then.

    Done already is no change, so confirm and revert can be repeated.
    """
    kept = context.record()
    entries = journal.read(context.store, kept.migration.id)
    if _closed(entries, context.phase):
        return Plan(untouched=True)
    losing = "source" if context.phase is Phase.CONFIRM else "destination"
    closing = _forget(context, kept.migration)
    if kept.role != losing:
        return Plan((*_old_disks(context, kept.migration, entries), closing))
    paths = kept.migration.parked_in if losing == "source" else kept.migration.reverted_in
    for path in paths:
        _check_ours(entries, path, losing)
    known = _inventory(kept.migration, entries, losing)
    removing = (_remove(context, path, known, index) for index, path in enumerate(paths))
    return Plan(
        (*_undefine(context, kept.migration), *removing, closing),
        before={"directory": paths[0]},
        after={"directory": None},
    )


def _old_disks(context: Context, migration: Migration, entries: tuple[Entry, ...]) -> tuple[Effect, ...]:
    """What the source parked in the move and the guest has not gone back to: it lives on the disks that came back.

    Raises Refused(GUEST_DISKS_MISSING) when those are not there: the old ones may be all there is.
    """
    if context.phase is not Phase.REVERT or reverting.data(entries) is Data.DISCARD:
        return ()
    for one in migration.parkings:
        if not may_have_run(entries, Phase.REVERT) or not os.path.lexists(one.place):
            raise Refused(
                "GUEST_DISKS_MISSING",
                one.place,
                f"is not what {migration.name} came back to, so its old disks are not removed.",
                "See kvmops.mobility.status, and look at both hypervisors.",
            )
    for path in migration.parked_in:
        _check_ours(entries, path, "source")
    there = [one for one in migration.parked_in if os.path.lexists(one)]
    known = _inventory(migration, entries, "source")
    return tuple(_remove(context, path, known, index) for index, path in enumerate(there))


def _closed(entries: tuple[Entry, ...], phase: Phase) -> bool:
    return any((e.phase, e.step, e.event, e.effect) == (phase, Step.DISCARD, Event.END, "") for e in entries)


def _handed_over_in(losing: str) -> Phase:
    return Phase.MOVE if losing == "source" else Phase.REVERT


def _inventory(migration: Migration, entries: tuple[Entry, ...], losing: str) -> frozenset[str]:
    """Names of the files that were parked: what was in the directory then, else the disks of the record.

    Nothing that came since is among them, and where nobody wrote down what was there, nothing but the disks.
    """
    disks = frozenset(posixpath.basename(one.path) for one in migration.carried)
    if migration.layout is not Layout.DIRECTORY:
        return disks
    wanted = (_handed_over_in(losing), Step.HAND_OVER, Event.END)
    ends = [e for e in entries if (e.phase, e.step, e.event) == wanted and "entries" in e.result]
    fences = [e for e in ends if e.effect] or ends  # a hand over that is repeated lists what came since as well
    return frozenset(one["name"] for one in fences[-1].result["entries"]) if fences else disks


def _check_ours(entries: tuple[Entry, ...], path: str, losing: str) -> None:
    """Nothing is removed that the journal does not say this migration parked, or made to park in."""
    phase = _handed_over_in(losing)
    begun = [e for e in entries if (e.phase, e.step, e.event) == (phase, Step.HAND_OVER, Event.BEGIN) and e.undo]
    if any(path in (one.undo.get("from"), one.undo.get("path")) for one in begun if one.undo):
        return
    if os.path.lexists(path):
        raise Refused(
            "PATH_NOT_OURS",
            path,
            "exists, but this hypervisor's journal does not say that this migration put it there.",
            "Look what it is; it is never removed by us.",
        )


def _undefine(context: Context, migration: Migration) -> tuple[Effect, ...]:
    domain = context.hypervisor.find(migration.uuid)
    if domain is None:
        return ()
    if not domain.is_off():
        raise Refused(
            "GUEST_RUNS_HERE",
            migration.name,
            f"is {domain.state()} on the hypervisor that should have given it up.",
            "Stop here and look at both hypervisors: the guest must run on one only.",
        )

    def undefine() -> None:
        domain.undefine(keep_nvram=False, keep_tpm=False, remove_managed_save=True, remove_metadata=True)

    return (Effect("undefine", f"undefine {migration.name} here", undefine),)


def _forget(context: Context, migration: Migration) -> Effect:
    def forget() -> None:
        record.forget_definitions(context.store, migration.id)

    return Effect("forget", "forget the definitions, which may hold passwords", forget)


def _remove(context: Context, path: str, known: frozenset[str], index: int) -> Effect:
    def remove() -> None:
        strange = _strange(path, known)
        if not strange:
            directory.remove(path)
            return
        here = {one.name for one in directory.entries(path) if one.kind == "file"}
        directory.remove_files(path, sorted(known & here))
        for one in strange:
            context.warn(f"PATH_NOT_OURS: {one} was not there when {path} was parked. It is kept: look what it is.")

    return Effect(numbered("remove", index), f"remove {path}", remove)


def _strange(path: str, known: frozenset[str]) -> tuple[str, ...]:
    """What somebody put into the parked directory since; also what is no file under the name of one that was."""
    found = directory.entries(path) if os.path.isdir(path) else ()
    return tuple(os.path.join(path, one.name) for one in found if one.kind != "file" or one.name not in known)
