# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a link carries: about a second of random data through ssh, timed by the one who receives it.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import IO

from ansible_collections.kvmops.mobility.plugins.module_utils._command import run
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import CommandFailed, TimedOut
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import SpeedFacts
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer.rsync import Peer, ssh_argv

MIB = 2**20
MOST_BYTES = 64 * MIB
_BLOCK = MIB
_ONE_S = 12.0
"""Login included."""
_ALL_S = 20.0
"""Peers that are not come to in that time are left out."""
_TOO_MANY = "there were too many to measure all of them"
_RECEIVER = """
import os, time
got, begun, since, last = 0, None, None, None
while True:
    data = os.read(0, 65536)
    if not data:
        break
    last = time.monotonic()
    begun = last if begun is None else begun
    got += len(data)
    if since is None:
        if got >= %(skip)d or last - begun >= %(skip_s)s:
            since, got = last, 0
    elif last - since >= %(seconds)s:
        break
print(got, 0.0 if since is None else last - since)
"""
_LEFT_OUT = {"skip": MIB, "skip_s": 0.5, "seconds": 1.0}
"""What comes first says little: limits of links let a burst through. Then a second is enough."""


def measure(peers: Sequence[tuple[str, Peer]], monotonic: Callable[[], float]) -> dict[str, SpeedFacts]:
    """What the way to each of *peers* carries, by name: one after the other, for they share a link."""
    if not peers:
        return {}
    try:
        noise = _noise()
    except OSError as error:  # a forecast is not worth a move that fails for want of space
        why = f"what is sent for it cannot be written: {error.strerror or error}"
        return {name: SpeedFacts(None, why) for name, _peer in peers}
    began = monotonic()
    found = {}
    with noise:
        for name, peer in peers:
            late = monotonic() - began >= _ALL_S
            found[name] = SpeedFacts(None, _TOO_MANY) if late else _one(peer, noise)
    return found


def _noise() -> IO[bytes]:
    """A file that nothing on the way can make smaller. Raises OSError."""
    with ExitStack() as left:
        noise = left.enter_context(tempfile.TemporaryFile())
        block = os.urandom(_BLOCK)
        for _number in range(MOST_BYTES // _BLOCK):
            noise.write(block)
        noise.flush()
        left.pop_all()
        return noise


def _one(peer: Peer, noise: IO[bytes]) -> SpeedFacts:
    noise.seek(0)
    receive = shlex.join(["python3", "-c", _RECEIVER % _LEFT_OUT])
    try:
        said = run((*ssh_argv(peer), f"{peer.user}@{peer.address}", receive), timeout_s=_ONE_S, stdin=noise).stdout
    except TimedOut:
        return SpeedFacts(None, f"ssh did not end within {_ONE_S:.0f} s")
    except CommandFailed as error:
        return SpeedFacts(None, " ".join(error.message.split()))
    bytes_s = parse(said)
    return SpeedFacts(bytes_s, "" if bytes_s else "the other side did not say what it got")


def parse(said: str) -> int | None:
    """Bytes a second by the last line of what the receiver says; None when it says something else."""
    words = said.strip().splitlines()[-1].split() if said.strip() else []
    try:
        got, seconds = int(words[0]), float(words[1])
    except (IndexError, ValueError):
        return None
    return int(got / seconds) if got > 0 and seconds > 0 else None
