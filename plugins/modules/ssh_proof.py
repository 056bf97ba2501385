#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ssh_proof
short_description: Prove that a hypervisor can do on others what a migration will do there
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Logs in to every one of O(peers) from this host, as the copy of a migration does, copies a small file there and
    removes it, sends bytes through a forwarded socket, and asks libvirt there over root's ssh. Host keys are verified
    strictly, nothing is asked, nothing is learnt.
  - It does not fail when a proof fails; RV(proofs) says so, with a code and a remedy.
  - >-
    Like M(kvmops.mobility.host_keys_info) it refuses to run over a connection of Ansible's that verified nothing
    (C(CONTROLLER_NOT_VERIFYING)).
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.info
  - kvmops.mobility.frame
options:
  peers:
    description: Whom to reach.
    type: list
    elements: dict
    required: true
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
        description: Whom to log in as there, if it is another than O(user).
        type: str
  user:
    description: Whom to log in as there, and whose key pair and known hosts are used here.
    type: str
    default: kvmops
  identity_file:
    description: Private key on this host. Without it, that of O(user) here; without one, what root's ssh offers.
    type: path
  known_hosts_file:
    description: Known hosts file on this host. Without it, as for O(identity_file).
    type: path
  listen_port:
    description: O(parts=tls), O(parts=tcp) - the port of libvirt's listener there. V(0) for its own.
    type: int
    default: 0
  migration_port:
    description: O(parts=ports) - the first port that QEMU listens on there (C(migration_port_min) of C(qemu.conf)).
    type: int
    default: 49152
  parts:
    description: What to prove.
    type: list
    elements: str
    choices:
      ssh: A login.
      rsync: A small file there, and away again.
      socket: Bytes through a forwarded UNIX socket.
      libvirt: libvirt over root's ssh.
      tls: libvirt over TLS, with the certificates of both.
      tcp: libvirt over TCP, as root's C(auth.conf) says.
      ports: That no firewall is in front of the ports that QEMU listens on for a live migration.
    default: [ssh, rsync, socket, libvirt]
requirements:
  - rsync and python3 on both hosts
"""

EXAMPLES = r"""
---
- name: Can c1 reach c2?
  kvmops.mobility.ssh_proof:
    peers:
      - name: c2
        address: 192.0.2.12
    parts: [ssh]
"""

RETURN = r"""
proofs:
  description: One entry for each of O(peers), with the first failure of its parts.
  returned: success
  type: list
  elements: dict
  sample:
    - peer: c2
      ok: true
      code: ""
      message: ""
      remedy: ""
      parts:
        - part: ssh
          ok: true
          seconds: 0.21
"""


from ansible_collections.kvmops.mobility.plugins.module_utils._call.ssh_proof import CALL
from ansible_collections.kvmops.mobility.plugins.module_utils._module import run


def main() -> None:
    """Entry point."""
    run(*CALL)


if __name__ == "__main__":
    main()
