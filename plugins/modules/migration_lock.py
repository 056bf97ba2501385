#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_lock
short_description: Take a guest away from the run that has it, for a recovery
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Puts the token of this run into the guest's lock on this hypervisor, whatever run of the same migration has it.
    From then on each step of that run is refused with C(LOST_THE_LOCK) before its next effect, whenever its
    controller wakes.
  - The guest of another migration is refused with C(BUSY), unless this migration is over here.
  - A hypervisor that has no record of the migration has nothing that could be taken away.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.changing
  - kvmops.mobility.frame
  - kvmops.mobility.frame.step
options:
  owner:
    description: Who does it, for those who find the guest busy.
    type: str
    default: unknown
  command:
    description: What they typed.
    type: str
    default: unknown
seealso:
  - module: kvmops.mobility.migration_claim
  - module: kvmops.mobility.migration_release
"""

EXAMPLES = r"""
---
- name: Take the guest's lock on the source
  kvmops.mobility.migration_lock:
    migration: "{{ kvmops_migration.id }}"
    run: "{{ kvmops_run }}"
  delegate_to: "{{ kvmops_migration.source }}"
"""

RETURN = r"""
locked:
  description: Whether this run has the guest on this hypervisor now.
  returned: success
  type: bool
taken_from:
  description: Who had it, with owner, command, migration and since.
  returned: when it was taken away
  type: dict
steps:
  description: The effects, in order; in check mode those that would be.
  returned: always
  type: list
  elements: dict
  sample:
    - name: lock
      does: take the lock of web1 from root@control (resize web1)
      seconds: 0.001
"""


from ansible_collections.kvmops.mobility.plugins.module_utils._call.migration_lock import CALL
from ansible_collections.kvmops.mobility.plugins.module_utils._module import run


def main() -> None:
    """Entry point."""
    run(*CALL)


if __name__ == "__main__":
    main()
