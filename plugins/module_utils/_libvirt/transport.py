# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How libvirt on one host gets to libvirt on another one. Pure.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from enum import Enum
from urllib.parse import quote, urlencode


class Transport(Enum):
    """How another libvirt gets in."""

    SSH = "ssh"
    TLS = "tls"
    TCP = "tcp"


PORTS = {Transport.SSH: 22, Transport.TLS: 16514, Transport.TCP: 16509}
"""Those that are meant where none is named: sshd's and libvirt's own."""


def uri(transport: Transport, address: str, port: int = 0, identity_file: str = "") -> str:
    """libvirt on the host *address*, in a way that never asks anything; *port* 0 is the usual one.

    By ssh it is root here to root there. The host key is looked for where root's ssh looks: libvirt's way through the
    program ssh takes no other file. By TLS the certificate there has to name *address*.
    """
    user = "root@" if transport is Transport.SSH else ""
    where = host(address) if port in (0, PORTS[transport]) else f"{host(address)}:{port}"
    query = {"no_tty": "1"} if transport is Transport.SSH else {}
    if identity_file and transport is Transport.SSH:
        query["keyfile"] = identity_file
    asked = f"?{urlencode(query, quote_via=quote)}" if query else ""
    return f"qemu+{transport.value}://{user}{where}/system{asked}"


def host(address: str) -> str:
    """An address as URIs have it."""
    return f"[{address}]" if ":" in address else address
