#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module works on the controller only; its code is in plugins/action/migration_visitors.py.

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_visitors
short_description: Gather what was found of the wanted guests on all hypervisors
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Returns the guests that M(kvmops.mobility.domain_info) found anywhere, as
    M(kvmops.mobility.domain_fit_info) takes them. Runs on the controller and reads the variables that the
    locate play of the collection registers.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.info
options:
  operation:
    description: What is asked for. A live migration asks with the definition and the images that the guest runs with.
    type: str
  destination:
    description: Where the guests are to go; empty or V(auto) for anywhere.
    type: str
  port:
    description: The port of sshd on the hypervisors.
    type: int
    default: 22
  forecast:
    description: What is made of the forecast of a live migration. V(off) for none.
    type: str
    choices: [refuse, warn, "off"]
    default: "off"
  select:
    description: The expression that chooses the guests, where one does.
    type: str
"""

EXAMPLES = r"""
---
- name: Gather what was found
  kvmops.mobility.migration_visitors:
"""

RETURN = r"""
guests:
  description: One entry for each guest.
  returned: success
  type: list
  elements: dict
to_measure:
  description: >-
    UUIDs of the guests on this hypervisor that a forecast is wanted of, as M(kvmops.mobility.live_forecast_info) takes
    them.
  returned: success
  type: list
  elements: str
peers:
  description: Whom this hypervisor has to reach with the guests it has, as M(kvmops.mobility.ssh_proof) takes them.
  returned: success
  type: list
  elements: dict
"""
