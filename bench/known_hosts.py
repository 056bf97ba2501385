# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long an audit of many peers takes in a large known_hosts file whose names are all hashed.

Each hashed line has a salt of its own, so a name is found in it only by computing one HMAC for each pair. An audit is
quick for lines with a key of one of the peers, since their names are tried first. Lines with keys of nobody we know
have to be held against every name: the last cases show what that costs. ssh-keygen -R in a loop, which is what people
do by hand, stands beside it.

Run as make bench BENCH=known_hosts. Judge by CPU seconds and ratios when the machine has other work.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import multiprocessing
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._ssh import hashing
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.keys import PublicKey
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.known_hosts import hash_name, parse
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.known_hosts_plan import State, Wish, plan
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.peers import Peer

LINES = 50_000
PEERS = 1_000
LIMIT_S = 5.0
OUTPUT = Path(__file__).resolve().parent.parent / "tests/output/bench/known_hosts.json"
_KINDS = (("ssh-ed25519", (32,)), ("ssh-rsa", (3, 257)), ("ecdsa-sha2-nistp256", (8, 65)))


@dataclass(frozen=True)
class Case:
    """A file and what is asked of it."""

    name: str
    foreign: int
    """Lines with keys that no peer has."""
    names: int
    """Names of each peer."""
    lines: int = LINES
    peers: int = PEERS

    @property
    def pairs(self) -> int:
        """HMACs that the foreign lines cost."""
        return self.foreign * self.names * self.peers


CASES = (
    Case("all lines are the peers', 4 names each", 0, 4),
    Case("all lines are the peers', 1 name each", 0, 1),
    Case("1 line in 100 is of others, 4 names each", 500, 4),
    Case("1 line in 25 is of others, 1 name each", 2_000, 1),
    Case("all lines are of others, 1 name each (a fiftieth of it)", 1_000, 1, lines=1_000),
)


def key(number: int, kind: str, sizes: tuple[int, ...]) -> PublicKey:
    """A well-formed key that nobody has."""
    stream = hashlib.shake_256(f"{kind} {number}".encode())
    strings = [kind.encode(), *(stream.digest(size) for size in sizes)]
    blob = b"".join(len(one).to_bytes(4, "big") + one for one in strings)
    return PublicKey(kind, base64.b64encode(blob).decode("ascii"))


def peer(number: int, names: int) -> Peer:
    """A host with three keys, and up to four names."""
    known = (
        f"node{number}.example.com",
        f"node{number}",
        f"10.1.{number // 250}.{number % 250}",
        f"2001:db8::1:{number:x}",
    )
    return Peer(f"node{number}", known[:names], keys=tuple(key(number, *kind) for kind in _KINDS))


def lines(case: Case, peers: list[Peer]) -> Iterator[bytes]:
    """Each peer's keys under its names again and again, as in files that were merged, then the keys of others."""
    dice = random.Random(case.name)
    wanted = case.lines - case.foreign
    for at in range(wanted):
        one = peers[at % len(peers)]
        turn = at // len(peers)
        blob = one.keys[turn % len(one.keys)]
        name = one.lookups[turn // len(one.keys) % len(one.lookups)]
        yield b"%b %b\n" % (hash_name(name, dice.randbytes(20)), blob.line.encode())
    for at in range(case.foreign):
        blob = key(PEERS + at, *_KINDS[at % len(_KINDS)])
        yield b"%b %b\n" % (hash_name(f"other{at}.example.org".encode(), dice.randbytes(20)), blob.line.encode())


def cpu_s() -> float:
    """CPU seconds of this process and its children so far."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in spent)


def audit(case: Case, path: Path) -> dict[str, Any]:
    """One audit, with what it took."""
    wish = Wish(tuple(peer(number, case.names) for number in range(case.peers)), state=State.AUDIT)
    began, spent = time.monotonic(), cpu_s()
    found = plan(parse(path.read_bytes()), str(path), wish, hashing.match)
    return {
        "seconds": round(time.monotonic() - began, 2),
        "cpu_seconds": round(cpu_s() - spent, 2),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "findings": len(found.findings),
    }


def apart(case: Case, path: Path) -> dict[str, Any]:
    """The audit in a process of its own, so that its memory is its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        result: dict[str, Any] = pool.apply(_apart, (case, str(path)))
    return result


def _apart(case: Case, path: str) -> dict[str, Any]:
    multiprocessing.current_process().daemon = False  # it has children
    return audit(case, Path(path))


def by_hand(case: Case, path: Path, times: int) -> dict[str, Any]:
    """ssh-keygen -R for *times* of the names, extrapolated to all of them."""
    peers = [peer(number, case.names) for number in range(0, case.peers, max(1, case.peers // times))][:times]
    began, spent = time.monotonic(), cpu_s()
    for one in peers:
        subprocess.run(["ssh-keygen", "-R", one.names[0], "-f", path], check=False, capture_output=True)
    names = case.peers * case.names
    return {
        "names_measured": len(peers),
        "names": names,
        "seconds_extrapolated": round((time.monotonic() - began) / len(peers) * names, 1),
        "cpu_seconds_extrapolated": round((cpu_s() - spent) / len(peers) * names, 1),
    }


def measure(case: Case, scratch: Path, times: int) -> dict[str, Any]:
    """A case with its file made, and the file taken away again."""
    path = scratch / "known_hosts"
    path.write_bytes(b"".join(lines(case, [peer(number, case.names) for number in range(case.peers)])))
    size = path.stat().st_size
    ours = apart(case, path)
    theirs = by_hand(case, path, times)
    ratio = theirs["cpu_seconds_extrapolated"] / max(ours["cpu_seconds"], 0.01)
    return {
        **asdict(case),
        "pairs": case.pairs,
        "file_mib": round(size / 2**20, 1),
        "audit": ours,
        "ssh_keygen_R": theirs,
        "ratio_cpu": round(ratio, 1),
    }


def text(results: list[dict[str, Any]]) -> str:
    """The table for people."""
    title = f"known_hosts: audit of {PEERS} peers"
    head = f"{title:58} {'lines':>6} {'s':>7} {'CPU s':>7} {'MiB':>6} {'ssh-keygen -R':>14}"
    rows = [
        f"{one['name']:58} {one['lines']:6} {one['audit']['seconds']:7.2f} {one['audit']['cpu_seconds']:7.2f} "
        f"{one['audit']['peak_mib']:6.0f} {one['ssh_keygen_R']['cpu_seconds_extrapolated']:8.0f} CPU s"
        for one in results
    ]
    return "\n".join([head, *rows])


def main() -> int:
    """Measure, write the result as JSON, show it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--loops", type=int, default=3, help="how often ssh-keygen -R is run for each case")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="bench."))
    try:
        results = [measure(case, scratch, options.loops) for case in CASES]
    finally:
        shutil.rmtree(scratch)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    data = {
        "processors": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        "limit_s": LIMIT_S,
        "within_limit": all(one["audit"]["seconds"] < LIMIT_S for one in results if not one["foreign"]),
        "cases": results,
    }
    options.output.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    print(text(results))
    print(f"{data['processors']} processors, load {data['load']:.1f}; ssh-keygen -R extrapolated; {options.output}")
    return 0 if data["within_limit"] else 1


if __name__ == "__main__":
    sys.exit(main())
