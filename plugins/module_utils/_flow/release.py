# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Step release: others may work on the guest again.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from ansible_collections.kvmops.mobility.plugins.module_utils._migration import lock
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect, Plan


def plan(context: Context) -> Plan:
    """The receipt is kept, when one is given; the lock goes, when the same hand holds it that asks for it.

    Without an owner it is an operator who clears what a dead run left: then it goes whoever held it for this migration.
    """
    migration = context.record().migration
    effects = []
    receipt = context.params["receipt"]
    path = context.store.migration(migration.id) / "receipt.json"
    if receipt and context.store.read_json(path) != receipt:
        keeping = Effect("receipt", f"keep the receipt in {path}", lambda: context.store.write_json(path, receipt))
        effects.append(keeping)
    holder = lock.held(context.store, migration.uuid)
    if holder is not None and holder.migration == migration.id and _may(context, holder):
        mine = holder
        effects.append(
            Effect("unlock", f"release the lock of {migration.name}", lambda: _release(context, mine)),
        )
    return Plan(tuple(effects), result={"status": (receipt or {}).get("status", "")})


def _may(context: Context, holder: lock.Lock) -> bool:
    owner = context.params["owner"]
    return owner is None or (owner, context.params["command"]) == (holder.owner, holder.command)


def _release(context: Context, mine: lock.Lock) -> None:
    lock.release(context.store, mine)
