# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Step export: the destination makes an empty image for each disk the guest writes to, and lets the source fill it.

In a revert that keeps what the guest wrote it is the source that makes them, in directories of their own.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._command import run
from ansible_collections.kvmops.mobility.plugins.module_utils._disk import image
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError
from ansible_collections.kvmops.mobility.plugins.module_utils._flow.claim import stage
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import journal, reverting
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import DiskPlan
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.way import Way
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect, Plan
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer import export as exports
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer import tls
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer.export import Export
from ansible_collections.kvmops.mobility.plugins.module_utils._unit import transient

_CREATE_S = 60
_LISTEN_S = 30
_POLL_S = 0.05


def plan(context: Context) -> Plan:
    """For each disk an image and its export; those that are served already are left alone.

    Without C(serve), only a place for what comes as files.
    """
    way = Way.of(context.record().migration, context.phase)
    effects: list[Effect] = list(stage(way.arrivals, context.params["migration_user"])) if way.back else []
    told = []
    for disk in way.migration.written if context.params.get("serve", True) else ():
        export = of(context, way, disk)
        told.append({"target": disk.target, "socket": export.socket})
        if transient.phase(export.unit) is not transient.Phase.RUNNING:
            effects += [_image(export, disk, _bytes(context, disk)), _serve(context, export)]
    if context.params.get("tls") and told:
        effects.append(_entrance(context, way, told))
    return Plan(tuple(effects), result={"exports": told})


def _bytes(context: Context, disk: DiskPlan) -> int:
    """What the image on the other side has now; a resize grows it only when it is taken over."""
    there = reverting.sizes(journal.read(context.store, context.params["migration"]))
    return there.get(disk.target, disk.old_bytes)


def of(context: Context, way: Way, disk: DiskPlan) -> Export:
    """The export of one disk of a migration, where its copy grows."""
    return Export(
        migration=way.migration.id,
        target=disk.target,
        path=way.grows(disk),
        format=disk.format,
        user=context.params.get("migration_user") or "root",
        stall_s=context.params.get("stall_s") or 0,
    )


def _image(export: Export, disk: DiskPlan, virtual_bytes: int) -> Effect:
    """Exactly as large as the one that is mirrored: onto a larger one a mirror fails at once."""
    options = f"cluster_size={disk.cluster_bytes}" if disk.format == "qcow2" else "preallocation=off"
    made = ("qemu-img", "create", "-q", "-f", disk.format, "-o", options, export.path, str(virtual_bytes))

    def create() -> None:
        # Not by root in a directory that somebody else can write to.
        run(("runuser", "-u", export.user, "--", *made), timeout_s=_CREATE_S)
        found = image.inspect(export.path, disk.format)
        if found.virtual_bytes != virtual_bytes:
            raise MobilityError(
                "EXPORT_FAILED",
                export.path,
                f"was made with {found.virtual_bytes} bytes, and {virtual_bytes} are needed.",
                "Use transfer=rsync.",
            )

    return Effect(f"image_{disk.target}", f"make {export.path} of {virtual_bytes} bytes", create)


def _serve(context: Context, export: Export) -> Effect:
    def serve() -> Mapping[str, Any]:
        transient.forget(export.unit)
        exports.start(export, str(context.store.make(context.store.migration(export.migration))))
        _wait(context, export)
        return {}

    undo = {"kind": "stop_unit", "name": export.unit}
    return Effect(f"export_{export.target}", f"export it at {export.socket}", serve, undo=undo)


def _entrance(context: Context, way: Way, told: Sequence[Mapping[str, Any]]) -> Effect:
    """A port for each export that the other hypervisor alone is let in at."""
    entrance = tls.Entrance(
        migration=way.migration.id,
        user=context.params["migration_user"],
        address=way.address,
        peer=way.giver_address,
        sockets={one["target"]: one["socket"] for one in told},
        stall_s=context.params["stall_s"],
        certificates=context.params["tls_directory"],
        logs=str(context.store.migration(way.migration.id)),
    )

    def open_up() -> Mapping[str, Any]:
        context.store.make(context.store.migration(way.migration.id))
        ports = tls.open_entrance(entrance, context.monotonic, context.sleep)
        return {"exports": [{**one, "port": ports[one["target"]]} for one in told]}

    undo = {"kind": "stop_unit", "name": entrance.unit.name}
    return Effect("entrance", f"let {entrance.peer} in to them through TLS, at {way.address}", open_up, undo=undo)


def _wait(context: Context, export: Export) -> None:
    """Until it listens. Raises MobilityError(EXPORT_FAILED) when it ends or does not."""
    logs = str(context.store.migration(export.migration))
    began = context.monotonic()
    while not os.path.exists(export.socket):
        ended = transient.phase(export.unit) is not transient.Phase.RUNNING
        if ended or context.monotonic() - began > _LISTEN_S:
            said = " ".join(transient.words(transient.Unit(export.unit, logs)).split())
            raise MobilityError(
                "EXPORT_FAILED",
                export.path,
                f"qemu-nbd does not serve it: {said or 'it said nothing'}.",
                "Look at the storage of this hypervisor, or use transfer=rsync.",
            )
        context.sleep(_POLL_S)
