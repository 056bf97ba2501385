# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bridge that joins the hosts with the machine."""

from __future__ import annotations

import json

from .config import BRIDGE, BRIDGE_ADDRESS, HOSTS, INSTANCE
from .run import run


def ensure_bridge() -> None:
    """Make the bridge, or finish one that an aborted run left half made."""
    shown = run(["ip", "-json", "address", "show", "dev", BRIDGE], check=False)
    if shown.returncode != 0:
        run(["ip", "link", "add", BRIDGE, "type", "bridge", "stp_state", "0"])
    address, length = BRIDGE_ADDRESS.split("/")
    if not _has_address(shown.stdout, address):
        run(["ip", "address", "replace", f"{address}/{length}", "dev", BRIDGE])
    run(["ip", "link", "set", BRIDGE, "up"])
    for spec in HOSTS if INSTANCE else ():
        run(["ip", "route", "replace", f"{spec.address}/32", "dev", BRIDGE, "src", address])


def _has_address(listing: str, address: str) -> bool:
    links = json.loads(listing) if listing.strip() else []
    return any(entry.get("local") == address for link in links for entry in link.get("addr_info", []))


def remove_bridge() -> None:
    """Remove the bridge if it is there."""
    if run(["ip", "link", "show", "dev", BRIDGE], check=False).returncode == 0:
        run(["ip", "link", "delete", BRIDGE, "type", "bridge"])
