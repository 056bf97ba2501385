# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where known_hosts files are, and how they are read.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import os

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError
from ansible_collections.kvmops.mobility.plugins.module_utils._file import text
from ansible_collections.kvmops.mobility.plugins.module_utils._file.text import Kind, Text
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.account import account
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.keys import fingerprint_of
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.known_hosts import parse

KIND = Kind(
    "known_hosts file",
    most_bytes=64 * 2**20,
    busy="KNOWN_HOSTS_BUSY",
    immutable="KNOWN_HOSTS_IMMUTABLE",
    invalid="KNOWN_HOSTS_INVALID",
    too_large="KNOWN_HOSTS_TOO_LARGE",
    unreadable="KNOWN_HOSTS_UNREADABLE",
    unsafe="KNOWN_HOSTS_UNSAFE",
)


def of_user(user: str) -> tuple[str, tuple[int, int]]:
    """The path of a user's own file, and uid and gid. Raises NotFound(USER_MISSING)."""
    found = account(user)
    return os.path.join(found.ssh, "known_hosts"), (found.uid, found.gid)


def read(path: str, owner: tuple[int, int] | None = None) -> Text:
    """Read *path*; a file that is not there is empty. *owner* is for one that is to be made, else its directory's.

    Raises Refused: KNOWN_HOSTS_INVALID, KNOWN_HOSTS_TOO_LARGE, KNOWN_HOSTS_UNSAFE, KNOWN_HOSTS_UNREADABLE.
    """
    return text.read(path, KIND, owner)


def stored_fingerprint(path: str, number: int) -> str:
    """Fingerprint of the key in line *number* of *path*; empty when it cannot be told. Never raises."""
    try:
        lines = parse(read(path).data).lines
        return fingerprint_of(lines[number - 1].blob) if 0 < number <= len(lines) else ""
    except (MobilityError, OSError):
        return ""
