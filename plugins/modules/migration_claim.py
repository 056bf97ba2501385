#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_claim
short_description: Claim a guest and the capacity it needs for a migration
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Takes the lock of the guest on this hypervisor. For a move it also writes the record; on the source it
    keeps both definitions, on the destination it counts the capacity again and makes the directory the copy
    grows in.
  - >-
    The lock is given back with M(kvmops.mobility.migration_release); the capacity stays claimed until the
    migration is confirmed or reverted.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.changing
  - kvmops.mobility.frame
  - kvmops.mobility.frame.libvirt
  - kvmops.mobility.frame.step
options:
  role:
    description: Which of the two hypervisors this is. Needed for O(phase=move).
    type: str
    choices: [source, destination]
  record:
    description: What the plan says of the migration. Needed for O(phase=move); after that it is read back.
    type: dict
  owner:
    description: Who does it, for those who find the guest busy.
    type: str
    default: unknown
  command:
    description: What they typed.
    type: str
    default: unknown
  migration_user:
    description: Who writes the copy on the destination.
    type: str
    default: kvmops
  slots:
    description: >-
      How many guests may leave (O(role=source)) or arrive at (O(role=destination)) this hypervisor at a time, V(0) for
      any number. A claim beyond that fails with C(SLOTS_FULL) and changes nothing, so that it can be tried again.
    type: int
    default: 0
  archive_days:
    description: >-
      A move's claim also archives migrations that were closed here that many days ago, V(0) for none: a survey does not
      read them any more. At most 200 at a time; none that is open or locked, or has left something.
    type: int
    default: 30
  data:
    description: What becomes, in a revert, of what the guest wrote since the move.
    type: str
    choices:
      discard: It is thrown away.
      copy_back: >-
        It goes back with the guest. Refused when the guest's disks are not those that were moved
        (C(COPY_BACK_DISKS_CHANGED)), or when the source has no room for them beside the old ones
        (C(COPY_BACK_NO_SPACE)).
    default: discard
  back:
    description: >-
      What the claim of the destination returned, for that of the source with O(data=copy_back).
    type: dict
    default: {}
seealso:
  - module: kvmops.mobility.migration_release
"""

EXAMPLES = r"""
---
- name: Claim the destination
  kvmops.mobility.migration_claim:
    migration: "{{ kvmops_migration.id }}"
    role: destination
    record: "{{ kvmops_migration }}"
  delegate_to: "{{ kvmops_migration.destination }}"
"""

RETURN = r"""
definition_digests:
  description: SHA-256 of the definitions kept on the source.
  returned: on the source of a move, not in check mode
  type: dict
data:
  description: What the claim of a revert was told.
  returned: in a revert
  type: str
started:
  description: Whether an earlier attempt has started the guest on the source, so that this one has only to go on.
  returned: in a revert
  type: bool
left_over:
  description: Whether an earlier attempt left something here that has to be taken back before the next.
  returned: in a revert
  type: bool
sizes:
  description: Virtual size of each disk that would be copied back, bytes, by target.
  returned: with O(data=copy_back)
  type: dict
weights:
  description: Bytes that it takes, by path.
  returned: with O(data=copy_back), on the destination
  type: dict
running:
  description: Whether the guest runs there, so that its disks can be mirrored.
  returned: with O(data=copy_back), on the destination
  type: bool
definitions_directory:
  description: Where the source keeps them, to travel with the images.
  returned: on the source of a move
  type: str

steps:
  description: The effects, in order; in check mode those that would be.
  returned: always
  type: list
  elements: dict
  sample:
    - name: lock
      does: lock web1 for migration 4d4c356e60dc
      seconds: 0.001
"""


from ansible_collections.kvmops.mobility.plugins.module_utils._call.migration_claim import CALL
from ansible_collections.kvmops.mobility.plugins.module_utils._module import run


def main() -> None:
    """Entry point."""
    run(*CALL)


if __name__ == "__main__":
    main()
