# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs cases on one lab, one after the other."""

from __future__ import annotations

import re
import signal
import time
import traceback
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

from kvmlab import watch
from kvmlab.config import LabError
from kvmlab.host import Host

from . import travel
from .case import BY_RSYNC, FORCED, HELD, LIVE, SPLIT, TRAVELS, Case, Fault, Kind, Mirrored, Travelling, Trigger
from .controller import Controller
from .deeds import Scene, hurt
from .judge import Expected, Verdict, judge, judge_watch, judge_writes, lost_lines
from .observer import Observer
from .stage import GUEST, Stage

OTHER = {"c1": "c2", "c2": "c1"}
PLAYBOOKS = {"move": "resize", "confirm": "confirm", "revert": "revert"}
_LAND_S = 240
_TOLD_S = 150
_END_S = 300
_RECOVER_TRIES = 5
_FENCED_S = 120
_POLL_S = 0.02
_COPY_MIB_S = 1
"""What a guest's disk holds takes rsync about five seconds then: enough to be in the middle of them."""
_MIRROR_MIB_S = 64
"""A mirror's bandwidth counts holes too: a GiB takes a quarter of a minute."""
_STOP = {"timeout_s": 20, "retry_interval_s": 5, "on_timeout": "abort"}
_FORCE = {"timeout_s": 3, "retry_interval_s": 5, "on_timeout": "force"}
_LINKS = (Fault.LINK, Fault.DEST_LINK)
_POWER = (Fault.SOURCE_POWER, Fault.DEST_POWER)
_ENDS = (*_POWER, Fault.QEMU)
"""The guest itself may end with it."""
_RETUNED = (Fault.RETUNE, Fault.RETUNE_MONITOR)
_ALONE = (Fault.DISK_FULL, Fault.REFUSED)
"""The controller lives and both hosts answer: it brings the guest back itself, before anybody mends anything."""


class Missed(Exception):
    """The fault never landed."""


class Worker:
    """One lab with one guest, which goes from case to case as long as all is well."""

    def __init__(self, collections: Path, elsewhere: Path, logs: Path) -> None:
        self._collections = collections
        self._elsewhere = elsewhere
        self._logs = logs
        self._stage = Stage()
        self._observer = Observer()
        self._home = ""
        self._waiting = False
        """A move waits for confirm or revert."""
        self._expected = Expected("", "", 0, 0, may_be_off=False)
        self._vcpus = 1
        self._guest: Kind | None = None

    def begin(self) -> None:
        """A lab of which nothing is left over, and somebody who watches."""
        self._stage.fresh()
        self._observer.start()

    @property
    def waiting(self) -> bool:
        """Whether a confirm, a revert or their recovery can come next without a move before."""
        return self._waiting

    @property
    def guest(self) -> Kind | None:
        """The guest there is, None without one."""
        return self._guest if self._home else None

    def run(self, case: Case) -> dict[str, Any]:
        """Carry one case out; what is not well afterwards is made anew for the next."""
        began = time.monotonic()
        samples = self._observer.samples
        log = self._logs / f"{re.sub(r'[^A-Za-z0-9.+-]+', '_', case.id)}.log"
        try:
            verdict, landed = self._run(case, log), True
        except Missed as error:
            verdict, landed = Verdict(lost=[], status=str(error)), False
        except Exception:  # whatever it is, the case has not held, and the others have to go on
            verdict, landed = Verdict(lost=[traceback.format_exc(limit=4)]), True
        if self._observer.samples == samples:
            verdict.lost.append("the observer saw nothing")
        if not landed or not verdict.held:
            with log.open("a", encoding="utf-8") as book:
                book.write(f"\n===== {verdict}\n{self._stage.evidence()}")
        if not landed or not verdict.held:
            self._anew()
        return {
            "case": case.id,
            "landed": landed,
            "held": landed and verdict.held,
            "lost": verdict.lost,
            "twice": verdict.twice,
            "leaked": verdict.leaked,
            "status": verdict.status,
            "fsync_s": None if verdict.fsync_s is None else round(verdict.fsync_s, 1),
            "seconds": round(time.monotonic() - began, 1),
            "log": str(log),
        }

    def _anew(self) -> None:
        self._home, self._waiting = "", False
        self._stage.fresh()

    # -- one case

    def _run(self, case: Case, log: Path) -> Verdict:
        self._position(case, log)
        if self._stage.uuid:
            self._observer.twice(self._stage.uuid, live=case.live)
        if case.before is not None:
            self._interrupt(case, case.before, log)
        began = time.time()
        migration, problems = self._strike(case, log)
        verdict = self._recovered(migration, log)
        judge_writes(self._expected, verdict, began)
        if case.live and case.trigger == TRAVELS:
            most_ms = travel.LOWER_MS if case.fault in _RETUNED else travel.CEILING_MS
            judge_watch(self._stage.told(self._expected.source, migration), verdict, travel.CEILING_MS, most_ms)
        verdict.lost[:0] = problems
        if self._observer.twice(self._stage.uuid, live=case.live):
            verdict.twice.append("the observer saw two QEMU processes of the guest at work")
        self._note(verdict)
        return verdict

    def _position(self, case: Case, log: Path) -> None:
        """Bring the guest to where the case begins; a move that is needed for that has to work."""
        if self.guest != case.kind:
            if self._home:
                self._stage.drop_guest()
            self._home, self._vcpus, self._waiting, self._guest = "c1", 1, False, case.kind
            self._stage.make_guest("c1", case.kind)
        if case.opens and self._waiting:
            self._must("confirm", log)
            self._waiting, self._home = False, self._expected.destination
            self._vcpus = self._expected.new_vcpus
        if case.opens or not self._waiting:
            same = case.live or case.operation == "migrate"
            new = self._vcpus if same else 3 - self._vcpus
            self._expected = Expected(self._home, OTHER[self._home], self._vcpus, new, may_be_off=False)
        if not case.opens and not self._waiting:
            self._must("resize", log)
            self._waiting = True
        self._expected = Expected(
            self._expected.source,
            self._expected.destination,
            self._expected.old_vcpus,
            self._expected.new_vcpus,
            may_be_off=case.fault is Fault.QEMU,
            loaded=case.kind.loaded,
            live=case.live,
            may_stall=case.fault in _POWER or case.travelling in SPLIT | HELD,
            split=case.travelling in SPLIT and case.fault in (Fault.LINK, Fault.DEST_LINK),
            boots=watch.seen(GUEST).boots if case.live and case.fault not in _ENDS else 0,
        )

    def _variables(self, operation: str, fault: Fault | None = None) -> Mapping[str, Any]:
        if operation in ("resize", BY_RSYNC, FORCED, "migrate"):
            stop = _FORCE if operation == FORCED else {**_STOP, "timeout_s": 3} if fault is Fault.ACPI else _STOP
            where = {"vm": GUEST, "dest": self._expected.destination, "kvmops_stop": stop}
            if operation == BY_RSYNC:
                where["transfer"] = "rsync"
            if operation == "migrate":
                return where
            return {**where, "vcpus": self._expected.new_vcpus, "root_gib": self._stage.root_gib(self._home) + 1}
        if operation == LIVE:
            return {"vm": GUEST, "dest": self._expected.destination}
        if operation == "revert":
            return {"vm": GUEST, "data": "discard"}
        if operation == "retune":
            return {"vm": GUEST, "live": {"max_downtime_ms": travel.LOWER_MS}}
        return {"vm": GUEST, "kvmops_quiet_s": 1} if operation == "recover" else {"vm": GUEST}

    def _controller(self, operation: str, log: Path, fault: Fault | None = None, **more: Any) -> Controller:
        variables = {**self._variables(operation, fault), **more}
        with log.open("a", encoding="utf-8") as book:
            book.write(f"\n===== {operation} {variables}\n")
        # Whoever recovers has another checkout, and nothing else of the one whose run was interrupted.
        collections = self._elsewhere if operation == "recover" else self._collections
        return Controller(operation.partition("-")[0], variables, collections, log)

    def _play(self, operation: str, log: Path, **more: Any) -> int:
        controller = self._controller(operation, log, **more)
        try:
            return controller.wait(_END_S)
        finally:
            controller.forget()

    def _must(self, operation: str, log: Path) -> None:
        """Without any fault; the case could not begin."""
        if self._play(operation, log) != 0:
            raise LabError(f"{operation} without a fault did not work, see {log}")

    def _host(self, trigger: Trigger) -> str:
        return self._expected.source if trigger.role == "source" else self._expected.destination

    def _interrupt(self, case: Case, trigger: Trigger, log: Path) -> None:
        """recover's cases: kill controller and module of what is to be recovered."""
        host = self._host(trigger)
        self._stage.arm(host, trigger.line)
        controller = self._controller(LIVE if case.live else PLAYBOOKS[trigger.phase], log)
        try:
            stopped = self._landed(host, controller, trigger)
            controller.kill()
            self._stage.signal(host, stopped["pid"], signal.SIGKILL)
        finally:
            controller.kill()
            controller.forget()

    def _landed(self, host: str, controller: Controller, trigger: Trigger) -> Mapping[str, Any]:
        deadline = time.monotonic() + _LAND_S
        while time.monotonic() < deadline:
            stopped = self._stage.stopped(host)
            if stopped is not None:
                lines = self._stage.journal(host, stopped["journal"])
                if lines and all(lines[-1][key] == value for key, value in trigger.line.items()):
                    return stopped
                raise Missed(f"the journal on {host} does not end with {trigger}")
            if controller.ended():
                raise Missed(f"the controller ended before {trigger} on {host}")
            time.sleep(_POLL_S)
        raise Missed(f"{trigger} on {host} did not come within {_LAND_S} s")

    def _strike(self, case: Case, log: Path) -> tuple[str, list[str]]:
        """The operation with its fault; the migration, and what of its journal did not survive."""
        host = self._host(case.trigger)
        self._stage.arm(host, case.trigger.line)
        self._stage.slow_down(travel.WAYS[case.travelling].mbit if case.travelling else 0)
        controller = self._controller(case.operation, log, case.fault, **_slowly(case))
        problems = []
        try:
            stopped = self._landed(host, controller, case.trigger)
            before = self._stage.journal(host, stopped["journal"])
            self._do_worst(case, controller, host, stopped, log)
            code = controller.wait(_END_S)
            if case.fault is Fault.NOTHING and code != 0:
                problems.append(f"without a fault it ended with {code}")
        finally:
            controller.kill()
            controller.forget()
        self._afterwards(case, log)
        after = self._stage.journal(host, stopped["journal"])
        return _migration(stopped), [*problems, *lost_lines(before, after)]

    def _do_worst(self, case: Case, controller: Controller, host: str, stopped: Mapping[str, Any], log: Path) -> None:
        pid = stopped["pid"]
        self._stage.disarm()
        if case.later_s:
            self._stage.signal(host, pid, signal.SIGCONT)
            if case.mirrored is Mirrored.COPYING:
                self._stage.await_mirror(host)
            time.sleep(case.later_s)
        if case.mirrored not in (None, found := self._mirror(case, host)):
            raise Missed(f"the mirror on {host} is {found}")
        waiting = [pid]
        if case.travelling is not None:
            waiting += self._travel(host, pid, case.travelling, controller, log)
        self._hurt(case, controller, host, stopped, log)
        if self._stage.hosts[host].leader() is not None:
            for one in waiting:
                self._stage.signal(host, one, signal.SIGCONT)
        if case.fault in (Fault.MONITOR, Fault.RETUNE_MONITOR):
            self._stage.await_monitor(host, _migration(stopped))
        if case.fault in _RETUNED:
            travel.await_limit(self._stage.hosts[host], GUEST, travel.LOWER_MS)
        self._stage.slow_down(0)

    def _travel(self, host: str, pid: int, stage: Travelling, controller: Controller, log: Path) -> list[int]:
        """Let it go on until it is so far; who was stopped there. Raises Missed when that does not come."""
        source, way = self._stage.hosts[host], travel.WAYS[stage]
        if way.told:
            self._stage.arm(host, way.told)
        self._stage.signal(host, pid, signal.SIGCONT)
        try:
            if not way.told:
                return self._seen(source, stage, log)
            travel.await_round(source, GUEST)
            self._stage.slow_down(way.rounds_mbit)
            watcher = self._told(host, stage, controller)
            if not way.lasting_mbit:
                return [watcher]
            self._stage.slow_down(way.lasting_mbit)
            self._stage.signal(host, watcher, signal.SIGCONT)
            return self._seen(source, stage, log)
        except LabError as error:
            raise Missed(str(error)) from error

    def _seen(self, source: Host, stage: Travelling, log: Path) -> list[int]:
        """Nobody is stopped: libvirt says that it is there."""
        forcing = None
        try:
            if stage is Travelling.POST_COPY:
                travel.await_stage(source, GUEST, Travelling.MEMORY)
                forcing = self._controller("force_complete", log)
            travel.await_stage(source, GUEST, stage)
            if stage is Travelling.SWITCHED:
                travel.await_running(self._stage.hosts[self._expected.destination], GUEST)
        finally:
            if forcing is not None:
                forcing.wait(_END_S)
                forcing.forget()
        if not travel.reached(source, GUEST, stage):
            raise Missed(f"{stage.value} was over too soon")
        return []

    def _told(self, host: str, stage: Travelling, controller: Controller) -> int:
        """Wait until the watcher has told what is waited for, and has been stopped by that."""
        deadline = time.monotonic() + _TOLD_S
        while time.monotonic() < deadline:
            stopped = self._stage.stopped(host)
            if stopped is not None:
                self._stage.disarm()
                return int(stopped["pid"])
            if controller.ended():
                raise Missed(f"the controller ended before {stage.value} on {host}")
            time.sleep(_POLL_S)
        raise Missed(f"{stage.value} on {host} did not come within {_TOLD_S} s")

    def _mirror(self, case: Case, host: str) -> Mirrored | None:
        return self._stage.mirror(host) if case.mirrored is not None else None

    def _hurt(self, case: Case, controller: Controller, host: str, stopped: Mapping[str, Any], log: Path) -> None:
        expected = self._expected
        scene = Scene(
            self._stage,
            controller,
            host,
            stopped["pid"],
            _migration(stopped),
            expected.source,
            expected.destination,
            lambda: self._processes(case),
            lambda: self._give_up(case, log),
            lambda: self._must("retune", log),
        )
        try:
            hurt(scene, case.fault)
        except LabError as error:
            raise Missed(str(error)) from error

    def _processes(self, case: Case) -> Set[str]:
        """Of the guest; while it is moved live, those where it came from."""
        found = self._observer.processes(self._stage.uuid)
        return self._stage.of_host(self._expected.source, found) if case.live else found

    def _give_up(self, case: Case, log: Path) -> None:
        refused = case.travelling in SPLIT
        size = log.stat().st_size
        code = self._play("abort", log)
        if refused is not (code != 0 and "ABORT_TOO_LATE" in log.read_text(errors="replace")[size:]):
            raise LabError(f"an abort in {case.travelling} ended with {code}, see {log}")

    def _afterwards(self, case: Case, log: Path) -> None:
        """While the host is still away, recover does what it can; then everything is mended."""
        if case.dead:
            code = self._insist(log)
            if code != 0:
                raise LabError(f"recover prefer=source ended with {code} while the destination was dead, see {log}")
            if len(self._observer.processes(self._stage.uuid)) != 1:
                raise LabError("with the destination dead and prefer=source the guest did not run")
        elif case.fault in _LINKS:
            asked = case.fault is Fault.LINK or case.trigger.step != "mirror"
            if not asked and len(self._observer.processes(self._stage.uuid)) != 1:
                raise LabError("the destination was never asked to take over, and the run did not bring the guest back")
            self._play("recover", log)
        elif case.fault in _ALONE and len(self._observer.processes(self._stage.uuid)) != 1:
            raise LabError("the run itself did not bring the guest back, with the trouble still there")
        self._stage.repair()
        self._stage.settle()

    def _insist(self, log: Path) -> int:
        """Recover with the destination dead: it is BUSY as long as a call of the dead run could still arrive there."""
        deadline = time.monotonic() + _FENCED_S
        while True:
            size = log.stat().st_size
            code = self._play("recover", log, prefer="source")
            if code == 0 or "BUSY" not in log.read_text(errors="replace")[size:] or time.monotonic() > deadline:
                return code
            time.sleep(1)

    # -- afterwards

    def _recovered(self, migration: str, log: Path) -> Verdict:
        failures = 0
        for _try in range(_RECOVER_TRIES):
            size = log.stat().st_size
            code = self._play("recover", log)
            busy = "BUSY" in log.read_text(errors="replace")[size:]
            # One that could not carry a move through takes it back and fails with the reason: the next one has to do.
            failures += code != 0 and not busy
            if code == 0 or failures > 1:
                break
            time.sleep(1)
        verdict = judge(self._stage, self._expected, migration)
        if code != 0:
            verdict.lost.append(f"recover ended with {code}")
        return verdict

    def _note(self, verdict: Verdict) -> None:
        """Where the guest is for the next case."""
        self._waiting = verdict.status == "finished"
        self._home = verdict.home
        if not self._waiting:
            confirmed = verdict.status == "confirmed"
            self._vcpus = self._expected.new_vcpus if confirmed else self._expected.old_vcpus


def _slowly(case: Case) -> Mapping[str, object]:
    """What makes the copy last for a fault that has to come in the middle of it."""
    if case.operation == LIVE:
        return travel.variables(case.travelling)
    if case.mirrored is Mirrored.COPYING:
        return {"cold_resize_bandwidth_mib_s": _MIRROR_MIB_S}
    return {"cold_resize_bandwidth_mib_s": _COPY_MIB_S} if case.later_s and case.trigger.step == "copy" else {}


def _migration(stopped: Mapping[str, Any]) -> str:
    """Whose journal the stopped module wrote to."""
    return Path(stopped["journal"]).parent.name
