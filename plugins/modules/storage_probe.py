#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: storage_probe
short_description: Plant or pull the file that shows whether two hypervisors see the same storage
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Plants a small hidden file of random contents in each directory, for M(kvmops.mobility.domain_fit_info) to
    look for on another hypervisor, or pulls it again.
  - A probe that an aborted run left behind is swept by a later one after an hour.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.acting
  - kvmops.mobility.frame
options:
  state:
    description: Whether the probes are planted or pulled.
    type: str
    choices:
      present: Plant one in each of O(directories).
      absent: Pull those of O(probes).
    default: present
  directories:
    description: Where to plant.
    type: list
    elements: str
    default: []
  probes:
    description: What to pull, the RV(probes) of the planting call.
    type: dict
    default: {}
"""

EXAMPLES = r"""
---
- name: Plant
  kvmops.mobility.storage_probe:
    directories:
      - /var/lib/libvirt/images/web1
  register: planted

- name: Pull
  kvmops.mobility.storage_probe:
    state: absent
    probes: "{{ planted.probes }}"
"""

RETURN = r"""
probes:
  description: Token by directory; empty where the directory cannot be written.
  returned: O(state=present)
  type: dict
  sample:
    /var/lib/libvirt/images/web1: 3b0d0a3c9a0e4d8ab6a7b1f1a4c5d6e7
"""


from ansible_collections.kvmops.mobility.plugins.module_utils._call.storage_probe import CALL
from ansible_collections.kvmops.mobility.plugins.module_utils._module import run


def main() -> None:
    """Entry point."""
    run(*CALL)


if __name__ == "__main__":
    main()
