# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What closed migrations cost a survey: whole modules as processes, with libvirt's test driver.

The same module looks at a state directory without any migration and at others with many closed ones, in turns: with
their notes, without (as an older version left them), and archived. What counts is the ratio of the medians.

Run as make bench BENCH=records.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._migration import closed, record
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import JOURNAL
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.plan import plan
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.store import Store
from ansible_collections.kvmops.mobility.tests.unit.builders import request, site
from ansible_collections.kvmops.mobility.tests.unit.flows import CONFIRM, MOVE, journals

OUTPUT = Path(__file__).resolve().parent.parent / "tests/output/bench/records.json"
MODULES: Mapping[str, Mapping[str, Any]] = {
    "hypervisor_info": {"uri": "test:///default"},
    "migration_survey": {"uri": "test:///default", "guests": ["web1"], "moves": False},
    "migration_info": {"brief": True},
}
LIMIT = 1.2
_RUN = (
    "import json, sys, importlib; from ansible.module_utils import basic; "
    "basic._ANSIBLE_ARGS = json.dumps({'ANSIBLE_MODULE_ARGS': json.loads(sys.argv[2])}).encode(); "
    "basic._ANSIBLE_PROFILE = 'legacy'; "
    "importlib.import_module('ansible_collections.kvmops.mobility.plugins.modules.' + sys.argv[1]).main()"
)


def fill(store: Store, count: int, *, noted: bool, archived: bool) -> None:
    """Closed migrations of guests that are not asked for, with journals as a confirmed move leaves them."""
    (only,) = plan(request(), site(), lambda: "id").guests
    assert only.migration is not None
    lines = [{**one.as_result(), "result": {"entries": ["x" * 300]}} for one in journals(MOVE, CONFIRM)[0]]
    text = "".join(json.dumps(one) + "\n" for one in lines)
    for number in range(count):
        one = replace(only.migration, id=f"{number:012x}", uuid=f"uuid-{number}", name=f"guest{number}")
        directory = store.migration(one.id)
        directory.mkdir(parents=True)
        kept = record.Record("source", one, "o", "c", float(number))
        (directory / record.RECORD).write_text(json.dumps(kept.as_result()), encoding="utf-8")
        (directory / JOURNAL).write_text(text, encoding="utf-8")
        if noted:
            assert closed.note(store, one.id)
    if archived:
        closed.archive(store, store.migrations())


def once(module: str, state: Path) -> float:
    """Seconds of one call."""
    arguments = json.dumps({**MODULES[module], "state_directory": str(state)})
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", _RUN, module, arguments], capture_output=True, text=True, check=False)
    seconds = time.monotonic() - began
    if done.returncode:
        raise SystemExit(f"{module}: {done.stdout}{done.stderr}")
    return seconds


def measure(states: Mapping[str, Path], repeats: int) -> list[dict[str, Any]]:
    """Each module on each state directory, in turns; medians, and their ratio to the empty one's."""
    found = []
    for module in MODULES:
        runs: dict[str, list[float]] = {name: [] for name in states}
        for _turn in range(repeats):
            for name, state in states.items():
                runs[name].append(once(module, state))
        empty = statistics.median(runs["none"])
        for name, seconds in runs.items():
            ratio = statistics.median(seconds) / empty
            found.append(
                {
                    "module": module,
                    "state": name,
                    "median_s": round(statistics.median(seconds), 3),
                    "ratio": round(ratio, 2),
                }
            )
    return found


def main(words: Sequence[str] | None = None) -> int:
    """Measure, show and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    asked = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as home:
        states = {name: Path(home) / name for name in ("none", "noted", "archived", "not noted")}
        for name, state in states.items():
            count = 0 if name == "none" else asked.count
            fill(Store(str(state)), count, noted=name != "not noted", archived=name == "archived")
        found = measure(states, asked.repeats)
    for one in found:
        print(f"{one['module']:18} {one['state']:10} {one['median_s']:7.3f} s  x {one['ratio']:.2f}")
    asked.output.parent.mkdir(parents=True, exist_ok=True)
    result = {"count": asked.count, "repeats": asked.repeats, "limit": LIMIT, "runs": found}
    asked.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
