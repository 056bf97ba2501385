# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results that add up: one JSON file for the calls of one measurement, however many there were."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "tests/output/bench"
KEY = ("cell", "method", "repeat", "commit")
"""What makes a run itself: one with the same key replaces it."""


def commit() -> str:
    """The code's commit, with a plus sign when the checkout differs from it; in results it may."""
    known = _git("describe", "--always", "--abbrev=12", "--exclude=*")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)bench/results")
    return f"{known}{'+' if changed else ''}" if known else "unknown"


def _git(*words: str) -> str:
    """What git says, empty when it says nothing."""
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def machine() -> dict[str, Any]:
    """What it ran on, and how busy that was."""
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "processors": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 2),
    }


def load(path: Path) -> list[dict[str, Any]]:
    """The runs in a file, none when there is no such file."""
    if not path.exists():
        return []
    runs: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["runs"]
    return runs


def add(path: Path, run: Mapping[str, Any]) -> None:
    """Put one more run into a file, in place of the one with the same key; the file is whole at any time."""
    runs = merged([*load(path), run])
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"runs": runs}, indent=1) + "\n", encoding="utf-8")
    part.rename(path)


def merged(runs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The last run of each key, in the order in which the keys came."""
    kept: dict[tuple[Any, ...], dict[str, Any]] = {}
    for run in runs:
        kept[tuple(run.get(name) for name in KEY)] = dict(run)
    return list(kept.values())


def newest(runs: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of each cell only the runs of the commit that was measured last: others are not to be compared with them."""
    every = list(runs)
    last: dict[str, tuple[str, str]] = {}
    for run in every:
        last[run["cell"]] = max(last.get(run["cell"], ("", "")), (run["at"], run["commit"]))
    return [run for run in every if run["commit"] == last[run["cell"]][1]]
