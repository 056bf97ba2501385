#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: domain_fit_info
short_description: Ask a hypervisor whether guests of another one could live on it
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Asks libvirt and the file system of this hypervisor about guests that live elsewhere: CPU, machine type,
    emulator, firmware, space, names that are taken, and whether it sees the same storage.
  - Changes nothing.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.info
  - kvmops.mobility.frame
  - kvmops.mobility.frame.libvirt
options:
  guests:
    description: The guests, as M(kvmops.mobility.domain_info) and M(kvmops.mobility.storage_probe) describe them.
    type: list
    elements: dict
    required: true
    suboptions:
      xml:
        description: The stored definition.
        type: str
        required: true
      directory:
        description: The guest's own directory, empty when it has none.
        type: str
        default: ''
      probe:
        description: Token of the probe planted in that directory, empty when none is.
        type: str
        default: ''
      places:
        description: What would come under the same name, the images or the directory. Without any, the directory.
        type: list
        elements: str
        default: []
      probes:
        description: Where the images are in other directories, the token of the probe in each.
        type: dict
        default: {}
      media:
        description: Paths of the media that would not come with the guest, and have to be there.
        type: list
        elements: str
        default: []
seealso:
  - module: kvmops.mobility.storage_probe
"""

EXAMPLES = r"""
---
- name: Ask c2 about a guest of c1
  kvmops.mobility.domain_fit_info:
    guests:
      - xml: "{{ found.domains[0].xml }}"
        directory: "{{ found.domains[0].directory }}"
        probe: "{{ planted.probes[found.domains[0].directory] }}"
  delegate_to: c2
"""

RETURN = r"""
fits:
  description: What this hypervisor says, by UUID of the guest.
  returned: success
  type: dict
  sample:
    0f6b1c1e-5d5c-4a3e-8f0a-2f4f1d1f0c11:
      cpu: superset
      machine_ok: true
      free_bytes: 42000000000
      storage_shared: 'no'
"""


from ansible_collections.kvmops.mobility.plugins.module_utils._call.domain_fit_info import CALL
from ansible_collections.kvmops.mobility.plugins.module_utils._module import run


def main() -> None:
    """Entry point."""
    run(*CALL)


if __name__ == "__main__":
    main()
