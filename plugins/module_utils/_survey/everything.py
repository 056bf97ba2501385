# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All that a plan needs of one hypervisor, in one call.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Plan
from ansible_collections.kvmops.mobility.plugins.module_utils._survey import domain, hypervisor, migration, probe

IMAGES = "/var/lib/libvirt/images"
"""What counts as the hypervisor's storage where no guest says otherwise."""


def plan(context: Context) -> Plan:
    """The hypervisor, and of the wanted guests what a move or what its verdict needs."""
    facts = hypervisor.survey(context.hypervisor, context.store, IMAGES, context.clock)
    told: dict[str, Any] = {"hypervisor": facts.as_result()}
    wanted = context.params["guests"]
    if not context.params["moves"]:
        return Plan(result={**told, **migration.of_guests(context, wanted)})
    found = domain.chosen(context.hypervisor, wanted, context.clock)
    directories = sorted({where for one in found for where in one.directories})
    told["domains"] = [one.as_result() for one in found]
    return Plan(probe.planting(directories, context.clock), result={**told, "probes": {}})
