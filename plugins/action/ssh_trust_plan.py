# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of M(kvmops.mobility.ssh_trust_plan)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh import trust
from ansible_collections.kvmops.mobility.plugins.plugin_utils import _trust
from ansible_collections.kvmops.mobility.plugins.plugin_utils._step import ControllerAction


class ActionModule(ControllerAction):
    """What this host has to know of the others."""

    def work(self, arguments: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        """Peers, keys and targets for the host of this task."""
        here = str(variables["inventory_hostname"])
        absent = [str(name) for name in arguments.get("absent") or ()]
        names = [str(name) for name in arguments["hosts"] if name not in absent]
        everyone = _trust.members(variables, names)
        _no_namesake(everyone)
        left = _trust.members(variables, absent)
        return {
            "changed": False,
            "names": trust.own_names(here, everyone),
            "peers": trust.known_peers(here, everyone),
            "outside": [trust.outsider(one["item"], one["key"]) for one in arguments.get("outside") or ()],
            "user_keys": trust.admitted(here, everyone, root=False),
            "root_keys": trust.admitted(here, everyone, root=True),
            "leaving": trust.leaving(left),
            "targets": trust.targets(here, everyone, _trust.addresses(variables, names)),
        }


def _no_namesake(everyone: tuple[trust.Member, ...]) -> None:
    """Two names of one machine would each take out the other's entries."""
    seen: dict[str, str] = {}
    for one in everyone:
        for key in one.keys:
            if key in seen:
                raise Refused(
                    "HOST_KEY_SHARED",
                    one.name,
                    f"it has a host key that {seen[key]} has too: they are one machine, or clones of one.",
                    "Give every host keys of its own (ssh-keygen -A after removing the old ones), or name it once.",
                )
            seen[key] = one.name
