#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module works on the controller only; its code is in plugins/action/migration_summary.py.

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_summary
short_description: Say what became of each guest of a run
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Prints one line for each guest that was named, and fails when one was refused, failed or was not handled.
    Runs on the controller.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.info
options:
  guests:
    description: What M(kvmops.mobility.migration_plan) returned.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
---
- name: Say what became of each guest
  kvmops.mobility.migration_summary:
    guests: "{{ kvmops_plan.guests }}"
"""

RETURN = r"""
lines:
  description: What was printed.
  returned: always
  type: list
  elements: str
"""
