#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_evidence
short_description: Find out whether a moved guest works, before the move is made final
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    Asks the guest itself: the agent for its CPUs, memory and root disk, or a TCP port that answers when it
    works. Fails when there is no evidence, and when the evidence speaks against it.
  - A guest that is shut off cannot speak; its definition and images are checked instead.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.info
  - kvmops.mobility.frame
  - kvmops.mobility.frame.libvirt
  - kvmops.mobility.frame.step
options:
  probe:
    description: >-
      A TCP port that accepts connections when the guest works, as ADDRESS:PORT, seen from this hypervisor.
      Used when no agent answers.
    type: str
  probe_timeout_s:
    description: How long to wait for the connection, seconds.
    type: int
    default: 10
  force:
    description: Accept a running guest without any evidence from inside.
    type: bool
    default: false
"""

EXAMPLES = r"""
---
- name: See whether the guest works
  kvmops.mobility.migration_evidence:
    migration: "{{ kvmops_migration.id }}"
    phase: confirm
    probe: 192.0.2.10:22
  delegate_to: "{{ kvmops_migration.destination }}"
"""

RETURN = r"""
evidence:
  description: What was found.
  returned: success
  type: dict
  sample:
    kind: agent
    vcpus: 2
    memory_mib: 3914
    root_bytes: 42949672960
"""


from ansible_collections.kvmops.mobility.plugins.module_utils._call.migration_evidence import CALL
from ansible_collections.kvmops.mobility.plugins.module_utils._module import run


def main() -> None:
    """Entry point."""
    run(*CALL)


if __name__ == "__main__":
    main()
