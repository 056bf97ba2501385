#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: live_arrive
short_description: See that a guest that was migrated live runs here, and complete it
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    On the destination, sees that the guest runs here, or is paused as it was before, and is refused with the code
    C(LIVE_NOT_ARRIVED) else. It then sees that its definition is stored here and is the planned one, sets autostart as
    it was, sets the guest's clock where an agent answers, and announces it once more when the record says so.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.acting
  - kvmops.mobility.frame
  - kvmops.mobility.frame.libvirt
  - kvmops.mobility.frame.step
seealso:
  - module: kvmops.mobility.live_migrate
  - module: kvmops.mobility.live_depart
"""

EXAMPLES = r"""
---
- name: See that the guest is there
  kvmops.mobility.live_arrive:
    migration: "{{ kvmops_migration.id }}"
  delegate_to: "{{ kvmops_migration.destination }}"
  register: arrived
"""

RETURN = r"""
arrived:
  description: That it is here. A guest that is not is a failure.
  returned: success
  type: bool
guest_state:
  description: libvirt's state of it.
  returned: success
  type: str
  sample: running
statistics:
  description: >-
    libvirt's figures of the migration, with C(downtime) in ms; empty where it has none. The source forgets them with
    the guest.
  returned: success
  type: dict
definition_matches:
  description: Whether the stored definition is the planned one.
  returned: success, not in check mode
  type: bool
clock_set:
  description: Whether an agent has set the guest's clock.
  returned: success, not in check mode, for a guest that runs
  type: bool
announced:
  description: Whether QEMU announced it once more.
  returned: when that was asked for
  type: bool
steps:
  description: The effects, in order; in check mode those that would be.
  returned: always
  type: list
  elements: dict
  sample:
    - name: autostart
      does: switch autostart of web1 on
      seconds: 0.01
"""


from ansible_collections.kvmops.mobility.plugins.module_utils._call.live_arrive import CALL
from ansible_collections.kvmops.mobility.plugins.module_utils._module import run


def main() -> None:
    """Entry point."""
    run(*CALL)


if __name__ == "__main__":
    main()
