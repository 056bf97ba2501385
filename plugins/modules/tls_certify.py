#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module works on the controller only; its code is in plugins/action/tls_certify.py.

from __future__ import annotations

DOCUMENTATION = r"""
module: tls_certify
short_description: Sign a certificate for libvirt's TLS on the controller
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Makes a private key and a certificate for the host of the task, where the host has none that will do. It is for the
    host's name in the inventory and for every name and address by which others reach it, as the role
    C(kvmops.mobility.ssh_trust) read them.
  - >-
    Runs on the controller. The authority's private key is made once, when it is not there, and never leaves it. Its
    passphrase is read from the variable C(libvirt_host_ca_passphrase), which no task is given.
  - With O(certificate) and O(private_key), files on the controller, those are judged and returned instead of new ones.
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
  found:
    description: What M(kvmops.mobility.tls_certificates_info) returned for this host.
    type: dict
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
requirements:
  - cryptography 42 or later on the controller
seealso:
  - module: kvmops.mobility.tls_certificates
"""

EXAMPLES = r"""
---
- name: Sign
  kvmops.mobility.tls_certify:
    ca: ~/.config/kvmops.mobility/tls_ca
    hosts: "{{ ansible_play_hosts }}"
    found: "{{ found }}"
  register: signed
  no_log: true
"""

RETURN = r"""
reason:
  description: Why a certificate was made; empty when the host's own will do.
  returned: success
  type: str
  sample: it ends in 12 days
authority:
  description: Certificate of the authority, as PEM; empty in check mode before it is made.
  returned: success
  type: str
certificate:
  description: The host's certificate, as PEM; empty in check mode when the first is still to be made.
  returned: success
  type: str
key:
  description: Its private key, as PEM; empty for the one that the host has.
  returned: success
  type: str
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
