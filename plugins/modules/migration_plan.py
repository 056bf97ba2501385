#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module works on the controller only; its code is in plugins/action/migration_plan.py.

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_plan
short_description: Plan an operation from what was found
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Runs the pure planner on the controller over what the locate play of the collection registered, prints the
    plan, and returns one entry for each guest that was named.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.info
options:
  request:
    description: >-
      What M(kvmops.mobility.migration_request) returned as
      RV(kvmops.mobility.migration_request#module:request).
    type: dict
    required: true
"""

EXAMPLES = r"""
---
- name: Plan
  kvmops.mobility.migration_plan:
    request: "{{ kvmops_request.request }}"
"""

RETURN = r"""
guests:
  description: What is planned for each guest.
  returned: success
  type: list
  elements: dict
  contains:
    subject:
      description: The guest as it was named.
      type: str
    outcome:
      description: planned, refused or already.
      type: str
    migration:
      description: What the roles need, when it is planned.
      type: dict
    options:
      description: What the role is told of this guest besides.
      type: dict
    findings:
      description: What the checks found, each with code, subject, message, remedy and severity.
      type: list
      elements: dict
    lines:
      description: The plan as it is printed.
      type: list
      elements: str
owner:
  description: Who runs this.
  returned: success
  type: str
command:
  description: What is run.
  returned: success
  type: str
"""
