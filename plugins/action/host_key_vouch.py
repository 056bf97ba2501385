# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of M(kvmops.mobility.host_key_vouch)."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from typing import Any

from ansible import constants

from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.keys import fingerprint
from ansible_collections.kvmops.mobility.plugins.plugin_utils import _options
from ansible_collections.kvmops.mobility.plugins.plugin_utils._step import ControllerAction
from ansible_collections.kvmops.mobility.plugins.plugin_utils._verifying import Route, lookup, require_setting, route
from ansible_collections.kvmops.mobility.plugins.plugin_utils._vouch import Offer, require_fingerprint, vouched


class ActionModule(ControllerAction):
    """Gets the key that an operator vouches for, and a way for this run to reach the host by it."""

    def work(self, arguments: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        """The key, the controller's files that speak of it, and ssh's options for this run."""
        where = str(arguments.get("address") or variables["inventory_hostname"])
        wanted = require_fingerprint(arguments["fingerprint"], where)
        if arguments.get("address"):
            return _outside(where, _options.whole(arguments, "port", 22), wanted)
        require_setting(self._connection, where)
        path = route(self._connection)
        offer = vouched(path, wanted, where)
        before = str(self._connection.get_option("ssh_args") or "")
        return {
            **_told(offer),
            **lookup(path).as_result(),
            "ssh_args": f"{_pinned(offer)} {before}".strip(),
            "ssh_args_before": before,
        }


def _told(offer: Offer) -> dict[str, Any]:
    return {"changed": False, "key": offer.key.line, "fingerprint": fingerprint(offer.key)}


def _outside(address: str, port: int, wanted: str) -> dict[str, Any]:
    """A host that Ansible does not work on: ssh's settings are the controller's own."""
    path = Route(program="ssh", options=(), host=address, port=port, user="")
    return {**_told(vouched(path, wanted, address)), "names": [address], "port": port}


def _scratch() -> str:
    """A directory that Ansible removes at the end of the run."""
    return str(constants.DEFAULT_LOCAL_TMP)  # type: ignore[attr-defined]  # Ansible sets its constants at run time


def _pinned(offer: Offer) -> str:
    """Options that let ssh believe this one key, kept until the end of the run; ssh takes what it reads first."""
    descriptor, name = tempfile.mkstemp(prefix="vouched-", dir=_scratch())
    with open(descriptor, "w", encoding="ascii") as handle:
        handle.write(f"{offer.name} {offer.key.line}\n")
    options = {
        "UserKnownHostsFile": name,
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        # A connection of another run says nothing of who answers now.
        "ControlMaster": "no",
        "ControlPath": "none",
    }
    return " ".join(f"-o {key}={value}" for key, value in options.items())
