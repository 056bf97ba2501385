# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does the bench see what it is there for? Three ways to break the collection, each of which it has to notice."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from .cases import parse
from .controller import checkout
from .run import Options, run

_LIBRARY = "plugins/module_utils"


@dataclass(frozen=True)
class Sabotage:
    """One line taken out, and how the bench has to find out."""

    what: str
    file: str
    old: str
    new: str
    case: str
    finds: str
    """lost, twice or leaked."""


SABOTAGES = (
    Sabotage(
        "the journal's fsync",
        f"{_LIBRARY}/_migration/journal_file.py",
        "            os.fsync(descriptor)\n",
        "",
        "resize/hand_over.stop:end@source/source-power-loss",
        "lost",
    ),
    Sabotage(
        "the source's fence",
        f"{_LIBRARY}/_flow/hand_over.py",
        "        directory.rename(parking.place, aside)\n",
        "        __import__('shutil').copytree(parking.place, aside)\n",
        "resize/release:end@source/controller-kill",
        "twice",
    ),
    Sabotage(
        "the undo of a definition",
        f"{_LIBRARY}/_flow/undo.py",
        '    domain = context.hypervisor.find(how["uuid"])\n    if domain is None:\n        return\n',
        "    return\n",
        "resize/take_over.define:end@destination/dest-power-loss",
        "leaked",
    ),
    Sabotage(
        "the watch over the mirror while the guest stops",
        f"{_LIBRARY}/_flow/hand_over.py",
        '"mirrored": mirrored and not watch.lost,',
        '"mirrored": mirrored,',
        "resize-forced/hand_over.stop:begin@source+1s/job-cancel",
        "lost",
    ),
    Sabotage(
        "the bound on an export's answer",
        f"{_LIBRARY}/_transfer/witness.py",
        "            if seen.oldest_s() > self._stall_s:\n",
        "            if False:\n",
        "resize/mirror:end@source/export-hangs",
        "lost",
    ),
)


def selftest(first: int) -> int:
    """0 when each sabotage was found out in the way it has to be."""
    blind = [one.what for one in SABOTAGES if not _found_out(one, first)]
    for what in blind:
        print(f"the bench did not notice that {what} was taken out")
    print(f"{len(SABOTAGES)} sabotages, {len(SABOTAGES) - len(blind)} found out")
    return 1 if blind else 0


def _found_out(sabotage: Sabotage, first: int) -> bool:
    print(f"without {sabotage.what}:", flush=True)
    with tempfile.TemporaryDirectory(prefix="kvmfaults-") as scratch:
        tree = _copy(Path(scratch), sabotage)
        book = run([parse(sabotage.case)], Options(1, first, tree, float("inf"), None))
    return any(one["landed"] and one.get(sabotage.finds) for one in book.results)


def _copy(scratch: Path, sabotage: Sabotage) -> Path:
    """The checkout's files with the line taken out, where Ansible finds them as the collection."""
    broken = checkout(scratch) / sabotage.file
    text = broken.read_text()
    if text.count(sabotage.old) != 1:
        raise SystemExit(f"{sabotage.file} does not have what was to be taken out of it exactly once: {sabotage.what}")
    broken.write_text(text.replace(sabotage.old, sabotage.new))
    return scratch
