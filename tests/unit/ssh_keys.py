# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Public keys for tests: well formed, and nobody has their other half."""

from __future__ import annotations

import base64
import hashlib

from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.keys import PublicKey

ED25519 = "ssh-ed25519"
RSA = "ssh-rsa"
ECDSA = "ecdsa-sha2-nistp256"
_SIZES = {ED25519: (32,), RSA: (3, 257), ECDSA: (8, 65)}


def host_key(number: int, kind: str = ED25519) -> PublicKey:
    """Always the same key for the same number and type."""
    stream = hashlib.shake_256(f"{kind} {number}".encode())
    strings = [kind.encode(), *(stream.digest(size) for size in _SIZES[kind])]
    if kind == ECDSA:
        strings[1] = b"nistp256"
    blob = b"".join(len(one).to_bytes(4, "big") + one for one in strings)
    return PublicKey(kind, base64.b64encode(blob).decode("ascii"))
