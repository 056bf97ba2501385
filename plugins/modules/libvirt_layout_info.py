#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_layout_info
short_description: Find out how libvirt is run on this host
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Asks systemd which daemon answers for libvirt and who opens its sockets. It does not ask libvirt, so it also tells
    of one that is down.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.info
  - kvmops.mobility.frame
seealso:
  - module: kvmops.mobility.libvirt_listener
"""

EXAMPLES = r"""
---
- name: Find out how libvirt is run
  kvmops.mobility.libvirt_layout_info:
  register: found
"""

RETURN = r"""
layout:
  description: >-
    V(socket) (libvirtd behind systemd's sockets), V(traditional) (libvirtd by itself), V(modular) (a daemon for each
    driver) or V(absent).
  returned: success
  type: str
  sample: socket
mixed:
  description: Whether libvirtd and virtqemud run at once.
  returned: success
  type: bool
active_units:
  description: Which of their units are active.
  returned: success
  type: list
  elements: str
failed_units:
  description: Which have failed.
  returned: success
  type: list
  elements: str
masked_units:
  description: Which are masked.
  returned: success
  type: list
  elements: str
arguments_file:
  description: Where the command line of libvirtd is set; empty when nowhere.
  returned: success
  type: str
  sample: /etc/default/libvirtd
default_arguments:
  description: Its command line where that file does not say.
  returned: success
  type: str
  sample: --timeout 120
"""

from ansible_collections.kvmops.mobility.plugins.module_utils._daemon.listening import info
from ansible_collections.kvmops.mobility.plugins.module_utils._module import Spec, run


def main() -> None:
    """Entry point."""
    run(Spec(options={}, libvirt=False), info)


if __name__ == "__main__":
    main()
