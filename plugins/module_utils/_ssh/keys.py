# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Public ssh keys: reading a line of them, and their fingerprints.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from functools import lru_cache

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused

_FIELDS = {
    "ssh-dss": 5,
    "ssh-rsa": 3,
    "ecdsa-sha2-nistp256": 3,
    "ecdsa-sha2-nistp384": 3,
    "ecdsa-sha2-nistp521": 3,
    "ssh-ed25519": 2,
    "sk-ecdsa-sha2-nistp256@openssh.com": 4,
    "sk-ssh-ed25519@openssh.com": 3,
}
"""The key types that ssh takes in known_hosts, each with the number of strings in its blob."""
_LENGTH_BYTES = 4


@dataclass(frozen=True)
class PublicKey:
    """A public key. Two are the same key when their blobs are the same."""

    type: str
    blob_base64: str
    comment: str = ""

    @property
    def line(self) -> str:
        """Type and blob, as they stand in every file of ssh."""
        return f"{self.type} {self.blob_base64}"


def parse_public(line: str) -> PublicKey:
    """The key in a line of a C(.pub) file. Raises Refused(PUBLIC_KEY_INVALID)."""
    words = line.split(None, 2)
    if len(words) < 2:
        raise _invalid(line, "is not a type and a key.")
    kind, blob, comment = words[0], words[1], words[2].strip() if len(words) > 2 else ""
    problem = blob_problem(kind.encode(errors="replace"), blob.encode(errors="replace"))
    if problem:
        raise _invalid(line, f"{problem}.")
    return PublicKey(kind, base64.b64encode(_decoded(blob.encode())).decode("ascii"), comment)


def _invalid(line: str, message: str) -> Refused:
    shown = line.strip()[:60] or "an empty line"
    return Refused(
        "PUBLIC_KEY_INVALID", shown, message, "Give a line of a .pub file, such as ssh_host_ed25519_key.pub."
    )


def _decoded(blob: bytes) -> bytes:
    return base64.b64decode(blob, validate=True)


def blob_problem(kind: bytes, blob: bytes) -> str:
    """Why ssh would not take this type and base64 text for a host key; empty when it would."""
    known = _FIELDS.get(kind.decode("ascii", "replace"))
    if known is None:
        return "its key type is not one that we know"
    try:
        fields = _fields(_decoded(blob))
    except (binascii.Error, ValueError):
        return "its key is damaged"
    if not fields or fields[0] != kind:
        return "its key is of another type than it says"
    return "" if len(fields) == known else "its key is damaged"


def _fields(blob: bytes) -> list[bytes]:
    """The length-prefixed strings of *blob*. Raises ValueError when they do not fill it exactly."""
    found = []
    at = 0
    while at < len(blob):
        end = at + _LENGTH_BYTES + int.from_bytes(blob[at : at + _LENGTH_BYTES], "big")
        if at + _LENGTH_BYTES > len(blob) or end > len(blob):
            raise ValueError("truncated")
        found.append(blob[at + _LENGTH_BYTES : end])
        at = end
    return found


def knows_type(kind: bytes) -> bool:
    """Whether ssh takes such keys in known_hosts."""
    return kind.decode("ascii", "replace") in _FIELDS


def fingerprint(key: PublicKey) -> str:
    """As ssh shows it: C(SHA256:) and base64 without padding."""
    return fingerprint_of(key.blob_base64.encode("ascii"))


@lru_cache(maxsize=4096)
def fingerprint_of(blob: bytes) -> str:
    """The fingerprint of a key's base64 text; empty when that is damaged or empty."""
    try:
        digest = hashlib.sha256(_decoded(blob)).digest()
    except (binascii.Error, ValueError):
        return ""
    return "SHA256:" + base64.b64encode(digest).decode("ascii").rstrip("=") if blob else ""


def fingerprint_matches(text: str, key: PublicKey) -> bool:
    """Whether *text* is the SHA256 fingerprint of *key*; older MD5 fingerprints prove nothing and never match."""
    return text.strip().rstrip("=") == fingerprint(key)
