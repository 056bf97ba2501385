#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nova_conf
short_description: Set options in nova.conf, in place
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Sets and unsets options in a file of oslo.config such as C(nova.conf). Comments, order, blank lines and line ends
    stay; of an option that is set only its value changes, one whose default is commented out is turned on where that
    stands, and what is nowhere goes behind the last option of its section.
  - >-
    Sections that are there more than once are one section, as oslo.config has them. Of several values of an option the
    last counts, so that is the one that is changed. Values over several lines, and C($my_ip) and the like, are kept.
  - >-
    The options that decide about moving guests are checked before the file is looked at: type, bounds, and whether the
    installed Nova has them.
  - >-
    The file is replaced as a whole or not at all, with owner, mode, ACL and SELinux context as before. It restarts
    nothing.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.changing
  - kvmops.mobility.frame
  - kvmops.mobility.conf
options:
  path:
    description: The file. It is made when it is missing, its directory is not.
    type: path
    default: /etc/nova/nova.conf
  settings:
    description: >-
      Sections, their options, and the values. A list is for options that are there several times, a value each; only
      unmanaged ones can be.
    type: dict
    default: {}
  unset:
    description: >-
      Sections, and the options in each that are to have Nova's default. They are commented out where they stand;
      passwords and the like are taken out.
    type: dict
    default: {}
  modernize:
    description:
      - >-
        Put today's options in the place of old ones that are set: the names that C([vnc]) options had,
        C(live_migration_uri), C(live_migration_flag), C(block_migration_flag), C(live_migration_progress_timeout) and
        C(live_migration_tunnelled). What is set under today's name stays. RV(notes) says what became of each.
      - >-
        C(live_migration_tunnelled) stays when it is on and nothing else would encrypt, a C(live_migration_uri) when
        nothing else says the same.
    type: bool
    default: false
  nova_version:
    description: Version of Nova on this host, such as V(31.0.0). An option that it does not have is refused then.
    type: str
    default: ""
seealso:
  - module: kvmops.mobility.libvirt_conf
"""

EXAMPLES = r"""
---
- name: Finish live migrations soon, over TLS
  kvmops.mobility.nova_conf:
    nova_version: "31.0.0"
    settings:
      libvirt:
        live_migration_downtime: 500
        live_migration_downtime_steps: 3
        live_migration_downtime_delay: 3
        live_migration_permit_auto_converge: true
        live_migration_scheme: tls
        live_migration_with_native_tls: true
      vnc:
        server_listen: 0.0.0.0
        server_proxyclient_address: $my_ip
    unset:
      libvirt: [live_migration_flag, live_migration_uri]
    validate: oslo-config-validator --input-file %s --namespace nova.conf

- name: Take an option that is checked by nobody here
  kvmops.mobility.nova_conf:
    unmanaged: true
    settings:
      pci:
        alias:
          - '{"vendor_id": "8086", "product_id": "10fb", "name": "nic"}'
"""

RETURN = r"""
path:
  description: The file, with links followed.
  returned: success
  type: str
  sample: /etc/nova/nova.conf
changes:
  description: What differs, in the order in which it was asked for. Values of passwords and the like are not shown.
  returned: success
  type: list
  elements: dict
  contains:
    section:
      description: The section.
      type: str
    name:
      description: The option.
      type: str
    before:
      description: What it was, V(null) for Nova's default; a list when it was there several times.
      type: raw
    after:
      description: What it is, V(null) for Nova's default.
      type: raw
  sample:
    - section: libvirt
      name: live_migration_downtime_steps
      before:
      after: "3"
notes:
  description: What became of options of former Novas, and which of two that are on excludes the other; also warnings.
  returned: when there are any
  type: list
  elements: str
  sample:
    - "[libvirt]live_migration_uri is going to be taken out of Nova; live_migration_scheme says the same."
backup_file:
  description: The copy of the old file.
  returned: changed and O(backup=true)
  type: str
  sample: /etc/nova/nova.conf.20260704T102006.1f3a~
steps:
  description: The effects, in order; in check mode those that would be.
  returned: always
  type: list
  elements: dict
  sample:
    - name: replace
      does: replace /etc/nova/nova.conf
      seconds: 0.002
"""

from ansible_collections.kvmops.mobility.plugins.module_utils._conf.edit import OPTIONS
from ansible_collections.kvmops.mobility.plugins.module_utils._conf.nova_edit import work
from ansible_collections.kvmops.mobility.plugins.module_utils._module import Spec, run


def main() -> None:
    """Entry point."""
    options = {
        "path": {"type": "path", "default": "/etc/nova/nova.conf"},
        "settings": {"type": "dict", "default": {}},
        "unset": {"type": "dict", "default": {}},
        "modernize": {"type": "bool", "default": False},
        "nova_version": {"type": "str", "default": ""},
        **OPTIONS,
    }
    run(Spec(options=options, libvirt=False), work)


if __name__ == "__main__":
    main()
