# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a guest is moved with the directory it has for itself, or file by file; pure.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import posixpath
import re

from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import DiskFacts, DomainFacts
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Layout

POOLS = frozenset({"/", "/var", "/var/lib", "/var/lib/libvirt", "/var/lib/libvirt/images", "/var/lib/nova/instances"})
"""Directories that hold every guest's images: one guest's move must never rename them, even if it is alone there."""
OWN_MEDIUM_BYTES = 64 * 2**20
"""A config drive is no larger (Nova's own limit); what is larger is an installer's medium, and stays where it is."""


def of(guest: DomainFacts) -> Layout:
    """C(DIRECTORY) when all its writable disks are in one directory that nobody else uses."""
    return Layout.FILES if why_files(guest) else Layout.DIRECTORY


def why_files(guest: DomainFacts) -> str:
    """Why the guest is moved file by file; empty when its directory is its own and goes with it."""
    if not guest.directory:
        return "its disks are in no one directory"
    if posixpath.normpath(guest.directory) in POOLS:
        return f"{guest.directory} is where all guests' images are"
    if guest.directory_users:
        return f"{guest.directory} has disks of {', '.join(guest.directory_users)} as well"
    if guest.directory_special:
        return f"{guest.directory} is not the guest's own: {guest.directory_special}"
    if guest.directory_foreign:
        return f"{guest.directory} holds what its definition does not name: {', '.join(guest.directory_foreign)}"
    return ""


def is_carried(guest: DomainFacts, disk: DiskFacts) -> bool:
    """Whether *disk* goes with the guest. A medium that stays has to be at the destination already."""
    if not disk.source_type or not disk.path:
        return False
    if not disk.readonly:
        return disk.source_type == "file"
    if of(guest) is Layout.DIRECTORY:
        return posixpath.dirname(disk.path) == guest.directory
    return not disk.users and disk.apparent_bytes <= OWN_MEDIUM_BYTES and _is_named_after(guest, disk)


def _is_named_after(guest: DomainFacts, disk: DiskFacts) -> bool:
    """A config drive among other guests' images is told from an installer's ISO by the guest's name or UUID in its."""
    names = "|".join(re.escape(one) for one in (guest.name, guest.uuid))
    return re.search(rf"(?<![A-Za-z0-9])({names})(?![A-Za-z0-9])", posixpath.basename(disk.path)) is not None


def carried(guest: DomainFacts) -> tuple[DiskFacts, ...]:
    """The disks and drives that go with the guest."""
    return tuple(disk for disk in guest.disks if is_carried(guest, disk))


def places(guest: DomainFacts) -> tuple[str, ...]:
    """What is renamed, each as one, and arrives under the same name."""
    if of(guest) is Layout.DIRECTORY:
        return (guest.directory,)
    return tuple(disk.path for disk in carried(guest))


def images(guest: DomainFacts) -> tuple[str, ...]:
    """Paths of the images that the guest can write to: what a live migration may copy, each by itself."""
    return tuple(disk.path for disk in guest.disks if disk.source_type == "file" and disk.path and not disk.readonly)


def media(guest: DomainFacts) -> tuple[str, ...]:
    """Paths of the media that do not go with the guest."""
    return tuple(disk.path for disk in guest.disks if disk.readonly and disk.path and not is_carried(guest, disk))
