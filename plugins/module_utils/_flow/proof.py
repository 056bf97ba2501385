# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evidence that a mirror is complete: the word of the exports, which were there when the guest went off.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._flow import export
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import journal
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Event, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.way import Way
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer import export as exports
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer.export import Export
from ansible_collections.kvmops.mobility.plugins.module_utils._unit import transient

_TAKEN = "evidence"
_GOODBYE_S = 5
_POLL_S = 0.02


def plan(context: Context, way: Way) -> tuple[Effect, ...]:
    """The exports' own word that the images hold all that the guest wrote; then nobody writes to them any more.

    Raises Refused(MIRROR_NOT_PROVEN) before anything is changed: the copy has to be made in another way then.
    """
    if not context.params.get("mirrored") or _was_proven(context):
        return ()
    migration = way.migration
    served = [export.of(context, way, disk) for disk in migration.written]
    proofs = {one.target: _last_word(context, one) for one in served}
    for one in served:
        missing = exports.shortcoming(proofs[one.target])
        if missing:
            raise Refused(
                "MIRROR_NOT_PROVEN",
                f"{migration.name}, {one.target}",
                f"that its copy is complete is not proven: {missing}.",
                "It is copied once more, from the disk of the guest that is off.",
            )

    def close() -> Mapping[str, Any]:
        for one in served:
            transient.forget(one.unit)
        return {"mirror_evidence": {target: seen["clients"][-1] for target, seen in proofs.items()}}

    return (Effect(_TAKEN, "take the exports' word that the copy is complete, and close them", close),)


def _was_proven(context: Context) -> bool:
    """By an earlier attempt, or before the disks were counted; the exports are closed since.

    What was before the last claim was another mirror: a revert can be undone and asked for again.
    """
    entries = journal.read(context.store, context.params["migration"])
    claims = [i for i, e in enumerate(entries) if (e.phase, e.step) == (context.phase, Step.CLAIM)]
    wanted = (context.phase, Event.END, _TAKEN)
    since = entries[claims[-1] :] if claims else entries
    return any((e.phase, e.event, e.effect) == wanted for e in since)


def _last_word(context: Context, served: Export) -> Mapping[str, Any]:
    """The export's state once its client is gone; what there is after a bounded wait."""
    began = context.monotonic()
    while True:
        seen = exports.state(served)
        if exports.has_ended(seen) or context.monotonic() - began > _GOODBYE_S:
            return seen
        context.sleep(_POLL_S)
