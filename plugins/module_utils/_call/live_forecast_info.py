# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What M(kvmops.mobility.live_forecast_info) takes and does.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from ansible_collections.kvmops.mobility.plugins.module_utils._module import Call, Spec
from ansible_collections.kvmops.mobility.plugins.module_utils._survey.forecast import plan

_PEER = {
    "name": {"type": "str", "required": True},
    "address": {"type": "str", "required": True},
    "port": {"type": "int", "default": 22},
}
_OPTIONS = {
    "guests": {"type": "list", "elements": "str", "required": True},
    "peers": {"type": "list", "elements": "dict", "options": _PEER, "default": []},
    "user": {"type": "str", "default": "root"},
    "identity_file": {"type": "path"},
    "known_hosts_file": {"type": "path"},
}
CALL = Call(Spec(options=_OPTIONS), plan)
