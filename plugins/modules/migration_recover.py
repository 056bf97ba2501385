#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module works on the controller only; its code is in plugins/action/migration_recover.py.

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_recover
short_description: Decide what to do about a migration that was interrupted
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Compares, on the controller, what the hypervisors registered of their journals and guests, prints what happened, and
    returns one entry for each migration with the one safe thing to do about it.
  - What cannot be known is not guessed. The entry is refused then, and its message says what to find out.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.info
options:
  vm:
    description:
      - Name or UUID of a guest, or a list of them.
      - Without it, every migration that is not closed or still locked.
    type: raw
  prefer:
    description:
      - Which side counts, where the journals cannot tell.
      - With V(source), the guest on the destination is off for good.
    type: str
    choices:
      - source
      - destination
  takeover:
    description: Do not wait for a process or a controller that may still be at work. Nobody else works on it.
    type: bool
    default: false
  quiet_s:
    description: >-
      A locked migration whose run was heard of less than this many seconds ago is left alone, five times as long while
      its disks or memory are on their way.
    type: float
    default: 60
"""

EXAMPLES = r"""
---
- name: Decide
  kvmops.mobility.migration_recover:
    vm: web1
"""

RETURN = r"""
guests:
  description: What is to be done about each migration.
  returned: success
  type: list
  elements: dict
  contains:
    subject:
      description: The guest.
      type: str
    outcome:
      description: planned, refused or already.
      type: str
    migration:
      description: What the roles need, when it is planned.
      type: dict
    findings:
      description: Why it is refused, each with code, subject, message, remedy and severity.
      type: list
      elements: dict
    holder:
      description: Who holds the lock, empty when nobody does.
      type: dict
    recovery:
      description: The decision, with act, why, on_source, on_destination, debt and phase.
      type: dict
    resume:
      description: What the steps before handed to the take-over.
      type: dict
    lines:
      description: What happened, and the plan as it is printed.
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
