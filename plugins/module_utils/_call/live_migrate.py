# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What M(kvmops.mobility.live_migrate) takes and does.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from ansible_collections.kvmops.mobility.plugins.module_utils._flow.live import plan
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.transport import Transport
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Step
from ansible_collections.kvmops.mobility.plugins.module_utils._module import Call, Spec

_OPTIONS = {
    "transport": {"type": "str", "choices": [one.value for one in Transport], "default": Transport.SSH.value},
    "port": {"type": "int", "default": 0},
    "identity_file": {"type": "path"},
    "patience_s": {"type": "int", "default": 120},
    "budget_mib_s": {"type": "int", "default": 0},
    "wait_s": {"type": "int", "default": 15},
    "started": {"type": "bool", "default": False},
}
CALL = Call(Spec(options=_OPTIONS, step=Step.LIVE), plan)
