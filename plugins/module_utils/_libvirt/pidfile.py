# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file in which libvirt keeps which process a running guest has.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from pathlib import Path

DIRECTORY = "/run/libvirt/qemu"


def path(name: str, directory: str = DIRECTORY) -> Path:
    """Where it is for the guest of that name."""
    return Path(directory, f"{name}.pid")


def process_id(name: str, directory: str = DIRECTORY) -> int | None:
    """The guest's QEMU; None where libvirt keeps that elsewhere, and without one."""
    try:
        return int(path(name, directory).read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        return None
