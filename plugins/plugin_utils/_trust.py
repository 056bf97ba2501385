# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role ssh_trust registered in the hosts' variables, as typed facts.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.trust import Member
from ansible_collections.kvmops.mobility.plugins.plugin_utils import _site


def member(variables: Mapping[str, Any], name: str) -> Member:
    """A host of the inventory, or one that has left it and of which only the name is known."""
    if name not in variables["hostvars"]:
        return Member(name, ())
    host = variables["hostvars"][name]
    truth = _site.result_of(variables, name, "ssh_trust_truth") or {}
    user = _site.result_of(variables, name, "ssh_trust_identity") or {}
    root = _site.result_of(variables, name, "ssh_trust_root_identity") or {}
    given = (host.get("kvmops_address"), host.get("ansible_host"))
    return Member(
        name=name,
        reached_by=tuple(str(one) for one in given if one),
        calls_itself=tuple(str(truth[one]) for one in ("hostname", "fqdn") if truth.get(one)),
        addresses=tuple(truth.get("addresses", ())),
        port=int(truth.get("sshd", {}).get("ports", (22,))[0]),
        keys=tuple(one["line"] for one in truth.get("host_keys", ())),
        user_key=str(user.get("public_key", "")),
        root_key=str(root.get("public_key", "")),
        user=str(host.get("ssh_trust_who") or ""),
    )


def members(variables: Mapping[str, Any], names: Sequence[str]) -> tuple[Member, ...]:
    """The hosts of *names*, in that order."""
    return tuple(member(variables, name) for name in names)


def addresses(variables: Mapping[str, Any], names: Sequence[str]) -> dict[str, str]:
    """Where each is reached by the others' ssh."""
    return {name: _site.address(variables["hostvars"][name], name) for name in names}
