#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module works on the controller only; its code is in plugins/action/ssh_certify.py.

from __future__ import annotations

DOCUMENTATION = r"""
module: ssh_certify
short_description: Sign ssh certificates for a host on the controller
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Signs certificates for the host keys and the users of the host of the task, as the role C(kvmops.mobility.ssh_trust)
    read them, where the host has none that will do. Runs on the controller; the private key of the authority stays
    there. It is made once when it is not there.
  - >-
    A passphrase is read from the variable C(ssh_trust_ca_passphrase), which no task is given: no log can show it.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.changing
options:
  key:
    description: Path of the authority's private key on the controller.
    type: path
    required: true
  agent:
    description: The private key is in ssh-agent; only C(KEY.pub) is read.
    type: bool
    default: false
  hosts:
    description: The hosts that trust each other; a name that two of them have is in no certificate.
    type: list
    elements: str
    required: true
  validity_days:
    description: How long a certificate is valid.
    type: int
    required: true
  renew_before_days:
    description: A certificate that has less left is made anew.
    type: int
    required: true
  revoked:
    description: Hosts whose certificates, all that were ever signed, are no longer to be accepted.
    type: list
    elements: str
    default: []
requirements:
  - ssh-keygen of OpenSSH 8.4 or later on the controller
seealso:
  - module: kvmops.mobility.ssh_certificates
"""

EXAMPLES = r"""
---
- name: Sign
  kvmops.mobility.ssh_certify:
    key: /etc/kvmops/ssh_ca
    hosts: "{{ ansible_play_hosts }}"
    validity_days: 90
    renew_before_days: 30
  register: signed
"""

RETURN = r"""
reasons:
  description: What was signed, and why.
  returned: success
  type: list
  elements: str
  sample: ["c1 host: there is none"]
authority:
  description: Public key of the authority; empty in check mode before it is made.
  returned: success
  type: str
host_certificates:
  description: Certificates by the path of the public key.
  returned: success
  type: dict
user_certificate:
  description: That of the migration user.
  returned: success
  type: str
root_certificate:
  description: That of root; empty where root has no key.
  returned: success
  type: str
revocations:
  description: A key revocation list, base64; empty without any.
  returned: success
  type: str
"""
