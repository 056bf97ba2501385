#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_info
short_description: Read the migrations a hypervisor knows of
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Returns record, journal and lock of the migrations in this hypervisor's state directory. A status needs
    the journals of both hypervisors; what this one can tell alone is returned too.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.info
  - kvmops.mobility.frame
options:
  guests:
    description: Only those of these guests, by name or UUID.
    type: list
    elements: str
  migrations:
    description: Only these, by id.
    type: list
    elements: str
  brief:
    description: >-
      Tell closed ones that nobody has locked in RV(closed), without their records and journals, as archived ones are.
    type: bool
    default: false
  open_only:
    description: Only those that are not closed as far as this hypervisor knows.
    type: bool
    default: false
"""

EXAMPLES = r"""
---
- name: Read the open migrations of a guest
  kvmops.mobility.migration_info:
    guests:
      - web1
    open_only: true
"""

RETURN = r"""
migrations:
  description: One entry for each, oldest first; of archived ones only those that O(migrations) names.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: The migration.
      type: str
    role:
      description: Which of the two hypervisors this is.
      type: str
    record:
      description: What was asked and planned.
      type: dict
    journal:
      description: What was begun and ended here.
      type: list
      elements: dict
    status_here:
      description: The status as far as this hypervisor's journal tells.
      type: str
    live:
      description: >-
        Of a live migration, on its source, how far it was when the unit that watches it looked last.
      type: dict
    switched:
      description: Of a live migration, on its source, whether the guest may have run on the destination (post-copy).
      type: bool
    lock:
      description: Who works on the guest here, if anybody.
      type: dict
closed:
  description: >-
    Closed ones of which only a note is told: C(id), C(role), C(status), C(operation), C(uuid), C(name), C(source),
    C(destination), and when it was claimed (C(at)) and ended (C(ended_at)).
  returned: success
  type: list
  elements: dict
unreadable:
  description: >-
    Those whose record or journal cannot be read: C(id), as far as it is known C(name), C(uuid) and C(role), and
    C(problem) with C(code), C(message) and C(remedy).
  returned: success
  type: list
  elements: dict
"""


from ansible_collections.kvmops.mobility.plugins.module_utils._call.migration_info import CALL
from ansible_collections.kvmops.mobility.plugins.module_utils._module import run


def main() -> None:
    """Entry point."""
    run(*CALL)


if __name__ == "__main__":
    main()
