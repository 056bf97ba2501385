# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A hypervisor that is about to lose a guest must not start it at its next boot, whatever a power loss brings back.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.domain import Domain
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.store import sync_directory
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect
from ansible_collections.kvmops.mobility.plugins.module_utils._unit import process

_LINKS = Path("/etc/libvirt/qemu/autostart")
"""libvirt removes a guest's link there without waiting for the storage."""


def off(domain: Domain, boot: process.Identity | None = None) -> tuple[Effect, ...]:
    """Switch it off. With *boot*, an undo behind another boot starts the guest, as the hypervisor would have done."""
    if not domain.is_persistent() or not domain.autostart():
        return ()

    def switch() -> None:
        domain.set_autostart(False)
        if _LINKS.is_dir():
            sync_directory(_LINKS)

    undo = {"kind": "autostart", "uuid": domain.uuid, "value": True}
    if boot is not None:
        undo["boot"] = boot.as_result()
    return (Effect("autostart_off", f"switch autostart of {domain.name} off", switch, undo=undo),)


def restore(context: Context, how: Mapping[str, Any]) -> None:
    """Undo: as it was."""
    domain = context.hypervisor.find(how["uuid"])
    if domain is None:
        return
    if domain.autostart() is not how["value"]:
        domain.set_autostart(how["value"])
    if "boot" in how and not process.lives(process.Identity.from_result(how["boot"])) and domain.is_off():
        domain.start()
