#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ssh_identity
short_description: Make the key pair by which a user is known to other hosts
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Makes an ed25519 key pair without a passphrase in the user's C(.ssh/id_ed25519) when there is none, and sees to
    the modes that ssh and sshd accept. A key pair that is there is kept.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.changing
  - kvmops.mobility.frame
options:
  user:
    description: Whose.
    type: str
    required: true
  rotate:
    description: Make a new pair in the place of one that is there.
    type: bool
    default: false
seealso:
  - module: kvmops.mobility.ssh_authorized_keys
"""

EXAMPLES = r"""
---
- name: Make the key pair of the migration user
  kvmops.mobility.ssh_identity:
    user: kvmops
  register: identity
"""

RETURN = r"""
user:
  description: O(user).
  returned: success
  type: str
home:
  description: The user's home directory.
  returned: success
  type: str
public_key:
  description: Type and key; empty in check mode where a new pair would be made.
  returned: success
  type: str
fingerprint:
  description: Its fingerprint.
  returned: success
  type: str
  sample: SHA256:uD0Vr1rUvMTZk1MBJ8bxiYEKVXbXFHPdgVxjC8tr+Cs
certificate:
  description: The certificate beside it, empty without one.
  returned: success, when the user exists
  type: str
identity_file:
  description: Path of the private key, which never leaves the host.
  returned: success
  type: str
known_hosts_file:
  description: Path of the user's known_hosts.
  returned: success
  type: str
"""

from ansible_collections.kvmops.mobility.plugins.module_utils._module import Spec, run
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.identity import plan


def main() -> None:
    """Entry point."""
    options = {
        "user": {"type": "str", "required": True},
        "rotate": {"type": "bool", "default": False},
    }
    run(Spec(options=options, libvirt=False), plan)


if __name__ == "__main__":
    main()
