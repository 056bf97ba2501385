# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What M(kvmops.mobility.domain_fit_info) takes and does.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._module import Call, Spec
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Plan
from ansible_collections.kvmops.mobility.plugins.module_utils._survey.fit import Visitor, survey


def _visitor(given: Mapping[str, Any]) -> Visitor:
    return Visitor(**{**given, "places": tuple(given["places"]), "media": tuple(given["media"])})


def work(context: Context) -> Plan:
    """Ask about each guest."""
    found = (survey(context.hypervisor, _visitor(one)) for one in context.params["guests"])
    return Plan(result={"fits": {one.uuid: one.as_result() for one in found}})


_GUEST = {
    "xml": {"type": "str", "required": True},
    "directory": {"type": "str", "default": ""},
    "probe": {"type": "str", "default": ""},
    "places": {"type": "list", "elements": "str", "default": []},
    "probes": {"type": "dict", "default": {}},
    "media": {"type": "list", "elements": "str", "default": []},
}
CALL = Call(Spec(options={"guests": {"type": "list", "elements": "dict", "required": True, "options": _GUEST}}), work)
