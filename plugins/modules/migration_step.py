#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_step
short_description: Stand for any of the modules that a move calls
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    A move calls some fifteen modules, and Ansible packs each with all that it imports anew in every run. Their action
    plugins send this one in their stead, which is packed once, and name the module that is meant.
  - Nobody has to call it; a task that names the module itself does the same.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.changing
options:
  module:
    description: The module that is meant, without the name of the collection.
    type: str
    required: true
    choices:
      - disk_copy
      - disk_digest
      - disk_export
      - disk_mirror
      - disk_presync
      - domain_fit_info
      - domain_hand_over
      - domain_info
      - domain_take_over
      - hypervisor_info
      - live_arrive
      - live_control
      - live_depart
      - live_forecast_info
      - live_migrate
      - live_prepare
      - migration_claim
      - migration_discard
      - migration_evidence
      - migration_info
      - migration_lock
      - migration_release
      - migration_survey
      - migration_undo
      - ssh_proof
      - storage_probe
  arguments:
    description: What it is given.
    type: dict
    default: {}
seealso:
  - module: kvmops.mobility.migration_info
"""

EXAMPLES = r"""
---
- name: Read what migrations this hypervisor knows
  kvmops.mobility.migration_step:
    module: migration_info
    arguments:
      open_only: true
"""

RETURN = r"""
steps:
  description: The effects, in order, and beside them all that the module returns which is meant.
  returned: always
  type: list
  elements: dict
  sample: []
"""


from ansible_collections.kvmops.mobility.plugins.module_utils._call.table import NAMES, call
from ansible_collections.kvmops.mobility.plugins.module_utils._module import run_named


def main() -> None:
    """Entry point."""
    run_named(NAMES, call)


if __name__ == "__main__":
    main()
