# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Step release: others may work on the guest again.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import contextlib

from ansible_collections.kvmops.mobility.plugins.module_utils._migration import closed, journal, lock
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.authority import last_run
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Migration
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.record import RECEIPT
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect, Plan
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer import tls, tunnel
from ansible_collections.kvmops.mobility.plugins.module_utils._unit import transient


def plan(context: Context) -> Plan:
    """The receipt is kept, when one is given, and the lock goes. Of a run that has lost the migration neither is."""
    migration = context.record().migration
    entries = journal.read(context.store, migration.id)
    holder = lock.held(context.store, migration.uuid)
    holds = holder is not None and holder.is_of(migration.id, context.params["run"])
    if not holds and (not context.params["run"] or last_run(entries) != context.params["run"]):
        return Plan(result={"status": ""}, untouched=True)
    effects = []
    receipt = context.params["receipt"]
    path = context.store.migration(migration.id) / RECEIPT
    if receipt and context.store.read_json(path) != receipt:
        keeping = Effect("receipt", f"keep the receipt in {path}", lambda: context.store.write_json(path, receipt))
        effects.append(keeping)
    effects += _mirror(context, migration.id)
    if holds:
        effects.append(Effect("unlock", f"release the lock of {migration.name}", lambda: _release(context, migration)))
    status = (receipt or {}).get("status", "")
    return Plan(tuple(effects), result={"status": status}, afterwards=lambda: _note(context, migration.id))


def _note(context: Context, migration_id: str) -> None:
    """That it is closed, when it is. Without the note its journal is read, which takes longer and says the same."""
    with contextlib.suppress(OSError):
        closed.note(context.store, migration_id)


_OPENED = {(Step.MIRROR, "tunnel"): tunnel.unit_name, (Step.EXPORT, "entrance"): tls.entrance_name}
"""What a mirror through the network leaves open on either side, by the effect that opened it."""


def _mirror(context: Context, migration: str) -> list[Effect]:
    """What is left of a mirror that was carried through: its end would only have made the outage longer, and might have
    come before the last words of what it carried."""
    opened = {(one.step, one.effect) for one in journal.read(context.store, migration)}
    named = [name(migration) for effect, name in _OPENED.items() if effect in opened]
    units = [one for one in named if transient.phase(one) is not transient.Phase.ABSENT]

    def close() -> None:
        for unit in units:
            transient.forget(unit)
        tunnel.forget_control(str(context.store.migration(migration)))

    return [Effect("tunnel", f"close {', '.join(units)}", close)] if units else []


def _release(context: Context, migration: Migration) -> None:
    lock.release(context.store, migration.uuid, migration.id, context.params["run"])
