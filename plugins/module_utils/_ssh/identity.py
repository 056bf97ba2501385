# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The key pair by which a user of this host is known to others: made once, and anew only when asked.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._command import run
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import CommandFailed, NotFound, Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect, Plan
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh import account as accounts
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.account import Account
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.keys import fingerprint, parse_public

NAME = "id_ed25519"
"""The name ssh looks for by itself, so that Nova and libvirt use it without being told."""
_PRIVATE_MODE = 0o600
_PUBLIC_MODE = 0o644
_TIMEOUT_S = 30


@dataclass(frozen=True)
class Identity:
    """What root uses to log in elsewhere in the place of a user. Empty paths: what root's ssh uses by itself."""

    identity_file: str = ""
    known_hosts_file: str = ""


def of(user: str, identity_file: str | None, known_hosts_file: str | None) -> Identity:
    """The files that were named; where none was, the key pair and known hosts of *user* here, if there is one."""
    if identity_file or known_hosts_file:
        return Identity(identity_file or "", known_hosts_file or "")
    try:
        home = accounts.account(user).ssh
    except NotFound:
        return Identity()
    key = os.path.join(home, NAME)
    return Identity(key, os.path.join(home, "known_hosts")) if os.path.isfile(key) else Identity()


def plan(context: Context) -> Plan:
    """Directory, key pair and modes of O(user); its public key is in the result."""
    name = context.params["user"]
    try:
        owner = accounts.account(name)
    except NotFound:
        if not context.check:
            raise
        # It would have been made by an earlier task.
        return Plan((Effect("key_pair", f"make a key pair for {name}", lambda: None),), result=_told(name, "", ""))
    public = _public(owner)
    make = public == "" or context.params["rotate"]
    return Plan(
        effects=tuple(_effects(owner, make)),
        result={**_told(name, owner.home, public), "certificate": _certificate(owner)},
        before={"fingerprint": _fingerprint(public)},
        after={"fingerprint": "(a new key)" if make else _fingerprint(public)},
    )


def _told(name: str, home: str, public: str) -> dict[str, Any]:
    return {
        "user": name,
        "home": home,
        "public_key": public,
        "fingerprint": _fingerprint(public),
        "identity_file": os.path.join(home, ".ssh", NAME) if home else "",
        "known_hosts_file": os.path.join(home, ".ssh", "known_hosts") if home else "",
    }


def _certificate(owner: Account) -> str:
    """The certificate that is beside the key; empty without one."""
    return (accounts.read(owner, f"{NAME}-cert.pub") or b"").decode("utf-8", "replace").strip()


def _fingerprint(public: str) -> str:
    return fingerprint(parse_public(public)) if public else ""


def _public(owner: Account) -> str:
    """The public key as type and blob; empty when there is no pair. Raises Refused(IDENTITY_UNREADABLE)."""
    private = accounts.read(owner, NAME)
    if private is None:
        return ""
    told = accounts.read(owner, f"{NAME}.pub")
    if told is not None:
        return parse_public(told.decode("utf-8", "replace")).line
    try:
        said = run(["ssh-keygen", "-y", "-P", "", "-f", os.path.join(owner.ssh, NAME)], timeout_s=_TIMEOUT_S).stdout
    except CommandFailed as error:
        raise Refused(
            "IDENTITY_UNREADABLE",
            os.path.join(owner.ssh, NAME),
            f"is no key that can be used without a passphrase, and its public half is not there: {error.message}",
            "Put the public half beside it, or move both away and run it again.",
        ) from None
    return parse_public(said).line


def _effects(owner: Account, make: bool) -> Iterator[Effect]:
    if accounts.is_open_to_others(owner.home):
        yield Effect(
            "home", f"take the right to write to {owner.home} from others", lambda: accounts.close_to_others(owner.home)
        )
    if not accounts.fits(owner.ssh, accounts.DIRECTORY_MODE, owner.uid):
        yield Effect("directory", f"make {owner.ssh} readable by {owner.name} alone", lambda: _directory(owner))
    if make:
        yield Effect("key_pair", f"make a key pair for {owner.name}", lambda: _make(owner))
    elif not accounts.fits(os.path.join(owner.ssh, NAME), _PRIVATE_MODE, owner.uid):
        yield Effect("key_mode", f"make the private key readable by {owner.name} alone", lambda: _protect(owner))


def _directory(owner: Account) -> None:
    accounts.make_directory(owner)


def _make(owner: Account) -> dict[str, Any]:
    """A new pair, made where only root looks, then put in place.

    Killed at any point, no public half stands beside a private one that it does not belong to: without one, it is told
    from the private half.
    """
    comment = f"{owner.name}@{socket.gethostname()}"
    with tempfile.TemporaryDirectory(prefix="kvmops-key-") as scratch:
        path = os.path.join(scratch, NAME)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path], timeout_s=_TIMEOUT_S)
        with open(path, "rb") as handle:
            private = handle.read()
        with open(f"{path}.pub", "rb") as handle:
            public = handle.read()
    accounts.remove(owner, f"{NAME}-cert.pub")  # of the key that goes
    accounts.remove(owner, f"{NAME}.pub")
    accounts.write(owner, NAME, private, _PRIVATE_MODE)
    accounts.write(owner, f"{NAME}.pub", public, _PUBLIC_MODE)
    line = parse_public(public.decode("ascii")).line
    return {"public_key": line, "fingerprint": _fingerprint(line), "certificate": ""}


def _protect(owner: Account) -> None:
    private = accounts.read(owner, NAME)
    if private is not None:
        accounts.write(owner, NAME, private, _PRIVATE_MODE)
