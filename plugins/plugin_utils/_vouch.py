# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gets the host key of a host that the controller does not know, when an operator vouches for its fingerprint.

ssh itself asks for the key and verifies that the other side holds its private half. Nothing is offered but the name
of a user, and that only to the host that was vouched for.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.keys import (
    PublicKey,
    fingerprint,
    fingerprint_matches,
    parse_public,
)
from ansible_collections.kvmops.mobility.plugins.plugin_utils import _voucher
from ansible_collections.kvmops.mobility.plugins.plugin_utils._verifying import Route, probe

_ALGORITHMS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521",
    "rsa-sha2-512,rsa-sha2-256",
)
"""One type of host key after the other: an operator may have read the fingerprint of any."""
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}=?")


@dataclass(frozen=True)
class Offer:
    """A host key, and the name ssh looks it up by (with brackets and the port where it is not 22)."""

    key: PublicKey
    name: str


def require_fingerprint(text: str, where: str) -> str:
    """*text* as a fingerprint. Raises Refused(VALUE_INVALID)."""
    found = str(text).strip()
    if not _FINGERPRINT.fullmatch(found):
        raise Refused(
            "VALUE_INVALID",
            "fingerprints",
            f"{found!r} of {where} is no SHA256 fingerprint.",
            "Give what ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub prints on its console: SHA256:...",
        )
    return found.rstrip("=")


def vouched(path: Route, wanted: str, where: str) -> Offer:
    """The key that has the fingerprint *wanted*. Raises Refused: HOST_KEY_NOT_VOUCHED, SSH_UNREACHABLE."""
    offered: dict[str, Offer] = {}
    said = ""
    for algorithms in _ALGORITHMS:
        offers, words = _offers(path, wanted, algorithms)
        said = words or said
        for offer in offers:
            if fingerprint_matches(wanted, offer.key):
                return offer
            offered[fingerprint(offer.key)] = offer
    if offered:
        raise _not_vouched(where, wanted, list(offered.values()))
    raise Refused(
        "SSH_UNREACHABLE",
        where,
        f"it offered the controller no host key: {' '.join(said.split()) or 'no answer in time'}.",
        "See that its sshd answers, and that ssh here is OpenSSH 8.5 or later.",
    )


def _not_vouched(where: str, wanted: str, offers: Sequence[Offer]) -> Refused:
    shown = ", ".join(f"{fingerprint(one.key)} ({one.key.type})" for one in offers)
    return Refused(
        "HOST_KEY_NOT_VOUCHED",
        where,
        f"what answers there has {shown}, and you vouched for {wanted}. Nothing was believed and nothing was changed.",
        "Read the fingerprint on the host's own console. If it is another one, something else answers at its address.",
    )


def _offers(path: Route, wanted: str, algorithms: str) -> tuple[list[Offer], str]:
    """What the other side offers of these types, and what ssh said."""
    with tempfile.TemporaryDirectory(prefix="kvmops-vouch-") as scratch:
        notes = os.path.join(scratch, "offered")
        words = [sys.executable, "-I", os.path.abspath(_voucher.__file__), notes, wanted]
        command = " ".join([*(_quoted(word) for word in words), "%f", "%t", "%K", "%H"])
        done = probe(
            path,
            *("-o", f"KnownHostsCommand={command}"),
            *("-o", f"HostKeyAlgorithms={algorithms}"),
            *("-o", "UserKnownHostsFile=/dev/null", "-o", "GlobalKnownHostsFile=/dev/null"),
        )
        return list(_read(notes)), done.stderr if done else ""


def _quoted(word: str) -> str:
    """A word of a command in ssh's configuration, where a per cent sign begins a token."""
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"'


def _read(path: str) -> Iterator[Offer]:
    if not os.path.exists(path):
        return
    with open(path, encoding="ascii") as handle:
        for line in handle:
            _fingerprint, kind, key, name = line.split()
            yield Offer(parse_public(f"{kind} {key}"), name)
