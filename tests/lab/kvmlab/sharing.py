# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage that hosts share: a guest's directory on one of them is the same on the others.

It is one file system of this machine, mounted twice, so what one host writes the others see at once.
"""

from __future__ import annotations

from pathlib import Path

from .config import LabError
from .host import Host
from .mounts import is_mounted
from .run import run
from .virsh import guest_states


def share(name: str, hosts: list[Host]) -> str:
    """Let all hosts see the guest's directory of the one that has the guest; that host's name. Twice is no error."""
    homes = [host for host in hosts if name in guest_states(host)]
    if len(homes) != 1:
        raise LabError(
            f"guest {name!r} is defined on {len(homes)} hosts: its directory can be shared while it is on one"
        )
    kept = homes[0].storage.images / name
    for host in hosts:
        point = host.storage.images / name
        if host.name == homes[0].name or is_mounted(point):
            continue
        if point.exists():
            raise LabError(f"{host.name} has a directory of its own for guest {name!r}")
        point.mkdir(mode=0o711)
        run(["mount", "--bind", kept, point])
    return homes[0].name


def unshare(point: Path) -> bool:
    """Take a shared directory away from one host; False where it was none."""
    if not is_mounted(point):
        return False
    run(["umount", point])
    point.rmdir()
    return True
