# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a measurement of live migrations is asked for on the command line: cells by methods."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.kvmops.mobility.bench.moves import live_cells, ways
from ansible_collections.kvmops.mobility.bench.moves.live_cells import LiveCell


def parser(doc: str | None, methods: str, budget_s: float, output: Path) -> argparse.ArgumentParser:
    """With the options that all of them have; *doc* is the program's, the others are what is taken unless asked."""
    found = argparse.ArgumentParser(description=doc.splitlines()[0] if doc else None)
    add = found.add_argument
    add("--methods", default=methods, help=f"of {', '.join(ways.WAYS)}; usual, all (default {methods})")
    add("--proof", default=ways.PROOFS[0], help=f"what follows a refusal: of {', '.join(ways.PROOFS)}; empty: none")
    add("--repeats", type=int, default=1)
    add("--budget", type=float, default=budget_s, help=f"seconds that libvirt's job may take (default {budget_s:g})")
    add("--output", type=Path, default=output, help="where results are added to")
    add("--page", action="store_true", help="measure nothing; write the tables of the guide, and a page with plots")
    return found


def understand(
    parser: argparse.ArgumentParser, arguments: Sequence[str] | None, cells: tuple[LiveCell, ...]
) -> argparse.Namespace:
    """What was asked for, its cells (among *cells*) and methods as such. It ends the program where there are none."""
    options = parser.parse_args(arguments)
    try:
        options.cells = live_cells.choose(options.cells, cells)
        options.methods = ways.choose(options.methods)
        options.proof = ways.choose(options.proof) if options.proof else []
    except ValueError as error:
        parser.error(str(error))
    return options
