#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: domain_hand_over
short_description: Stop a guest for good on this hypervisor, and fence it
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Switches autostart off, shuts the guest down, waits until no process holds its disks, and renames its
    directory, or each of its images where others use the directory too, so that nobody can start it here until
    the move is taken back.
  - >-
    In a revert it is the destination that hands over, and there the plug is pulled when the guest does not
    shut down, because what it wrote is thrown away; unless its claim was told to copy that back.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.changing
  - kvmops.mobility.frame
  - kvmops.mobility.frame.libvirt
  - kvmops.mobility.frame.step
  - kvmops.mobility.frame.peer
options:
  mirrored:
    description: >-
      The guest's disks are mirrored, as M(kvmops.mobility.disk_mirror) left them. When one of them is not the same on
      both sides any more, this fails with C(MIRROR_LOST) before anything was stopped. O(user) and the others say how
      to send what else changed in the guest's directory.
    type: bool
    default: false
  files:
    description: The other files that were sent, as M(kvmops.mobility.disk_mirror) returned them.
    type: dict
    default: {}
seealso:
  - module: kvmops.mobility.domain_take_over
"""

EXAMPLES = r"""
---
- name: Stop and fence the source
  kvmops.mobility.domain_hand_over:
    migration: "{{ kvmops_migration.id }}"
  delegate_to: "{{ kvmops_migration.source }}"
"""

RETURN = r"""
parked:
  description: Where the guest's directory is now, or the directory that was made for its images.
  returned: success
  type: str
entries:
  description: Owner and mode of what is in it.
  returned: success, not in check mode
  type: list
  elements: dict
directory_owner:
  description: Owner and mode of the directory itself.
  returned: when the guest has a directory of its own, not in check mode
  type: dict
copies:
  description: What is to be sent, C(src) and C(dest) of each directory of the copy.
  returned: in a move, and in a revert that copies data back, not in check mode
  type: list
  elements: dict
flatten:
  description: What is to be flattened before, as M(kvmops.mobility.disk_copy) takes it.
  returned: in a move, and in a revert that copies data back, not in check mode
  type: list
  elements: dict
resume:
  description: Whether the copy may go on from what is staged, as O(kvmops.mobility.disk_copy#module:resume) takes it.
  returned: in a move, not in check mode
  type: bool
mirrored_bytes:
  description: >-
    What the mirror had copied when the guest was asked to stop, bytes by libvirt's count, which takes holes for data.
  returned: O(mirrored=true), when the guest ran, not in check mode
  type: int
stop_requested_at:
  description: When the guest was first asked to shut down, Unix time.
  returned: when it ran
  type: float
off_at:
  description: When it was off, Unix time.
  returned: when it ran
  type: float
stop_forced:
  description: Whether the plug was pulled.
  returned: when it ran
  type: bool
stop_requests:
  description: How often the guest was asked to shut down.
  returned: when it ran
  type: int
mirrored:
  description: >-
    Whether the guest went off while its disks were mirrored, so that nothing is left to be copied if the exports say
    the same.
  returned: success
  type: bool
mirror_lost:
  description: What became of a mirror that was lost meanwhile, by target.
  returned: when it ran
  type: dict
digests:
  description: Of the other files that changed and were sent again, by name.
  returned: O(mirrored=true), not in check mode
  type: dict
fenced_at:
  description: When its directory was renamed, Unix time.
  returned: when it was
  type: float

journal:
  description: What this hypervisor's journal of the migration says after the step.
  returned: success, not in check mode
  type: list
  elements: dict

steps:
  description: The effects, in order; in check mode those that would be.
  returned: always
  type: list
  elements: dict
  sample:
    - name: fence
      does: rename /var/lib/libvirt/images/web1 to /var/lib/libvirt/images/web1_resize
      seconds: 0.002
"""


from ansible_collections.kvmops.mobility.plugins.module_utils._call.domain_hand_over import CALL
from ansible_collections.kvmops.mobility.plugins.module_utils._module import run


def main() -> None:
    """Entry point."""
    run(*CALL)


if __name__ == "__main__":
    main()
