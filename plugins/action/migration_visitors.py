# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of M(kvmops.mobility.migration_visitors)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import Forecasting, Operation
from ansible_collections.kvmops.mobility.plugins.plugin_utils import _options, _site
from ansible_collections.kvmops.mobility.plugins.plugin_utils._select import select
from ansible_collections.kvmops.mobility.plugins.plugin_utils._step import ControllerAction


class ActionModule(ControllerAction):
    """Gathers what was found of the guests on all hypervisors."""

    def work(self, arguments: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        """The guests as domain_fit_info takes them, whom this hypervisor has to reach, as ssh_proof does, and which of
        its guests a forecast is wanted of."""
        here = str(variables.get("inventory_hostname", ""))
        port = _options.whole(arguments, "port", 0) or 22
        destination = str(arguments.get("destination") or "")
        return {
            "changed": False,
            "guests": _site.visitors(variables, live=arguments.get("operation") == Operation.LIVE_MIGRATE.value),
            "peers": _site.peers(variables, here, destination, port) if here else [],
            "to_measure": _to_measure(arguments, variables, here),
        }


def _to_measure(arguments: Mapping[str, Any], variables: Mapping[str, Any], here: str) -> list[str]:
    """None where no forecast is wanted; of guests that an expression chooses, those that it will choose."""
    wanted = str(arguments.get("forecast") or Forecasting.OFF.value) != Forecasting.OFF.value
    if not here or not wanted or arguments.get("operation") != Operation.LIVE_MIGRATE.value:
        return []
    if not arguments.get("select"):
        return _site.to_measure(variables, here, None)
    try:
        return _site.to_measure(variables, here, select(str(arguments["select"]), _site.read_site(variables)))
    except Refused:
        return []  # the plan says what is wrong with it
