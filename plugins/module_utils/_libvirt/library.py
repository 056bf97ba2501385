# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place that imports libvirt.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import traceback
from typing import Any

__all__ = ("LIBVIRT_IMP_ERR", "libvirt", "libvirt_qemu")

LIBVIRT_IMP_ERR: str | None = None
libvirt: Any = None
libvirt_qemu: Any = None
try:
    import libvirt
    import libvirt_qemu
except ImportError:
    LIBVIRT_IMP_ERR = traceback.format_exc()
