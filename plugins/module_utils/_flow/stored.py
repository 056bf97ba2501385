# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What libvirt stores of a guest that leaves: it removes that without waiting for the storage.

A power loss may bring it back. The hypervisor that has lost the guest must not start it then.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._file.durable import sync_directory
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.domain import Domain
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect
from ansible_collections.kvmops.mobility.plugins.module_utils._unit import process

_DIRECTORIES = (Path("/etc/libvirt/qemu"), Path("/etc/libvirt/qemu/autostart"))
"""Where the system's libvirt keeps definitions, and links to those of guests that it starts by itself."""


def settle() -> None:
    """Wait until what libvirt removed there stays away."""
    for one in _DIRECTORIES:
        if one.is_dir():
            sync_directory(one)


def autostart_off(domain: Domain, boot: process.Identity | None = None) -> tuple[Effect, ...]:
    """Switch it off. With *boot*, the undo can tell that the hypervisor would have started the guest meanwhile."""
    if not domain.is_persistent() or not domain.autostart():
        return ()

    def switch() -> None:
        domain.set_autostart(False)
        settle()

    undo = {"kind": "autostart", "uuid": domain.uuid, "value": True}
    if boot is not None:
        undo["boot"] = boot.as_result()
    return (Effect("autostart_off", f"switch autostart of {domain.name} off", switch, undo=undo),)


def restore_autostart(context: Context, how: Mapping[str, Any]) -> None:
    """Undo: as it was."""
    domain = context.hypervisor.find(how["uuid"])
    if domain is not None and domain.autostart() is not how["value"]:
        domain.set_autostart(how["value"])


def booted_since(undo: Mapping[str, Any]) -> bool:
    """Whether this hypervisor was booted since it switched autostart off, which *undo* takes back."""
    return "boot" in undo and not process.lives(process.Identity.from_result(undo["boot"]))
