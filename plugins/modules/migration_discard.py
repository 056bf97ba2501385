#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_discard
short_description: Remove what the losing side of a migration kept
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    For a confirm, the source undefines the guest and removes its parked directory; for a revert, the
    destination does. The other side only closes its book; but a source that took the newer disks back removes the
    old ones that it had parked.
  - Only what this hypervisor's journal says this migration put there is removed. Done already is no change.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.changing
  - kvmops.mobility.frame
  - kvmops.mobility.frame.libvirt
  - kvmops.mobility.frame.step
options: {}
"""

EXAMPLES = r"""
---
- name: Give up the source's copy
  kvmops.mobility.migration_discard:
    migration: "{{ kvmops_migration.id }}"
    phase: confirm
  delegate_to: "{{ kvmops_migration.source }}"
"""

RETURN = r"""
steps:
  description: The effects, in order; in check mode those that would be.
  returned: always
  type: list
  elements: dict
  sample:
    - name: remove
      does: remove /var/lib/libvirt/images/web1_resize
      seconds: 0.2
"""


from ansible_collections.kvmops.mobility.plugins.module_utils._call.migration_discard import CALL
from ansible_collections.kvmops.mobility.plugins.module_utils._module import run


def main() -> None:
    """Entry point."""
    run(*CALL)


if __name__ == "__main__":
    main()
