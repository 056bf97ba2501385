# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What came of the cases: counted, kept with the commit of the code they were tried on, and told in the README."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[3]
RESULTS = REPOSITORY / "tests/faults/results"
README = REPOSITORY / "README.md"
KINDS = ("lost", "twice", "leaked")
_BEGIN, _END = "<!-- faults: written by tools/faults --readme -->", "<!-- /faults -->"

Result = Mapping[str, Any]
"""One case: its name, landed, held, what was lost, twice and leaked (lists of sentences), status, seconds."""


def summary(results: Iterable[Result]) -> dict[str, int]:
    """How many of each; a problem of a case that did not land counts as missed alone."""
    every = list(results)
    counted = {kind: sum(1 for one in every if one.get(kind) and one["landed"]) for kind in KINDS}
    held = sum(1 for one in every if one["held"])
    missed = sum(1 for one in every if not one["landed"])
    return {"cases": len(every), "held": held, **counted, "missed": missed}


def line(counted: Mapping[str, int]) -> str:
    """The last line of a run."""
    words = " ".join(f"{counted[kind]} {kind}," for kind in ("held", *KINDS))
    return f"{counted['cases']} cases, {words} {counted['missed']} missed"


_CODE = ("plugins", "roles", "playbooks")


def commit() -> str:
    """The last commit that changed the code on trial, with -dirty when a file of it differs from that."""
    last = _git("log", "-1", "--format=%h", "--abbrev=12", "--", *_CODE)
    return f"{last}-dirty" if _git("status", "--porcelain", "--", *_CODE) else last


def _git(*words: str) -> str:
    argv = ["git", "-C", str(REPOSITORY), *words]
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30).stdout.strip()


def keep(name: str, of_commit: str, seconds: float, results: Sequence[Result]) -> None:
    """Write RESULTS/name.json, a case a line."""
    RESULTS.mkdir(exist_ok=True)
    wanted = ("case", "landed", "held", *KINDS, "status", "fsync_s", "seconds")
    kept = [{key: one[key] for key in wanted if one.get(key) not in (None, [])} for one in results]
    lines = [json.dumps(one, sort_keys=True) for one in sorted(kept, key=lambda one: str(one["case"]))]
    head = {
        "commit": of_commit,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(seconds),
        "summary": summary(results),
    }
    text = json.dumps(head, sort_keys=True)[:-1] + ', "results": [\n' + ",\n".join(lines) + "\n]}\n"
    (RESULTS / f"{name}.json").write_text(text)


def _shards() -> list[dict[str, Any]]:
    return [json.loads(one.read_text()) for one in sorted(RESULTS.glob("*.json"))]


def kept_cases() -> set[str]:
    """Names of those that were tried with the code as it is now."""
    now = commit()
    return {str(one["case"]) for shard in _shards() if shard["commit"] == now for one in shard["results"]}


def kept_summary() -> dict[str, int]:
    """How many of each, in all that is kept."""
    return summary(one for shard in _shards() for one in shard["results"])


def figure() -> str:
    """The README's sentences, one for each commit of the code that results are kept of, the newest first.

    Raises ValueError when nothing is kept, or something of code that was never committed.
    """
    shards = _shards()
    latest = {one["commit"]: one["at"] for one in sorted(shards, key=lambda one: str(one["at"]))}
    if not latest or any(one.endswith("-dirty") for one in latest):
        raise ValueError(f"results have to be of committed code, these are of: {', '.join(latest) or 'none'}")
    newest_first = sorted(latest, key=lambda one: str(latest[one]), reverse=True)
    return " ".join(_sentence(one, [shard for shard in shards if shard["commit"] == one]) for one in newest_first)


def _sentence(of_commit: str, shards: Sequence[Mapping[str, Any]]) -> str:
    every = [one for shard in shards for one in shard["results"]]
    distinct = len({one["case"] for one in every if one["landed"]})
    return f"At commit `{of_commit}`: {line(summary(every))}; {distinct} distinct faults landed."


def in_readme() -> str:
    """What the README has now."""
    return README.read_text(encoding="utf-8").split(_BEGIN)[1].split(_END)[0].strip()


def write_readme() -> None:
    """Put the sentence into the README."""
    before, _begin, rest = README.read_text(encoding="utf-8").partition(_BEGIN)
    after = rest.partition(_END)[2]
    README.write_text(f"{before}{_BEGIN}\n{figure()}\n{_END}{after}", encoding="utf-8")
