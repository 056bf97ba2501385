# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that the one frame adds to modules, see module_utils/_module.py."""

from __future__ import annotations


class ModuleDocFragment:
    """Options shared by the modules of the collection."""

    DOCUMENTATION = r"""
options:
  deadline_s:
    description:
      - Seconds after which the call gives up, wherever it is. V(0) means no limit of its own.
      - What it had begun is in the journal of its migration, and can be undone or resumed.
    type: int
    default: 0
  state_directory:
    description: Where this hypervisor keeps records, journals and locks.
    type: path
    default: /var/lib/kvmops
"""

    LIBVIRT = r"""
options:
  uri:
    description: The libvirt connection on this hypervisor.
    type: str
    default: qemu:///system
requirements:
  - libvirt-python on the hypervisor (python3-libvirt)
  - qemu-img on the hypervisor
"""

    PEER = r"""
options:
  user:
    description: Whom to log in as on the other hypervisor.
    type: str
    default: kvmops
  port:
    description: Port of sshd there.
    type: int
    default: 22
  identity_file:
    description: >-
      Private key on this hypervisor. Without it and O(known_hosts_file), those of O(user) here, as the role
      C(kvmops.mobility.ssh_trust) makes them; where there are none, what ssh uses for root.
    type: path
  known_hosts_file:
    description: Known hosts file on this hypervisor. Without it, as for O(identity_file).
    type: path
"""

    STEP = r"""
options:
  migration:
    description: Id of the migration that this step belongs to. Its record is read from O(state_directory).
    type: str
    required: true
  phase:
    description: Which of the operator's requests the step belongs to.
    type: str
    choices:
      move: The guest goes from source to destination.
      confirm: The move is made final.
      revert: The move is taken back.
    default: move
  run:
    description:
      - >-
        The token of the run that this call belongs to. The step acts only while the guest's lock on this hypervisor has
        the same one; else it is refused with C(LOST_THE_LOCK).
      - In the collection's own playbooks the plan makes it, and the tasks need not name it.
    type: str
    default: ""
  not_after:
    description: >-
      Unix time on this hypervisor after which the step is refused with C(CALL_TOO_LATE), because what it was decided
      from may not be true any more. V(0) for never.
    type: float
    default: 0
"""

    STEP_OPTIONAL = r"""
options:
  migration:
    description: Id of the migration that this call belongs to; what it does is then written into that journal.
    type: str
  phase:
    description: Which of the operator's requests the call belongs to.
    type: str
    choices:
      move: The guest goes from source to destination.
      confirm: The move is made final.
      revert: The move is taken back.
    default: move
  run:
    description:
      - >-
        The token of the run that this call belongs to. The step acts only while the guest's lock on this hypervisor has
        the same one; else it is refused with C(LOST_THE_LOCK).
      - In the collection's own playbooks the plan makes it, and the tasks need not name it.
    type: str
    default: ""
  not_after:
    description: >-
      Unix time on this hypervisor after which the step is refused with C(CALL_TOO_LATE), because what it was decided
      from may not be true any more. V(0) for never.
    type: float
    default: 0
"""
