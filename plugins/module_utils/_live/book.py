# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of one live migration on its source, beside its record: what was ordered, what was told, how far it is.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._file.durable import replace
from ansible_collections.kvmops.mobility.plugins.module_utils._live.model import Stage
from ansible_collections.kvmops.mobility.plugins.module_utils._live.monitor import Told
from ansible_collections.kvmops.mobility.plugins.module_utils._live.policy import Policy
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import lock
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.store import Store

_REPORT = "live.json"
_ORDERED = "live-order.json"
_ABORT = "abort.json"
_FORCED = "forced.json"
_SWITCHED = "post-copy.json"
_TUNING = "tuning.json"
_TURN = "turn.json"


@dataclass(frozen=True)
class Ordered:
    """What the program needs that is not in the record."""

    uri: str
    """Of libvirt here."""
    peer_uri: str
    """Of libvirt on the destination, as the source's libvirt reaches it."""
    migrate_uri: str
    """Where QEMU there listens."""
    patience_s: float
    """Disks that have not come closer to their end for so many seconds are given up."""
    budget_mib_s: int = 0
    """What all that leave here at the same time may take of its link; 0: nobody knows."""


class Book:
    """The files of one migration. What is told survives a power loss; how far it is need not."""

    def __init__(self, store: Store, migration_id: str) -> None:
        self._store = store
        self._directory = store.migration(migration_id)
        self.id = migration_id

    def _path(self, name: str) -> Path:
        return self._directory / name

    def _read(self, name: str) -> dict[str, Any] | None:
        """None for what is not there, or was torn by a power loss."""
        try:
            return self._store.read_json(self._path(name))
        except ValueError:
            return None

    def order(self, ordered: Ordered) -> None:
        """Keep what the program is to do."""
        self._store.write_json(self._path(_ORDERED), asdict(ordered))

    def ordered(self) -> Ordered | None:
        """What it was, None before anything was."""
        found = self._read(_ORDERED)
        return Ordered(**found) if found else None

    def _replace(self, name: str, data: Mapping[str, Any]) -> None:
        """Whole for who reads it, and without waiting for the disk."""
        self._store.make(self._directory)
        replace(self._path(name), json.dumps(data).encode())

    def write_report(self, report: Mapping[str, Any]) -> None:
        """With each look."""
        self._replace(_REPORT, report)

    def report(self) -> dict[str, Any] | None:
        """How far it is, as plain data; None before it began."""
        return self._read(_REPORT)

    def reopen(self) -> None:
        """Another unit goes on with what one had told the end of."""
        found = self.report()
        if found is not None:
            self.write_report({**found, "ended": False, "error": ""})

    def abort(self) -> None:
        """Tell whoever is at work, or will be, that it is to be given up."""
        self._store.write_json(self._path(_ABORT), {"abort": True})

    def aborted(self) -> bool:
        """Whether that was told."""
        return self._read(_ABORT) is not None

    def force(self, *, by_pause: bool) -> None:
        """Tell that it is made to finish now."""
        self._store.write_json(self._path(_FORCED), {"by_pause": by_pause})

    def forced(self) -> bool:
        """Whether that was told."""
        return self._read(_FORCED) is not None

    def paused(self) -> bool:
        """Whether one of us has paused the guest, or was about to."""
        told, report = self._read(_FORCED) or {}, self.report() or {}
        return bool(told.get("by_pause") or report.get("paused"))

    def switch(self) -> None:
        """Tell that the guest is let run on the destination from now on (post-copy): written before it is."""
        self._store.write_json(self._path(_SWITCHED), {"switched": True})

    def switched(self) -> bool:
        """Whether the guest may have run on the destination, with a part of its memory here."""
        stage = ((self.report() or {}).get("sample") or {}).get("stage", "")
        return self._read(_SWITCHED) is not None or stage in (Stage.POST_COPY.value, Stage.POST_COPY_PAUSED.value)

    def tune(self, policy: Policy | None, bandwidth_mib_s: int | None) -> None:
        """Change what is told from now on; None leaves it as it is."""
        told = self._read(_TUNING) or {}
        if policy is not None:
            told["policy"] = policy.as_result()
        if bandwidth_mib_s is not None:
            told["bandwidth_mib_s"] = bandwidth_mib_s
        self._store.write_json(self._path(_TUNING), told)

    def bandwidth_mib_s(self, planned: int) -> int:
        """What was told last, else what was *planned*."""
        return int((self._read(_TUNING) or {}).get("bandwidth_mib_s", planned))

    def tell_turn(self, told: Mapping[str, Any]) -> None:
        """What the others that leave here are to know, see C(neighbours.py)."""
        self._replace(_TURN, told)

    def turn(self) -> dict[str, Any] | None:
        """What was told of it; None before anything was, and when it is over."""
        return self._read(_TURN)

    def forget_turn(self) -> None:
        """It is over."""
        self._path(_TURN).unlink(missing_ok=True)

    def others(self) -> list[Book]:
        """Of the guests that somebody moves here, but this one."""
        held = {one.migration for one in lock.all_held(self._store)}
        return [Book(self._store, one) for one in sorted(held - {self.id})]

    def told(self, planned: Policy) -> Told:
        """All that was told so far; the *planned* policy, where no other was."""
        tuned = (self._read(_TUNING) or {}).get("policy")
        return Told(Policy.from_result(tuned) if tuned else planned, self.aborted(), self.forced())
