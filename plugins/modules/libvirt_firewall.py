#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_firewall
short_description: Let the peers reach what live migrations listen on
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Finds out whether firewalld or ufw filters on this host, and opens O(ports) there for O(peers) and for nobody else:
    in firewalld's default zone by rich rules, lasting and at once, without a reload; in ufw by rules with the comment
    C(kvmops.mobility). Rules of ours for others are taken away. Where neither runs, nothing is closed or opened.
  - >-
    With O(strict=true), whatever else filters, a table of nftables drops what others send to O(ports). A unit loads it
    before libvirt listens, also at boot: when it cannot be loaded, libvirt's listeners do not come up.
  - A table of nftables that somebody else made and that drops is not opened; M(kvmops.mobility.ssh_proof) finds that.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.changing
  - kvmops.mobility.frame
options:
  peers:
    description: The other hypervisors, by name or address. All addresses that a name has here count.
    type: list
    elements: str
    required: true
  ports:
    description: TCP ports, each as V(16514) or V(49152-49215).
    type: list
    elements: str
    required: true
  strict:
    description: Whether others are kept out also where no firewall runs that would.
    type: bool
    default: false
seealso:
  - module: kvmops.mobility.libvirt_listener
  - module: kvmops.mobility.ssh_proof
"""

EXAMPLES = r"""
---
- name: Let the others send guests, and nobody else
  kvmops.mobility.libvirt_firewall:
    peers: [192.0.2.12, 192.0.2.13]
    ports: ["16514", "49152-49215"]
    strict: true
"""

RETURN = r"""
firewall:
  description: Which firewall runs on this host and was opened, V(firewalld), V(ufw) or V(none).
  returned: success
  type: str
  sample: ufw
strict:
  description: Whether the table of nftables keeps others out.
  returned: success
  type: bool
peers:
  description: The addresses that are let through; none where nothing filters.
  returned: success
  type: list
  elements: str
  sample: [192.0.2.12, 192.0.2.13]
steps:
  description: The effects, in order; in check mode those that would be.
  returned: always
  type: list
  elements: dict
  sample:
    - name: guard
      does: drop what is not of a peer
      seconds: 0.204
"""

from ansible_collections.kvmops.mobility.plugins.module_utils._firewall.peers import work
from ansible_collections.kvmops.mobility.plugins.module_utils._module import Spec, run


def main() -> None:
    """Entry point."""
    options = {
        "peers": {"type": "list", "elements": "str", "required": True},
        "ports": {"type": "list", "elements": "str", "required": True},
        "strict": {"type": "bool", "default": False},
    }
    run(Spec(options=options, libvirt=False), work)


if __name__ == "__main__":
    main()
