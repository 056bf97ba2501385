#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module works on the controller only; its code is in plugins/action/migration_request.py.

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_request
short_description: Read and validate what an operator asked for
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - Validates the variables of an operation before any hypervisor is asked anything. Runs on the controller.
  - >-
    The options have the names of the variables that operators give with C(-e), where all values are strings;
    that is why few types are declared here.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.info
options:
  operation:
    description: What is asked for.
    type: str
    required: true
    choices: [resize, migrate, live_migrate, confirm, revert, abort, force_complete, retune]
  playbooks_version:
    description: Version of the playbooks that ask; refused when it is not the collection's.
    type: str
  vm:
    description: Name or UUID of a guest, or a list of them.
    type: raw
  select:
    description: >-
      A JMESPath filter that chooses guests instead of O(vm), over the list of all guests with C(name), C(uuid),
      C(hypervisor), C(state), C(autostart), C(vcpus), C(memory_mib), C(disk_bytes) and C(managed_by). Give it in a
      vars file or as JSON, because shells eat backticks.
    type: str
  flavor:
    description: Name of one of O(flavors).
    type: raw
  vcpus:
    description: Number of virtual CPUs; overrides that part of O(flavor).
    type: raw
  memory_mib:
    description: Memory, MiB; overrides that part of O(flavor).
    type: raw
  root_gib:
    description: Size of the root disk, GiB; overrides that part of O(flavor).
    type: raw
  dest:
    description: >-
      Inventory name of the destination, or V(auto) for the one with the most free memory among those that
      pass every check.
    type: raw
  root_disk:
    description: Target of the root disk. Without it, the disk with the lowest boot order, else the first.
    type: raw
  allow_managed:
    description: Move a guest although something else manages it.
    type: raw
  data:
    description: >-
      What a revert does with what the guest wrote since the move: V(discard) throws it away, V(copy_back) takes it
      along.
    type: raw
  probe:
    description: ADDRESS:PORT that accepts connections when the guest works, for a confirm.
    type: raw
  force:
    description: Confirm without a sign of life from inside the guest.
    type: raw
  transfer:
    description: >-
      How the disks get there: V(mirror) while the guest runs, with nothing left to send when it stops; V(rsync) most of
      it while the guest runs, the rest when it is off; V(auto) the best that can be had, which the plan names.
    type: raw
    default: auto
  verify:
    description: >-
      How the copy is compared with the source. V(full) compares the contents of each disk on both sides while the
      guest is off; V(quick) does what costs no time that grows with the disk.
    type: raw
    default: quick
  policy:
    description: >-
      How patient a live migration is. V(balanced) and V(must_finish) go by what they see; V(nova), V(fast) and
      V(gentle) by the clock. Or a mapping with what differs from one of them, its C(name): C(max_downtime_ms),
      C(completion_timeout_s), C(on_timeout) V(abort) or V(force_complete); the first two also have C(stall_s), the
      others C(downtime_steps) and C(downtime_delay_s).
    type: raw
    default: balanced
  live:
    description: >-
      How a live migration is carried out: C(copy_disks) (V(auto), V(true) or V(false)), C(tls), C(auto_converge),
      C(post_copy), C(connections), C(compression) (V(none), V(xbzrle), V(zlib) or V(zstd)), C(zero_copy), C(tunnelled),
      C(bandwidth_mib_s), C(announce), C(forecast) (V(refuse), V(warn) or V(off)), and C(max_downtime_ms), which beats
      the policy's. A retune takes C(bandwidth_mib_s) and C(max_downtime_ms).
    type: dict
  flavors:
    description: >-
      Flavors by name, each with C(vcpus), C(memory_mib), C(root_gib) and optionally C(ephemeral_gib) and
      C(swap_mib). Without it, the five of OpenStack.
    type: dict
  capacity:
    description: >-
      How free capacity is counted; C(rule) is V(placement) or V(kilo), with C(cpu_ratio), C(memory_ratio),
      C(disk_ratio), C(reserved_vcpus), C(reserved_memory_mib) and C(reserved_disk_gib).
    type: dict
  groups:
    description: >-
      Guests that belong on one hypervisor or never on the same, by name of the group, each with C(guests) and
      C(policy): V(affinity), V(anti-affinity), V(soft-affinity) or V(soft-anti-affinity).
    type: dict
  stop:
    description: How a guest is stopped; C(timeout_s), C(retry_interval_s), and C(on_timeout) V(abort) or V(force).
    type: dict
"""

EXAMPLES = r"""
---
- name: Read what was asked
  kvmops.mobility.migration_request:
    operation: resize
    vm: web1
    flavor: m1.large
  delegate_to: localhost
"""

RETURN = r"""
guests:
  description: The guests that were named.
  returned: success
  type: list
  elements: str
moves:
  description: Whether the operation moves a guest.
  returned: success
  type: bool
live:
  description: Whether it moves it while it runs.
  returned: success
  type: bool
forecast:
  description: What is made of the forecast of a live migration; V(off) where there is none.
  returned: success
  type: str
request:
  description: What was asked, for M(kvmops.mobility.migration_plan).
  returned: success
  type: dict
options:
  description: What a confirm or revert was told besides.
  returned: success
  type: dict
"""
