#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_undo
short_description: Take back what a migration did on this hypervisor
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Takes back, last first, every effect that the journal says was begun here: the guest runs as before,
    autostart is as before, nothing is left over.
  - Each is looked at before it is taken back, so that this can be repeated after any interruption.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.changing
  - kvmops.mobility.frame
  - kvmops.mobility.frame.libvirt
  - kvmops.mobility.frame.step
options:
  only:
    description: Only the effects of these steps. The book is not closed then. Without it, everything.
    type: list
    elements: str
    default: []
  despite_start:
    description:
      - >-
        Take back even a take-over that may have started the guest here, and with it what the guest has written since.
        Without it that is refused (C(GUEST_MAY_HAVE_RUN)).
    type: bool
    default: false
  power_on:
    description:
      - >-
        On the source of a live migration, start the guest when this hypervisor was booted meanwhile: it would have done
        so itself, had its autostart not been off. Only for who knows that the destination does not run it.
    type: bool
    default: false
notes:
  - >-
    Take the destination back first, and the source only when that did not fail: as long as the destination may
    run the guest, the source must not start it. In a revert (O(phase=revert)) it is the other way round.
  - >-
    A move that is finished (C(VERIFY_RESIZE)) is taken back by the revert playbook, never by this module alone:
    it would throw the guest away on the destination without looking at the source.
seealso:
  - module: kvmops.mobility.migration_info
"""

EXAMPLES = r"""
---
- name: Take back what was done on the destination
  kvmops.mobility.migration_undo:
    migration: "{{ kvmops_migration.id }}"
  delegate_to: "{{ kvmops_migration.destination }}"

- name: Take back what was done on the source
  kvmops.mobility.migration_undo:
    migration: "{{ kvmops_migration.id }}"
  delegate_to: "{{ kvmops_migration.source }}"
"""

RETURN = r"""
undone:
  description: The effects that were, or in check mode would be, taken back.
  returned: success
  type: list
  elements: str

steps:
  description: The effects, in order; in check mode those that would be.
  returned: always
  type: list
  elements: dict
  sample:
    - name: stage
      does: 'take claim stage back: remove path /var/lib/libvirt/images/web1.4f9a58f6ab27.staging'
      seconds: 0.004
"""


from ansible_collections.kvmops.mobility.plugins.module_utils._call.migration_undo import CALL
from ansible_collections.kvmops.mobility.plugins.module_utils._module import run


def main() -> None:
    """Entry point."""
    run(*CALL)


if __name__ == "__main__":
    main()
