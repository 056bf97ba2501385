#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ssh_authorized_keys
short_description: Let other hosts log in as a user, from their own addresses only
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Keeps one line for each host of O(keys) in the user's C(.ssh/authorized_keys), with the options
    C(restrict,port-forwarding,permitlisten="none.invalid:1",from="..."): no port of the host is
    listened on. Lines that are not of this module stay as they are, byte for byte.
  - A line is of this module when it ends with C(kvmops.mobility:NAME).
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.changing
  - kvmops.mobility.frame
options:
  user:
    description: Whose authorized_keys.
    type: str
    required: true
  keys:
    description: The keys to let in. An entry whose key is empty is left as it is.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The host the key belongs to.
        type: str
        required: true
      key:
        description: Its public key.
        type: str
        required: true
      addresses:
        description: Where it may come from.
        type: list
        elements: str
        required: true
  absent:
    description: Names of hosts whose lines are taken out.
    type: list
    elements: str
    default: []
  purge:
    description: Take out every line of this module that is not asked for here, whatever host it is of.
    type: bool
    default: false
  authority:
    description: Public key of a certificate authority. Whoever it certified as O(principal) is let in.
    type: str
    default: ""
  principal:
    description: What a certificate of O(authority) has to be for.
    type: str
    default: kvmops.mobility
seealso:
  - module: kvmops.mobility.ssh_identity
"""

EXAMPLES = r"""
---
- name: Let c2 in
  kvmops.mobility.ssh_authorized_keys:
    user: kvmops
    keys:
      - name: c2
        key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIP0pXXyKMSNhoaHfFSFWOLFGzNDWqSgc5hbcHHQUbVJ0
        addresses: [192.0.2.12]
"""

RETURN = r"""
path:
  description: The file.
  returned: success, when the user exists
  type: str
"""

from ansible_collections.kvmops.mobility.plugins.module_utils._module import Spec, run
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.authorized_keys import plan


def main() -> None:
    """Entry point."""
    key = {
        "name": {"type": "str", "required": True},
        "key": {"type": "str", "required": True, "no_log": False},
        "addresses": {"type": "list", "elements": "str", "required": True},
    }
    options = {
        "user": {"type": "str", "required": True},
        "keys": {"type": "list", "elements": "dict", "default": [], "options": key, "no_log": False},
        "authority": {"type": "str", "default": ""},
        "principal": {"type": "str", "default": "kvmops.mobility"},
        "absent": {"type": "list", "elements": "str", "default": []},
        "purge": {"type": "bool", "default": False},
    }
    run(Spec(options=options, libvirt=False), plan)


if __name__ == "__main__":
    main()
