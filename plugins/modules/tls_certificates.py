#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tls_certificates
short_description: Put certificates where libvirt and QEMU look for them
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Writes a certificate, its private key and the authority's certificate to C(/etc/pki/CA), C(/etc/pki/libvirt) and
    C(/etc/pki/qemu), for both ends of a connection. libvirt's keys are for root alone, those of QEMU for the group that
    it runs as.
  - Each file is replaced as a whole, keys before their certificates. A key is neither shown nor logged.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.changing
  - kvmops.mobility.frame
options:
  authority:
    description: Certificate of the authority, as PEM; several for several.
    type: str
    required: true
  certificate:
    description: The host's certificate, as PEM.
    type: str
    required: true
  key:
    description: Its private key, as PEM. Empty for the one that is there.
    type: str
    default: ""
  groups:
    description: Names of the group that QEMU runs as; the first that this host has is taken.
    type: list
    elements: str
    default: [libvirt-qemu, qemu]
seealso:
  - module: kvmops.mobility.tls_certify
"""

EXAMPLES = r"""
---
- name: Install certificates of our own
  kvmops.mobility.tls_certificates:
    authority: "{{ lookup('ansible.builtin.file', 'ca.pem', rstrip=false) }}"
    certificate: "{{ lookup('ansible.builtin.file', inventory_hostname ~ '.pem', rstrip=false) }}"
    key: "{{ lookup('ansible.builtin.file', inventory_hostname ~ '.key', rstrip=false) }}"
  no_log: true
"""

RETURN = r"""
steps:
  description: The effects, in order; in check mode those that would be.
  returned: always
  type: list
  elements: dict
  sample:
    - name: install
      does: write /etc/pki/libvirt/servercert.pem
      seconds: 0.02
"""

from ansible_collections.kvmops.mobility.plugins.module_utils._module import Spec, run
from ansible_collections.kvmops.mobility.plugins.module_utils._tls.installed import work


def main() -> None:
    """Entry point."""
    options = {
        "authority": {"type": "str", "required": True},
        "certificate": {"type": "str", "required": True},
        "key": {"type": "str", "default": "", "no_log": True},
        "groups": {"type": "list", "elements": "str", "default": ["libvirt-qemu", "qemu"]},
    }
    run(Spec(options=options, libvirt=False), work)


if __name__ == "__main__":
    main()
