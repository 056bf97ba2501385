# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What M(kvmops.mobility.domain_info) takes and does.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from ansible_collections.kvmops.mobility.plugins.module_utils._module import Call, Spec
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Plan
from ansible_collections.kvmops.mobility.plugins.module_utils._survey.domain import chosen


def work(context: Context) -> Plan:
    """Survey the guests that are here."""
    found = chosen(context.hypervisor, context.params["names"], context.clock)
    return Plan(result={"domains": [one.as_result() for one in found]})


CALL = Call(Spec(options={"names": {"type": "list", "elements": "str"}}), work)
