# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenSSH certificates: what is in one, and whether it still is what is wanted. Pure.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.keys import PublicKey

_PUBLIC_PARTS = {
    "ssh-ed25519": 1,
    "ssh-rsa": 2,
    "ecdsa-sha2-nistp256": 2,
    "ecdsa-sha2-nistp384": 2,
    "ecdsa-sha2-nistp521": 2,
}
"""How many strings of a certificate are its public key."""
_SUFFIX = "-cert-v01@openssh.com"
_SHORT, _LONG = 4, 8
HOST, USER = "host", "user"
_KINDS = {1: USER, 2: HOST}


@dataclass(frozen=True)
class Certificate:
    """What a certificate says."""

    kind: str
    """host or user."""
    key: PublicKey
    """The key it is about."""
    authority: PublicKey
    """Who signed it. That the signature is good is not looked at here."""
    serial: int
    identity: str
    principals: tuple[str, ...]
    valid_after: int
    """Unix time."""
    valid_before: int
    sources: tuple[str, ...]
    """Addresses that the holder may come from; empty for any."""


@dataclass(frozen=True)
class Wanted:
    """What a certificate has to say."""

    kind: str
    key: PublicKey
    identity: str
    principals: tuple[str, ...]
    sources: tuple[str, ...] = ()


class _Reader:
    """Takes the fields of ssh's wire format one after the other. Raises ValueError when they are not there."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, size: int) -> int:
        return int.from_bytes(self._take(size), "big")

    def string(self) -> bytes:
        return self._take(self.number(_SHORT))

    def strings(self) -> Iterator[bytes]:
        """The strings in a string."""
        inner = _Reader(self.string())
        while not inner.over:
            yield inner.string()

    @property
    def over(self) -> bool:
        return self._at >= len(self._data)

    def _take(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size]
        if len(taken) != size:
            raise ValueError("truncated")
        self._at += size
        return taken


def parse(line: str) -> Certificate:
    """The certificate in a line of a C(-cert.pub) file. Raises Refused(CERTIFICATE_INVALID)."""
    words = line.split()
    try:
        return _parsed(base64.b64decode(words[1], validate=True))
    except (IndexError, KeyError, ValueError, binascii.Error, UnicodeDecodeError) as error:
        raise Refused(
            "CERTIFICATE_INVALID",
            line.strip()[:60] or "an empty line",
            f"is no OpenSSH certificate that can be read: {error}.",
            "Remove the file; it is made anew.",
        ) from None


def _parsed(blob: bytes) -> Certificate:
    reader = _Reader(blob)
    full = reader.string().decode("ascii")
    if not full.endswith(_SUFFIX):
        raise ValueError("another type")
    kind = full[: -len(_SUFFIX)]
    reader.string()  # the nonce
    public = [kind.encode(), *(reader.string() for _part in range(_PUBLIC_PARTS[kind]))]
    serial, about = reader.number(_LONG), _KINDS[reader.number(_SHORT)]
    identity = reader.string().decode()
    principals = tuple(one.decode() for one in reader.strings())
    valid_after, valid_before = reader.number(_LONG), reader.number(_LONG)
    options = list(reader.strings())
    list(reader.strings())  # extensions: what a user may do besides
    reader.string()
    authority = reader.string()
    return Certificate(
        kind=about,
        key=_key(kind, public),
        authority=PublicKey(_Reader(authority).string().decode("ascii"), base64.b64encode(authority).decode("ascii")),
        serial=serial,
        identity=identity,
        principals=principals,
        valid_after=valid_after,
        valid_before=valid_before,
        sources=_sources(options),
    )


def _key(kind: str, public: list[bytes]) -> PublicKey:
    blob = b"".join(len(one).to_bytes(_SHORT, "big") + one for one in public)
    return PublicKey(kind, base64.b64encode(blob).decode("ascii"))


def _sources(options: list[bytes]) -> tuple[str, ...]:
    """Options come as name, data, name, data; the data is a string in a string."""
    named = dict(zip(options[::2], options[1::2]))
    data = named.get(b"source-address")
    return tuple(_Reader(data).string().decode("ascii").split(",")) if data else ()


def why_renew(
    current: Certificate | None, wanted: Wanted, authority: PublicKey, now: float, renew_before_s: float
) -> str:
    """Why a new certificate has to be made; empty when the current one will do."""
    if current is None:
        return "there is none"
    if current.key.line != wanted.key.line:
        return "the key is another one"
    if current.authority.line != authority.line:
        return "the authority is another one"
    if (current.kind, set(current.principals)) != (wanted.kind, set(wanted.principals)):
        return "the names are others"
    if set(current.sources) != set(wanted.sources):
        return "the addresses are others"
    if current.valid_before - now < renew_before_s:
        return "it ends soon" if current.valid_before > now else "it has ended"
    return ""
