# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One hypervisor for a test: a state directory, files, libvirt's test driver, and a clock nobody waits for."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils import _module
from ansible_collections.kvmops.mobility.plugins.module_utils._command import run
from ansible_collections.kvmops.mobility.plugins.module_utils._domain.edit import digest
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.domain import Domain
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.hypervisor import Hypervisor
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.library import libvirt
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import journal, record
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import Capacity, Stop
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import (
    CLOSE,
    Entry,
    Event,
    Phase,
    Step,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal_file import Journal
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import DiskPlan, Migration, Size
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.store import Store
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Plan
from ansible_collections.kvmops.mobility.tests.unit.builders import UUID, domain_xml

MIB = 2**20
ID = "0a1b2c3d4e5f"


class Clock:
    """Time passes when somebody sleeps."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now
        self.hurry = 1.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds * self.hurry


BYTE_LIMITS = ("total_bytes_sec", "read_bytes_sec", "write_bytes_sec")


class Jobs:
    """The mirrors of a guest and the limits of its disks, as the methods that are used see them: the test driver knows
    neither. A job moves when somebody looks at it, as far as *paces* says."""

    def __init__(self) -> None:
        self.running: dict[str, tuple[int, int]] = {}
        """By target, bytes done and to do; all done is ready."""
        self.paces: dict[str, int] = {}
        """By target, bytes with each look; all of it without a word."""
        self.started: list[tuple[str, str, dict[str, int], int]] = []
        self.refusal = ""
        """libvirt's words when a job is to be started."""
        self.deaf = False
        """Jobs do not end when they are asked to."""
        self.limits: dict[str, dict[str, int]] = {}
        self.listeners: list[Callable[[str, int], None]] = []
        self.before_look: Callable[[], None] = lambda: None
        self.before_end: Callable[[], object] = lambda: None

    def move(self, target: str) -> dict[str, int]:
        """What blockJobInfo says of a job that goes on meanwhile."""
        self.before_look()
        if target not in self.running:
            return {}
        done, end = self.running[target]
        self.running[target] = (min(end, done + self.paces.get(target, end)), end)
        return {"type": 2, "bandwidth": 0, "cur": done, "end": end}

    def ready(self) -> set[str]:
        return {target for target, (done, end) in self.running.items() if done == end}

    def tell(self, target: str, status: int) -> None:
        """An event to all that listen."""
        for one in self.listeners:
            one(target, status)


class Travel:
    """The live migration of a guest, which the test driver cannot do: what libvirt says of it, and what was asked."""

    def __init__(self) -> None:
        self.stats: dict[str, Any] | None = None
        """jobStats while it goes on; None without one."""
        self.state: tuple[int, int] | None = None
        """libvirt's state and reason, where it is not the test driver's."""
        self.asked: list[tuple[Any, ...]] = []
        self.refusals: dict[str, str] = {}
        """By method, libvirt's words."""
        self.on: dict[str, Callable[[], object]] = {}
        """By method, what happens then."""
        self.completed: dict[str, Any] = {}
        self.ended: Callable[[dict[str, Any]], None] = lambda _figures: None
        """Tells who listens of its end."""

    def ask(self, method: str, *arguments: Any) -> None:
        self.asked.append((method, *arguments))
        if method in self.refusals:
            raise libvirt_error(libvirt.VIR_ERR_OPERATION_INVALID, self.refusals[method])
        self.on.get(method, lambda: None)()

    def end(self) -> None:
        """It is over, one way or the other."""
        self.stats = None

    @property
    def methods(self) -> list[str]:
        return [one[0] for one in self.asked]

    def memory(self, **more: Any) -> None:
        """It sends memory."""
        self.stats = {"type": 2, "memory_total": 64 * MIB, "memory_remaining": MIB, "memory_iteration": 1, **more}

    def disks(self, left: int = MIB) -> None:
        """It copies disks."""
        self.stats = {"type": 2, "disk_total": MIB, "disk_remaining": left}


class Listening:
    """A virConnect for the events of block jobs, and of the end of a migration."""

    def __init__(self, jobs: Jobs, travel: Travel) -> None:
        self._jobs = jobs
        self._travel = travel

    def domainEventRegisterAny(self, handle: Any, event: int, callback: Any, opaque: Any) -> int:  # noqa: N802
        if event == libvirt.VIR_DOMAIN_EVENT_ID_JOB_COMPLETED:
            self._travel.ended = lambda figures: callback(self, handle, figures, opaque)
            return 0
        assert event == libvirt.VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2
        self._jobs.listeners.append(lambda target, status: callback(self, handle, target, 2, status, opaque))
        return len(self._jobs.listeners) - 1

    def domainEventDeregisterAny(self, number: int) -> None:  # noqa: N802 - libvirt's name
        del self._jobs.listeners[number]


class Handle:
    """A guest of libvirt's test driver, which knows no NVRAM, TPM, block jobs and agents."""

    def __init__(self, real: Any, answers: dict[str, Any], jobs: Jobs, travel: Travel) -> None:
        self._real = real
        self._answers = answers
        self._jobs = jobs
        self._travel = travel

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def undefineFlags(self, flags: int) -> Any:  # noqa: N802 - libvirt's name
        return self._real.undefineFlags(flags & libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE)

    def _must_run(self) -> None:
        if not self._real.isActive():
            raise libvirt_error(libvirt.VIR_ERR_OPERATION_INVALID, "domain is not running")

    def XMLDesc(self, flags: int) -> str:  # noqa: N802 - libvirt's name
        xml = str(self._real.XMLDesc(flags))
        if flags & libvirt.VIR_DOMAIN_XML_INACTIVE or not self._real.isActive():
            return xml
        for target in self._jobs.running:
            ready = " ready='yes'" if target in self._jobs.ready() else ""
            xml = xml.replace(f"<target dev='{target}'", f"<mirror job='copy'{ready}/><target dev='{target}'")
        return xml

    def connect(self) -> Listening:
        return Listening(self._jobs, self._travel)

    def blockJobInfo(self, target: str, _flags: int) -> dict[str, int]:  # noqa: N802 - libvirt's name
        if self._jobs.running or self._jobs.started:
            self._must_run()
        return self._jobs.move(target)

    def blockCopy(self, target: str, xml: str, limits: dict[str, int], flags: int) -> None:  # noqa: N802
        self._must_run()
        if self._jobs.refusal:
            raise libvirt_error(libvirt.VIR_ERR_OPERATION_FAILED, self._jobs.refusal)
        assert target not in self._jobs.running
        self._jobs.started.append((target, xml, limits, flags))
        self._jobs.running[target] = (0, MIB)

    def blockJobAbort(self, target: str, flags: int) -> None:  # noqa: N802 - libvirt's name
        self._jobs.before_end()
        self._must_run()
        assert flags == libvirt.VIR_DOMAIN_BLOCK_JOB_ABORT_ASYNC
        if target not in self._jobs.running:
            raise libvirt_error(libvirt.VIR_ERR_OPERATION_INVALID, f"disk {target} does not have an active block job")
        if not self._jobs.deaf:
            del self._jobs.running[target]

    def blockIoTune(self, target: str, _flags: int) -> dict[str, int]:  # noqa: N802 - libvirt's name
        self._must_run()
        return {"total_iops_sec": 7, **dict.fromkeys(BYTE_LIMITS, 0), **self._jobs.limits.get(target, {})}

    def setBlockIoTune(self, target: str, limits: dict[str, int], _flags: int) -> None:  # noqa: N802
        self._must_run()
        assert set(limits) <= set(BYTE_LIMITS)
        if limits.get("total_bytes_sec") and (limits.get("read_bytes_sec") or limits.get("write_bytes_sec")):
            raise libvirt_error(libvirt.VIR_ERR_INVALID_ARG, "total and read/write cannot be set at the same time")
        self._jobs.limits[target] = {name: limit for name, limit in limits.items() if limit}  # the others are lifted

    def state(self, _flags: int = 0) -> Any:
        found = self._real.state()
        return self._travel.state if self._travel.state and self._real.isActive() else found

    def jobStats(self, flags: int = 0) -> dict[str, Any]:  # noqa: N802 - libvirt's name
        if flags & libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED:
            return self._travel.completed
        self._must_run()
        self._travel.on.get("jobStats", lambda: None)()
        return dict(self._travel.stats or {"type": 0})

    def migrateToURI3(self, uri: str, parameters: dict[str, Any], flags: int) -> None:  # noqa: N802 - libvirt's name
        self._travel.ask("migrateToURI3", uri, parameters, flags)

    def migrateGetMaxDowntime(self, _flags: int) -> int:  # noqa: N802 - libvirt's name
        return 300

    def migrateSetMaxDowntime(self, downtime_ms: int, _flags: int) -> None:  # noqa: N802 - libvirt's name
        self._travel.ask("migrateSetMaxDowntime", downtime_ms)

    def migrateSetMaxSpeed(self, mib_s: int, _flags: int) -> None:  # noqa: N802 - libvirt's name
        self._travel.ask("migrateSetMaxSpeed", mib_s)

    def migrateStartPostCopy(self, _flags: int) -> None:  # noqa: N802 - libvirt's name
        self._travel.ask("migrateStartPostCopy")

    def abortJob(self) -> None:  # noqa: N802 - libvirt's name
        self._travel.ask("abortJob")

    def setTime(self, time: dict[str, int], _flags: int) -> None:  # noqa: N802 - libvirt's name
        if "time" not in self._answers:
            raise libvirt_error(libvirt.VIR_ERR_AGENT_UNRESPONSIVE, "Guest agent is not responding")
        self._answers["time"].append(time["seconds"])

    def guestVcpus(self, _flags: int) -> Any:  # noqa: N802 - libvirt's name
        return self._answers.get("vcpus")

    def agent(self, request: str) -> str:
        """What the guest's agent says, from the bed's answers; without one, libvirt's error."""
        asked = json.loads(request)
        answer = self._answers.get(asked["execute"])
        if answer is None:
            raise libvirt_error(libvirt.VIR_ERR_AGENT_UNRESPONSIVE, "Guest agent is not responding")
        return json.dumps({"return": answer(**asked.get("arguments", {})) if callable(answer) else answer})


class Agent:
    """Stands where libvirt_qemu is: the test driver takes no agent commands."""

    @staticmethod
    def qemuAgentCommand(handle: Handle, request: str, _timeout_s: int, _flags: int) -> str:  # noqa: N802
        return handle.agent(request)

    @staticmethod
    def qemuMonitorCommand(handle: Handle, request: str, _flags: int) -> str:  # noqa: N802
        return handle.agent(request)


class Connection:
    """libvirt's test driver with L{Handle} for its guests."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.answers: dict[str, Any] = {}
        self.jobs = Jobs()
        self.travel = Travel()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def _wrap(self, real: Any) -> Handle:
        return Handle(real, self.answers, self.jobs, self.travel)

    def listAllDomains(self, flags: int) -> list[Handle]:  # noqa: N802 - libvirt's name
        return [self._wrap(one) for one in self._real.listAllDomains(flags)]

    def lookupByUUIDString(self, key: str) -> Handle:  # noqa: N802 - libvirt's name
        return self._wrap(self._real.lookupByUUIDString(key))

    def lookupByName(self, key: str) -> Handle:  # noqa: N802 - libvirt's name
        return self._wrap(self._real.lookupByName(key))

    def defineXMLFlags(self, xml: str, flags: int) -> Handle:  # noqa: N802 - libvirt's name
        return self._wrap(self._real.defineXMLFlags(xml, flags))


def libvirt_error(code: int, words: str, domain: int = 0) -> Exception:
    """libvirt's own exception, as its binding raises it; *domain* is the part of libvirt that it comes from."""
    error = libvirt.libvirtError(words)
    error.err = (code, domain, words, 2, words, None, None, 0, 0)
    return error  # type: ignore[no-any-return]


@dataclass
class Bed:
    """One hypervisor. The guest's directory is where a real one is, below the test's own."""

    root: Path
    connection: Connection
    clock: Clock = field(default_factory=Clock)
    warnings: list[str] = field(default_factory=list)

    @property
    def store(self) -> Store:
        return Store(str(self.root / "state"))

    @property
    def directory(self) -> str:
        return str(self.root / "images" / "web1")

    @property
    def jobs(self) -> Jobs:
        return self.connection.jobs

    @property
    def travel(self) -> Travel:
        return self.connection.travel

    @property
    def hypervisor(self) -> Hypervisor:
        return Hypervisor(self.connection)

    def find(self) -> Domain | None:
        return self.hypervisor.find(UUID)

    def domain(self) -> Domain:
        return self.hypervisor.domain(UUID)

    def xml(self, **values: Any) -> str:
        return domain_xml(
            domain_type="test", emulator="/bin/true", directory=self.directory, **{"memory_mib": 64, **values}
        )

    def guest(self, *, running: bool = True, autostart: bool = True) -> Domain:
        """web1 with its directory and one qcow2 image of 1 MiB."""
        self.images(self.directory)
        domain = self.hypervisor.define(self.xml())
        domain.set_autostart(autostart)
        if running:
            domain.start()
        return domain

    def images(self, where: str) -> None:
        Path(where).mkdir(parents=True)
        run(("qemu-img", "create", "-q", "-f", "qcow2", f"{where}/disk", str(MIB)), timeout_s=20)

    def migration(self, **values: Any) -> Migration:
        """A resize of web1 from 1 to 2 MiB of disk, 64 to 128 MiB of memory, 2 to 3 vCPUs."""
        domain = self.find()
        disk = DiskPlan("vda", f"{self.directory}/disk", "qcow2", "disk", MIB, 2 * MIB, MIB)
        default = Migration(
            id=ID,
            operation="resize",
            uuid=UUID,
            name="web1",
            source="c1",
            destination="c2",
            destination_address="192.0.2.2",
            flavor="m1.own",
            old=Size(2, 64, MIB),
            new=Size(3, 128, 2 * MIB),
            root_disk="vda",
            directory=self.directory,
            disks=(disk,),
            was_running=True,
            autostart=True,
            definition_digest=digest(domain.xml(inactive=True)) if domain else "",
            bytes_to_copy=MIB,
            compress=False,
            stop=Stop(),
            capacity=Capacity(),
            expected_outage_s=10.0,
            warnings=(),
        )
        return replace(default, **values)

    def context(self, phase: Phase = Phase.MOVE, *, check: bool = False, **params: Any) -> Context:
        who = {"owner": "root@control", "command": "resize web1"}
        return Context(
            params={
                "migration": ID,
                "phase": phase.value,
                "only": None,
                "despite_start": False,
                "power_on": False,
                **who,
                **params,
            },
            check=check,
            warn=self.warnings.append,
            clock=self.clock,
            monotonic=self.clock,
            sleep=self.clock.sleep,
            store=self.store,
            connected=self.hypervisor,
        )

    def keep_record(self, role: str, **values: Any) -> Migration:
        """The record as a claim has written it."""
        migration = self.migration(**values)
        record.write(self.store, record.Record(role, migration, "root@control", "resize web1", self.clock()))
        return migration

    def carry_out(
        self, step: Step, work: Callable[[Context], Plan], phase: Phase = Phase.MOVE, **params: Any
    ) -> dict[str, Any]:
        """Plan and apply a step as the frame does, with its journal; the result it would return."""
        context = self.context(phase, **params)
        plan = work(context)
        result: dict[str, Any] = dict(plan.result)
        book = None if plan.untouched else Journal(self.store, ID, phase, step, self.clock)
        _module._apply(plan, book, context, result, [])
        return {**result, "effects": [one.name for one in plan.effects]}

    def note(self, step: Step, effect: str, undo: Mapping[str, Any] | None, phase: Phase = Phase.MOVE) -> None:
        """Write that an effect began, as before a power loss: nothing says that it happened."""
        Journal(self.store, ID, phase, step, self.clock).write(Event.BEGIN, effect, undo)

    def journal(self) -> tuple[Entry, ...]:
        return journal.read(self.store, ID)


def names(plan: Plan) -> list[str]:
    """The effects of a plan, in their order."""
    return [one.name for one in plan.effects]


def line(
    step: Step, event: Event = Event.END, phase: Phase = Phase.MOVE, effect: str = "", at: float = 0.0, **more: Any
) -> Entry:
    """One journal line; *more* are undo and result."""
    return Entry(at, phase, step, event, effect, more.get("undo"), more.get("result", {}))


def whole(step: Step, phase: Phase = Phase.MOVE, *effects: str) -> tuple[Entry, ...]:
    """The lines of a step that went well; the last thing an undo does is to close the book."""
    lines = [line(step, Event.BEGIN, phase)]
    for effect in (*effects, CLOSE) if step is Step.UNDO else effects:
        lines += [line(step, Event.BEGIN, phase, effect), line(step, Event.END, phase, effect)]
    return (*lines, line(step, Event.END, phase))


SOURCE, DESTINATION = 0, 1
MOVE: Sequence[tuple[int, Step, Phase]] = (
    (SOURCE, Step.CLAIM, Phase.MOVE),
    (DESTINATION, Step.CLAIM, Phase.MOVE),
    (SOURCE, Step.PRESYNC, Phase.MOVE),
    (SOURCE, Step.HAND_OVER, Phase.MOVE),
    (SOURCE, Step.COPY, Phase.MOVE),
    (DESTINATION, Step.TAKE_OVER, Phase.MOVE),
    (SOURCE, Step.RELEASE, Phase.MOVE),
    (DESTINATION, Step.RELEASE, Phase.MOVE),
)
CONFIRM: Sequence[tuple[int, Step, Phase]] = (
    (SOURCE, Step.CLAIM, Phase.CONFIRM),
    (DESTINATION, Step.CLAIM, Phase.CONFIRM),
    (DESTINATION, Step.EVIDENCE, Phase.CONFIRM),
    (SOURCE, Step.DISCARD, Phase.CONFIRM),
    (DESTINATION, Step.DISCARD, Phase.CONFIRM),
    (SOURCE, Step.RELEASE, Phase.CONFIRM),
    (DESTINATION, Step.RELEASE, Phase.CONFIRM),
)
REVERT: Sequence[tuple[int, Step, Phase]] = (
    (DESTINATION, Step.CLAIM, Phase.REVERT),
    (SOURCE, Step.CLAIM, Phase.REVERT),
    (DESTINATION, Step.HAND_OVER, Phase.REVERT),
    (SOURCE, Step.TAKE_OVER, Phase.REVERT),
    (DESTINATION, Step.DISCARD, Phase.REVERT),
    (SOURCE, Step.DISCARD, Phase.REVERT),
    (DESTINATION, Step.RELEASE, Phase.REVERT),
    (SOURCE, Step.RELEASE, Phase.REVERT),
)
LIVE: Sequence[tuple[int, Step, Phase]] = (
    (SOURCE, Step.CLAIM, Phase.MOVE),
    (DESTINATION, Step.CLAIM, Phase.MOVE),
    (DESTINATION, Step.PREPARE, Phase.MOVE),
    (SOURCE, Step.LIVE, Phase.MOVE),
    (DESTINATION, Step.ARRIVE, Phase.MOVE),
    (SOURCE, Step.DEPART, Phase.MOVE),
)
"""The steps of the flows in their order, as the roles run them."""


def journals(*flows: Sequence[tuple[int, Step, Phase]]) -> tuple[tuple[Entry, ...], tuple[Entry, ...]]:
    """The source's and the destination's journal after those flows went well."""
    found: tuple[list[Entry], list[Entry]] = ([], [])
    for flow in flows:
        for host, step, phase in flow:
            found[host].extend(whole(step, phase))
    return tuple(found[SOURCE]), tuple(found[DESTINATION])


def close_claim_locks(store: Store) -> None:
    """A module's process ends and with it the lock on its hypervisor's claims; a test's process goes on."""
    wanted = os.stat(store.root / "claims.lock")
    for name in os.listdir("/proc/self/fd"):
        try:
            found = os.fstat(int(name))
        except OSError:
            continue
        if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
            os.close(int(name))
