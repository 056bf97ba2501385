# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a forecast of live migrations needs of the hypervisor that the guests are on. Changes nothing.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._live.outlook import Outlook, Past
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import closed, record
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import ForecastFacts
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Migration
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.record import RECEIPT
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.state import Status
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.store import Store
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.unreadable import Unreadable
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Plan
from ansible_collections.kvmops.mobility.plugins.module_utils._survey import dirtying
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer import speed
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer.rsync import Peer

_PAST_MOST = 5


def plan(context: Context) -> Plan:
    """What the guests write, what the links carry, and what became of earlier live migrations of the same guests.

    First the links: sending takes a part of the host from its guests.
    """
    params = context.params
    links = speed.measure([(one["name"], _peer(one, params)) for one in params["peers"]], context.monotonic)
    wanted = [
        one for one in context.hypervisor.domains() if one.name in params["guests"] or one.uuid in params["guests"]
    ]
    version, _qemu = context.hypervisor.versions()
    loads = dirtying.measure(wanted, version, context.monotonic, context.sleep)
    known = past(context.store)
    facts = ForecastFacts(
        loads={uuid: replace(one, past=known.get(uuid, ())) for uuid, one in loads.items()}, links=links
    )
    return Plan(result=facts.as_result())


def _peer(given: Mapping[str, Any], params: Mapping[str, Any]) -> Peer:
    return Peer(
        address=given["address"],
        user=params["user"],
        directory="",
        port=given["port"],
        identity_file=params["identity_file"] or "",
        known_hosts_file=params["known_hosts_file"] or "",
    )


def past(store: Store) -> dict[str, tuple[Past, ...]]:
    """What the receipts here say of live migrations that arrived, by the guest's UUID; the newest of each last."""
    found: dict[str, list[tuple[float, Past]]] = {}
    notes = closed.read_all(store)
    for migration_id in store.migrations():
        note = notes.get(migration_id)
        if note is not None and note.status != Status.COMPLETED.value:
            continue
        try:
            kept, receipt = record.read(store, migration_id), store.read_json(store.migration(migration_id) / RECEIPT)
        except (OSError, ValueError, Unreadable):
            continue  # torn by a power loss, or of a version that had other words: it was only to be learnt from
        if kept is not None and receipt is not None:
            one = _learnt(kept.migration, receipt)
            if one is not None:
                found.setdefault(kept.migration.uuid, []).append((kept.at, one))
    return {uuid: _newest(several) for uuid, several in found.items()}


def _newest(several: list[tuple[float, Past]]) -> tuple[Past, ...]:
    return tuple(one for _at, one in sorted(several, key=lambda pair: pair[0])[-_PAST_MOST:])


def _learnt(migration: Migration, receipt: Mapping[str, Any]) -> Past | None:
    """None for what did not arrive, or did not do so live."""
    carried: Mapping[str, Any] = receipt.get("carried") or {}
    if migration.live is None or receipt.get("status") != Status.COMPLETED.value or not carried:
        return None
    said: Outlook | None = migration.live.outlook
    free = not migration.live.options.bandwidth_mib_s
    return Past(
        total_s=carried.get("seconds"),
        said_total_s=said.model_total_s if said else None,
        pause_ms=carried.get("downtime_ms"),
        said_pause_ms=said.model_pause_ms if said else None,
        bytes_s=carried.get("memory_bytes_s") if free else None,
    )
