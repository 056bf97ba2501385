# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables and plots as reStructuredText and HTML, and the block of a guide that they stand in."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.kvmops.mobility.bench.moves import store

GUIDE = store.ROOT / "docs/docsite/rst/guide_speed.rst"
CONVERGE = store.ROOT / "docs/docsite/rst/guide_converge.rst"
MISSING = "-"
_STYLE = """\
body { font: 15px/1.45 sans-serif; margin: 2em auto; max-width: 76em; padding: 0 1em; color: #222; background: #fff }
table { border-collapse: collapse; margin: 1em 0 }
caption { text-align: left; font-weight: bold; padding: .4em 0 }
th, td { border: 1px solid #bbb; padding: .25em .6em; text-align: right }
th:first-child, td:first-child { text-align: left }
svg { max-width: 100% }
"""


@dataclass(frozen=True)
class Table:
    """A table of words, the first row its head."""

    title: str
    rows: Sequence[Sequence[str]]


def number(value: float | None, digits: int = 1) -> str:
    """A number for people, a dash when there is none."""
    return MISSING if value is None else f"{value:.{digits}f}"


def rst(table: Table) -> str:
    """The table as the guides have theirs."""
    lines = [f".. list-table:: {table.title}", "   :header-rows: 1", ""]
    for row in table.rows:
        for at, cell in enumerate(row):
            lines.append(f"   {'* -' if at == 0 else '  -'} {_plain(cell)}")
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """Words that reStructuredText takes for nothing else."""
    return "".join(f"\\{letter}" if letter in "\\*`|_" else letter for letter in text) or MISSING


def html_table(table: Table) -> str:
    """The table for a browser."""
    head, *rest = table.rows
    cells = ["".join(f"<th>{html.escape(cell)}</th>" for cell in head)]
    cells += ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rest]
    body = "\n".join(f"<tr>{row}</tr>" for row in cells)
    return f"<table>\n<caption>{html.escape(table.title)}</caption>\n{body}\n</table>"


def html_page(title: str, about: str, parts: Sequence[str]) -> str:
    """A whole page that needs nothing else."""
    name = html.escape(title)
    head = f'<meta charset="utf-8">\n<title>{name}</title>\n<style>\n{_STYLE}</style>'
    words = [f"<h1>{name}</h1>", f"<p>{html.escape(about)}</p>", *parts]
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n'
        + "\n".join(words)
        + "\n</body>\n</html>\n"
    )


def with_block(text: str, name: str, block: str) -> str:
    """A guide's text with new words between the two comments of that name. Raises ValueError without them."""
    begin, end = f".. bench {name}: written by make bench BENCH={name} ARGS=--page\n", f".. end of bench {name}\n"
    before, found, rest = text.partition(begin)
    _old, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"there is no place for the tables of {name}")
    return f"{before}{begin}\n{block.strip()}\n\n{closed}{after}"


def write(
    name: str,
    title: str,
    about: str,
    tables: Sequence[Table],
    plots: Sequence[str],
    beside: Path,
    guide: Path = GUIDE,
) -> None:
    """Put the tables into the guide, and a page with the plots beside the results."""
    block = "\n".join([about, "", *(rst(table) for table in tables)])
    guide.write_text(with_block(guide.read_text(encoding="utf-8"), name, block), encoding="utf-8")
    page = beside.with_suffix(".html")
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(
        html_page(title, about.replace("``", ""), [*plots, *(html_table(table) for table in tables)]), encoding="utf-8"
    )
    print(f"{guide.relative_to(store.ROOT)} and {page}")


def about(runs: Sequence[Mapping[str, object]]) -> str:
    """Where the numbers come from, in a sentence."""
    commits = ", ".join(f"``{one}``" for one in sorted({str(run["commit"]) for run in runs}))
    days = sorted({str(run["at"])[:10] for run in runs})
    loads = sorted(float(str(run["load"])) for run in runs)
    processors = ", ".join(sorted({str(run["processors"]) for run in runs}))
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    return (
        f"Measured {when} at commit {commits}: emulated guests, both hosts on a machine with {processors} processors, "
        f"load before a run {loads[0]:.1f} to {loads[-1]:.1f}."
    )
