# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One hypervisor for a test: a state directory, files, libvirt's test driver, and a clock nobody waits for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils import _module
from ansible_collections.kvmops.mobility.plugins.module_utils._command import run
from ansible_collections.kvmops.mobility.plugins.module_utils._domain.edit import digest
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.domain import Domain
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.hypervisor import Hypervisor
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import journal, record
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import Capacity, Stop
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.authority import Authority
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Entry, Event, Phase, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal_file import Journal
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import DiskPlan, Migration, Size
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.store import Store
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Plan
from ansible_collections.kvmops.mobility.tests.unit.builders import MIB, UUID, domain_xml
from ansible_collections.kvmops.mobility.tests.unit.clock import Clock
from ansible_collections.kvmops.mobility.tests.unit.driver import Connection, Jobs, Travel

ID = "0a1b2c3d4e5f"
RUN = "5e5e5e5e5e5e5e5e"


class Trusted(Authority):
    """For a single step, before which nobody has taken the lock; the frame's own tests look at who may act."""

    def check_begin(self, entries: Sequence[Entry]) -> None:
        """Everybody may."""

    def check_effect(self, effect: str) -> None:
        """Everybody may."""


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

    def snapshot(self) -> None:
        """As a nightly backup makes one."""
        handle = self.connection.lookupByUUIDString(UUID)
        handle.snapshotCreateXML("<domainsnapshot><name>nightly</name></domainsnapshot>", 0)

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
                "run": RUN,
                "not_after": 0.0,
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
        book = None
        if not plan.untouched:
            owner = Trusted(self.store, ID, step, RUN, self.clock)
            book = _module._Book(Journal(self.store, ID, phase, step, self.clock), owner)
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
