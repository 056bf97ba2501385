# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Step digest: what the guest sees on each disk, in a number that both hypervisors can compare.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._disk import content, directory
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import CommandFailed, MobilityError
from ansible_collections.kvmops.mobility.plugins.module_utils._flow import proof
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Link
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.record import Record
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.way import Way
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect, Plan
from ansible_collections.kvmops.mobility.plugins.module_utils._unit import payload, transient

_DEFAULT_TIMEOUT_S = 7 * 24 * 3600


def plan(context: Context) -> Plan:
    """Count here and now; for a migration in a unit that can be left alone, and waited for by a second call.

    What a mirror has filled is counted when its exports have proven that it is complete: that closes them, and only
    then nobody writes to the images any more, and QEMU lets somebody else read them.
    """
    given = [content.Disk(**one) for one in context.params["images"] or ()]
    if not context.params["migration"]:
        return Plan(result={"contents": content.digests(given)})
    kept = context.record()
    disks = given or _images(kept)
    name = transient.name_of(kept.migration.id, Step.DIGEST.value)
    counting = Effect(
        "digest",
        f"read {', '.join(one.path for one in disks)}",
        lambda: _count(context, transient.Unit(name, str(_book(context))), disks),
        undo={"kind": "stop_unit", "name": name},
    )
    mirrored = () if kept.role == "source" else proof.plan(context, Way.of(kept.migration, context.phase))
    return Plan((*mirrored, *_closed(kept), counting))


def _images(kept: Record) -> list[content.Disk]:
    """The migration's disks, as this hypervisor has them between the guest's stop and its start."""
    migration = kept.migration
    if kept.role == "source":
        chains = {one.target: migration.chain(one) for one in migration.carried}
    else:
        chains = {one.target: (Link(migration.staged(one), one.format),) for one in migration.carried}
    return [_disk(target, links) for target, links in chains.items()]


def _disk(target: str, links: Sequence[Link]) -> content.Disk:
    """Nothing that is not named here is opened: the headers of a copy came through the migration user's hands."""
    top, *below = links
    return content.Disk(target, top.path, top.format, [(one.path, one.format) for one in below])


def _closed(kept: Record) -> tuple[Effect, ...]:
    """From now on the user who brought the copy can no longer reach it: what is counted is what will be started."""
    if kept.role == "source":
        return ()
    staged = kept.migration.staged_in

    def close() -> None:
        for one in staged:
            directory.close(one)

    return (Effect("close", f"close {', '.join(staged)}", close),)


def _book(context: Context) -> Path:
    return context.store.make(context.store.migration(context.params["migration"]))


def _count(context: Context, unit: transient.Unit, disks: list[content.Disk]) -> Mapping[str, Any]:
    argv: tuple[str, ...] = (payload.__name__,)  # for what is said of a unit that somebody else has begun
    if transient.phase(unit.name) is transient.Phase.ABSENT:
        listed = _book(context) / "digest.json"
        context.store.write_json(listed, {"disks": [asdict(one) for one in disks]})
        argv = payload.argv(_book(context), content.__name__, [str(listed)])
    if not context.params["wait"]:
        with context.beginning():
            transient.begin(unit, argv)
        return {}
    timeout_s = context.params["deadline_s"] or _DEFAULT_TIMEOUT_S
    try:
        done = transient.carry_out(unit, argv, timeout_s, context.monotonic, context.sleep, context.beginning)
    except CommandFailed as error:
        raise MobilityError(
            "DIGEST_FAILED", unit.name, f"the disks were not read to their end: {error.message}.", error.remedy
        ) from None
    return {"contents": json.loads(done.stdout)}
