# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run on a host of the lab: changes the text of a guest's stored definition, moves its directory, starts it."""

from __future__ import annotations

import os
import pathlib
from typing import Any

import libvirt


def main(payload: dict[str, Any]) -> str:
    """The guest *name* is off; *replace* is old text to new, *move* where a directory goes, *make* one that is made."""
    connection = libvirt.open("qemu:///system")
    domain = connection.lookupByName(payload["name"])
    text = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    for old, new in payload["replace"].items():
        if old not in text:
            raise ValueError(f"{old} is not in the definition")
        text = text.replace(old, new)
    for path in payload.get("make", ()):
        pathlib.Path(path).mkdir(mode=0o711, parents=True, exist_ok=True)
    for old, new in payload.get("move", {}).items():
        os.rename(old, new)
    again = connection.defineXML(text)
    again.create()
    identity: str = again.UUIDString()
    connection.close()
    return identity
