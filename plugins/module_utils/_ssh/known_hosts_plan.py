# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a known_hosts file, held against the true keys of peers, and the file as it should be.

Pure: bytes and truth in, findings and bytes out. A line is touched only for names of the peers; what is a matter of
judgement (patterns, duplicates, damaged lines) is reported and left alone, and a revoked key is never overridden.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.keys import fingerprint, fingerprint_of
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.known_hosts import (
    CERT_AUTHORITY,
    REVOKED,
    KnownHosts,
    Line,
    Question,
    entries,
    glob,
    hash_name,
    match_hashes,
    match_list,
    without,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.peers import Authority, Peer


class Class(enum.Enum):
    """The classes of findings."""

    MISSING = "missing"
    CHANGED = "changed"
    DUPLICATE = "duplicate"
    REVOKED = "revoked"
    WILDCARD = "wildcard"
    MALFORMED = "malformed"


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be."""

    file: str
    line: int
    """0 when no line is meant, as for a missing one."""
    kind: Class
    peer: str
    name: str
    message: str
    have: str = ""
    """Fingerprint in the file."""
    want: str = ""
    """Fingerprint of the true key."""

    def as_result(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "file": self.file,
            "line": self.line,
            "class": self.kind.value,
            "peer": self.peer,
            "name": self.name,
            "message": self.message,
            "have_fingerprint": self.have,
            "want_fingerprint": self.want,
        }


class State(enum.Enum):
    """What is asked."""

    PRESENT = "present"
    ABSENT = "absent"
    AUDIT = "audit"


Match = Callable[[Sequence[Question], Sequence[bytes]], "list[bytes | None]"]


@dataclass(frozen=True)
class Wish:
    """The truth, and what is to be done about it."""

    peers: tuple[Peer, ...]
    authorities: tuple[Authority, ...] = ()
    state: State = State.PRESENT
    add: bool = True
    """Also add what is missing."""
    salt: Callable[[], bytes] | None = None
    """Makes 20 random bytes; given when new names are to be hashed."""


@dataclass(frozen=True)
class Repair:
    """What was found, and the file's new bytes (the old ones when nothing is to be changed)."""

    findings: tuple[Finding, ...]
    data: bytes


class Hit(NamedTuple):
    """A line that is for a name of a peer."""

    number: int
    line: Line
    name: bytes
    exact: bool
    """By the name itself, plain or hashed, and not only by a pattern."""
    excluded: bool = False
    """A negated pattern takes the name out again: ssh does not use the line for it."""


def plan(model: KnownHosts, path: str, wish: Wish, match: Match = match_hashes) -> Repair:
    """Compare, and compute the new file.

    Raises Refused: HOST_KEY_REVOKED when a true key is revoked in the file, PEER_KEYS_MISSING when a peer is to be
    added of whom neither keys nor an authority are known.
    """
    desk = _Desk(model, path, wish, match)
    desk.judge()
    if wish.state is State.AUDIT:
        return Repair(desk.report(), model.render())
    if wish.state is State.PRESENT:
        desk.refuse()
    return Repair(desk.report(), desk.written())


@dataclass
class _Desk:
    """Where one file is worked on."""

    model: KnownHosts
    path: str
    wish: Wish
    match: Match
    owners: dict[bytes, Peer] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    held: dict[bytes, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    """Blobs under which ssh accepts a name already."""
    wrong: dict[int, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    """Names to take out, by line."""
    vouched: set[bytes] = field(default_factory=set)
    new: list[bytes] = field(default_factory=list)
    """Lines to add, without ends."""

    def judge(self) -> None:
        """Fill the desk."""
        self.owners = {name: peer for peer in self.wish.peers for name in peer.lookups}
        hits = locate(self.model, self.owners, self.match)
        self._malformed(hits)
        self._marked(hits)
        for hit in hits:
            if not hit.line.marker and not hit.line.problem:
                self._plain(hit)
        self._authorities()
        if self.wish.state is not State.ABSENT and self.wish.add:
            for peer in self.wish.peers:
                self._missing(peer)

    def report(self) -> tuple[Finding, ...]:
        """The findings in the order of the file, what is missing at the end."""
        return tuple(sorted(self.findings, key=lambda one: (one.line == 0, one.line)))

    def refuse(self) -> None:
        """A true key that is revoked is for people to decide about."""
        revoked = [one for one in self.report() if one.kind is Class.REVOKED]
        if revoked:
            first = revoked[0]
            raise Refused(
                "HOST_KEY_REVOKED",
                first.peer or first.name,
                f"{first.file}:{first.line}: {first.message}",
                "Nothing was changed. Make new host keys on that host, or take the @revoked line out by hand "
                "when it is wrong.",
                findings=[one.as_result() for one in self.report()],
            )

    def written(self) -> bytes:
        """The new file."""
        kept = [self._edited(number, line) for number, line in enumerate(self.model.lines, 1)]
        data = b"".join(kept)
        if not self.new:
            return data
        ending = self.model.ending
        if data and not data.endswith(b"\n"):
            data += ending
        return data + b"".join(line + ending for line in self.new)

    def _edited(self, number: int, line: Line) -> bytes:
        names = self.wrong.get(number)
        if not names:
            return line.raw
        hosts = b"" if line.is_hashed else without(line.hosts, names)
        return line.with_hosts(hosts) if hosts else b""

    def _say(self, kind: Class, hit: Hit, message: str, have: str = "", want: str = "") -> None:
        peer = self.owners[hit.name].label
        name = hit.name.decode("utf-8", "replace")
        self.findings.append(Finding(self.path, hit.number, kind, peer, name, message, have, want))

    def _malformed(self, hits: Iterable[Hit]) -> None:
        told = {hit.number: hit for hit in hits if hit.line.problem}
        for number, line in enumerate(self.model.lines, 1):
            message = f"ssh cannot use this line: {line.problem}. It was left alone."
            if number in told:
                self._say(Class.MALFORMED, told[number], message)
            elif line.problem:
                self.findings.append(Finding(self.path, number, Class.MALFORMED, "", "", message))

    def _marked(self, hits: Sequence[Hit]) -> None:
        """Revoked keys, then who is vouched for by an authority that is not revoked itself."""
        used = [hit for hit in hits if not hit.excluded and not hit.line.problem]
        revoked = {(hit.name, hit.line.blob) for hit in used if hit.line.marker == REVOKED}
        for hit in used:
            blob = hit.line.blob
            if hit.line.marker == REVOKED and blob in self.owners[hit.name].blobs:
                seen = fingerprint_of(blob)
                self._say(Class.REVOKED, hit, "a key that the peer really has is revoked here.", seen, seen)
            elif hit.line.marker == CERT_AUTHORITY and (hit.name, blob) not in revoked:
                self.vouched.add(hit.name)

    def _plain(self, hit: Hit) -> None:
        blobs = self.owners[hit.name].blobs
        if self.wish.state is State.ABSENT:
            self._leaving(hit)
        elif hit.line.blob in blobs:
            self._right(hit)
        elif blobs and not hit.excluded:
            self._contradicting(hit)

    def _leaving(self, hit: Hit) -> None:
        if hit.exact:
            self.wrong[hit.number].add(hit.name)
        elif not hit.excluded:
            have = fingerprint_of(hit.line.blob)
            self._say(Class.WILDCARD, hit, "a pattern here still has a key for it. It was left alone.", have)

    def _right(self, hit: Hit) -> None:
        held = self.held[hit.name]
        seen = fingerprint_of(hit.line.blob)
        if hit.excluded:
            message = "a negated pattern takes the name out of this line, which has its true key. It was left alone."
            self._say(Class.WILDCARD, hit, message, seen, seen)
        elif hit.exact and hit.line.blob in held:
            self._say(
                Class.DUPLICATE, hit, "an earlier line has this key for this name. It was left alone.", seen, seen
            )
        else:
            held.add(hit.line.blob)

    def _contradicting(self, hit: Hit) -> None:
        have, want = fingerprint_of(hit.line.blob), self._true(hit)
        kind = hit.line.type.decode("ascii", "replace")
        if hit.exact:
            self.wrong[hit.number].add(hit.name)
            self._say(Class.CHANGED, hit, f"the {kind} key here is not one of the peer's.", have, want)
        else:
            message = f"a pattern here gives the peer a {kind} key that it does not have. It was left alone."
            self._say(Class.WILDCARD, hit, message, have, want)

    def _true(self, hit: Hit) -> str:
        """The true key of the same type, else all of them."""
        keys = self.owners[hit.name].keys
        same = [key for key in keys if key.type.encode() == hit.line.type]
        return ", ".join(fingerprint(key) for key in same or keys)

    def _missing(self, peer: Peer) -> None:
        lookups = [name for name in peer.lookups if not (peer.certified and name in self.vouched)]
        if lookups and not peer.keys:
            self._without_keys(peer, lookups)
        for key, blob in zip(peer.keys, peer.blobs):
            names = [name for name in lookups if blob not in self.held[name]]
            for name in names:
                message = f"it has no line with the peer's {key.type} key."
                self._lacks(peer.label, name.decode("utf-8", "replace"), message, fingerprint(key))
            self.new += [hosts + b" " + key.line.encode() for hosts in self._hosts(names)]

    def _hosts(self, names: Sequence[bytes]) -> list[bytes]:
        salt = self.wish.salt
        if salt is not None:
            return [hash_name(name, salt()) for name in names]
        return [b",".join(names)] if names else []

    def _without_keys(self, peer: Peer, lookups: Sequence[bytes]) -> None:
        message = "its keys are not known and no certificate authority vouches for it."
        if self.wish.state is State.PRESENT:
            remedy = "Give its public keys or their authority; see kvmops.mobility.repair_trust."
            raise Refused("PEER_KEYS_MISSING", peer.label, message, remedy)
        for name in lookups:
            self._lacks(peer.label, name.decode("utf-8", "replace"), message, "")

    def _lacks(self, peer: str, name: str, message: str, want: str) -> None:
        self.findings.append(Finding(self.path, 0, Class.MISSING, peer, name, message, "", want))

    # --- certificate authorities ---

    def _authorities(self) -> None:
        for one in self.wish.authorities:
            lines = [(number, line) for number, line in entries(self.model) if line.blob == one.blob]
            ours = [(number, line) for number, line in lines if line.marker == CERT_AUTHORITY and not line.is_hashed]
            if self.wish.state is State.ABSENT:
                for number, _line in ours:
                    self.wrong[number] |= one.wanted
            elif not self._revoked(one, lines):
                self._wanted(one, [line for _number, line in ours])

    def _revoked(self, one: Authority, lines: Iterable[tuple[int, Line]]) -> bool:
        found = [number for number, line in lines if line.marker == REVOKED]
        seen = fingerprint(one.key)
        message = "the key of a certificate authority that was asked for is revoked here."
        for number in found:
            self.findings.append(
                Finding(self.path, number, Class.REVOKED, "", ",".join(one.patterns), message, seen, seen)
            )
        return bool(found)

    def _wanted(self, one: Authority, ours: Iterable[Line]) -> None:
        there = any(_covers(line, one.wanted) for line in ours)
        if not there and self.wish.add:
            message = "it has no line with this certificate authority."
            self._lacks("", ",".join(one.patterns), message, fingerprint(one.key))
            self.new.append(one.line.encode())
        if there or self.wish.add:
            hosts = b",".join(one.wanted)
            self.vouched |= {name for name in self.owners if match_list(hosts, name) > 0}


def _covers(line: Line, wanted: frozenset[bytes]) -> bool:
    """Whether the line says at least what is wanted, and excludes nothing else."""
    has = {element.lower() for element in line.hosts.split(b",")}
    return wanted <= has and {one for one in has if one.startswith(b"!")} <= wanted


# --- which lines are for which names -----------------------------------------------------------------------------


def locate(model: KnownHosts, owners: dict[bytes, Peer], match: Match = match_hashes) -> list[Hit]:
    """Every line that is for one of the names, in the order of the file."""
    names = tuple(owners)
    hits: list[Hit] = []
    hidden: list[tuple[int, Line]] = []
    for number, line in entries(model):
        if line.is_hashed:
            hidden.append((number, line))
        elif line.has_patterns:
            hits += _by_pattern(number, line, names)
        else:
            elements = dict.fromkeys(line.hosts.lower().split(b","))
            hits += [Hit(number, line, name, exact=True) for name in elements if name in owners]
    return sorted([*hits, *_hidden(hidden, owners, match)], key=lambda hit: hit.number)


def _by_pattern(number: int, line: Line, names: Iterable[bytes]) -> Iterator[Hit]:
    elements = line.hosts.lower().split(b",")
    fits = [glob(one) for one in dict.fromkeys(elements) if not one.startswith(b"!")]
    for name in names:
        if any(one.fullmatch(name) for one in fits):
            verdict = match_list(line.hosts, name)
            if verdict:
                yield Hit(number, line, name, exact=verdict > 0 and name in elements, excluded=verdict < 0)


def _hidden(hidden: Sequence[tuple[int, Line]], owners: dict[bytes, Peer], match: Match) -> list[Hit]:
    """The hashed lines: a key that is a peer's is most likely filed under that peer's names."""
    likely: dict[bytes, tuple[bytes, ...]] = defaultdict(tuple)
    for peer in dict.fromkeys(owners.values()):
        for blob in peer.blobs:
            likely[blob] += peer.lookups
    questions = [(line.hosts, likely.get(line.blob, ())) for _number, line in hidden]
    found = match(questions, tuple(owners))
    return [Hit(number, line, name, exact=True) for (number, line), name in zip(hidden, found) if name is not None]
