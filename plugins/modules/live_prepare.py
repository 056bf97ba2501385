#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: live_prepare
short_description: Make the empty images that a live migration copies a guest's disks to
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    On the destination, makes an image for each disk whose contents libvirt will copy: at its final path, with the
    format, the exact virtual size and the cluster size that the record has. A directory that is missing is made.
  - >-
    An image that has backing files on the source is made without any: libvirt copies what the guest sees, so that it
    arrives as one image with the contents of all of them.
  - >-
    A path that exists is never touched. What was made is taken back by M(kvmops.mobility.migration_undo) as long as no
    guest of this hypervisor uses it.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.changing
  - kvmops.mobility.frame
  - kvmops.mobility.frame.libvirt
  - kvmops.mobility.frame.step
seealso:
  - module: kvmops.mobility.live_migrate
"""

EXAMPLES = r"""
---
- name: Make room for the guest's disks
  kvmops.mobility.live_prepare:
    migration: "{{ kvmops_migration.id }}"
  delegate_to: "{{ kvmops_migration.destination }}"
"""

RETURN = r"""
made:
  description: The images that are there for the migration.
  returned: success
  type: list
  elements: str
steps:
  description: The effects, in order; in check mode those that would be.
  returned: always
  type: list
  elements: dict
  sample:
    - name: image_vda
      does: make an image of 1073741824 bytes (qcow2) for /var/lib/libvirt/images/web1/disk
      seconds: 0.1
"""


from ansible_collections.kvmops.mobility.plugins.module_utils._call.live_prepare import CALL
from ansible_collections.kvmops.mobility.plugins.module_utils._module import run


def main() -> None:
    """Entry point."""
    run(*CALL)


if __name__ == "__main__":
    main()
