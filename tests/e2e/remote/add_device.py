# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run on a host of the lab: adds a device to the stored definition of a guest."""

from __future__ import annotations

import libvirt


def main(payload: dict[str, str]) -> str:
    """Define the guest *name* with *xml* as one device more; its UUID."""
    connection = libvirt.open("qemu:///system")
    domain = connection.lookupByName(payload["name"])
    flags = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE
    text = domain.XMLDesc(flags).replace("</devices>", f"{payload['xml']}</devices>")
    identity: str = connection.defineXML(text).UUIDString()
    connection.close()
    return identity
