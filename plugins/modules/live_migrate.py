#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: live_migrate
short_description: Migrate a running guest to another hypervisor
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    On the source, asks libvirt for the migration that the record describes, peer to peer over root's ssh, and watches
    it: a transient systemd unit looks twice a second and does what the policy says. libvirt carries the migration out,
    so that it goes on when the unit, this module or the controller dies.
  - >-
    A call that finds the migration going on attaches to it. Where its unit died, another one is started that watches
    on. Where the link broke in post-copy, a new run asks libvirt to go on (libvirt 8.5 or later).
  - >-
    How it ended is told by where the guest is. It fails with the code C(LIVE_ABORTED), C(LIVE_NOT_CONVERGING) or
    C(LIVE_FAILED) when the guest goes on here, with C(LIVE_LINK_BROKEN) or C(LIVE_UNCERTAIN) when the other side has to
    be looked at. That it left is no proof that it arrived: see M(kvmops.mobility.live_arrive).
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.acting
  - kvmops.mobility.frame
  - kvmops.mobility.frame.libvirt
  - kvmops.mobility.frame.step
options:
  transport:
    description: >-
      How libvirt here reaches libvirt there: by V(ssh) as root, by V(tls) with the certificates of both, by V(tcp) as
      C(auth.conf) here says. Memory and disks go between the two QEMU in any case.
    type: str
    choices: [ssh, tls, tcp]
    default: ssh
  port:
    description: Port there, of sshd or of libvirt's listener. V(0) for the usual one, 22, 16514 or 16509.
    type: int
    default: 0
  identity_file:
    description: >-
      O(transport=ssh) - private key on this hypervisor that libvirt's ssh uses. Without it, those of root. Host keys
      are looked for where root's ssh looks for them: libvirt names no other file to it.
    type: path
  patience_s:
    description: >-
      Disks that have not come closer to their end for so many seconds are given up: the guest writes as fast as the
      link carries. The memory is what the policy is for.
    type: int
    default: 120
  budget_mib_s:
    description: >-
      What all guests that leave this hypervisor at the same time may take of its link for their memory, MiB/s. V(0)
      when nobody knows. They take turns in any case: the one that is nearest to its end has the link, and the others
      send a trickle meanwhile.
    type: int
    default: 0
  wait_s:
    description: >-
      How long one call waits, seconds. The task itself goes on until the migration has ended, and says how far it is.
    type: int
    default: 15
  started:
    description: Whether an earlier call of the same task has begun or attached. The task sees to it.
    type: bool
    default: false
requirements:
  - libvirt 8.0 and QEMU 6.2 or later
  - libvirt here reaches libvirt on the destination by O(transport), as M(kvmops.mobility.ssh_proof) proves it
seealso:
  - module: kvmops.mobility.live_prepare
  - module: kvmops.mobility.live_arrive
  - module: kvmops.mobility.live_control
"""

EXAMPLES = r"""
---
- name: Migrate the guest
  kvmops.mobility.live_migrate:
    migration: "{{ kvmops_migration.id }}"
  delegate_to: "{{ kvmops_migration.source }}"
"""

RETURN = r"""
state:
  description: >-
    What the unit knows: C(began_at), the last C(sample) of the job, the C(downtime_ms) that was asked for last, what
    was C(done) to it, whether it C(ended), libvirt's C(error), and libvirt's C(statistics) of a job that ended, where
    it has them: those of a migration that succeeded are in what M(kvmops.mobility.live_arrive) returns.
  returned: success, not in check mode, and when the guest goes on here
  type: dict
ended:
  description: Whether it is over.
  returned: success, not in check mode
  type: bool
succeeded:
  description: Whether the guest has left; none while it is not known, and where it is still defined and off.
  returned: success, not in check mode
  type: bool
live_asked_at:
  description: When libvirt was asked for it, Unix time of this hypervisor.
  returned: from the call that began it
  type: float
steps:
  description: The effects, in order; in check mode those that would be.
  returned: always
  type: list
  elements: dict
  sample:
    - name: live
      does: wait until the guest is there
      seconds: 12.5
"""


from ansible_collections.kvmops.mobility.plugins.module_utils._call.live_migrate import CALL
from ansible_collections.kvmops.mobility.plugins.module_utils._module import run


def main() -> None:
    """Entry point."""
    run(*CALL)


if __name__ == "__main__":
    main()
