# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Step release: others may work on the guest again.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from ansible_collections.kvmops.mobility.plugins.module_utils._migration import lock
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Migration
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect, Plan


def plan(context: Context) -> Plan:
    """The receipt is kept, when one is given; the lock goes, when this migration holds it."""
    migration = context.record().migration
    effects = []
    receipt = context.params["receipt"]
    path = context.store.migration(migration.id) / "receipt.json"
    if receipt and context.store.read_json(path) != receipt:
        keeping = Effect("receipt", f"keep the receipt in {path}", lambda: context.store.write_json(path, receipt))
        effects.append(keeping)
    holder = lock.held(context.store, migration.uuid)
    if holder is not None and holder.migration == migration.id:
        effects.append(Effect("unlock", f"release the lock of {migration.name}", lambda: _release(context, migration)))
    return Plan(tuple(effects), result={"status": (receipt or {}).get("status", "")})


def _release(context: Context, migration: Migration) -> None:
    lock.release(context.store, migration.uuid, migration.id)
