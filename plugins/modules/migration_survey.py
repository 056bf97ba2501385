#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_survey
short_description: Read all that a plan needs of a hypervisor, in one call
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Does what M(kvmops.mobility.hypervisor_info) does, and for a move what M(kvmops.mobility.domain_info) and
    M(kvmops.mobility.storage_probe) do of the wanted guests that are here; for a confirm or revert, what
    M(kvmops.mobility.migration_info) does. A call of a module costs more than its work.
  - >-
    The probes are small hidden files, which M(kvmops.mobility.storage_probe) pulls again. Nothing else is changed.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.acting
  - kvmops.mobility.frame
  - kvmops.mobility.frame.libvirt
options:
  guests:
    description: Names or UUIDs of the wanted guests. Without it, all.
    type: list
    elements: str
  moves:
    description: Whether they are to move; else their migrations are read.
    type: bool
    default: true
seealso:
  - module: kvmops.mobility.migration_plan
"""

EXAMPLES = r"""
---
- name: Read what the plan needs
  kvmops.mobility.migration_survey:
    guests: [web1]
  register: kvmops_survey
"""

RETURN = r"""
hypervisor:
  description: As M(kvmops.mobility.hypervisor_info) returns it.
  returned: success
  type: dict
domains:
  description: As M(kvmops.mobility.domain_info) returns them.
  returned: O(moves=true)
  type: list
  elements: dict
probes:
  description: As M(kvmops.mobility.storage_probe) returns them.
  returned: O(moves=true)
  type: dict
migrations:
  description: As M(kvmops.mobility.migration_info) returns them.
  returned: O(moves=false)
  type: list
  elements: dict
closed:
  description: As M(kvmops.mobility.migration_info) returns them.
  returned: O(moves=false)
  type: list
  elements: dict
unreadable:
  description: As M(kvmops.mobility.migration_info) returns them.
  returned: O(moves=false)
  type: list
  elements: dict
"""


from ansible_collections.kvmops.mobility.plugins.module_utils._call.migration_survey import CALL
from ansible_collections.kvmops.mobility.plugins.module_utils._module import run


def main() -> None:
    """Entry point."""
    run(*CALL)


if __name__ == "__main__":
    main()
