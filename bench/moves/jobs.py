# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What libvirt said of a migration while it went on: read from a host, as a curve, and what came of it.

The same for every method, ours included: a program on the source asks for the job's statistics and hears the last ones.
"""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any

from ansible_collections.kvmops.mobility.bench.moves.guests import BenchError
from ansible_collections.kvmops.mobility.tests.e2e import lab as tests_lab

_PROGRAM = Path(__file__).resolve().parent / "on_host/job.py"
_READY_S = 20
_MIB = 1024**2
_LAST_WORD_S = 3
_UNITS = {"B": 1, "KiB": 1024, "MiB": _MIB, "GiB": 1024**3}
CURVES = ("remaining_mib", "sent_mib_s", "dirty_mib_s", "limit_ms", "throttle_percent")
"""What a curve has of each moment, besides when that was."""
MOST_POINTS = 150

Curve = dict[str, list[float]]
"""Seconds since the job began under C(s), and as many values of each other name."""


@dataclass
class Seen:
    """All that was heard of one job."""

    samples: list[dict[str, Any]] = field(default_factory=list)
    """C(at), libvirt's C(stats) and the C(limit_ms) of each look that found a job."""
    completed: dict[str, Any] = field(default_factory=dict)
    """libvirt's last word on one that succeeded, empty where it said none."""

    def take(self, line: str) -> bool:
        """One line of the program on the host; whether it was one."""
        try:
            words = json.loads(line)
        except json.JSONDecodeError:
            return False
        if not isinstance(words, dict):
            return False
        if words.get("stats"):
            self.samples.append(words)
        self.completed = words.get("completed") or self.completed
        return True

    @property
    def began(self) -> float | None:
        """When a job was seen first, Unix seconds; libvirt knows how old it was then."""
        if not self.samples:
            return None
        first = self.samples[0]
        return float(first["at"]) - _elapsed_s(first["stats"])

    @property
    def seconds(self) -> float | None:
        """How long the job took by libvirt's count, or went on until it was seen last."""
        if "time_elapsed" in self.completed:
            return _elapsed_s(self.completed)
        if self.began is None:
            return None
        last = self.samples[-1]
        return max(_elapsed_s(last["stats"]), float(last["at"]) - self.began)

    def figures(self) -> dict[str, Any]:
        """What a result has of it."""
        told = [one["stats"] for one in self.samples]
        if self.completed:
            told.append(self.completed)
        throttles = [int(one["stats"].get("auto_converge_throttle", 0)) for one in self.samples]
        return {
            "job_s": self.seconds,
            "downtime_ms": self.completed.get("downtime"),
            "downtime_net_ms": self.completed.get("downtime_net"),
            "job_bytes": _most(told, "data_processed") or _most(told, "memory_processed"),
            "iterations": _most(told, "memory_iteration"),
            "throttle_percent": max(throttles, default=0),
            "limit_ms": self.samples[-1].get("limit_ms") if self.samples else None,
            "dirty_mib_s": self.dirty_mib_s(),
        }

    def dirty_mib_s(self) -> float | None:
        """What the guest wrote by QEMU's count, the median of the looks after the first round."""
        rates = [_dirty(one["stats"]) for one in self.samples if int(one["stats"].get("memory_iteration", 0)) > 1]
        rates = [rate for rate in rates if rate > 0]
        return median(rates) / _MIB if rates else None

    def curve(self) -> Curve:
        """How it went, not more than so many points."""
        if self.began is None:
            return {}
        points = [_point(one, float(one["at"]) - self.began) for one in thinned(self.samples, MOST_POINTS)]
        return joined(points)


def _most(told: Sequence[Mapping[str, Any]], name: str) -> int | None:
    """The highest that was said of something that only grows: a job that is being given up counts nothing any more."""
    return max((int(stats[name]) for stats in told if name in stats), default=None)


def _elapsed_s(stats: Mapping[str, Any]) -> float:
    return float(stats.get("time_elapsed", 0)) / 1000


def _dirty(stats: Mapping[str, Any]) -> float:
    return float(stats.get("memory_dirty_rate", 0)) * float(stats.get("memory_page_size", 4096))


def _point(look: Mapping[str, Any], after_s: float) -> dict[str, float]:
    stats = look["stats"]
    return {
        "s": round(after_s, 2),
        "remaining_mib": round(float(stats.get("memory_remaining", 0)) / _MIB, 2),
        "sent_mib_s": round(float(stats.get("memory_bps", 0)) / _MIB, 2),
        "dirty_mib_s": round(_dirty(stats) / _MIB, 2),
        "limit_ms": float(look.get("limit_ms", 0)),
        "throttle_percent": float(stats.get("auto_converge_throttle", 0)),
    }


def joined(points: Sequence[Mapping[str, float]]) -> Curve:
    """Points as a list of each name."""
    return {name: [point[name] for point in points] for name in ("s", *CURVES)} if points else {}


def thinned(samples: Sequence[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """At most so many of them, evenly, the first and the last among them."""
    if len(samples) <= most:
        return list(samples)
    step = (len(samples) - 1) / (most - 1)
    return [samples[round(number * step)] for number in range(most)]


_SAID = {
    "s": re.compile(r"live migration: [a-z-]+, (\d+) s"),
    "remaining_mib": re.compile(r"([\d.]+ [KMGT]?i?B) of [\d.]+ \S+ of the memory left"),
    "sent_mib_s": re.compile(r", ([\d.]+) MiB/s"),
    "dirty_mib_s": re.compile(r"dirtied at ([\d.]+) MiB/s"),
    "limit_ms": re.compile(r"downtime limit (\d+) ms"),
    "throttle_percent": re.compile(r"slowed down by (\d+) %"),
}


def from_progress(lines: Iterable[str]) -> Curve:
    """The same from the lines in which our playbook tells how far it is."""
    points = []
    for line in lines:
        if _SAID["s"].search(line) and _SAID["remaining_mib"].search(line):
            points.append({name: _number(pattern, line) for name, pattern in _SAID.items()})
    return joined(points)


def _number(pattern: re.Pattern[str], line: str) -> float:
    found = pattern.search(line)
    if found is None:
        return 0.0
    value, _blank, unit = found.group(1).partition(" ")
    return round(float(value) * (_UNITS[unit] / _MIB if unit else 1), 2)


class JobWatch:
    """A program on the source that looks at the job of one guest, as long as the block lasts."""

    def __init__(self, host: str, guest: str, period_s: float, seconds: float) -> None:
        self.seen = Seen()
        self._ready = threading.Event()
        self._payload = {"guest": guest, "period_s": period_s, "seconds": seconds}
        self._words = [str(tests_lab.LAB), "ssh", host, f"python3 -c {json.dumps(tests_lab.BOOTSTRAP)}"]

    def __enter__(self) -> JobWatch:
        self._process = subprocess.Popen(
            self._words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        source = {"source": _PROGRAM.read_text(encoding="utf-8"), "name": _PROGRAM.name, "payload": self._payload}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(source))
        self._process.stdin.close()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        if not self._ready.wait(_READY_S):
            self._process.kill()
            raise BenchError(f"the host did not tell of the job of {self._payload['guest']}")
        return self

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if self.seen.take(line):
                self._ready.set()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The last word may come a little later than the guest has left."""
        deadline = time.monotonic() + (_LAST_WORD_S if kind is None and self.seen.samples else 0)
        while self._process.poll() is None and not self.seen.completed and time.monotonic() < deadline:
            time.sleep(0.1)
        self._process.terminate()
        self._process.wait()
        self._thread.join()
