# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of M(kvmops.mobility.ssh_proof_matrix)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.kvmops.mobility.plugins.plugin_utils import _site
from ansible_collections.kvmops.mobility.plugins.plugin_utils._step import ControllerAction


class ActionModule(ControllerAction):
    """Who can reach whom."""

    def work(self, arguments: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        """The table, and the pairs that are not well. The verdict is another task's, so that it can be read."""
        hosts = [str(name) for name in arguments["hosts"]]
        matrix = {name: row(name, hosts, variables) for name in hosts}
        lines = render(matrix)
        self.show(lines)
        bad = [f"{here} -> {there}" for here, cells in matrix.items() for there, one in cells.items() if not one["ok"]]
        return {
            "changed": False,
            "matrix": matrix,
            "unproven": bad,
            "lines": lines,
            "ansible_stats": {"data": {"kvmops_trust": matrix}, "per_host": False, "aggregate": True},
        }


def row(name: str, hosts: Sequence[str], variables: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What a host proved of each other one; why it proved nothing where it could not be asked."""
    answer = _site.result_of(variables, name, "ssh_trust_proofs")
    found = {one["peer"]: one for one in answer["proofs"]} if answer else {}
    why = str(variables["hostvars"][name].get("kvmops_unusable") or "it was not asked.")
    silent = {"ok": False, "code": _code(why), "message": why, "remedy": "", "parts": []}
    return {peer: _cell(found[peer]) if peer in found else dict(silent) for peer in hosts if peer != name}


def _cell(proof: Mapping[str, Any]) -> dict[str, Any]:
    return {key: proof[key] for key in ("ok", "code", "message", "remedy", "parts")}


def _code(why: str) -> str:
    """The code that a failure's message begins with."""
    first = why.partition(":")[0]
    return first if first.replace("_", "").isupper() else "MODULE_FAILED"


def render(matrix: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    """The table, then a line for every pair that is not well."""
    names = list(matrix)
    words = {here: {there: _word(one) for there, one in cells.items()} for here, cells in matrix.items()}
    width = max([len(one) for cells in words.values() for one in cells.values()] + [len(one) for one in names] + [2])
    table = [["from \\ to", *names]]
    table += [[here, *(words[here].get(there, "-") for there in names)] for here in names]
    lines = ["  ".join(word.ljust(max(width, 9)) for word in cells).rstrip() for cells in table]
    for here, cells in matrix.items():
        for there, one in cells.items():
            if not one["ok"]:
                lines.append(f"{here} -> {there}: {one['code']}: {one['message']} {one['remedy']}".rstrip())
    return lines


def _word(one: Mapping[str, Any]) -> str:
    return "ok" if one["ok"] else str(one["code"])
