#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_release
short_description: Give back the lock a migration holds on a guest
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Releases the lock of the guest on this hypervisor when this run holds it, and keeps the receipt beside the record.
    For a run that has lost the migration to another it does nothing.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.changing
  - kvmops.mobility.frame
  - kvmops.mobility.frame.step
options:
  receipt:
    description: What M(kvmops.mobility.migration_receipt) returned.
    type: dict
seealso:
  - module: kvmops.mobility.migration_claim
"""

EXAMPLES = r"""
---
- name: Let others work on the guest again
  kvmops.mobility.migration_release:
    migration: "{{ kvmops_migration.id }}"
    run: "{{ kvmops_run }}"
  delegate_to: "{{ kvmops_migration.source }}"
"""

RETURN = r"""
status:
  description: The status that the receipt tells of, empty without one.
  returned: success
  type: str
steps:
  description: The effects, in order; in check mode those that would be.
  returned: always
  type: list
  elements: dict
  sample:
    - name: unlock
      does: release the lock of web1
      seconds: 0.001
"""


from ansible_collections.kvmops.mobility.plugins.module_utils._call.migration_release import CALL
from ansible_collections.kvmops.mobility.plugins.module_utils._module import run


def main() -> None:
    """Entry point."""
    run(*CALL)


if __name__ == "__main__":
    main()
