# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether to compress on the wire: what was measured, and what follows from it. The rule is pure.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import os
import re
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ansible_collections.kvmops.mobility.plugins.module_utils._command import run
from ansible_collections.kvmops.mobility.plugins.module_utils._disk import digest
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import CommandFailed, TimedOut
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer.rsync import Peer, ssh_argv

MIB = 2**20
LINK_MOST_MIB_S = 2e9 / 8 / MIB
"""Up to 2 Gbit/s zstd on one core is faster than the link; above, it is what everything waits for (measured)."""
SHRINKS_LEAST = 0.9
"""Data that keeps more than this share of its size is sent as it is."""
_PROBE_BYTES = 8 * MIB
_PROBE_S = 4.0
"""Login included. A link that takes longer for so little is slow, whatever its speed."""
_ANSWER_S = 20.0
_SAMPLE_BYTES = 65536
_SAMPLES = 64
_COPIED = re.compile(r"copied, ([\d.]+(?:e-?\d+)?) s")


@dataclass(frozen=True)
class Measured:
    """What the probe found."""

    link_mib_s: float | None
    """None: it could not be measured."""
    shrinks_to: float | None
    """The share that is left of samples of the images; None: they hold nothing."""


@dataclass(frozen=True)
class Wire:
    """How the copy goes over the wire, and why."""

    compress: bool
    why: str


def decide(found: Measured, limit_mib_s: int = 0) -> Wire:
    """zstd where the link is what the copy waits for, and where it has something to win; never zlib.

    A limit in MiB/s (0 for none) makes any link a slow one.
    """
    if found.link_mib_s is None:
        return Wire(False, "not compressed: the link could not be measured")
    if found.shrinks_to is None or found.shrinks_to > SHRINKS_LEAST:
        kept = "hold nothing" if found.shrinks_to is None else f"keep {found.shrinks_to:.0%} of their size"
        return Wire(False, f"not compressed: samples of the images {kept}")
    link = min(found.link_mib_s, limit_mib_s or found.link_mib_s)
    limited = ", as it is limited," if link < found.link_mib_s else ""
    if link > LINK_MOST_MIB_S:
        return Wire(False, f"not compressed: the link carries {link:.0f} MiB/s, more than zstd does")
    samples = f"samples of the images shrink to {found.shrinks_to:.0%}"
    return Wire(True, f"zstd: the link carries {link:.0f} MiB/s{limited} and {samples}")


def measure(peer: Peer, paths: Sequence[str]) -> Measured:
    """A few MiB of random data by the very ssh of the copy, and samples of the images at *paths*. Raises OSError."""
    return Measured(link_mib_s(peer), shrinks_to(paths))


def answers(peer: Peer) -> bool:
    """Whether ssh gets through to *peer* now."""
    try:
        run((*ssh_argv(peer), f"{peer.user}@{peer.address}", "true"), timeout_s=_ANSWER_S)
    except (CommandFailed, TimedOut):
        return False
    return True


def link_mib_s(peer: Peer) -> float | None:
    """What the way to *peer* carries, by the clock of the one who receives; None when nobody did."""
    argv = (*ssh_argv(peer), f"{peer.user}@{peer.address}", "env", "LC_ALL=C", "dd", "of=/dev/null", "bs=65536")
    with tempfile.TemporaryFile() as noise:
        noise.write(os.urandom(_PROBE_BYTES))
        noise.seek(0)
        try:
            said = run(argv, timeout_s=_PROBE_S, stdin=noise).stderr
        except TimedOut:
            return _PROBE_BYTES / MIB / _PROBE_S
        except CommandFailed:
            return None  # the copy itself says why
    return parse_rate(said)


def parse_rate(said: str) -> float | None:
    """MiB/s from what dd says of the probe; None when it says something else."""
    found = _COPIED.search(said)
    return _PROBE_BYTES / MIB / max(float(found.group(1)), 1e-6) if found else None


def shrinks_to(paths: Sequence[str]) -> float | None:
    """The share that zlib's fastest level leaves of samples, an estimate of zstd's. None without data."""
    samples = list(_samples(paths))
    whole = sum(len(one) for one in samples)
    return sum(len(zlib.compress(one, 1)) for one in samples) / whole if whole else None


def _samples(paths: Sequence[str]) -> Iterator[bytes]:
    """Blocks of what is allocated, spread evenly over each image."""
    each = max(1, _SAMPLES // max(1, len(paths)))
    for path in paths:
        with open(path, "rb", buffering=0) as image:
            descriptor = image.fileno()
            runs = list(digest.aligned(digest.extents(descriptor, os.fstat(descriptor).st_size), 2**63))
            blocks = [offset for first, end in runs for offset in range(first, end, _SAMPLE_BYTES)]
            for offset in blocks[:: max(1, len(blocks) // each)][:each]:
                yield os.pread(descriptor, _SAMPLE_BYTES, offset)
