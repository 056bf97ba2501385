# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of M(kvmops.mobility.migration_receipt)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Entry, Phase
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Migration
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.receipt import build
from ansible_collections.kvmops.mobility.plugins.plugin_utils import _options
from ansible_collections.kvmops.mobility.plugins.plugin_utils._step import ControllerAction


class ActionModule(ControllerAction):
    """Reads the two journals and tells the operator what happened."""

    def work(self, arguments: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        """The receipt, shown, and kept as a fact of the guest's host and as a statistic of the run."""
        migration = Migration.from_result(arguments["migration"])
        receipt = build(
            migration,
            Phase(arguments.get("phase", Phase.MOVE.value)),
            _journal(arguments.get("source")),
            _journal(arguments.get("destination")),
            _options.number(arguments, "clock_offset_s", 0.0),
            str((arguments.get("error") or {}).get("msg", "")),
            _unheard(migration, arguments),
        )
        self.show(receipt.lines())
        data = receipt.as_result()
        return {
            "changed": False,
            "receipt": data,
            "ansible_facts": {"kvmops_receipt": data},
            "ansible_stats": {"data": {f"kvmops_{migration.name}": data}, "per_host": False, "aggregate": True},
        }


def _unheard(migration: Migration, arguments: Mapping[str, Any]) -> tuple[str, ...]:
    answers = ((migration.source, arguments.get("source")), (migration.destination, arguments.get("destination")))
    return tuple(host for host, answer in answers if not answer or answer.get("failed"))


def _journal(answer: Mapping[str, Any] | None) -> tuple[Entry, ...]:
    """The journal in a result of migration_info, empty when that hypervisor did not answer."""
    if not answer or answer.get("failed"):
        return ()
    return tuple(Entry.from_result(entry) for one in answer.get("migrations", ()) for entry in one["journal"])
