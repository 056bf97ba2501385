# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of M(kvmops.mobility.migration_plan)."""

from __future__ import annotations

import getpass
import secrets
import socket
from collections.abc import Mapping
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import closing, controlling
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import plan as moving
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import Data, Operation, Request
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Phase
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Migration
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.request import parse_request
from ansible_collections.kvmops.mobility.plugins.plugin_utils import _site
from ansible_collections.kvmops.mobility.plugins.plugin_utils._select import select
from ansible_collections.kvmops.mobility.plugins.plugin_utils._step import ControllerAction

_PHASES = {Operation.CONFIRM: Phase.CONFIRM, Operation.REVERT: Phase.REVERT}


class ActionModule(ControllerAction):
    """Runs the pure planner over what was found."""

    def work(self, arguments: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        """One entry for each guest that was named."""
        if not _site.hypervisors(variables):
            raise Refused(
                "HYPERVISORS_MISSING",
                "inventory",
                "the group 'hypervisors' is empty or not there.",
                "Put the libvirt hosts into the group hypervisors of the inventory.",
            )
        request = _request(arguments["request"], variables)
        plan = _plan(request, arguments["request"], variables)
        failed = closing.unread(_site.migrations(variables))
        self.show([finding.line() for hosts in failed.values() for finding in hosts.values()])
        for guest in plan.guests:
            self.show(moving.render_plan(guest))
        return {
            "changed": False,
            "guests": [{**guest.as_result(), **_host(guest.migration, plan, variables)} for guest in plan.guests],
            "owner": f"{getpass.getuser()}@{socket.gethostname()}",
            "command": f"{request.operation.value} {' '.join(request.guests)}",
            "run": secrets.token_hex(8),
        }


def _request(typed: Mapping[str, Any], variables: Mapping[str, Any]) -> Request:
    """The request, with the guests that select chooses in the place of names."""
    if not typed.get("select"):
        return parse_request(typed)
    return parse_request({**typed, "vm": select(str(typed["select"]), _site.read_site(variables))})


def _plan(request: Request, typed: Mapping[str, Any], variables: Mapping[str, Any]) -> moving.Plan:
    if request.operation.moves:
        return moving.plan(request, _site.read_site(variables), lambda: secrets.token_hex(6))
    known = closing.known_migrations(_site.migrations(variables))
    if request.operation.controls:
        return controlling.plan(request, typed, known, _site.unreachable(variables))
    phase = _PHASES[request.operation]
    data = closing.parse_data(typed) if phase is Phase.REVERT else Data.DISCARD
    return closing.plan(request, phase, known, _site.unreachable(variables), data)


def _host(migration: Migration | None, plan: moving.Plan, variables: Mapping[str, Any]) -> dict[str, Any]:
    """The inventory host that stands for the guest; not its name, which may be a hypervisor's."""
    if migration is None:
        return {"host": ""}
    short = migration.uuid[:8]
    alike = [one for one in plan.guests if one.migration and one.migration.uuid.startswith(short)]
    offset = _site.clock_offset_s(variables, migration.source, migration.destination)
    return {"host": f"guest-{short if len(alike) == 1 else migration.uuid}", "clock_offset_s": offset}
