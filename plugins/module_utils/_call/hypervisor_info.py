# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What M(kvmops.mobility.hypervisor_info) takes and does.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from ansible_collections.kvmops.mobility.plugins.module_utils._module import Call, Spec
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Plan
from ansible_collections.kvmops.mobility.plugins.module_utils._survey.hypervisor import survey


def work(context: Context) -> Plan:
    """Survey this hypervisor."""
    facts = survey(context.hypervisor, context.store, context.params["images_directory"], context.clock)
    return Plan(result={"hypervisor": facts.as_result()})


CALL = Call(Spec(options={"images_directory": {"type": "path", "default": "/var/lib/libvirt/images"}}), work)
