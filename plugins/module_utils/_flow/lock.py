# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Step lock: a recovery takes the guest's lock away from whatever run has it, before it does anything else.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._flow.claim import wanted_lock
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import journal, lock, record
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.authority import LOCK_EFFECT, closed_at
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect, Plan


def plan(context: Context) -> Plan:
    """One effect, none when this run has the lock. Raises Refused(BUSY) while another migration has the guest.

    A hypervisor on which the migration is over, or never was, has nothing to take away and nothing to keep.
    """
    kept = record.read(context.store, context.params["migration"])
    if kept is None:
        return Plan(result={"locked": False}, untouched=True)
    wanted = wanted_lock(context, kept.migration)
    holder = lock.held(context.store, wanted.uuid)
    if holder is not None and holder.migration != wanted.migration:
        if closed_at(journal.read(context.store, wanted.migration)) is None:
            raise lock.busy(wanted.uuid, holder)
        return Plan(result={"locked": False}, untouched=True)
    if holder is not None and holder.token == wanted.token:
        return Plan(result={"locked": True}, untouched=True)

    def take_away() -> Mapping[str, Any]:
        earlier = lock.replace(context.store, wanted)
        return {"taken_from": earlier.as_result() if earlier is not None else None}

    whose = f" from {holder.owner} ({holder.command})" if holder is not None else ""
    effect = Effect(LOCK_EFFECT, f"take the lock of {kept.migration.name}{whose}", take_away)
    return Plan((effect,), result={"locked": True})
