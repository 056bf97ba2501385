#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module works on the controller only; its code is in plugins/action/host_key_vouch.py.

from __future__ import annotations

DOCUMENTATION = r"""
module: host_key_vouch
short_description: Reach a host whose key changed, because an operator vouches for its fingerprint
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Lets ssh on the controller ask the host for its host key, and takes it only when it has the fingerprint that was
    given. Nothing is offered to whoever answers. Any other key is refused with C(HOST_KEY_NOT_VOUCHED).
  - >-
    RV(ssh_args) lets the rest of the run reach the host by that key, without a change to any file of the controller's.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.info
options:
  fingerprint:
    description: The SHA256 fingerprint of one of its host keys, read on its console.
    type: str
    required: true
  address:
    description: Name or address of a host that is not in the inventory. Without it, the host of the task.
    type: str
  port:
    description: Port of its sshd, with O(address).
    type: int
    default: 22
requirements:
  - OpenSSH 8.5 or later on the controller
seealso:
  - module: kvmops.mobility.known_hosts_repair
"""

EXAMPLES = r"""
---
- name: Vouch for a host that was installed anew
  kvmops.mobility.host_key_vouch:
    fingerprint: SHA256:uD0Vr1rUvMTZk1MBJ8bxiYEKVXbXFHPdgVxjC8tr+Cs
  register: vouched

- name: Reach it by that key
  ansible.builtin.set_fact:
    ansible_ssh_args: "{{ vouched.ssh_args }}"

- name: Get the key of a host that Ansible does not work on
  kvmops.mobility.host_key_vouch:
    address: backup.example.com
    fingerprint: SHA256:uD0Vr1rUvMTZk1MBJ8bxiYEKVXbXFHPdgVxjC8tr+Cs
"""

RETURN = r"""
key:
  description: The host key, type and blob.
  returned: success
  type: str
fingerprint:
  description: Its fingerprint.
  returned: success
  type: str
names:
  description: What the controller's known_hosts call the host.
  returned: success
  type: list
  elements: str
port:
  description: The port that belongs to RV(names).
  returned: success
  type: int
known_hosts_files:
  description: The controller's known_hosts files for this host; ssh writes to the first.
  returned: success, without O(address)
  type: list
  elements: str
ssh_args:
  description: C(ansible_ssh_args) for the rest of the run.
  returned: success, without O(address)
  type: str
ssh_args_before:
  description: What C(ansible_ssh_args) was.
  returned: success, without O(address)
  type: str
"""
