# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hashed names on all processors at once, for files where that takes longer than starting processes does.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from functools import partial

from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.known_hosts import Question, match_hashes

_WORTH_IT = 500_000
"""HMACs; about one second."""
_CHUNK = 250


def match(questions: Sequence[Question], names: Sequence[bytes]) -> list[bytes | None]:
    """As C(known_hosts.match_hashes()).

    The likely names are tried first, here; what is left has to be held against all names and is shared out, at the
    lowest priority: guests run on these processors.
    """
    found = match_hashes(questions, ())
    open_ones = [at for at, name in enumerate(found) if name is None]
    rest: list[Question] = [(questions[at][0], ()) for at in open_ones]
    for at, name in zip(open_ones, _shared_out(rest, names)):
        found[at] = name
    return found


def _shared_out(questions: Sequence[Question], names: Sequence[bytes]) -> list[bytes | None]:
    workers = len(os.sched_getaffinity(0))
    if workers < 2 or len(questions) * len(names) < _WORTH_IT:
        return match_hashes(questions, names)
    chunks = [questions[at : at + _CHUNK] for at in range(0, len(questions), _CHUNK)]
    try:
        # fork: a module is run from an archive that a fresh interpreter could not import from.
        pool = multiprocessing.get_context("fork").Pool(min(workers, len(chunks)), os.nice, (19,))
    except OSError:  # no shared memory here, or no more processes
        return match_hashes(questions, names)
    with pool:
        return [name for part in pool.map(partial(match_hashes, names=names), chunks, 1) for name in part]
