# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A user's authorized_keys: our lines are kept as they should be, every other byte stays. The edit is pure.

A line is ours when its comment says so: C(kvmops.mobility:NAME), where NAME is the host whose key it is.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import NotFound, Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect, Plan
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh import account as accounts
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.keys import parse_public

FILE = "authorized_keys"
AUTHORITY = "@ca"
"""In the place of a host's name; no host is called so."""
_MODE = 0o600
_OURS = re.compile(rb"[ \t]kvmops\.mobility:(?P<name>[^\s]+)[ \t]*\r?\n?\Z")
_NAME = re.compile(r"[^\s]+")
_ADDRESS = re.compile(r"[0-9A-Fa-f.:]+(/\d+)?")


_MAY = 'restrict,port-forwarding,permitlisten="none.invalid:1"'
"""Run programs and forward what a mirror needs, a UNIX socket there; no port is listened on there.

The list cannot be empty, and is compared by its letters: nobody has that name. With permitopen, the list of what may be
connected to, sshd (10.0) refuses sockets too, and a mirror with them; sshd_config alone could tell ports from sockets.
"""


def options(addresses: Sequence[str]) -> str:
    """What the holder of a key may do: run programs and forward connections to there, from these addresses only."""
    return f'{_MAY},from="{",".join(addresses)}"'


def line(name: str, key: str, addresses: Sequence[str]) -> bytes:
    """One line of ours. Raises Refused: PUBLIC_KEY_INVALID, VALUE_INVALID for what would not stay in its place."""
    wrong = [one for one in addresses if not _ADDRESS.fullmatch(one)]
    if wrong or not addresses or not _NAME.fullmatch(name):
        raise Refused(
            "VALUE_INVALID",
            name,
            f"its key would be let in from {', '.join(wrong) or 'nowhere'}.",
            "Give its addresses as numbers.",
        )
    return f"{options(addresses)} {parse_public(key).line} kvmops.mobility:{name}\n".encode()


def authority_line(key: str, principal: str) -> bytes:
    """Lets in whoever *key* certifies as *principal*; the certificate says from where."""
    return (
        f'cert-authority,{_MAY},principals="{principal}" {parse_public(key).line} kvmops.mobility:{AUTHORITY}\n'
    ).encode()


def edited(data: bytes, wanted: Mapping[str, bytes], absent: Sequence[str], purge: bool = False) -> bytes:
    """*data* with the *wanted* lines, by name, and without those of *absent*; with *purge*, no other of ours."""
    gone = {name.encode() for name in absent}
    waiting = {name.encode(): text for name, text in wanted.items()}
    kept = b"".join(_kept(data, waiting, gone, purge))
    joint = b"\n" if waiting and kept and not kept.endswith(b"\n") else b""
    return kept + joint + b"".join(waiting.values())


def _kept(data: bytes, waiting: dict[bytes, bytes], gone: set[bytes], purge: bool) -> list[bytes]:
    known = set(waiting)
    lines = []
    for text in data.splitlines(keepends=True):
        found = None if text.lstrip().startswith(b"#") else _OURS.search(text)
        name = found.group("name") if found else b""
        if name in known:
            lines.append(waiting.pop(name, b""))  # a second one of the same host goes
        elif not found or not (purge or name in gone):
            lines.append(text)
    return lines


def plan(context: Context) -> Plan:
    """Put the lines of O(keys) there, and take those of O(absent) out."""
    params = context.params
    wanted = {one["name"]: line(one["name"], one["key"], one["addresses"]) for one in params["keys"] if one["key"]}
    if params["authority"]:
        wanted[AUTHORITY] = authority_line(params["authority"], params["principal"])
    try:
        owner = accounts.account(params["user"])
    except NotFound:
        if not context.check:
            raise
        text = b"".join(wanted.values()).decode()
        return Plan((Effect("write", f"write {FILE} of {params['user']}", lambda: None),), before="", after=text)
    before = accounts.read(owner, FILE)
    after = edited(before or b"", wanted, params["absent"], params["purge"])
    return Plan(
        effects=tuple(_effects(owner, before, after)),
        result={"path": os.path.join(owner.ssh, FILE)},
        before=(before or b"").decode("utf-8", "backslashreplace"),
        after=after.decode("utf-8", "backslashreplace"),
    )


def _effects(owner: accounts.Account, before: bytes | None, after: bytes) -> Iterator[Effect]:
    path = os.path.join(owner.ssh, FILE)
    if not after and before is None:
        return
    if not accounts.fits(owner.ssh, accounts.DIRECTORY_MODE, owner.uid):
        yield Effect("directory", f"make {owner.ssh}", lambda: accounts.make_directory(owner))
    # sshd reads a file that root owns too, so only a mode or owner it would refuse is put right.
    if before != after or _refused(path, owner.uid):
        yield Effect("write", f"write {path}", lambda: accounts.write(owner, FILE, after, _MODE))


def _refused(path: str, uid: int) -> bool:
    return os.lstat(path).st_uid not in (0, uid) or accounts.is_open_to_others(path)
