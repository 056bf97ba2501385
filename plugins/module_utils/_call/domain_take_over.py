# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What M(kvmops.mobility.domain_take_over) takes and does.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from ansible_collections.kvmops.mobility.plugins.module_utils._flow.take_over import plan
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Step
from ansible_collections.kvmops.mobility.plugins.module_utils._module import Call, Spec

_OPTIONS = {
    "definition_digests": {"type": "dict", "default": {}},
    "digests": {"type": "dict"},
    "contents": {"type": "dict", "default": {}},
    "contents_here": {"type": "dict", "default": {}},
    "entries": {"type": "list", "elements": "dict", "default": []},
    "directory_owner": {"type": "dict", "default": {}},
    "mirrored": {"type": "bool", "default": False},
}
CALL = Call(Spec(options=_OPTIONS, step=Step.TAKE_OVER, tells_journal=True), plan)
