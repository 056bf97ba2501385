# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of M(kvmops.mobility.migration_status)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._live.progress import progress
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.closing import Known, known_migrations
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.plan import commands
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.shown_status import shown_status
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.state import CLOSED, Status
from ansible_collections.kvmops.mobility.plugins.plugin_utils import _options, _site
from ansible_collections.kvmops.mobility.plugins.plugin_utils._step import ControllerAction


class ActionModule(ControllerAction):
    """A table of the migrations that the hypervisors know of."""

    def work(self, arguments: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        """The open migrations, or all of them."""
        known = known_migrations(_site.migrations(variables))
        everything = _options.flag(arguments, "all")
        shown = [one for one in known if everything or one.status not in CLOSED]
        silent = _site.unreachable(variables)
        lines = render(shown) + [f"no answer from {name}: {why}" for name, why in sorted(silent.items())]
        self.show(lines)
        return {"changed": False, "migrations": [_result(one) for one in shown], "lines": lines}


def render(shown: Sequence[Known]) -> list[str]:
    """The table, with what to type for those that wait."""
    if not shown:
        return ["no open migration"]
    lines = []
    for one in shown:
        migration = one.migration
        status = shown_status(migration, one.status, one.source, one.destination, one.report)
        busy = f", busy: {one.holder['owner']} ({one.holder['command']})" if one.holder else ""
        lines.append(
            f"{migration.name}  {migration.operation} {migration.source} -> {migration.destination}  "
            f"{status}  (migration {migration.id}{busy})"
        )
        if one.status is Status.FINISHED:
            lines += [f"  next  {command}" for command in commands(migration)]
        if one.status is Status.MIGRATING and one.report:
            lines.append(f"  {progress(one.report)}")
    return lines


def _result(one: Known) -> dict[str, Any]:
    migration = one.migration
    return {
        "id": migration.id,
        "name": migration.name,
        "uuid": migration.uuid,
        "operation": migration.operation,
        "source": migration.source,
        "destination": migration.destination,
        "status": one.status.value,
        "live": dict(one.report) if one.report else None,
        "lock": dict(one.holder) if one.holder else None,
    }
