#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: domain_info
short_description: Read what a move needs to know of guests
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Reads the named guests that live on this hypervisor: definition, state, images, directory and what could
    stand in the way of a move.
  - Guests that are not here are left out, so that one list can be asked of every hypervisor.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.info
  - kvmops.mobility.frame
  - kvmops.mobility.frame.libvirt
options:
  names:
    description: Names or UUIDs of the guests. Without it, all guests of this hypervisor.
    type: list
    elements: str
seealso:
  - module: kvmops.mobility.hypervisor_info
  - module: kvmops.mobility.domain_fit_info
"""

EXAMPLES = r"""
---
- name: Read one guest wherever it is
  kvmops.mobility.domain_info:
    names:
      - web1
"""

RETURN = r"""
domains:
  description: One entry for each guest found here.
  returned: success
  type: list
  elements: dict
  sample:
    - name: web1
      state: running
      directory: /var/lib/libvirt/images/web1
"""


from ansible_collections.kvmops.mobility.plugins.module_utils._call.domain_info import CALL
from ansible_collections.kvmops.mobility.plugins.module_utils._module import run


def main() -> None:
    """Entry point."""
    run(*CALL)


if __name__ == "__main__":
    main()
