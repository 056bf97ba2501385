# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What M(kvmops.mobility.migration_claim) takes and does.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from ansible_collections.kvmops.mobility.plugins.module_utils._flow.claim import plan
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import Data
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.closed import ARCHIVE_DAYS
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Phase, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._module import Call, Spec

_OPTIONS = {
    "role": {"type": "str", "choices": ["source", "destination"]},
    "record": {"type": "dict"},
    "owner": {"type": "str", "default": "unknown"},
    "command": {"type": "str", "default": "unknown"},
    "migration_user": {"type": "str", "default": "kvmops"},
    "slots": {"type": "int", "default": 0},
    "archive_days": {"type": "int", "default": ARCHIVE_DAYS},
    "data": {"type": "str", "choices": [one.value for one in Data], "default": Data.DISCARD.value},
    "back": {"type": "dict", "default": {}},
}
_NEEDED = ("phase", Phase.MOVE.value, ("role", "record"))
CALL = Call(Spec(options=_OPTIONS, step=Step.CLAIM, required_if=(_NEEDED,)), plan)
