#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ssh_certificates
short_description: Put ssh certificates where sshd and ssh use them
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Writes host certificates beside the host keys and names them to sshd, in a file of its own in
    C(/etc/ssh/sshd_config.d), and user certificates beside the users' keys. A list of revoked certificates is named to
    both sshd and ssh.
  - >-
    sshd judges the new configuration first; what it refuses or does not read is taken back, with
    C(SSHD_CONFIG_REFUSED). Then it reloads.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.changing
  - kvmops.mobility.frame
options:
  host_certificates:
    description: Certificates by the path of the public host key.
    type: dict
    default: {}
  user_certificates:
    description: Certificates by the name of the user.
    type: dict
    default: {}
  revocations:
    description: A key revocation list, base64; empty for none.
    type: str
    default: ""
seealso:
  - module: kvmops.mobility.ssh_certify
"""

EXAMPLES = r"""
---
- name: Install what the controller signed
  kvmops.mobility.ssh_certificates:
    host_certificates: "{{ signed.host_certificates }}"
    user_certificates:
      kvmops: "{{ signed.user_certificate }}"
"""

RETURN = r"""
steps:
  description: The effects, in order; in check mode those that would be.
  returned: always
  type: list
  elements: dict
  sample:
    - name: sshd
      does: write /etc/ssh/ssh_host_ed25519_key-cert.pub, /etc/ssh/sshd_config.d/10-kvmops-mobility.conf
      seconds: 0.1
"""

from ansible_collections.kvmops.mobility.plugins.module_utils._module import Spec, run
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.installed import plan


def main() -> None:
    """Entry point."""
    options = {
        "host_certificates": {"type": "dict", "default": {}},
        "user_certificates": {"type": "dict", "default": {}},
        "revocations": {"type": "str", "default": ""},
    }
    run(Spec(options=options, libvirt=False), plan)


if __name__ == "__main__":
    main()
