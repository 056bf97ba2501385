# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of M(kvmops.mobility.migration_visitors)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import Operation
from ansible_collections.kvmops.mobility.plugins.plugin_utils import _site
from ansible_collections.kvmops.mobility.plugins.plugin_utils._step import ControllerAction


class ActionModule(ControllerAction):
    """Gathers what was found of the guests on all hypervisors."""

    def work(self, arguments: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        """The guests as domain_fit_info takes them, and whom this hypervisor has to reach, as ssh_proof does."""
        here = str(variables.get("inventory_hostname", ""))
        destination = str(arguments.get("destination") or "")
        return {
            "changed": False,
            "guests": _site.visitors(variables, live=arguments.get("operation") == Operation.LIVE_MIGRATE.value),
            "peers": _site.peers(variables, here, destination, int(arguments.get("port") or 22)) if here else [],
        }
