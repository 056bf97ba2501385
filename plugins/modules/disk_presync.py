#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: disk_presync
short_description: Copy most of a guest's images while it still runs
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    The first of two passes: runs rsync on this hypervisor over the images that the migration's guest uses, into the
    staging directory of the destination. After its stop M(kvmops.mobility.disk_copy) compares every block and sends
    what differs.
  - >-
    What this pass copies is torn, because the guest goes on writing. It is never taken for a copy by itself.
  - >-
    A pass that is broken off is a warning (RV(complete=false)): the second one then sends what is missing. What would
    keep the second one from working too, such as a full disk, a host key that changed or a destination that no longer
    answers, is a failure, before the guest was stopped.
  - >-
    How the data goes over the wire is chosen by a short probe, as with O(kvmops.mobility.disk_copy#module:probe).
  - >-
    The copy is a transient systemd unit that outlives this module and the controller; a second call attaches to the one
    that runs.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.acting
  - kvmops.mobility.frame
  - kvmops.mobility.frame.peer
  - kvmops.mobility.frame.step
options:
  bandwidth_mib_s:
    description: Limit in MiB/s, V(0) for none.
    type: int
    default: 0
requirements:
  - rsync on both hypervisors, 3.2 or later to compress
  - ssh and C(qemu-img) on the hypervisor
seealso:
  - module: kvmops.mobility.disk_copy
"""

EXAMPLES = r"""
---
- name: Copy the disks while the guest runs
  kvmops.mobility.disk_presync:
    migration: "{{ kvmops_migration.id }}"
  delegate_to: "{{ kvmops_migration.source }}"
  register: presynced
"""

RETURN = r"""
complete:
  description: Whether the pass came to its end.
  returned: success, not in check mode
  type: bool
broken_off:
  description: Why it did not.
  returned: RV(complete=false)
  type: str
compress:
  description: Whether it was compressed with zstd; the second pass should be too.
  returned: success, not in check mode
  type: bool
wire:
  description: Why it was or was not.
  returned: when it was compressed, or measured
  type: str
link_mib_s:
  description: What the link carries, measured with a few MiB, MiB/s; null when it could not be measured.
  returned: when it was measured
  type: float
shrinks_to:
  description: The share that compression leaves of samples of the images.
  returned: when the link was measured
  type: float
block_bytes:
  description: What the second pass should compare and send, bytes.
  returned: success, not in check mode
  type: int
bytes_sent:
  description: Bytes that went over the wire.
  returned: RV(complete=true)
  type: int
copy_seconds:
  description: How long it took.
  returned: RV(complete=true)
  type: float

steps:
  description: The effects, in order; in check mode those that would be.
  returned: always
  type: list
  elements: dict
  sample:
    - name: presync
      does: >-
        copy /var/lib/libvirt/images/web1/disk to
        kvmops@c2.example.com:/var/lib/libvirt/images/web1.4f9a58f6ab27.staging/ while the guest runs
      seconds: 41.3
"""


from ansible_collections.kvmops.mobility.plugins.module_utils._call.disk_presync import CALL
from ansible_collections.kvmops.mobility.plugins.module_utils._module import run


def main() -> None:
    """Entry point."""
    run(*CALL)


if __name__ == "__main__":
    main()
