# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt's test driver, and what it does not know: mirrors, limits, migrations, agents, NVRAM and TPM."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.library import libvirt
from ansible_collections.kvmops.mobility.tests.unit.builders import MIB

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


class Dirtying:
    """What a guest writes, which the test driver does not measure."""

    def __init__(self) -> None:
        self.mib_s: dict[int, int] = {1: 0, 2: 0}
        """By window, MiB a second as libvirt tells it."""
        self.started: list[int] = []
        self.asked = 0
        self.slow = 0
        """So many times it has to be asked for each window."""
        self.refusal = ""

    def start(self, seconds: int) -> None:
        if self.refusal:
            raise libvirt_error(libvirt.VIR_ERR_OPERATION_UNSUPPORTED, self.refusal)
        self.started.append(seconds)
        self.asked = 0

    def stats(self) -> dict[str, Any]:
        """As libvirt's binding gives it."""
        self.asked += 1
        if not self.started or self.asked <= self.slow:
            return {"dirtyrate.calc_status": libvirt.VIR_DOMAIN_DIRTYRATE_MEASURING, "dirtyrate.calc_period": 1}
        window = self.started[-1]
        return {
            "dirtyrate.calc_status": libvirt.VIR_DOMAIN_DIRTYRATE_MEASURED,
            "dirtyrate.calc_start_time": 4711,
            "dirtyrate.calc_period": window,
            "dirtyrate.megabytes_per_second": self.mib_s[window],
            "dirtyrate.calc_mode": "page-sampling",
        }


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
        self.dirtying = Dirtying()

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

    def domainListGetStats(self, domains: list[Any], kinds: int, _flags: int) -> list[Any]:  # noqa: N802
        assert kinds == libvirt.VIR_DOMAIN_STATS_DIRTYRATE
        return [(one, self._travel.dirtying.stats()) for one in domains]

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
        known = libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
        return self._real.undefineFlags(flags & known)

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

    def startDirtyRateCalc(self, seconds: int, flags: int) -> None:  # noqa: N802 - libvirt's name
        self._must_run()
        assert flags == libvirt.VIR_DOMAIN_DIRTYRATE_MODE_PAGE_SAMPLING
        self._travel.dirtying.start(seconds)

    def migrateToURI3(self, uri: str, parameters: dict[str, Any], flags: int) -> None:  # noqa: N802 - libvirt's name
        self._travel.ask("migrateToURI3", uri, parameters, flags)

    def migrateGetMaxDowntime(self, _flags: int) -> int:  # noqa: N802 - libvirt's name
        return 300

    def migrateSetMaxDowntime(self, downtime_ms: int, _flags: int) -> None:  # noqa: N802 - libvirt's name
        self._must_run()
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
