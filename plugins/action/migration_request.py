# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of M(kvmops.mobility.migration_request)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import controlling
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import Forecasting, Operation
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.closing import parse_options
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.request import parse_request
from ansible_collections.kvmops.mobility.plugins.module_utils._version import VERSION
from ansible_collections.kvmops.mobility.plugins.plugin_utils._step import ControllerAction


def _check_version(playbooks: str) -> None:
    """From a checkout, the playbooks may be of one version and the collection that Ansible resolves of another."""
    if playbooks != VERSION:
        raise Refused(
            "VERSION_MISMATCH",
            "kvmops.mobility",
            f"the playbooks are of version {playbooks}, the collection that Ansible found is {VERSION}.",
            "Use the installed collection's playbooks (kvmops.mobility.resize), or run make install in the checkout.",
        )


def _with_selection(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """The arguments with a stand-in for the guests that select will choose once they are known.

    Raises Refused: SELECT_AND_VM, SELECT_NOT_ALLOWED.
    """
    if not arguments.get("select"):
        return arguments
    if arguments.get("vm"):
        raise Refused("SELECT_AND_VM", "select", "both vm and select name guests.", "Give one of them.")
    if arguments.get("operation") not in [one.value for one in Operation if one.moves]:
        raise Refused(
            "SELECT_NOT_ALLOWED",
            "select",
            f"{arguments.get('operation')} is decided guest by guest.",
            "Name the guests with vm.",
        )
    return {**arguments, "vm": "(selected)"}


class ActionModule(ControllerAction):
    """Validates what the operator typed before any hypervisor is asked anything."""

    def work(self, arguments: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        """The request as it was typed, found to be good, and what of it the plays need."""
        _check_version(str(arguments.get("playbooks_version", VERSION)))
        typed = _with_selection(arguments)
        request = parse_request(typed)
        options = parse_options(request.operation, arguments)
        controlling.check_options(request.operation, arguments)
        return {
            "changed": False,
            "request": dict(arguments),
            "options": options,
            "guests": None if arguments.get("select") else list(request.guests),
            "moves": request.operation.moves,
            "live": request.live is not None,
            "forecast": (request.live.forecast if request.live else Forecasting.OFF).value,
        }
