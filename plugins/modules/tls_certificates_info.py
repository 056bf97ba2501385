#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tls_certificates_info
short_description: Read the certificates of libvirt's TLS on this host
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Returns the certificate with which libvirt on this host answers and asks, and the one of the authority that it
    believes. Private keys, also QEMU's, are only held against their certificates, and stay where they are.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.info
  - kvmops.mobility.frame
seealso:
  - module: kvmops.mobility.tls_certificates
"""

EXAMPLES = r"""
---
- name: Read what is there
  kvmops.mobility.tls_certificates_info:
  register: found
"""

RETURN = r"""
certificate:
  description: >-
    The host's certificate; empty when there is none, when its private key is not there, and when any certificate of
    libvirt or QEMU has another's key.
  returned: success
  type: str
authority:
  description: The authority's certificate; empty when there is none.
  returned: success
  type: str
mistake:
  description: Why RV(certificate) is empty.
  returned: success
  type: str
  sample: there is none
"""

from ansible_collections.kvmops.mobility.plugins.module_utils._module import Spec, run
from ansible_collections.kvmops.mobility.plugins.module_utils._tls.installed import info


def main() -> None:
    """Entry point."""
    run(Spec(options={}, libvirt=False), info)


if __name__ == "__main__":
    main()
