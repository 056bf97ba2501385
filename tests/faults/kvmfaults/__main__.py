# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bench's command line."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from . import cases, results
from .case import Case
from .controller import REPOSITORY, checkout
from .run import Options, run
from .selftest import selftest


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tools/faults", description="Faults at every step, and what has to hold after."
    )
    add = parser.add_argument
    add("--subset", action="store_true", help="each mechanism once, in a few minutes")
    add("--shard", default="1/1", metavar="I/N", help="the I-th of N parts of the table")
    add("--only", action="append", metavar="WORD", help="cases whose name has it; can be repeated")
    add("--random", type=int, default=0, metavar="N", help="N cases by lot instead of the table")
    add("--seed", type=int, default=1, help="of the lot")
    add("--jobs", type=int, default=2, help="labs at the same time (default 2)")
    add("--first", type=int, default=1, metavar="K", help="number of the first lab; the others follow (default 1)")
    add("--minutes", type=float, default=float("inf"), metavar="M", help="begin no case after so long")
    add("--list", action="store_true", help="print the names of the cases and end")
    add("--keep", metavar="NAME", help="keep the results as tests/faults/results/NAME.json")
    add("--rest", action="store_true", help="leave out what is kept already of the code as it is")
    add("--readme", action="store_true", help="write the figure of the kept results into the README")
    add("--collections", type=Path, default=REPOSITORY / ".tree", help=argparse.SUPPRESS)
    add("--selftest", action="store_true", help="see that the bench turns red when the collection is broken on purpose")
    add("--worker", action="store_true", help=argparse.SUPPRESS)
    add("--logs", type=Path, help=argparse.SUPPRESS)
    return parser


def _chosen(arguments: argparse.Namespace) -> list[Case]:
    if arguments.random:
        return cases.drawn(arguments.seed, arguments.random)
    if arguments.subset:
        return cases.named(cases.SUBSET)
    part, _slash, parts = arguments.shard.partition("/")
    chosen = cases.spread(cases.table())[int(part) - 1 :: int(parts)]
    words = arguments.only or [""]
    kept = results.kept_cases() if arguments.rest else set()
    return [one for one in chosen if one.id not in kept and any(word in one.id for word in words)]


def _work(arguments: argparse.Namespace) -> int:
    """One case a line comes in, its result goes out."""
    from .worker import Worker

    answers = sys.stdout
    with contextlib.redirect_stdout(sys.stderr), tempfile.TemporaryDirectory(prefix="kvmfaults-") as scratch:
        elsewhere = arguments.collections
        if elsewhere == REPOSITORY / ".tree":
            checkout(Path(scratch))
            elsewhere = Path(scratch)
        worker = Worker(arguments.collections, elsewhere, arguments.logs)
        worker.begin()
        for word in sys.stdin:
            case = cases.parse(word.strip())
            guest = asdict(worker.guest) if worker.guest else None
            answer = {**worker.run(case), "waiting": worker.waiting, "guest": guest}
            print(json.dumps(answer), file=answers, flush=True)
    return 0


def main() -> int:
    """Entry point."""
    arguments = _parser().parse_args()
    if arguments.worker:
        return _work(arguments)
    if arguments.readme:
        results.write_readme()
        return 0
    if arguments.selftest:
        return selftest(arguments.first)
    chosen = _chosen(arguments)
    if arguments.list:
        print("\n".join(one.id for one in chosen))
        return 0
    if not chosen:
        print("no case has that name", file=sys.stderr)
        return 2
    jobs = min(arguments.jobs, len(chosen))
    book = run(chosen, Options(jobs, arguments.first, arguments.collections, arguments.minutes, arguments.keep))
    return 0 if sum(1 for one in book.results if one["held"]) == len(chosen) else 1


sys.exit(main())
