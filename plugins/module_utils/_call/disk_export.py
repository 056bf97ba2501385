# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What M(kvmops.mobility.disk_export) takes and does.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from ansible_collections.kvmops.mobility.plugins.module_utils._flow.export import plan
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Step
from ansible_collections.kvmops.mobility.plugins.module_utils._module import Call, Spec
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer.tls import DIRECTORY

_OPTIONS = {
    "migration_user": {"type": "str", "default": "kvmops"},
    "stall_s": {"type": "int", "default": 5},
    "tls": {"type": "bool", "default": False},
    "tls_directory": {"type": "path", "default": DIRECTORY},
    "serve": {"type": "bool", "default": True},
}
CALL = Call(Spec(options=_OPTIONS, libvirt=False, step=Step.EXPORT), plan)
