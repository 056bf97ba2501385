# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A known_hosts file as lines that keep every byte, and the question which of them ssh would use for a name.

The rules are those of OpenSSH's hostfile.c and match.c, its oddities included: a tool that reads the file in another
way than ssh mends lines that ssh does not see, and overlooks lines that it does.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.keys import blob_problem, knows_type

CERT_AUTHORITY = b"@cert-authority"
REVOKED = b"@revoked"
_BLANK = b" \t"
_PATTERN_BYTES = 1023
"""From this length on, ssh takes a pattern for one that matches nothing, and with it its whole line."""
_BLOCK_BYTES = 64


class Line(NamedTuple):
    """One line. *raw* is all of it with its end; the rest is what ssh reads in it."""

    raw: bytes
    hosts: bytes = b""
    """Empty when ssh uses the line for no host: a comment, a blank, or too damaged to be read."""
    marker: bytes = b""
    type: bytes = b""
    blob: bytes = b""
    """The key's base64 text."""
    problem: str = ""
    """Why ssh cannot use the line, empty when it can or when there is nothing to use."""

    @property
    def is_hashed(self) -> bool:
        """Whether it hides its host name."""
        return self.hosts.startswith(b"|")

    @property
    def has_patterns(self) -> bool:
        """Whether its host names are more than names, or too long for ssh."""
        return not self.is_hashed and (len(self.hosts) >= _PATTERN_BYTES or _PATTERNS.search(self.hosts) is not None)

    def with_hosts(self, hosts: bytes) -> bytes:
        """Its bytes with other host names."""
        start = self.raw.index(self.hosts, self.raw.index(self.marker) + len(self.marker))
        return self.raw[:start] + hosts + self.raw[start + len(self.hosts) :]


_PATTERNS = re.compile(rb"[*?!]")


@dataclass(frozen=True)
class KnownHosts:
    """A file. Line numbers begin at 1, as ssh counts."""

    lines: tuple[Line, ...]

    def render(self) -> bytes:
        """The file's bytes."""
        return b"".join(line.raw for line in self.lines)

    @property
    def ending(self) -> bytes:
        """How its lines end, for new ones: as the last line that has an end."""
        for line in reversed(self.lines):
            if line.raw.endswith(b"\n"):
                return b"\r\n" if line.raw.endswith(b"\r\n") else b"\n"
        return b"\n"

    def find(self, name: str) -> tuple[int, ...]:
        """Numbers of the lines that are for *name* (C([name]:port) for a port other than 22), as ssh-keygen -F."""
        wanted = lookup_bytes(name)
        return tuple(number for number, line in enumerate(self.lines, 1) if matches(line, wanted))


def parse(data: bytes) -> KnownHosts:
    """The model of any bytes at all; C(render()) gives the same bytes back."""
    # Only \n ends a line for ssh; bytes.splitlines() also splits at a lone \r.
    raws = data.split(b"\n")
    last = raws.pop()
    lines = [parse_line(raw + b"\n") for raw in raws]
    return KnownHosts(tuple([*lines, parse_line(last)] if last else lines))


def parse_line(raw: bytes) -> Line:
    """Read one line as ssh does."""
    text = raw.rstrip(b"\n").lstrip(_BLANK)
    if not text or text.startswith(b"#") or not text.strip():
        return Line(raw)
    marker, text = _marker(text)
    if marker is None:
        return Line(raw, problem="its marker is none that ssh knows")
    hosts, rest = _word(text)
    kind, rest = _word(rest)
    blob = _word(rest)[0].rstrip(b"\r")
    if len(kind) < 2 or kind.startswith(b"#") or not blob or blob.startswith(b"#"):
        return Line(raw, problem="it has no key")
    if hosts.startswith(b"|") and not _HASHED.fullmatch(hosts):
        return Line(raw, problem="its hashed name is damaged")
    return Line(raw, hosts, marker, _shared(kind), blob, _problem(kind, blob))


@lru_cache(maxsize=64)
def _shared(kind: bytes) -> bytes:
    """One object for each key type instead of one for each line."""
    return kind


@lru_cache(maxsize=4096)
def _problem(kind: bytes, blob: bytes) -> str:
    return blob_problem(kind, blob)


_WORD = re.compile(rb"[ \t]*([^ \t]*)[ \t]*(.*)", re.DOTALL)


def _word(text: bytes) -> tuple[bytes, bytes]:
    """The first word, and what comes after the blanks that follow it."""
    found = _WORD.fullmatch(text)
    return (found[1], found[2]) if found else (b"", b"")


def _marker(text: bytes) -> tuple[bytes | None, bytes]:
    """The marker, None for one that ssh does not know, and the rest. ssh looks for a space first, then for a tab."""
    if not text.startswith(b"@"):
        return b"", text
    end = text.find(b" ")
    end = end if end >= 0 else text.find(b"\t")
    marker = text[: max(end, 0)]
    rest = text[max(end, 0) :].lstrip(_BLANK)
    if marker not in (CERT_AUTHORITY, REVOKED) or rest.startswith(b"@"):
        return None, text
    return marker, rest


# --- names -------------------------------------------------------------------------------------------------------


def lookup_bytes(name: str) -> bytes:
    """What ssh compares with the file: it lowers the name first."""
    return name.encode("utf-8", "surrogateescape").lower()


def matches(line: Line, name: bytes) -> bool:
    """Whether *line* is for *name*, which is in lower case. Where the key is damaged it is, but of no use to ssh."""
    if not line.hosts or not knows_type(line.type):
        return False
    if line.is_hashed:
        return match_hashes([(line.hosts, (name,))], ())[0] is not None
    return match_list(line.hosts, name) > 0


def match_list(hosts: bytes, name: bytes) -> int:
    """1: a name or pattern of the list fits; -1: a negated one does, and the line is not for *name*; 0: none."""
    found = 0
    for element in hosts.split(b","):
        negated = element.startswith(b"!")
        pattern = element[negated:]
        if len(pattern) >= _PATTERN_BYTES:
            return 0
        if glob(pattern.lower()).fullmatch(name):
            if negated:
                return -1
            found = 1
    return found


@lru_cache(maxsize=1024)
def glob(pattern: bytes) -> re.Pattern[bytes]:
    """C(*) and C(?), nothing else. Each star takes the shortest stretch once and for all, so it cannot run away."""
    first, *others = (b".".join(map(re.escape, part.split(b"?"))) for part in re.split(rb"\*+", pattern))
    if not others:
        return re.compile(first, re.DOTALL)
    *middle, last = others
    held = b"".join(b"(?=(.*?%b))\\%d" % (part, number) for number, part in enumerate(middle, 1))
    return re.compile(first + held + b".*" + last, re.DOTALL)


def without(hosts: bytes, names: Iterable[bytes]) -> bytes:
    """The list without those *names* (in lower case); everything else in it as it was. Empty when no name is left."""
    gone = set(names)
    kept = [one for one in hosts.split(b",") if one.lower() not in gone]
    return b",".join(kept) if any(kept) else b""


# --- hashed names ------------------------------------------------------------------------------------------------


def _sha1(data: bytes) -> Any:
    # The file's format asks for SHA-1; a host in FIPS mode gives it for what is no security.
    return hashlib.sha1(data, usedforsecurity=False)


_HASHED = re.compile(rb"\|1\|([A-Za-z0-9+/]{26}[AEIMQUYcgkosw048]=)\|([A-Za-z0-9+/]{26}[AEIMQUYcgkosw048]=)")
"""Salt and digest, 20 bytes each. ssh compares the text, so only base64 in its one proper form can be found."""


def _hash_text(salt: bytes, digest: bytes) -> bytes:
    return b"|1|" + base64.b64encode(salt) + b"|" + base64.b64encode(digest)


_INNER = bytes(one ^ 0x36 for one in range(256))
_OUTER = bytes(one ^ 0x5C for one in range(256))


def _keyed(salt: bytes) -> tuple[Any, Any]:
    """HMAC's two halves with the key already in them, to be copied for each message."""
    padded = salt.ljust(_BLOCK_BYTES, b"\0")
    return _sha1(padded.translate(_INNER)), _sha1(padded.translate(_OUTER))


def hash_name(name: bytes, salt: bytes) -> bytes:
    """The hashed form of a name; *salt* is 20 random bytes."""
    inner, outer = _keyed(salt)
    inner.update(name)
    outer.update(inner.digest())
    return _hash_text(salt, outer.digest())


Question = tuple[bytes, Sequence[bytes]]
"""A hashed host field, and the names that it most likely hides."""


def match_hashes(questions: Sequence[Question], names: Sequence[bytes]) -> list[bytes | None]:
    """For each question the name it hides: one of its likely ones, else one of *names*, else None.

    Every salt is another, so nothing can be looked up: this costs one HMAC for each line and name, about a
    microsecond. Only the likely names make it cheap, for a line is done when its name is found.
    """
    return [_hidden(hosts, likely, names) for hosts, likely in questions]


def _hidden(hosts: bytes, likely: Sequence[bytes], names: Sequence[bytes]) -> bytes | None:
    parts = _HASHED.fullmatch(hosts)
    if parts is None:
        return None
    salt, digest = binascii.a2b_base64(parts[1]), binascii.a2b_base64(parts[2])
    found = _first(salt, digest, likely) if likely else None
    return _first(salt, digest, names) if found is None and names else found


def _first(salt: bytes, digest: bytes, names: Sequence[bytes]) -> bytes | None:
    """HMAC by hand: a fifth of what Python's hmac takes, for the key's half is done once for each line."""
    inner, outer = _keyed(salt)
    inner_copy, outer_copy = inner.copy, outer.copy
    for name in names:
        one = inner_copy()
        one.update(name)
        other = outer_copy()
        other.update(one.digest())
        if other.digest() == digest:
            return name
    return None


def entries(model: KnownHosts) -> Iterator[tuple[int, Line]]:
    """The lines that ssh uses for some host, each with its number."""
    return ((number, line) for number, line in enumerate(model.lines, 1) if line.hosts)
