# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What M(kvmops.mobility.disk_digest) takes and does.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from ansible_collections.kvmops.mobility.plugins.module_utils._flow.contents import plan
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Step
from ansible_collections.kvmops.mobility.plugins.module_utils._module import Call, Spec

_IMAGE = {
    "name": {"type": "str", "required": True},
    "path": {"type": "str", "required": True},
    "format": {"type": "str", "required": True},
}
_OPTIONS = {
    "images": {"type": "list", "elements": "dict", "options": _IMAGE},
    "mirrored": {"type": "bool", "default": False},
    "wait": {"type": "bool", "default": True},
}
_REQUIRED = (("migration", "images"),)
CALL = Call(
    Spec(options=_OPTIONS, libvirt=False, step=Step.DIGEST, step_optional=True, required_one_of=_REQUIRED),
    plan,
)
