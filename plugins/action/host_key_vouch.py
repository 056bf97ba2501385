# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of M(kvmops.mobility.host_key_vouch)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from typing import Any

from ansible import constants

from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.keys import fingerprint
from ansible_collections.kvmops.mobility.plugins.plugin_utils._step import ControllerAction
from ansible_collections.kvmops.mobility.plugins.plugin_utils._verifying import require_setting, route
from ansible_collections.kvmops.mobility.plugins.plugin_utils._vouch import Offer, require_fingerprint, vouched

_NOWHERE = ("/dev/null", "none")


class ActionModule(ControllerAction):
    """Gets the key that an operator vouches for, and a way for this run to reach the host by it."""

    def work(self, arguments: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        """The key, the controller's files that speak of it, and ssh's options for this run."""
        where = str(variables["inventory_hostname"])
        wanted = require_fingerprint(arguments["fingerprint"], where)
        require_setting(self._connection, where)
        path = route(self._connection)
        settings = path.settings()
        offer = vouched(path, wanted, where)
        before = str(self._connection.get_option("ssh_args") or "")
        return {
            "changed": False,
            "key": offer.key.line,
            "fingerprint": fingerprint(offer.key),
            "names": [settings.get("hostkeyalias", settings.get("hostname", [path.host]))[0]],
            "port": 22 if "hostkeyalias" in settings else int(settings.get("port", ["22"])[0]),
            "known_hosts_files": _files(settings),
            "ssh_args": f"{_pinned(offer)} {before}".strip(),
            "ssh_args_before": before,
        }


def _files(settings: Mapping[str, list[str]]) -> list[str]:
    """The controller's known_hosts files for this host, in the order in which ssh reads them; the first is written."""
    named = [*settings.get("userknownhostsfile", ()), *settings.get("globalknownhostsfile", ())]
    return [os.path.expanduser(one) for one in named if one not in _NOWHERE]


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
