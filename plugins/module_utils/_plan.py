# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module's work is given and what it gives back: a context in, a plan of effects out.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.hypervisor import Hypervisor
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import record as records
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Phase
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.store import Store


@dataclass(frozen=True)
class Effect:
    """One change to the hypervisor: a name for the journal, words for people, the deed, and how to take it back."""

    name: str
    describe: str
    do: Callable[[], Mapping[str, Any] | None]
    undo: Mapping[str, Any] | None = None


def numbered(name: str, index: int) -> str:
    """The name of one of several like effects of a step: names are told apart in the journal, the first is plain."""
    return f"{name}_{index + 1}" if index else name


@dataclass(frozen=True)
class Plan:
    """What a module will do. No effects: nothing to change."""

    effects: tuple[Effect, ...] = ()
    result: Mapping[str, Any] = field(default_factory=dict)
    before: Mapping[str, Any] | str = ""
    after: Mapping[str, Any] | str = ""
    afterwards: Callable[[], object] | None = None
    """What is done once the journal has the last line of the step."""
    untouched: bool = False
    """This hypervisor never had a part in it: not even the journal gets a line."""


@dataclass(frozen=True)
class Context:
    """A module's parameters and tools. Time comes in here, so that tests take none."""

    params: Mapping[str, Any]
    check: bool
    warn: Callable[[str], None]
    clock: Callable[[], float]
    """Unix time, seconds."""
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]
    store: Store
    connected: Hypervisor | None = None
    beginning: Callable[[], AbstractContextManager[None]] = nullcontext
    """What a step begins long work in that goes on beside others: see the frame."""

    @property
    def hypervisor(self) -> Hypervisor:
        """The open libvirt connection."""
        if self.connected is None:
            raise MobilityError("INTERNAL", "this module", "used libvirt without declaring it.", "Report this.")
        return self.connected

    @property
    def phase(self) -> Phase:
        """Which of the operator's requests this call belongs to."""
        return Phase(self.params["phase"])

    def record(self) -> records.Record:
        """The record of the migration this call belongs to. Raises NotFound(MIGRATION_NOT_FOUND)."""
        return records.required(self.store, self.params["migration"])
