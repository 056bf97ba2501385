#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_keys_info
short_description: Read a host's own ssh host keys over a connection that verified them
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Reads the public halves of the keys that sshd uses (C(sshd -T)), and the names and addresses of the host. This is
    the truth that M(kvmops.mobility.known_hosts_repair) takes for other hosts.
  - >-
    It is the truth only when Ansible's own connection verified the host. So before anything runs there, the
    controller's settings are looked at; with host key checking off, as ansible-runner and AWX have it, or with
    C(accept-new), the module fails with C(CONTROLLER_NOT_VERIFYING).
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.info
  - kvmops.mobility.frame
options:
  users:
    description: Accounts to look for.
    type: list
    elements: str
    default: []
  parallel_moves:
    description: How many moves at once sshd has to stand, for RV(limits). V(0) for not asked.
    type: int
    default: 0
  root:
    description: Whether libvirt logs in as root besides, for RV(limits).
    type: bool
    default: true
seealso:
  - module: kvmops.mobility.known_hosts_repair
"""

EXAMPLES = r"""
---
- name: Read the host keys
  kvmops.mobility.host_keys_info:
    users: [nova, kvmops]
  register: truth
"""

RETURN = r"""
host_keys:
  description: The host keys of sshd.
  returned: success
  type: list
  elements: dict
  sample:
    - file: /etc/ssh/ssh_host_ed25519_key.pub
      type: ssh-ed25519
      line: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIP0pXXyKMSNhoaHfFSFWOLFGzNDWqSgc5hbcHHQUbVJ0
      fingerprint: SHA256:uD0Vr1rUvMTZk1MBJ8bxiYEKVXbXFHPdgVxjC8tr+Cs
      certificate: ""
hostname:
  description: What the host calls itself.
  returned: success
  type: str
fqdn:
  description: Its full name, as far as it knows one.
  returned: success
  type: str
addresses:
  description: Its addresses of global scope, without temporary ones.
  returned: success
  type: list
  elements: str
sshd:
  description: The settings of sshd that trust depends on.
  returned: success
  type: dict
  sample:
    max_sessions: 10
    max_startups: 10
limits:
  description: Why sshd would not stand O(parallel_moves) at once.
  returned: success
  type: list
  elements: str
controller:
  description: >-
    How the controller's known_hosts call this host (C(names), C(port)), and its files for it (C(known_hosts_files)).
    None on the controller itself.
  returned: success
  type: dict
has_nova:
  description: Whether OpenStack Nova is configured here.
  returned: success
  type: bool
users:
  description: The accounts of O(users).
  returned: success
  type: dict
  sample:
    kvmops:
      exists: true
      home: /var/lib/kvmops-home
      shell: /bin/sh
      can_log_in: true
"""

from ansible_collections.kvmops.mobility.plugins.module_utils._module import Spec, run
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.truth import plan


def main() -> None:
    """Entry point."""
    options = {
        "users": {"type": "list", "elements": "str", "default": []},
        "parallel_moves": {"type": "int", "default": 0},
        "root": {"type": "bool", "default": True},
    }
    run(Spec(options=options, libvirt=False), plan)


if __name__ == "__main__":
    main()
