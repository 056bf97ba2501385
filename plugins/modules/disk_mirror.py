#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: disk_mirror
short_description: Make the disks of a running guest the same on another hypervisor, and keep them so
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Starts a block copy of each disk the guest writes to, to the exports that M(kvmops.mobility.disk_export) made, with
    synchronous writes: what the guest writes is on both hypervisors before the guest is told that it is. Once a disk is
    ready, nothing is left to be sent when the guest stops.
  - >-
    The bytes go through UNIX sockets that the migration user's ssh forwards, so they are encrypted, and the host key is
    verified. With O(tls=true) they go through TLS instead, and both sides' certificates are verified. Either way the
    tunnel is a transient systemd unit.
  - >-
    In a revert (O(phase=revert)) the mirror goes from the destination to the source.
  - >-
    The other files of the guest's directory, which the guest does not write to, are sent at the same time.
  - >-
    While the mirror runs libvirt refuses live migration, managed save, snapshots and resizing of these disks, so
    backups of the guest fail.
  - >-
    A link that is silent for O(stall_s), or an answer that takes as long, ends the mirror. The guest goes on.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.acting
  - kvmops.mobility.frame
  - kvmops.mobility.frame.libvirt
  - kvmops.mobility.frame.step
  - kvmops.mobility.frame.peer
options:
  exports:
    description: What M(kvmops.mobility.disk_export) returned on the destination.
    type: list
    elements: dict
    required: true
  bandwidth_mib_s:
    description: Limit for each disk in MiB/s, V(0) for none. What the guest writes meanwhile is not limited by it.
    type: int
    default: 0
  parallel:
    description: How many disks are copied at the same time. Those that are ready do not count.
    type: int
    default: 2
  stall_s:
    description: >-
      The longest that a write of the guest may wait for the other hypervisor, seconds. At least V(2).
    type: int
    default: 5
  tls:
    description: >-
      Go through TLS to the ports that O(exports) has, which is what M(kvmops.mobility.disk_export) opens when it is
      told the same. Other files go by ssh all the same.
    type: bool
    default: false
  tls_directory:
    description: As O(kvmops.mobility.disk_export#module:tls_directory), on this hypervisor.
    type: path
    default: /etc/pki/qemu
  patience_s:
    description: >-
      A mirror that has not come closer to its end for so many seconds is given up: the guest writes as fast as the link
      carries.
    type: int
    default: 120
  throttle:
    description: >-
      Instead of giving up, let the guest write to its disks no faster than half of what the link carries, until it is
      off or the mirror is given up.
    type: bool
    default: false
  write_limit_bytes_s:
    description: How fast the guest may write to each disk, bytes a second. The task sees to it with O(throttle).
    type: int
    default: 0
  wait_s:
    description: >-
      How long one call waits, seconds. The task itself goes on until the mirror is ready, and says how far it is.
    type: int
    default: 15
  started:
    description: Disks whose mirror an earlier call started, as it returned them. The task sees to it.
    type: list
    elements: str
    default: []
requirements:
  - libvirt 8.0 or later
  - ssh and rsync on the hypervisor
seealso:
  - module: kvmops.mobility.disk_export
  - module: kvmops.mobility.domain_hand_over
"""

EXAMPLES = r"""
---
- name: Mirror the guest's disks
  kvmops.mobility.disk_mirror:
    migration: "{{ kvmops_migration.id }}"
    exports: "{{ exported.exports }}"
  delegate_to: "{{ kvmops_migration.source }}"
"""

RETURN = r"""
ready:
  description: Whether every disk is the same on both sides.
  returned: success, not in check mode
  type: bool
started:
  description: The disks whose mirror was started.
  returned: success, not in check mode
  type: list
  elements: str
done_bytes:
  description: Bytes that were copied so far.
  returned: success, not in check mode
  type: int
total_bytes:
  description: Bytes to be copied, which grows with what the guest writes.
  returned: success, not in check mode
  type: int
rate_bytes_s:
  description: Bytes per second during this call.
  returned: success, not in check mode
  type: int
files:
  description: The other files that were sent, by name, and what would change if somebody wrote to them.
  returned: when they were
  type: dict

steps:
  description: The effects, in order; in check mode those that would be.
  returned: always
  type: list
  elements: dict
  sample:
    - name: mirror
      does: mirror its disks
      seconds: 15.2
"""


from ansible_collections.kvmops.mobility.plugins.module_utils._call.disk_mirror import CALL
from ansible_collections.kvmops.mobility.plugins.module_utils._module import run


def main() -> None:
    """Entry point."""
    run(*CALL)


if __name__ == "__main__":
    main()
