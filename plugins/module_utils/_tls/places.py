# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where libvirt and QEMU look for their certificates, and who may read what. Pure.

The paths are libvirt's own defaults (libvirt.org/kbase/tlscerts.html) and those that qemu.conf has as examples.
PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum


class Part(Enum):
    """What is in a file."""

    AUTHORITY = "authority"
    CERTIFICATE = "certificate"
    KEY = "key"


@dataclass(frozen=True)
class Place:
    """A file, and what has to be in it."""

    path: str
    part: Part
    mode: int
    grouped: bool = False
    """It belongs to the group that QEMU runs as, and that group may read it."""


QEMU_DIRECTORY = "/etc/pki/qemu"
DIRECTORIES = {
    "/etc/pki": 0o755,
    "/etc/pki/CA": 0o755,
    "/etc/pki/libvirt": 0o755,
    "/etc/pki/libvirt/private": 0o700,
    QEMU_DIRECTORY: 0o750,
}
"""And their modes, each behind the one it is in; QEMU's belongs to its group, which has to get through to it."""


def _places() -> Iterator[Place]:
    yield Place("/etc/pki/CA/cacert.pem", Part.AUTHORITY, 0o644)
    for end in ("server", "client"):
        yield Place(f"/etc/pki/libvirt/private/{end}key.pem", Part.KEY, 0o600)
        yield Place(f"/etc/pki/libvirt/{end}cert.pem", Part.CERTIFICATE, 0o644)
    yield Place(f"{QEMU_DIRECTORY}/ca-cert.pem", Part.AUTHORITY, 0o640, grouped=True)
    for end in ("server", "client"):
        yield Place(f"{QEMU_DIRECTORY}/{end}-key.pem", Part.KEY, 0o640, grouped=True)
        yield Place(f"{QEMU_DIRECTORY}/{end}-cert.pem", Part.CERTIFICATE, 0o640, grouped=True)


PLACES = tuple(_places())
"""Keys before their certificates: a certificate whose key is another's would be worse than an old pair."""
FIRST_CERTIFICATE = "/etc/pki/libvirt/servercert.pem"
FIRST_KEY = "/etc/pki/libvirt/private/serverkey.pem"
