#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: live_depart
short_description: Remove what a guest left behind that was migrated live
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    On the source, removes the images of the disks that libvirt has copied, and the guest's own directory when nothing
    else is in it. A definition that libvirt left here is undefined; NVRAM and TPM state are left.
  - >-
    Refused while the guest has a process here, while anybody uses one of the images, and when the guest was not seen on
    the destination.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.changing
  - kvmops.mobility.frame
  - kvmops.mobility.frame.libvirt
  - kvmops.mobility.frame.step
options:
  arrived:
    description: What M(kvmops.mobility.live_arrive) returned on the destination.
    type: bool
    required: true
seealso:
  - module: kvmops.mobility.live_arrive
"""

EXAMPLES = r"""
---
- name: Give up what is left here
  kvmops.mobility.live_depart:
    migration: "{{ kvmops_migration.id }}"
    arrived: "{{ arrived.arrived }}"
  delegate_to: "{{ kvmops_migration.source }}"
"""

RETURN = r"""
removed:
  description: The images that are removed.
  returned: success
  type: list
  elements: str
kept:
  description: What stays in the guest's own directory, and the backing files of its images.
  returned: success
  type: list
  elements: str
steps:
  description: The effects, in order; in check mode those that would be.
  returned: always
  type: list
  elements: dict
  sample:
    - name: remove_vda
      does: remove /var/lib/libvirt/images/web1/disk
      seconds: 0.01
"""


from ansible_collections.kvmops.mobility.plugins.module_utils._call.live_depart import CALL
from ansible_collections.kvmops.mobility.plugins.module_utils._module import run


def main() -> None:
    """Entry point."""
    run(*CALL)


if __name__ == "__main__":
    main()
