#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: live_forecast_info
short_description: Measure what running guests write to their memory, and what the links to other hypervisors carry
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    What M(kvmops.mobility.migration_plan) makes the forecast of a live migration from. Run it on the hypervisor
    that the guests are on.
  - >-
    libvirt is asked for the dirty rate of each guest over one and two seconds, twice, which takes six to eight seconds
    for all of them together. QEMU looks at 512 pages of each GiB for it. What a guest writes in less than a second is
    found out in the same time and the same way, from some pages of its process: they are summed and compared, and
    nothing of them is kept.
  - >-
    To each of O(peers) some random data goes by ssh, for about a second and a half and at most 64 MiB, timed by the one
    who receives it.
  - Changes nothing, and does not fail for what cannot be measured. It runs in check mode, too.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.info
  - kvmops.mobility.frame
  - kvmops.mobility.frame.libvirt
options:
  guests:
    description: Names or UUIDs of guests here. At most 16 of those that run are measured.
    type: list
    elements: str
    required: true
  peers:
    description: Hypervisors whose links are measured, one after the other, as many as can be in 20 seconds.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What to call it.
        type: str
        required: true
      address:
        description: Its name or address for ssh.
        type: str
        required: true
      port:
        description: The port of its sshd.
        type: int
        default: 22
  user:
    description: Whom to log in as there.
    type: str
    default: root
  identity_file:
    description: Private key on this host. Without it, what root's ssh offers.
    type: path
  known_hosts_file:
    description: Known hosts file on this host. Without it, that of root's ssh.
    type: path
seealso:
  - module: kvmops.mobility.migration_plan
"""

EXAMPLES = r"""
---
- name: What does app1 write, and what does the way to c2 carry?
  kvmops.mobility.live_forecast_info:
    guests: [app1]
    peers:
      - name: c2
        address: 192.0.2.12
"""

RETURN = r"""
loads:
  description: >-
    By UUID of the guest, what it wrote. RV(loads.*.dirtied) has windows in seconds, and the bytes that were new in
    each; where it has none, RV(loads.*.reason) says why.
  returned: success
  type: dict
  contains:
    "*":
      description: One guest.
      type: dict
      contains:
        dirtied:
          description: Pairs of a window in seconds and the bytes that were written in it.
          type: list
          elements: list
        resident_bytes:
          description: What of its memory is not empty.
          type: int
        grain_bytes:
          description: What one page stands for that was looked at.
          type: int
        past:
          description: What was said of its earlier live migrations, and what became of them, by the receipts here.
          type: list
          elements: dict
        reason:
          description: Why it could not be measured.
          type: str
  sample:
    0f6b1c1e-5d5c-4a3e-8f0a-2f4f1d1f0c11:
      dirtied: [[0.1, 3145728], [1.0, 31457280], [2.0, 33554432]]
      resident_bytes: 143654912
      grain_bytes: 131072
      past: []
      reason: ""
links:
  description: By name of the peer, the bytes a second that its link carries, or null and the reason.
  returned: success
  type: dict
  sample:
    c2:
      bytes_s: 117440512
      reason: ""
"""


from ansible_collections.kvmops.mobility.plugins.module_utils._call.live_forecast_info import CALL
from ansible_collections.kvmops.mobility.plugins.module_utils._module import run


def main() -> None:
    """Entry point."""
    run(*CALL)


if __name__ == "__main__":
    main()
