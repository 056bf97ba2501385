#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: disk_copy
short_description: Copy images to another hypervisor
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Runs rsync on this hypervisor, to another one, as the migration user there, over ssh with verified host
    keys. Holes stay holes; on the wire they cost next to nothing with O(compress=true). What arrived is
    verified as O(verify) says.
  - The images must not be in use.
  - >-
    With O(migration) the copy is a transient systemd unit that outlives this module and the controller; a second call
    attaches to the one that runs.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.acting
  - kvmops.mobility.frame
  - kvmops.mobility.frame.peer
  - kvmops.mobility.frame.step_optional
options:
  src:
    description: Files and directories; a directory with a trailing slash means what is in it.
    type: list
    elements: str
    required: true
  dest:
    description: The directory on the other hypervisor. It must exist and O(user) must be able to write it.
    type: str
    required: true
  also:
    description: Further directories to copy to, each with its own O(src) and O(dest).
    type: list
    elements: dict
    default: []
    suboptions:
      src:
        description: As O(src).
        type: list
        elements: str
        required: true
      dest:
        description: As O(dest).
        type: str
        required: true
  flatten:
    description: >-
      Images with backing files, as M(kvmops.mobility.domain_hand_over) returns them. Each is first written into one
      image without any, which is removed again after the copy.
    type: list
    elements: dict
    default: []
    suboptions:
      target:
        description: The disk's name in the definition.
        type: str
        required: true
      links:
        description: Path and format of the image, then of each backing file below it.
        type: list
        elements: dict
        required: true
      to:
        description: The image to make, in a directory that is made for it; it is one of what is copied.
        type: str
        required: true
      cluster_bytes:
        description: Cluster size of the image, in bytes.
        type: int
        default: 65536
  address:
    description: Name or address of the other hypervisor.
    type: str
    required: true
  compress:
    description: >-
      Compress with zstd on the wire. Worth it for raw images that are mostly holes, which rsync sends as
      zeros, and on links below 2 Gbit/s.
    type: bool
    default: false
  probe:
    description: >-
      Without O(compress), send a few MiB of random data by the same ssh, look at samples of the images, and compress
      with zstd where the link carries less than 2 Gbit/s and the samples shrink by a tenth at least. Give it only where
      both sides have zstd.
    type: bool
    default: false
  bandwidth_mib_s:
    description: Limit in MiB/s, V(0) for none.
    type: int
    default: 0
  resume:
    description: >-
      The target may hold a part of it, from a copy that was interrupted or of a guest that ran. Every block of it is
      compared, and only what is missing or differs is sent.
    type: bool
    default: false
  block_bytes:
    description: >-
      What is compared and sent with O(resume), bytes. Best is the cluster size of the images, as
      M(kvmops.mobility.disk_presync) returns it.
    type: int
    default: 65536
  verify:
    description: How the copy is verified.
    type: str
    choices:
      checksum: rsync compares the checksums of both sides afterwards, reading every byte twice.
      digest: >-
        RV(digests) is returned, counted while the copy runs, for the other side to compare its copy with, as
        M(kvmops.mobility.domain_take_over) does. Holes cost nothing. With O(migration), only of files that nothing
        else vouches for. C(qemu-img check) does for C(qcow2) images with C(verify=quick), the digests of
        M(kvmops.mobility.disk_digest) for all disks with C(verify=full).
      none: It is not, beyond what rsync does for each file on the way.
    default: checksum
requirements:
  - rsync on both hypervisors, 3.2 or later for O(compress=true)
  - ssh on the hypervisor
seealso:
  - module: kvmops.mobility.disk_presync
  - module: kvmops.mobility.disk_resize
"""

EXAMPLES = r"""
---
- name: Copy the images of a guest that is off
  kvmops.mobility.disk_copy:
    src:
      - /var/lib/libvirt/images/web1/
    dest: /var/lib/libvirt/images/web1.staging
    address: c2.example.com
"""

RETURN = r"""
bytes_sent:
  description: Bytes that went over the wire.
  returned: success, not in check mode
  type: int
compress:
  description: Whether it was compressed with zstd.
  returned: success, not in check mode
  type: bool
wire:
  description: Why it was compressed or was not.
  returned: with O(compress) or O(probe), not in check mode
  type: str
link_mib_s:
  description: What the link carries, MiB/s; null when it could not be measured.
  returned: when O(probe) measured it, not in check mode
  type: float
shrinks_to:
  description: The share that compression leaves of samples of the images.
  returned: when O(probe) measured it, not in check mode
  type: float
digests:
  description: Digest of each copied file, by name; of those in O(also) by the path there.
  returned: O(verify=digest), not in check mode
  type: dict
copy_seconds:
  description: How long it took without the comparison.
  returned: success, not in check mode
  type: float

steps:
  description: The effects, in order; in check mode those that would be.
  returned: always
  type: list
  elements: dict
  sample:
    - name: copy
      does: copy /var/lib/libvirt/images/web1/ to kvmops@c2.example.com:/var/lib/libvirt/images/web1.staging/
      seconds: 41.3
"""


from ansible_collections.kvmops.mobility.plugins.module_utils._call.disk_copy import CALL
from ansible_collections.kvmops.mobility.plugins.module_utils._module import run


def main() -> None:
    """Entry point."""
    run(*CALL)


if __name__ == "__main__":
    main()
