#!/usr/bin/python
# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: live_control
short_description: Give up, force or tune a live migration that goes on
version_added: 0.1.0
author:
  - kvmops.mobility contributors (@kvmops)
description:
  - >-
    On the source, while another task carries a live migration out. What is ordered is done to libvirt's job at once,
    and written down beside the migration's record for who watches it.
extends_documentation_fragment:
  - kvmops.mobility.attributes
  - kvmops.mobility.attributes.acting
  - kvmops.mobility.frame
  - kvmops.mobility.frame.libvirt
options:
  migration:
    description: Id of the live migration. Its record is read from O(state_directory).
    type: str
    required: true
  order:
    description: What is to be done.
    type: str
    required: true
    choices:
      abort: >-
        Give it up; the guest goes on here. Before libvirt was asked for it, the migration does not begin. In post-copy
        it is refused with the code C(ABORT_TOO_LATE), for neither side has all of the guest's memory.
      force_complete: >-
        Make it finish: by post-copy where the migration was allowed to, else by pausing the guest until it runs on the
        destination. Refused before its memory is sent.
      retune: Go on with O(policy), O(bandwidth_mib_s) or both.
  policy:
    description: A policy as operators write it, a name or a mapping. For O(order=retune).
    type: raw
  bandwidth_mib_s:
    description: How much of the link the memory may take, MiB/s. For O(order=retune).
    type: int
seealso:
  - module: kvmops.mobility.live_migrate
"""

EXAMPLES = r"""
---
- name: Give it up
  kvmops.mobility.live_control:
    migration: "{{ kvmops_migration.id }}"
    order: abort
  delegate_to: "{{ kvmops_migration.source }}"
"""

RETURN = r"""
order:
  description: What was ordered.
  returned: success
  type: str
stage:
  description: How far the migration was when it was to be given up.
  returned: for order=abort
  type: str
  sample: memory
takes_effect:
  description: When it is given up.
  returned: for order=abort
  type: str
  sample: at once
gone_after_s:
  description: How long libvirt took to end its job, seconds.
  returned: for order=abort, when there was one
  type: float
by:
  description: How it is made to finish, V(post-copy) or V(pause).
  returned: for order=force_complete
  type: str
policy:
  description: The policy from now on; empty when it stays.
  returned: for order=retune
  type: dict
bandwidth_mib_s:
  description: The bandwidth from now on; none when it stays.
  returned: for order=retune
  type: int
steps:
  description: The effects, in order; in check mode those that would be.
  returned: always
  type: list
  elements: dict
  sample:
    - name: abort
      does: give the migration of web1 up
      seconds: 0.3
"""


from ansible_collections.kvmops.mobility.plugins.module_utils._call.live_control import CALL
from ansible_collections.kvmops.mobility.plugins.module_utils._module import run


def main() -> None:
    """Entry point."""
    run(*CALL)


if __name__ == "__main__":
    main()
