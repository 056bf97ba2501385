# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What M(kvmops.mobility.disk_mirror) takes and does.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from ansible_collections.kvmops.mobility.plugins.module_utils._flow.mirror import plan
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Step
from ansible_collections.kvmops.mobility.plugins.module_utils._module import Call, Spec
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer.tls import DIRECTORY

_OPTIONS = {
    "exports": {"type": "list", "elements": "dict", "required": True},
    "bandwidth_mib_s": {"type": "int", "default": 0},
    "parallel": {"type": "int", "default": 2},
    "stall_s": {"type": "int", "default": 5},
    "tls": {"type": "bool", "default": False},
    "tls_directory": {"type": "path", "default": DIRECTORY},
    "patience_s": {"type": "int", "default": 120},
    "throttle": {"type": "bool", "default": False},
    "write_limit_bytes_s": {"type": "int", "default": 0},
    "wait_s": {"type": "int", "default": 15},
    "started": {"type": "list", "elements": "str", "default": []},
}
CALL = Call(Spec(options=_OPTIONS, step=Step.MIRROR, peer=True), plan)
