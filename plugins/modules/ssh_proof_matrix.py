#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module works on the controller only; its code is in plugins/action/ssh_proof_matrix.py.

from __future__ import annotations

DOCUMENTATION = r"""
module: ssh_proof_matrix
short_description: Show which hypervisor can reach which
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Prints what M(kvmops.mobility.ssh_proof) found on every host, as a table of who reaches whom, and keeps it in the
    statistics of the run as C(kvmops_trust). Runs on the controller and reads the variables that the playbook
    C(kvmops.mobility.repair_trust) registers.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.info
options:
  hosts:
    description: The hosts of the table.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
---
- name: Show who reaches whom
  kvmops.mobility.ssh_proof_matrix:
    hosts: "{{ groups.hypervisors }}"
"""

RETURN = r"""
matrix:
  description: By source, then by destination.
  returned: success
  type: dict
  sample:
    c1:
      c2:
        ok: true
        code: ""
        message: ""
        remedy: ""
        parts: []
unproven:
  description: The pairs that were not proven.
  returned: success
  type: list
  elements: str
  sample: [c1 -> c2]
lines:
  description: What was printed.
  returned: success
  type: list
  elements: str
"""
