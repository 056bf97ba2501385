# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What M(kvmops.mobility.storage_probe) takes and does.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from ansible_collections.kvmops.mobility.plugins.module_utils._module import Call, Spec
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect, Plan
from ansible_collections.kvmops.mobility.plugins.module_utils._survey import probe


def work(context: Context) -> Plan:
    """Plant or pull."""
    if context.params["state"] == "absent":
        return Plan(tuple(_pull(where, token) for where, token in context.params["probes"].items() if token))
    return Plan(probe.planting(context.params["directories"], context.clock), result={"probes": {}})


def _pull(where: str, token: str) -> Effect:
    return Effect("pull", f"pull the probe in {where}", lambda: probe.pull(where, token))


_OPTIONS = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "directories": {"type": "list", "elements": "str", "default": []},
    "probes": {"type": "dict", "default": {}},
}
CALL = Call(Spec(options=_OPTIONS, libvirt=False), work)
