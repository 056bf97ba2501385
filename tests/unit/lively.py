# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A hypervisor of a live migration, for tests: the guest of the bed, a record, and a unit that does nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError
from ansible_collections.kvmops.mobility.plugins.module_utils._flow import live as flow
from ansible_collections.kvmops.mobility.plugins.module_utils._flow import undo
from ansible_collections.kvmops.mobility.plugins.module_utils._live.book import Book
from ansible_collections.kvmops.mobility.plugins.module_utils._live.monitor import Report
from ansible_collections.kvmops.mobility.plugins.module_utils._live.options import Options
from ansible_collections.kvmops.mobility.plugins.module_utils._live.policy import NOVA
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Live, Migration
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Plan
from ansible_collections.kvmops.mobility.tests.unit.bed import ID, Bed
from ansible_collections.kvmops.mobility.tests.unit.units import Units

UNIT = f"kvmops-{ID}-live"
POST_COPY, BROKEN, MIGRATING, ASKED = (3, 12), (3, 13), (3, 2), (3, 1)
"""libvirt's state and reason of a guest that is paused."""


def live(**values: Any) -> Live:
    """With one disk that is copied."""
    default: dict[str, Any] = {
        "options": Options(),
        "policy": NOVA,
        "gib": 4.0,
        "copied": ("vda",),
        "was_paused": False,
    }
    return Live(**{**default, **values})


class Side:
    """One hypervisor of a live migration; *role* says which of the two."""

    def __init__(self, bed: Bed, units: Units, role: str, **values: Any) -> None:
        self.bed = bed
        self.units = units
        more = {name: values.pop(name) for name in ("disks", "autostart", "directory", "layout") if name in values}
        self.migration: Migration = bed.keep_record(role, operation="live_migrate", live=live(**values), **more)
        self.book = Book(bed.store, ID)

    @property
    def travel(self) -> Any:
        return self.bed.travel

    def params(self, **values: Any) -> dict[str, Any]:
        default = {
            "transport": "ssh",
            "port": 0,
            "identity_file": None,
            "patience_s": 120,
            "budget_mib_s": 0,
            "wait_s": 5,
            "started": False,
            "uri": "qemu:///system",
            "arrived": True,
            "order": "abort",
            "policy": None,
            "bandwidth_mib_s": None,
        }
        return {**default, **values}

    def carry_out(self, step: Step, work: Callable[[Context], Plan], **values: Any) -> dict[str, Any]:
        return self.bed.carry_out(step, work, **self.params(**values))

    def migrate(self, **values: Any) -> dict[str, Any]:
        return self.carry_out(Step.LIVE, flow.plan, **values)

    def undo(self, **values: Any) -> Any:
        return self.bed.carry_out(Step.UNDO, undo.plan, **values)["undone"]

    def fails(self, code: str, call: Callable[[], object]) -> MobilityError:
        with pytest.raises(MobilityError) as error:
            call()
        assert error.value.code == code
        return error.value

    def tell(self, **values: Any) -> None:
        """What the unit has told."""
        self.book.write_report(Report(self.bed.clock(), **values).as_result())

    def leave(self) -> None:
        """The guest has left, and libvirt has forgotten it here."""
        self.travel.end()
        handle = self.bed.connection.lookupByName("web1")
        handle.destroy()
        handle.undefineFlags(0)
