#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: hypervisor_info
short_description: Read capacity, guests and open migrations of a hypervisor
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - Reads what a hypervisor has, what runs on it, which capacity open migrations hold and who works on which guest.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.info
  - kvmops.mobility.frame
  - kvmops.mobility.frame.libvirt
options:
  images_directory:
    description: A path on the file system that holds the images of guests.
    type: path
    default: /var/lib/libvirt/images
seealso:
  - module: kvmops.mobility.domain_info
"""

EXAMPLES = r"""
---
- name: Read capacity and open migrations
  kvmops.mobility.hypervisor_info:
"""

RETURN = r"""
hypervisor:
  description: The facts.
  returned: success
  type: dict
  sample:
    hostname: c1
    vcpus_total: 32
    memory_mib_total: 257763
    domains: []
    claims: []
    locks: []
"""


from ansible_collections.kvmops.mobility.plugins.module_utils._call.hypervisor_info import CALL
from ansible_collections.kvmops.mobility.plugins.module_utils._module import run


def main() -> None:
    """Entry point."""
    run(*CALL)


if __name__ == "__main__":
    main()
