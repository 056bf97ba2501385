# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is heard of a live migration: libvirt's words of its job, and the ticks of the guest."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from kvmlab.outage import TICK, Sighting

from ansible_collections.kvmops.mobility.bench.moves import (
    jobs,
    running,
)
from ansible_collections.kvmops.mobility.bench.moves.jobs import Seen
from ansible_collections.kvmops.mobility.plugins.module_utils._live.model import Sample, Stage
from ansible_collections.kvmops.mobility.plugins.module_utils._live.progress import progress

MIB = 2**20


def look(at: float, elapsed_ms: int, **stats: int) -> str:
    """One line of the program on the host."""
    return json.dumps({"at": at, "stats": {"type": 2, "time_elapsed": elapsed_ms, **stats}, "limit_ms": 300})


def heard(*lines: str) -> Seen:
    seen = Seen()
    for one in lines:
        seen.take(one)
    return seen


def test_a_job_that_succeeded_has_libvirt_s_last_word() -> None:
    seen = heard(
        '{"at": 99.0}',
        look(100.5, 500, memory_iteration=1),
        look(103.0, 3000, memory_iteration=2, memory_dirty_rate=512, memory_page_size=4096, auto_converge_throttle=20),
        json.dumps(
            {"at": 104, "completed": {"time_elapsed": 3900, "downtime": 210, "data_processed": 9, "downtime_net": 2}}
        ),
    )
    assert seen.began == 100.0
    figures = seen.figures()
    assert (figures["job_s"], figures["downtime_ms"], figures["downtime_net_ms"]) == (3.9, 210, 2)
    assert (figures["job_bytes"], figures["dirty_mib_s"], figures["throttle_percent"]) == (9, 2.0, 20)
    assert figures["iterations"] == 2


def test_a_job_that_was_given_up_lasted_until_it_was_seen_last() -> None:
    seen = heard(
        look(100.5, 500, memory_iteration=1),
        look(120.0, 20000, memory_iteration=4, memory_processed=7),
        look(130.25, 30250, memory_iteration=0, memory_processed=0),
    )
    figures = seen.figures()
    assert (figures["job_s"], figures["downtime_ms"], figures["job_bytes"]) == (30.25, None, 7)
    assert figures["iterations"] == 4


def test_no_job_at_all() -> None:
    seen = heard('{"at": 1.0}', "not JSON", "true", '{"at": 2.0, "stats": {}}')
    assert (seen.began, seen.seconds, seen.curve()) == (None, None, {})
    assert seen.figures()["limit_ms"] is None
    assert not seen.take("Warning: something of ssh")
    assert not seen.take("true")


def test_a_curve_has_the_first_and_the_last_and_not_too_many() -> None:
    lines = [look(100 + at / 4, 250 * at, memory_remaining=at * MIB, memory_bps=2 * MIB) for at in range(1000)]
    curve = heard(*lines).curve()
    assert len(curve["s"]) == jobs.MOST_POINTS
    assert (curve["s"][0], curve["s"][-1]) == (0.0, 249.75)
    assert (curve["remaining_mib"][-1], curve["sent_mib_s"][3], curve["limit_ms"][0]) == (999.0, 2.0, 300.0)
    assert sorted(curve["s"]) == curve["s"]


def test_few_samples_are_kept_as_they_are() -> None:
    samples = [{"at": 1}, {"at": 2}]
    assert jobs.thinned(samples, 5) == samples


def test_our_own_lines_are_read_as_they_are_written() -> None:
    """By what writes them, so that another wording is noticed."""
    memory = Sample(
        elapsed_s=14.2,
        stage=Stage.MEMORY,
        iteration=3,
        memory_total=256 * MIB,
        memory_remaining=int(4.5 * MIB),
        memory_bytes_s=19 * MIB,
        dirty_bytes_s=18 * MIB,
        throttle_percent=20,
        downtime_limit_ms=277,
    )
    disks = Sample(elapsed_s=3, stage=Stage.DISKS, disk_total=MIB, disk_remaining=1)
    said = [f"c1: {progress({'sample': one.as_result()})}" for one in (disks, memory)]
    assert jobs.from_progress(["TASK [x] ***", *said, "c1: 0.5 s: downtime limit 50 ms"]) == {
        "s": [14.0],
        "remaining_mib": [4.5],
        "sent_mib_s": [19.0],
        "dirty_mib_s": [18.0],
        "limit_ms": [277.0],
        "throttle_percent": [20.0],
    }


def test_no_lines_no_curve() -> None:
    assert jobs.from_progress(["nothing of it"]) == {}


STAND_IN = """
class libvirtError(Exception):
    def get_error_code(self): return self.args[0]
VIR_ERR_NO_DOMAIN = 42
VIR_DOMAIN_EVENT_ID_JOB_COMPLETED = 22
calls = []
told = []
def registerErrorHandler(handler, context): pass
def virEventRegisterDefaultImpl(): pass
def virEventRunDefaultImpl():
    import time; time.sleep(0.05)
class Domain:
    def jobStats(self):
        calls.append(1)
        if len(calls) == 1: return {"type": 0}
        if len(calls) == 2: raise libvirtError(55)
        if len(calls) < 5: return {"type": 2, "time_elapsed": len(calls)}
        if ENDS: told[0](None, None, {"downtime": 7}, None)
        raise libvirtError(42)
    def migrateGetMaxDowntime(self, flags):
        if len(calls) == 4: raise libvirtError(1)
        return 300
class Connection:
    def lookupByName(self, name): assert name == "app1"; return Domain()
    def domainEventRegisterAny(self, domain, event, call, opaque): assert event == 22; told.append(call)
def open(uri): return Connection()
"""


@pytest.mark.parametrize("ends", [True, False])
def test_the_program_on_the_host_tells_until_the_guest_has_left(tmp_path: Path, ends: bool) -> None:
    (tmp_path / "libvirt.py").write_text(f"ENDS = {ends}\n{STAND_IN}")
    source = Path(jobs.__file__).parent / "on_host/job.py"
    payload = {"guest": "app1", "period_s": 0.01, "seconds": 20}
    program = f"exec(open({str(source)!r}).read()); _LAST_WORD_S = 0.2; print(main({payload!r}))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=True
    )
    *lines, last = done.stdout.splitlines()
    seen = heard(*lines)
    assert last == str(ends)
    assert [one["limit_ms"] for one in seen.samples] == [300, 0]
    assert seen.completed == ({"downtime": 7} if ends else {})
    assert len(lines) == (5 if ends else 4)


def ticks(*times: float) -> list[Sighting]:
    return [Sighting(at, "c1", TICK, "01234567", number) for number, at in enumerate(times)]


def test_pulse_counts_and_measures_to_both_edges() -> None:
    found = running.pulse(ticks(9, 10.5, 11, 13, 20), 10, 15)
    assert (found.ticks, found.longest_gap_s, found.rate) == (3, 2, 0.6)
    assert running.pulse([], 10, 15).longest_gap_s == 5


def test_silence_is_that_of_the_move() -> None:
    seen = ticks(1, 9, 10.1, 10.9, 12.4, 12.5, 19)
    assert running.silence(seen, 10, 12) == pytest.approx(1.5)
    assert running.silence(seen, 10, 13) == pytest.approx(6.5)
    assert running.silence(seen, 9.5, 9.6) == pytest.approx(1.1)
    assert running.silence(ticks(5), 0, 10) is None


def test_progress_lost_is_what_did_not_come() -> None:
    before = running.Pulse(seconds=4, ticks=40, longest_gap_s=0.1)
    during = ticks(*(100 + at / 10 for at in range(1, 76)))
    assert running.lost(during, before, 100, 110) == pytest.approx(0.25)
    assert running.lost(during, before, 100.05, 102.05) == 0
    assert running.lost(during, running.Pulse(4, 0, 4), 100, 110) is None
    assert running.lost(during, before, 100, 100) is None
