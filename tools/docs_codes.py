# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guide's page of codes, made from the catalogue. Run as tools/docs-codes."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.kvmops.mobility.plugins.module_utils._checks import codes
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.code import CodeDoc
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.runtime_codes import RUNTIME

PAGE = Path(__file__).resolve().parent.parent / "docs/docsite/rst/guide_codes.rst"

HEAD = """\
..
  Copyright: (c) 2026, kvmops.mobility contributors
  GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
  SPDX-License-Identifier: GPL-3.0-or-later
  Made by tools/docs-codes from plugins/module_utils/_checks; a change made here is lost.

.. _ansible_collections.kvmops.mobility.docsite.guide_codes:

Codes
=====

Whatever is refused or fails says so with a code, what it is about, what is wrong, and a remedy:

.. code-block:: text

   CODE: subject: what is wrong. What to do.

A code is never renamed, so that scripts and runbooks can match on it. A task that failed has it in ``code``; the
receipt and the last lines of a run have it in what they say. A message may have a better remedy than this page,
because it knows the case.

``block``: refused before anything was changed. ``warn``: the move goes on, and the plan shows it. ``fail``: met at a
step of the run; what that means for the guest is in
:ref:`ansible_collections.kvmops.mobility.docsite.guide_safety`.
"""


@dataclass(frozen=True)
class Group:
    """One section of the page."""

    title: str
    intro: str
    docs: Sequence[CodeDoc]
    fails: bool = False


def groups() -> tuple[Group, ...]:
    """The catalogue's codes in its order, under the headings of the page."""
    running = tuple(codes.CODES[code] for code, _meaning, _remedy in RUNTIME)
    return (
        Group("What was asked", "Found before any hypervisor is asked anything.", codes.REQUEST),
        Group("Where the guest is", "Found when the hypervisors have answered.", codes.WHEREABOUTS),
        Group("The guest", "Its state, and what is attached to its life cycle.", codes.GUEST),
        Group("Devices", "What ties the guest to its hypervisor.", codes.DEVICES),
        Group("Disks and storage", "Its images and the directory they are in.", codes.DISKS),
        Group("Size", "What stands against the new size.", codes.SIZE),
        Group("Destination: room and names", "Whether it is there, has room and has the names free.", codes.PLACEMENT),
        Group("Destination: what the guest needs", "Network, CPU, machine, firmware.", codes.HOST),
        Group("Live migration", "What stands against moving the guest while it runs.", codes.LIVE),
        Group("During a run", "Failures of steps, and of confirm, revert and the modules.", running, fails=True),
    )


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(line for group in groups() for line in _section(group))])


def _section(group: Group) -> Iterator[str]:
    yield from (group.title, "-" * len(group.title), "", group.intro, "")
    yield from (".. list-table::", "   :header-rows: 1", "   :widths: 26 8 33 33", "")
    yield from _row("Code", "Severity", "Meaning", "Remedy")
    for doc in group.docs:
        severity = "fail" if group.fails else doc.severity.value
        yield from _row(f"``{doc.code}``", severity, _escape(doc.meaning), _escape(doc.remedy))
    yield ""


def _row(first: str, *others: str) -> Iterator[str]:
    yield f"   * - {first}"
    yield from (f"     - {other}" for other in others)


def _escape(text: str) -> str:
    """Plain text in reStructuredText: what would begin or end markup is taken literally."""
    return re.sub(r"([\\*`|]|_(?!\w))", r"\\\1", text)


def main() -> int:
    """Write the page, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the page is not up to date")
    if not parser.parse_args().check:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page():
        return 0
    sys.stderr.write(f"{PAGE.name} is not what the catalogue says: run tools/docs-codes\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
