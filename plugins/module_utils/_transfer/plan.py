# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a disk copy will do, as a plan of effects.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._command import Completed, run
from ansible_collections.kvmops.mobility.plugins.module_utils._disk import digest
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect, Plan
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh import identity
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer import rsync
from ansible_collections.kvmops.mobility.plugins.module_utils._unit import transient

_DEFAULT_TIMEOUT_S = 7 * 24 * 3600


def plan(context: Context) -> Plan:
    """Copy, and verify as the option verify says. What is there already is not sent again with resume."""
    copy = _copy(context.params)
    for source in copy.sources:
        if not os.path.lexists(source):
            raise Refused("PATH_LOST", source, "is not there to be copied.", "Look where the guest's images are.")
    timeout_s = context.params["deadline_s"] or _DEFAULT_TIMEOUT_S

    def carry_out() -> Mapping[str, Any]:
        with ThreadPoolExecutor(max_workers=1) as aside:
            counting = aside.submit(_digests, copy.sources) if context.params["verify"] == "digest" else None
            copied = rsync.carry_out(copy, _runner(context, timeout_s), context.monotonic)
            result: dict[str, Any] = {"bytes_sent": copied.bytes_sent, "copy_seconds": round(copied.seconds, 3)}
            return {**result, "digests": counting.result()} if counting else result

    def quick(argv: Sequence[str]) -> Completed:
        return run(argv, timeout_s=timeout_s)

    where = rsync.target(copy.peer)
    effects = [Effect("copy", f"copy {', '.join(copy.sources)} to {where}", carry_out, undo=_undo(context))]
    if context.params["verify"] == "checksum":
        effects.append(Effect("verify", f"compare checksums with {where}", lambda: rsync.verify(copy, quick)))
    return Plan(tuple(effects), after={"copied_to": where})


def _unit(context: Context) -> transient.Unit:
    migration = context.params["migration"]
    directory = context.store.make(context.store.migration(migration))
    return transient.Unit(transient.name_of(migration, "copy"), str(directory))


def _runner(context: Context, timeout_s: float) -> rsync.Runner:
    """The copy of a migration is a unit, which outlives this module and can be attached to; any other is a child."""
    if not context.params["migration"]:
        return lambda argv: run(argv, timeout_s=timeout_s)
    unit = _unit(context)
    return lambda argv: transient.carry_out(unit, argv, timeout_s, context.monotonic, context.sleep)


def _undo(context: Context) -> Mapping[str, Any] | None:
    migration = context.params["migration"]
    return {"kind": "stop_unit", "name": transient.name_of(migration, "copy")} if migration else None


def _digests(sources: Sequence[str]) -> dict[str, str]:
    """Of the files in the directories whose contents are copied: what the other side compares its copy with."""
    found: dict[str, str] = {}
    for source in sources:
        if source.endswith("/"):
            found.update(digest.digests(source))
    return found


def _copy(params: Mapping[str, Any]) -> rsync.Copy:
    files = identity.of(params["user"], params["identity_file"], params["known_hosts_file"])
    peer = rsync.Peer(
        address=params["address"],
        user=params["user"],
        directory=params["dest"],
        port=params["port"],
        identity_file=files.identity_file,
        known_hosts_file=files.known_hosts_file,
    )
    return rsync.Copy(
        sources=tuple(params["src"]),
        peer=peer,
        compress=params["compress"],
        bandwidth_mib_s=params["bandwidth_mib_s"],
        resume=params["resume"],
    )
