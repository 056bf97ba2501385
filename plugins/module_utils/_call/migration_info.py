# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What M(kvmops.mobility.migration_info) takes and does.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from ansible_collections.kvmops.mobility.plugins.module_utils._module import Call, Spec
from ansible_collections.kvmops.mobility.plugins.module_utils._survey.migration import plan

_OPTIONS = {
    "guests": {"type": "list", "elements": "str"},
    "migrations": {"type": "list", "elements": "str"},
    "brief": {"type": "bool", "default": False},
    "open_only": {"type": "bool", "default": False},
}
CALL = Call(Spec(options=_OPTIONS, libvirt=False), plan)
