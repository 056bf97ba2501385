#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: disk_digest
short_description: Count a digest of what a guest sees on its disks
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Two images that hold the same to a guest have the same digest, whatever their format, cluster size, layout and
    backing chain. Holes and zeros count alike, and holes cost nothing.
  - The images must not be in use.
  - >-
    With O(migration) the counting is a transient systemd unit that outlives this module and the controller; a second
    call attaches to the one that runs. On the destination the staging directory is closed to the user who brought the
    copy before anything is counted.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.acting
  - kvmops.mobility.frame
  - kvmops.mobility.frame.step_optional
options:
  images:
    description: >-
      What to count, through the backing files that the headers name. Without it, the disks of O(migration), between the
      guest's stop and its start.
    type: list
    elements: dict
    suboptions:
      name:
        description: What its digest is called by.
        type: str
        required: true
      path:
        description: Path of the image.
        type: str
        required: true
      format:
        description: Its format. It is never guessed.
        type: str
        required: true
  mirrored:
    description: >-
      On the destination of a migration: the disks came by M(kvmops.mobility.disk_mirror). First the exports are asked
      whether they have all of it, as M(kvmops.mobility.domain_take_over) does, and closed. It is refused with
      C(MIRROR_NOT_PROVEN), before anything was changed, when they have not.
    type: bool
    default: false
  wait:
    description: With V(false) a migration's counting is begun, and a later call returns its end.
    type: bool
    default: true
requirements:
  - C(qemu-img) and C(qemu-nbd) for formats other than raw
seealso:
  - module: kvmops.mobility.domain_take_over
"""

EXAMPLES = r"""
---
- name: Count what is on a disk
  kvmops.mobility.disk_digest:
    images:
      - name: vda
        path: /var/lib/libvirt/images/web1/disk
        format: qcow2
  register: counted
"""

RETURN = r"""
contents:
  description: The digests, by name.
  returned: O(wait=true); for a migration not in check mode
  type: dict
  sample:
    vda: 5d1a3f0c9c9d8a0f1a5b7f6a3e0d4c2b9f8e7d6c5b4a39281706f5e4d3c2b1a0

mirror_evidence:
  description: What each export saw of its client, by target.
  returned: O(mirrored=true), not in check mode
  type: dict

steps:
  description: The effects, in order; in check mode those that would be. Without a migration there are none.
  returned: always
  type: list
  elements: dict
  sample:
    - name: digest
      does: read /var/lib/libvirt/images/web1_resize/disk
      seconds: 12.4
"""


from ansible_collections.kvmops.mobility.plugins.module_utils._call.disk_digest import CALL
from ansible_collections.kvmops.mobility.plugins.module_utils._module import run


def main() -> None:
    """Entry point."""
    run(*CALL)


if __name__ == "__main__":
    main()
