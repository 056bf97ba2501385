# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What peers are called and which keys they really have: what a known_hosts file is held against.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.keys import PublicKey, parse_public
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.known_hosts import lookup_bytes

DEFAULT_PORT = 22
_NAME = re.compile(r"[^\s,*?!|#@\[\]\x00-\x1f\x7f]+")
_PATTERN = re.compile(r"!?[^\s,!|#@\x00-\x1f\x7f]+")
_MOST_PORTS = 65535


@dataclass(frozen=True)
class Peer:
    """A host as others reach it."""

    label: str
    """What findings call it."""
    names: tuple[str, ...]
    """Host names and addresses."""
    port: int = DEFAULT_PORT
    keys: tuple[PublicKey, ...] = ()
    """All host keys it has. Empty: nothing is known of them."""
    certified: bool = True
    """An authority that vouches for its name is enough; false: its keys have to be there all the same."""

    @cached_property
    def lookups(self) -> tuple[bytes, ...]:
        """What ssh looks for in known_hosts, once each."""
        return tuple(dict.fromkeys(lookup_bytes(lookup(name, self.port)) for name in self.names))

    @cached_property
    def blobs(self) -> tuple[bytes, ...]:
        """Its keys as they stand in a file."""
        return tuple(key.blob_base64.encode("ascii") for key in self.keys)


@dataclass(frozen=True)
class Authority:
    """A certificate authority that vouches for the hosts whose names fit."""

    patterns: tuple[str, ...]
    key: PublicKey

    @property
    def wanted(self) -> frozenset[bytes]:
        """Its patterns as they are compared."""
        return frozenset(lookup_bytes(one) for one in self.patterns)

    @property
    def line(self) -> str:
        """Its line in known_hosts, without an end."""
        return f"@cert-authority {','.join(self.patterns)} {self.key.line}"

    @property
    def blob(self) -> bytes:
        """Its key as it stands in a file."""
        return self.key.blob_base64.encode("ascii")


def lookup(name: str, port: int = DEFAULT_PORT) -> str:
    """The name under which ssh knows a host; addresses in their one proper form, as ssh writes them."""
    plain = name.strip().lower()
    if plain.startswith("[") and plain.endswith("]"):
        plain = plain[1:-1]
    with contextlib.suppress(ValueError):
        plain = str(ipaddress.ip_address(plain))
    return plain if port == DEFAULT_PORT else f"[{plain}]:{port}"


def peers_of(given: Iterable[Mapping[str, Any]]) -> tuple[Peer, ...]:
    """Peers from a module's parameters. Raises Refused(VALUE_INVALID, PUBLIC_KEY_INVALID)."""
    peers = tuple(_peer(one) for one in given)
    _check_distinct(peers)
    return peers


def _peer(given: Mapping[str, Any]) -> Peer:
    names = tuple(lookup(name) for name in given["names"])
    for name in names:
        if not _NAME.fullmatch(name):
            raise _invalid(given["name"], f"{name!r} is no host name or address.")
    if not names:
        raise _invalid(given["name"], "has no names.")
    if not 0 < given["port"] <= _MOST_PORTS:
        raise _invalid(given["name"], f"{given['port']} is no port.")
    keys = _distinct(parse_public(line) for line in given["keys"] or ())
    return Peer(given["name"], names, given["port"], keys, given.get("certified", True))


def _distinct(keys: Iterable[PublicKey]) -> tuple[PublicKey, ...]:
    return tuple({key.blob_base64: key for key in keys}.values())


def _check_distinct(peers: Sequence[Peer]) -> None:
    """One name cannot be two hosts. Two labels for one host are fine."""
    owners: dict[bytes, Peer] = {}
    for peer in peers:
        for name in peer.lookups:
            other = owners.setdefault(name, peer)
            if set(other.blobs) != set(peer.blobs):
                raise _invalid(name.decode(), f"is a name of {other.label} and of {peer.label}, which differ in keys.")


def authorities_of(given: Iterable[Mapping[str, Any]]) -> tuple[Authority, ...]:
    """Authorities from a module's parameters. Raises Refused(VALUE_INVALID, PUBLIC_KEY_INVALID)."""
    found = []
    for one in given:
        patterns = tuple(pattern.strip() for pattern in one["patterns"])
        wrong = [pattern for pattern in patterns if not _PATTERN.fullmatch(pattern)]
        if wrong or not patterns:
            raise _invalid("certificate_authorities", f"{', '.join(wrong) or 'nothing'} is no pattern for host names.")
        found.append(Authority(patterns, parse_public(one["key"])))
    return tuple(found)


def _invalid(subject: str, message: str) -> Refused:
    return Refused("VALUE_INVALID", subject, message, "Correct what was given.")
