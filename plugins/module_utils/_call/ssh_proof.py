# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What M(kvmops.mobility.ssh_proof) takes and does.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from ansible_collections.kvmops.mobility.plugins.module_utils._module import Call, Spec
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.proof import PARTS, USUAL, plan

_PEER = {
    "name": {"type": "str", "required": True},
    "address": {"type": "str", "required": True},
    "port": {"type": "int", "default": 22},
    "user": {"type": "str"},
}
_OPTIONS = {
    "peers": {"type": "list", "elements": "dict", "required": True, "options": _PEER},
    "user": {"type": "str", "default": "kvmops"},
    "identity_file": {"type": "path"},
    "known_hosts_file": {"type": "path"},
    "listen_port": {"type": "int", "default": 0},
    "migration_port": {"type": "int", "default": 49152},
    "parts": {"type": "list", "elements": "str", "choices": list(PARTS), "default": list(USUAL)},
}
CALL = Call(Spec(options=_OPTIONS, libvirt=False), plan)
