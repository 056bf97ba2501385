# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An image of the destination that a mirror of the source writes to: a unit with a socket that nobody else reaches.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._file import planted
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer import witness
from ansible_collections.kvmops.mobility.plugins.module_utils._unit import transient

_ONE = 1


@dataclass(frozen=True)
class Export:
    """One image, and who serves it."""

    migration: str
    target: str
    """Of the disk: vda …"""
    path: str
    format: str
    user: str
    """Runs the unit; only this user, and root, can reach its socket."""
    stall_s: int
    """An answer that takes longer ends the connection, seconds."""

    @property
    def unit(self) -> str:
        """Name of its unit."""
        return transient.name_of(self.migration, f"export-{self.target}")

    @property
    def directory(self) -> str:
        """Made by systemd for the unit's user alone, and gone with the unit."""
        return f"/run/{self.unit}"

    @property
    def socket(self) -> str:
        """Where its client connects to."""
        return f"{self.directory}/export.sock"


def serve_argv(export: Export) -> tuple[str, ...]:
    """qemu-nbd behind the witness.

    With cache=none what was flushed is on the disk, and a durable copy takes half as long as through the page cache
    (measured). Zeroes stay holes.
    """
    return (
        sys.executable or "python3",
        "-",
        export.directory,
        str(export.stall_s),
        "qemu-nbd",
        "--persistent",
        f"--format={export.format}",
        "--cache=none",
        "--aio=threads",
        "--discard=unmap",
        f"--socket={export.directory}/image.sock",
        export.path,
    )


def start(export: Export, logs: str) -> None:
    """Start it; *logs* is a directory for what it prints."""
    properties = (
        f"User={export.user}",
        f"RuntimeDirectory={export.unit}",
        "RuntimeDirectoryMode=0700",
        "NoNewPrivileges=yes",
        "PrivateNetwork=yes",
    )
    transient.start_service(transient.Unit(export.unit, logs), serve_argv(export), properties, program())


def program() -> str:
    """The witness as text: the module that starts it is gone from the hypervisor a moment later."""
    return inspect.getsource(witness)


def state(export: Export) -> Mapping[str, Any]:
    """What the witness wrote down last, empty without a word of it."""
    try:
        found: Mapping[str, Any] = json.loads(planted.text_of(os.path.join(export.directory, "state.json")))
    except (OSError, ValueError):
        return {}
    return found


def shortcoming(seen: Mapping[str, Any]) -> str:
    """Why *seen*, the witness's state, does not prove that the image has all its client wrote; empty when it does."""
    if not seen:
        return "nothing is known of its export"
    clients = seen["clients"]
    if seen["exit_code"] is not None:
        return f"its export ended by itself with {seen['exit_code']}"
    if len(clients) != _ONE:
        return f"its export had {len(clients)} clients"
    one = clients[0]
    if one["not_understood"]:
        return f"not all of what went by was understood: {one['not_understood']}"
    if one["stalled_s"]:
        return f"an answer was not there after {one['stalled_s']:.1f} s"
    if one["errors"]:
        return f"{one['errors']} requests were answered with an error"
    if one["unanswered"]:
        return f"{one['unanswered']} requests had no answer"
    if one["unflushed"]:
        return f"{one['unflushed']} writes were not flushed"
    return "" if one["said_goodbye"] else "its client went away without a good-bye"


def has_ended(seen: Mapping[str, Any]) -> bool:
    """Whether the last client is gone, properly or not."""
    clients = seen.get("clients", ())
    return bool(clients) and bool(clients[-1]["gone"])
