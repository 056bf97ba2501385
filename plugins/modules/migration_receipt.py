#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module works on the controller only; its code is in plugins/action/migration_receipt.py.

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_receipt
short_description: Tell what a migration did, from the journals of both hypervisors
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Prints the receipt and returns it as data, as the fact C(kvmops_receipt) and as a statistic of the run.
    Runs on the controller.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.info
options:
  migration:
    description: The migration.
    type: dict
    required: true
  phase:
    description: Which of the operator's requests the receipt is about.
    type: str
    choices: [move, confirm, revert]
    default: move
  source:
    description: Result of M(kvmops.mobility.migration_info) on the source.
    type: dict
  destination:
    description: Result of M(kvmops.mobility.migration_info) on the destination.
    type: dict
  clock_offset_s:
    description: The destination's clock minus the source's, seconds.
    type: float
    default: 0
  error:
    description: Result of the task that failed, when one did.
    type: dict
"""

EXAMPLES = r"""
---
- name: Write the receipt
  kvmops.mobility.migration_receipt:
    migration: "{{ kvmops_migration }}"
    source: "{{ source_journal }}"
    destination: "{{ destination_journal }}"
"""

RETURN = r"""
receipt:
  description: The receipt.
  returned: success
  type: dict
  sample:
    status: finished
    nova_status: VERIFY_RESIZE
    where: c2
    outage:
      total: 6.2
      guest_stop: 1.1
      ours: 4.6
      guest_start: 0.5
"""
