#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_conf
short_description: Set options in libvirtd.conf, qemu.conf and their like, in place
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Sets and unsets options in a configuration file of libvirt. Comments, order, blank lines and line ends stay; of an
    option that is set only its value changes, one whose default is commented out is turned on where that stands
    (C(#listen_tcp = 1)), and only what is nowhere goes to the end.
  - >-
    Values are written as libvirt reads them, numbers without quotes and texts within, and checked against what the
    option takes before the file is looked at: C(tcp_port) is a text for libvirt, C(migration_port_min) a number.
  - >-
    The file is replaced as a whole or not at all, with owner, mode, ACL and SELinux context as before. It restarts
    nothing: libvirt reads its files when it starts.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.changing
  - kvmops.mobility.frame
  - kvmops.mobility.conf
options:
  path:
    description: The file, such as C(/etc/libvirt/qemu.conf). It is made when it is missing, its directory is not.
    type: path
    required: true
  kind:
    description: Which file of libvirt's it is, when its name does not say so.
    type: str
    choices: [libvirtd.conf, virtproxyd.conf, virtqemud.conf, qemu.conf]
  settings:
    description: >-
      Options and their values. Flags, which libvirt has as C(0) and C(1), are V(true) or V(false); lists are lists.
    type: dict
    default: {}
  unset:
    description: >-
      Options that are to have libvirt's default. They are commented out where they stand; passwords are taken out.
    type: list
    elements: str
    default: []
  libvirt_version:
    description: Version of libvirt on this host, such as V(11.3.0). An option that it does not have is refused then.
    type: str
    default: ""
seealso:
  - module: kvmops.mobility.nova_conf
"""

EXAMPLES = r"""
---
- name: Encrypt what guests bring along, and know the peers
  kvmops.mobility.libvirt_conf:
    path: /etc/libvirt/qemu.conf
    settings:
      migration_address: 192.0.2.11
      migrate_tls_force: true
      default_tls_x509_cert_dir: /etc/pki/qemu
      default_tls_x509_verify: true

- name: Let only the hypervisors in, with certificates
  kvmops.mobility.libvirt_conf:
    path: /etc/libvirt/libvirtd.conf
    settings:
      tls_allowed_dn_list: ["CN=c1.example.com", "CN=c2.example.com"]
    unset: [listen_tcp, auth_tcp]
    backup: true
"""

RETURN = r"""
path:
  description: The file, with links followed.
  returned: success
  type: str
  sample: /etc/libvirt/qemu.conf
changes:
  description: What differs, in the order in which it was asked for. Values of passwords are not shown.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The option.
      type: str
    before:
      description: What it was, V(null) for libvirt's default. Flags are V(0) and V(1).
      type: raw
    after:
      description: What it is, V(null) for libvirt's default.
      type: raw
  sample:
    - name: migration_address
      before:
      after: 192.0.2.11
backup_file:
  description: The copy of the old file.
  returned: changed and O(backup=true)
  type: str
  sample: /etc/libvirt/qemu.conf.20260704T102006.1f3a~
steps:
  description: The effects, in order; in check mode those that would be.
  returned: always
  type: list
  elements: dict
  sample:
    - name: replace
      does: replace /etc/libvirt/qemu.conf
      seconds: 0.002
"""

from ansible_collections.kvmops.mobility.plugins.module_utils._conf.edit import OPTIONS
from ansible_collections.kvmops.mobility.plugins.module_utils._conf.libvirt_edit import work
from ansible_collections.kvmops.mobility.plugins.module_utils._conf.libvirt_options import FILES
from ansible_collections.kvmops.mobility.plugins.module_utils._module import Spec, run


def main() -> None:
    """Entry point."""
    options = {
        "path": {"type": "path", "required": True},
        "kind": {"type": "str", "choices": list(FILES)},
        "settings": {"type": "dict", "default": {}},
        "unset": {"type": "list", "elements": "str", "default": []},
        "libvirt_version": {"type": "str", "default": ""},
        **OPTIONS,
    }
    run(Spec(options=options, libvirt=False), work)


if __name__ == "__main__":
    main()
