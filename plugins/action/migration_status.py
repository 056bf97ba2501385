# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of M(kvmops.mobility.migration_status)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._checks.codes import found
from ansible_collections.kvmops.mobility.plugins.module_utils._live.progress import progress
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.closing import (
    Known,
    known_migrations,
    only_closed,
    unread,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.plan import commands
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.shown_status import shown_status
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.state import CLOSED, Status
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.store import STATE_DIRECTORY
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
        archived = only_closed(_site.migrations(variables)) if arguments.get("all") else {}
        told = render(shown) if shown or not archived else []
        no_answer = [f"no answer from {name}: {why}" for name, why in sorted(silent.items())]
        lines = [*told, *closed_lines(archived), *unread_lines(_site.migrations(variables)), *no_answer]
        self.show(lines)
        return {"changed": False, "migrations": [_result(one) for one in shown], "lines": lines}


def closed_lines(found: Mapping[str, tuple[Mapping[str, Any], Sequence[str]]]) -> list[str]:
    """The archived ones, the newest first."""
    newest = sorted(found.values(), key=lambda pair: float(pair[0]["at"]), reverse=True)
    return [
        f"{one['name']}  {one['operation']} {one['source']} -> {one['destination']}  {one['status']}  "
        f"(migration {one['id']}, archived on {', '.join(hosts)})"
        for one, hosts in newest
    ]


def unread_lines(answers: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """What could not be read, and how that is mended; and locks of which nobody can tell whose they are."""
    lines = [finding.line() for hosts in unread(answers).values() for finding in hosts.values()]
    torn = {
        (host, one["lock"]["uuid"])
        for host, migrations in answers.items()
        for one in migrations
        if one.get("lock") and not one["lock"]["migration"]
    }
    message = "{}/locks/{}.json cannot be read, so its guest counts as being worked on."
    texts = ((host, message.format(STATE_DIRECTORY, uuid)) for host, uuid in sorted(torn))
    return lines + [found("LOCK_UNREADABLE", host, text).line() for host, text in texts]


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
        if one.status is Status.FINISHED and not one.unread:
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
