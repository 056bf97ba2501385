#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The controller has the greater part in this; its code is in plugins/action/tls_certify.py.

from __future__ import annotations

DOCUMENTATION = r"""
module: tls_certify
short_description: Give a host a certificate for libvirt's TLS, signed on the controller
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Makes a private key and a certificate for the host of the task, where the host has none that will do. It is for the
    host's name in the inventory and for every name and address by which others reach it, as the role
    C(kvmops.mobility.ssh_trust) read them.
  - >-
    Signs on the controller. The authority's private key is made once, when it is not there, and never leaves it. Its
    passphrase is read from the variable C(libvirt_host_ca_passphrase), which no task is given.
  - >-
    Installs it on the host as M(kvmops.mobility.tls_certificates) does, in the same task, so that no variable ever
    holds a private key.
  - With O(certificate) and O(private_key), files on the controller, these are judged and installed instead.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.changing
options:
  ca:
    description: >-
      Path of the authority's private key on the controller, its certificate is O(ca) with C(.pem) behind it. With
      O(certificate), path of the authority's certificate.
    type: path
    required: true
  hosts:
    description: The hosts that reach each other; a name that two of them have is in no certificate.
    type: list
    elements: str
    required: true
  validity_days:
    description: How long a certificate is valid.
    type: int
    default: 365
  renew_before_days:
    description: A certificate that has less left is made anew.
    type: int
    default: 60
  certificate:
    description: Path of a certificate on the controller that somebody else signed.
    type: path
  private_key:
    description: Path of its private key on the controller.
    type: path
  groups:
    description: >-
      Names of the group that QEMU runs as, as for M(kvmops.mobility.tls_certificates). Without it, the default of that
      module.
    type: list
    elements: str
requirements:
  - cryptography 42 or later on the controller
seealso:
  - module: kvmops.mobility.tls_certificates
"""

EXAMPLES = r"""
---
- name: Give it a certificate
  kvmops.mobility.tls_certify:
    ca: ~/.config/kvmops.mobility/tls_ca
    hosts: "{{ ansible_play_hosts }}"
  register: signed
"""

RETURN = r"""
reason:
  description: Why a certificate was made; empty when the host's own will do.
  returned: success
  type: str
  sample: it ends in 12 days
subject:
  description: Whom the certificate names, as libvirt compares it.
  returned: success
  type: str
  sample: CN=c1
days_left:
  description: Days for which the certificate is still valid.
  returned: success
  type: int
"""
