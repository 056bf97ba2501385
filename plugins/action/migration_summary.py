# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of M(kvmops.mobility.migration_summary)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._migration.plan import Outcome
from ansible_collections.kvmops.mobility.plugins.plugin_utils._step import ControllerAction

_FAILED = frozenset({"failed", "error", "unknown"})


class ActionModule(ControllerAction):
    """The last lines: what became of each guest that was named."""

    def work(self, arguments: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        """Fails when a guest was refused, failed or was not handled."""
        lines, bad = [], []
        for guest in arguments["guests"]:
            good, line = _line(guest, variables)
            lines.append(line)
            if not good:
                bad.append(str(guest["subject"]))
        self.show(lines)
        if not bad:
            return {"changed": False, "lines": lines}
        total = len(arguments["guests"])
        return {
            "failed": True,
            "code": "GUESTS_FAILED",
            "guests": bad,
            "msg": f"GUESTS_FAILED: {len(bad)} of {total} guests: {', '.join(bad)}. See the lines above.",
        }


def _line(guest: Mapping[str, Any], variables: Mapping[str, Any]) -> tuple[bool, str]:
    subject = guest["subject"]
    if guest["outcome"] == Outcome.REFUSED.value:
        first = next(one for one in guest["findings"] if one["severity"] == "block")
        return False, f"{subject}: refused, nothing was changed: {first['code']}: {first['message']} {first['remedy']}"
    if guest["outcome"] == Outcome.ALREADY.value:
        return True, str(guest["note"])
    if variables.get("ansible_check_mode"):
        return True, f"{subject}: planned; check mode, nothing was changed"
    return _handled(str(subject), guest, variables)


def _handled(subject: str, guest: Mapping[str, Any], variables: Mapping[str, Any]) -> tuple[bool, str]:
    host = variables["hostvars"].get(guest["host"], {})
    told = host.get("live_control_told")
    if told:
        return bool(told["ok"]), f"{subject}: {told['words']}"
    receipt = host.get("kvmops_receipt")
    if not receipt:
        return False, f"{subject}: not handled; run kvmops.mobility.status to see where it stands"
    where = f"on {receipt['where']}" if receipt["where"] else "kvmops.mobility.status shows where"
    if receipt["error"]:
        return False, f"{subject}: {receipt['nova_status']}, {where}: {receipt['error']}"
    if guest.get("recovery") and receipt["status"] == "failed":
        # What a move that went wrong calls failed is what recover was asked for: everything is as it was.
        return True, f"{subject}: the move was taken back, {where}"
    return receipt["status"] not in _FAILED, f"{subject}: {receipt['nova_status']}, {where}"
