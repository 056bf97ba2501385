#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: disk_export
short_description: Let another hypervisor fill images here while its guest runs
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Makes an empty image in the staging directory for each disk the guest writes to, with the format, the exact size and
    the cluster size of the source's, and exports it with C(qemu-nbd).
  - >-
    In a revert (O(phase=revert)) it is the source that makes them, in directories of their own beside the old disks.
  - >-
    Each export is a transient systemd unit of the migration user, with a socket in a directory that only this user and
    root can enter. Nothing listens on the network, unless O(tls=true). The unit also keeps count of what goes by, which
    is what M(kvmops.mobility.domain_take_over) takes as proof that a copy is complete.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.acting
  - kvmops.mobility.frame
  - kvmops.mobility.frame.step
options:
  migration_user:
    description: Owns the staging directory and the images, and runs the exports.
    type: str
    default: kvmops
  stall_s:
    description: >-
      An answer that takes longer than so many seconds ends the export: the guest's writes wait for it, see
      M(kvmops.mobility.disk_mirror).
    type: int
    default: 5
  tls:
    description: >-
      Also listen on the network, on a port for each export at the address by which the other hypervisor reaches this
      one, and let only that one in, by its certificate.
    type: bool
    default: false
  tls_directory:
    description: >-
      Where this hypervisor has the certificates of QEMU's TLS: C(ca-cert.pem), C(server-cert.pem), C(server-key.pem),
      C(client-cert.pem) and C(client-key.pem). They have to be of one authority on both hypervisors, with the names or
      addresses by which these reach each other.
    type: path
    default: /etc/pki/qemu
  serve:
    description: Without it, only the directories are made, for disks that are copied as files.
    type: bool
    default: true
requirements:
  - qemu-nbd and systemd on the hypervisor
seealso:
  - module: kvmops.mobility.disk_mirror
"""

EXAMPLES = r"""
---
- name: Export images for the guest's disks
  kvmops.mobility.disk_export:
    migration: "{{ kvmops_migration.id }}"
  delegate_to: "{{ kvmops_migration.destination }}"
"""

RETURN = r"""
exports:
  description: The disks by target, each with the socket of its export, and its port with O(tls=true).
  returned: success
  type: list
  elements: dict
  sample:
    - target: vda
      socket: /run/kvmops-983351e3afb8-export-vda/export.sock

steps:
  description: The effects, in order; in check mode those that would be.
  returned: always
  type: list
  elements: dict
  sample:
    - name: export_vda
      does: export it at /run/kvmops-983351e3afb8-export-vda/export.sock
      seconds: 0.2
"""


from ansible_collections.kvmops.mobility.plugins.module_utils._call.disk_export import CALL
from ansible_collections.kvmops.mobility.plugins.module_utils._module import run


def main() -> None:
    """Entry point."""
    run(*CALL)


if __name__ == "__main__":
    main()
