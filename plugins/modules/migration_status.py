#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module works on the controller only; its code is in plugins/action/migration_status.py.

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_status
short_description: Show where every migration stands
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Prints the migrations that the hypervisors know of, with their status, and what to type next. Runs on the
    controller and reads the variables that the status playbook registers.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.info
options:
  all:
    description: Show those that are closed too, and the archived ones, with where they are.
    type: bool
    default: false
"""

EXAMPLES = r"""
---
- name: Show the migrations
  kvmops.mobility.migration_status:
"""

RETURN = r"""
migrations:
  description: One entry for each.
  returned: success
  type: list
  elements: dict
  sample:
    - id: 0b1c2d3e4f50
      name: web1
      operation: resize
      source: c1
      destination: c2
      status: finished
lines:
  description: What was printed.
  returned: success
  type: list
  elements: str
"""
