# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What M(kvmops.mobility.known_hosts_repair) does.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._file.replacing import effects
from ansible_collections.kvmops.mobility.plugins.module_utils._file.text import Text
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Plan
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh import hashing, known_hosts_file
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.known_hosts import parse
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.known_hosts_plan import State, Wish, plan
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.peers import authorities_of, peers_of

_SALT_BYTES = 20


def work(context: Context) -> Plan:
    """At most two effects: back_up and replace."""
    params = context.params
    wish = _wish(params)
    text = _read(params)
    if text.writable_by_others:
        context.warn(
            f"Others than its owner may write to {text.path}, and decide whom it trusts: chmod go-w {text.real}"
        )
    repair = plan(parse(text.data), text.path, wish, hashing.match)
    result = {"path": text.real, "findings": [one.as_result() for one in repair.findings]}
    if repair.data == text.data:
        return Plan(result=result)
    replacing = effects(context, text, repair.data)
    return Plan(replacing, result, before=_shown(text.data), after=_shown(repair.data))


def _wish(params: Mapping[str, Any]) -> Wish:
    return Wish(
        peers=peers_of(params["peers"]),
        authorities=authorities_of(params["certificate_authorities"]),
        state=State(params["state"]),
        add=params["add"],
        salt=(lambda: secrets.token_bytes(_SALT_BYTES)) if params["hash_names"] else None,
    )


def _read(params: Mapping[str, Any]) -> Text:
    if params["user"]:
        return known_hosts_file.read(*known_hosts_file.of_user(params["user"]))
    return known_hosts_file.read(params["path"])


def _shown(data: bytes) -> str:
    """The whole file for the diff; bytes that are no text are shown by their numbers."""
    return data.decode("utf-8", "backslashreplace")
