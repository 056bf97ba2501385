#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: domain_take_over
short_description: Make a guest this hypervisor's, at its new size, and start it
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    On the destination of a move: checks the copied images, gives them their owner, grows the root disk, gives
    the directory its name, defines the guest at its new size, starts it if it ran before, and waits until it
    runs.
  - >-
    On the source of a revert: gives the parked directory its name back, makes sure that the old definition
    stands, and starts the guest if it ran before. When its claim was told to copy the data back, the images that came
    back are checked, owned and placed instead, and the parked ones stay where they are.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.changing
  - kvmops.mobility.frame
  - kvmops.mobility.frame.libvirt
  - kvmops.mobility.frame.step
options:
  definition_digests:
    description: SHA-256 of the definitions, as the claim of the source returned them. Needed for O(phase=move).
    type: dict
    default: {}
  digests:
    description: Digest of each file, as the copy returned them. Without it, the files are not compared.
    type: dict
  contents:
    description: >-
      Digest of what is on each disk of the source, as M(kvmops.mobility.disk_digest) returned it there. Needed for
      O(phase=move) of a migration with C(verify=full).
    type: dict
    default: {}
  contents_here:
    description: The same of this hypervisor's copies.
    type: dict
    default: {}
  entries:
    description: Owner and mode of the files, as the hand-over returned them.
    type: list
    elements: dict
    default: []
  directory_owner:
    description: Owner and mode of the directory, as the hand-over returned them. Without it, root's and octal 0711.
    type: dict
    default: {}
  mirrored:
    description: >-
      The guest went off while its disks were mirrored, as M(kvmops.mobility.domain_hand_over) returned it. Then the
      exports must have seen all of it, or this fails with C(MIRROR_NOT_PROVEN) before anything was changed.
    type: bool
    default: false
seealso:
  - module: kvmops.mobility.domain_hand_over
"""

EXAMPLES = r"""
---
- name: Start the guest on the destination
  kvmops.mobility.domain_take_over:
    migration: "{{ kvmops_migration.id }}"
    definition_digests: "{{ claimed.definition_digests }}"
    digests: "{{ copied.digests }}"
    entries: "{{ handed.entries }}"
    directory_owner: "{{ handed.directory_owner }}"
  delegate_to: "{{ kvmops_migration.destination }}"
"""

RETURN = r"""
directory:
  description: Where the guest lives.
  returned: success
  type: str
mirror_evidence:
  description: What each export saw of its client, by target.
  returned: O(mirrored=true), unless M(kvmops.mobility.disk_digest) has returned it before, not in check mode
  type: dict
image_checks:
  description: What the check of each image said, by target.
  returned: where a copy was taken over, not in check mode
  type: dict
contents:
  description: Digest of what is on each disk, by target; the same on both hypervisors.
  returned: on the destination of a move with C(verify=full), not in check mode
  type: dict
start_requested_at:
  description: When the guest was started, Unix time.
  returned: when it was
  type: float
running_at:
  description: When libvirt reported it running, Unix time.
  returned: when it was started
  type: float
start_wait_s:
  description: Seconds between the two.
  returned: when it was started
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
    - name: start
      does: start web1
      seconds: 0.9
"""


from ansible_collections.kvmops.mobility.plugins.module_utils._call.domain_take_over import CALL
from ansible_collections.kvmops.mobility.plugins.module_utils._module import run


def main() -> None:
    """Entry point."""
    run(*CALL)


if __name__ == "__main__":
    main()
