#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module works on the controller only; its code is in plugins/action/ssh_trust_plan.py.

from __future__ import annotations

DOCUMENTATION = r"""
module: ssh_trust_plan
short_description: What a host has to know of the others, for the role ssh_trust
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Puts together what the role C(kvmops.mobility.ssh_trust) read on every host: each one's names and host keys, and
    the keys it logs in with. Runs on the controller and reads the variables that the role registers.
  - >-
    A name or address that more than one host has identifies nobody, and is left out. A host key that more than one
    has is refused with C(HOST_KEY_SHARED).
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.info
options:
  hosts:
    description: The hosts that trust each other.
    type: list
    elements: str
    required: true
  absent:
    description: Hosts that are to be forgotten.
    type: list
    elements: str
    default: []
  outside:
    description: Results of M(kvmops.mobility.host_key_vouch) in a loop over hosts outside the inventory.
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
---
- name: Work out what this host has to know
  kvmops.mobility.ssh_trust_plan:
    hosts: "{{ ansible_play_hosts_all }}"
"""

RETURN = r"""
names:
  description: What others may call this host.
  returned: success
  type: list
  elements: str
peers:
  description: The other hosts, as M(kvmops.mobility.known_hosts_repair) takes them.
  returned: success
  type: list
  elements: dict
outside:
  description: Those of O(outside), as M(kvmops.mobility.known_hosts_repair) takes them.
  returned: success
  type: list
  elements: dict
leaving:
  description: Those of O(absent), as M(kvmops.mobility.known_hosts_repair) takes them.
  returned: success
  type: list
  elements: dict
user_keys:
  description: The migration users' keys of the other hosts, as M(kvmops.mobility.ssh_authorized_keys) takes them.
  returned: success
  type: list
  elements: dict
root_keys:
  description: The same of their roots.
  returned: success
  type: list
  elements: dict
targets:
  description: The other hosts, as M(kvmops.mobility.ssh_proof) takes them.
  returned: success
  type: list
  elements: dict
"""
