# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What M(kvmops.mobility.live_control) takes and does.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from ansible_collections.kvmops.mobility.plugins.module_utils._flow.control import ORDERS, plan
from ansible_collections.kvmops.mobility.plugins.module_utils._module import Call, Spec

_OPTIONS = {
    "migration": {"type": "str", "required": True},
    "order": {"type": "str", "required": True, "choices": list(ORDERS)},
    "policy": {"type": "raw"},
    "bandwidth_mib_s": {"type": "int"},
}
CALL = Call(Spec(options=_OPTIONS), plan)
