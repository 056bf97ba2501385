# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choosing guests by a JMESPath expression over what is known of them.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._checks.context import Site
from ansible_collections.kvmops.mobility.plugins.module_utils._domain.definition import GuestDefinition
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import DomainFacts

try:
    import jmespath
    from jmespath.exceptions import JMESPathError
except ImportError:
    HAS_JMESPATH = False
else:
    HAS_JMESPATH = True


def views(site: Site) -> list[dict[str, Any]]:
    """What an expression sees: one mapping for each guest, by name."""
    found = [_view(host, guest) for host, guests in site.guests.items() for guest in guests]
    return sorted(found, key=lambda one: (one["name"], one["hypervisor"]))


def _view(hypervisor: str, guest: DomainFacts) -> dict[str, Any]:
    definition = GuestDefinition.from_xml(guest.xml)
    return {
        "name": guest.name,
        "uuid": guest.uuid,
        "hypervisor": hypervisor,
        "state": guest.state,
        "autostart": guest.autostart,
        "vcpus": definition.vcpus,
        "memory_mib": definition.memory_mib,
        "disk_bytes": sum(disk.virtual_bytes for disk in guest.disks if not disk.readonly),
        "managed_by": definition.managed_by,
    }


def select(expression: str, site: Site) -> list[str]:
    """UUIDs of the guests that *expression* chooses from the list of C(views()), in its order, each once.

    Raises Refused: JMESPATH_MISSING, SELECT_INVALID, SELECT_EMPTY.
    """
    if not HAS_JMESPATH:
        raise Refused("JMESPATH_MISSING", "select", "needs jmespath, which is not here.", "pip install jmespath.")
    everyone = views(site)
    try:
        found = jmespath.search(expression, everyone)
    except JMESPathError as error:
        raise _invalid(expression, " ".join(str(error).split())) from None
    chosen = list(dict.fromkeys(_uuid(expression, one) for one in _list(expression, found)))
    if not chosen:
        fields = ", ".join(sorted(everyone[0])) if everyone else "none, there is no guest"
        raise Refused(
            "SELECT_EMPTY",
            "select",
            f"{expression} chooses none of {len(everyone)} guests.",
            f"What an expression can ask for: {fields}.",
        )
    return chosen


def _list(expression: str, found: Any) -> list[Any]:
    if found is None:
        return []
    if isinstance(found, list):
        return found
    raise _invalid(expression, f"it gives a {type(found).__name__}, not a list of guests.")


def _uuid(expression: str, one: Any) -> str:
    if isinstance(one, Mapping) and one.get("uuid"):
        return str(one["uuid"])
    raise _invalid(expression, "it must keep the guests whole: a filter such as [?vcpus > `2`], without a projection.")


def _invalid(expression: str, why: str) -> Refused:
    return Refused(
        "SELECT_INVALID",
        "select",
        f"{expression} cannot be used: {why}",
        "Give a JMESPath filter over the list of guests.",
    )
