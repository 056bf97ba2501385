# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What M(kvmops.mobility.disk_copy) takes and does.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Step
from ansible_collections.kvmops.mobility.plugins.module_utils._module import Call, Spec
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer.plan import plan

_ALSO = {
    "src": {"type": "list", "elements": "str", "required": True},
    "dest": {"type": "str", "required": True},
}
_FLATTEN = {
    "target": {"type": "str", "required": True},
    "links": {"type": "list", "elements": "dict", "required": True},
    "to": {"type": "str", "required": True},
    "cluster_bytes": {"type": "int", "default": 65536},
}
_OPTIONS = {
    "src": {"type": "list", "elements": "str", "required": True},
    "dest": {"type": "str", "required": True},
    "also": {"type": "list", "elements": "dict", "default": [], "options": _ALSO},
    "flatten": {"type": "list", "elements": "dict", "default": [], "options": _FLATTEN},
    "address": {"type": "str", "required": True},
    "compress": {"type": "bool", "default": False},
    "probe": {"type": "bool", "default": False},
    "bandwidth_mib_s": {"type": "int", "default": 0},
    "resume": {"type": "bool", "default": False},
    "block_bytes": {"type": "int", "default": 65536},
    "verify": {"type": "str", "choices": ["checksum", "digest", "none"], "default": "checksum"},
}
CALL = Call(Spec(options=_OPTIONS, libvirt=False, step=Step.COPY, step_optional=True, peer=True), plan)
