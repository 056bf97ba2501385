# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Step prepare: the destination of a live migration makes an empty image for each disk that libvirt will copy.

The images have their final names, for that is where the running guest's definition has them. So until the guest has
arrived they are taken back only while nobody here uses them.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Mapping
from pathlib import Path

from ansible_collections.kvmops.mobility.plugins.module_utils._checks.finding import Finding, Severity
from ansible_collections.kvmops.mobility.plugins.module_utils._command import run
from ansible_collections.kvmops.mobility.plugins.module_utils._disk import directory, image
from ansible_collections.kvmops.mobility.plugins.module_utils._domain.definition import GuestDefinition
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError, Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._file import planted
from ansible_collections.kvmops.mobility.plugins.module_utils._file.durable import sync_directory
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import journal
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import DiskPlan, Live, Migration
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect, Plan, numbered

_CREATE_S = 60
_DIRECTORY_MODE = 0o711
"""QEMU's user has to get through to its images, and nobody has to see their names."""
_LINGER_S = 15
"""libvirt takes its own half of a migration away a moment after it was given up on the other side."""
_POLL_S = 0.2


def plan(context: Context) -> Plan:
    """For each disk that is copied its directory, where it is missing, and its image. What is made already stays."""
    migration = context.record().migration
    wanted = copied(migration)
    _check_not_here(context, migration)
    ours = _announced(context)
    missing = [disk for disk in wanted if not (disk.path in ours and os.path.lexists(disk.path))]
    for disk in missing:
        if os.path.lexists(disk.path):
            raise Refused(
                "LEFTOVER_PATHS", disk.path, "exists on the destination.", "Look what it is and move it away."
            )
    effects: list[Effect] = []
    for index, path in enumerate(_missing_directories(wanted)):
        effects.append(_directory(path, index))
    for disk in missing:
        effects += _image(migration, disk)
    return Plan(tuple(effects), result={"made": [disk.path for disk in wanted]})


def live(migration: Migration) -> Live:
    """The part of the datum that only a live migration has. Raises Refused(NOT_LIVE)."""
    if migration.live is None:
        raise Refused(
            "NOT_LIVE",
            migration.name,
            f"migration {migration.id} moves it while it is off.",
            "Name the live migration of this guest; kvmops.mobility.status lists what there is.",
        )
    return migration.live


def copied(migration: Migration) -> tuple[DiskPlan, ...]:
    """The disks whose contents libvirt copies."""
    targets = live(migration).copied
    return tuple(disk for disk in migration.disks if disk.target in targets)


def _check_not_here(context: Context, migration: Migration) -> None:
    domain = context.hypervisor.find(migration.uuid)
    if domain is not None and not domain.is_off():
        raise Refused("GUEST_RUNS_HERE", migration.name, f"is {domain.state()} here.", "Look at both hypervisors.")


def _announced(context: Context) -> frozenset[str]:
    """The images that this migration gave their names, or was about to."""
    pending = journal.pending_undo(journal.read(context.store, context.params["migration"]), context.phase)
    placed = (one.undo for one in pending if one.step is Step.PREPARE and one.undo)
    return frozenset(str(undo["from"]) for undo in placed if undo["kind"] == "unplace")


def _missing_directories(disks: tuple[DiskPlan, ...]) -> Iterator[str]:
    """The uppermost first."""
    seen: set[str] = set()
    for disk in disks:
        where = Path(disk.path).parent
        for one in reversed([where, *where.parents]):
            if str(one) not in seen and not one.exists():
                seen.add(str(one))
                yield str(one)


def _directory(path: str, index: int) -> Effect:
    def make() -> None:
        os.mkdir(path)
        planted.set_mode(path, _DIRECTORY_MODE)  # whatever the umask
        sync_directory(Path(path).parent)

    undo = {"kind": "unmake_directory", "path": path}
    return Effect(numbered("directory", index), f"make {path}", make, undo=undo)


def _scratch(migration: Migration, disk: DiskPlan) -> str:
    """Where an image is made before it gets its name: what carries the id is ours whatever happened since."""
    where, name = posixpath.split(disk.path)
    return f"{where}/.{migration.id}.{name}"


def _image(migration: Migration, disk: DiskPlan) -> tuple[Effect, ...]:
    """Flat, whatever the source's has below it: libvirt copies what the guest sees."""
    scratch = _scratch(migration, disk)
    options = f"cluster_size={disk.cluster_bytes}" if disk.format == "qcow2" else "preallocation=off"
    made = ("qemu-img", "create", "-q", "-f", disk.format, "-o", options, scratch, str(disk.old_bytes))

    def create() -> None:
        run(made, timeout_s=_CREATE_S)
        found = image.inspect(scratch, disk.format)
        if found.virtual_bytes != disk.old_bytes:
            raise MobilityError(
                "PREPARE_FAILED",
                disk.path,
                f"was made with {found.virtual_bytes} bytes, and {disk.old_bytes} are needed.",
                "Look at the storage of this hypervisor.",
            )

    flat = ", flat" if disk.backing else ""
    placed = {"kind": "unplace", "from": disk.path, "to": scratch, "uuid": migration.uuid}
    return (
        Effect(
            f"image_{disk.target}",
            f"make an image of {disk.old_bytes} bytes ({disk.format}{flat}) for {disk.path}",
            create,
            undo={"kind": "unlink", "path": scratch},
        ),
        Effect(
            f"place_{disk.target}",
            f"rename it to {disk.path}",
            lambda: directory.rename(scratch, disk.path),
            undo=placed,
        ),
    )


def unplace(context: Context, how: Mapping[str, str]) -> None:
    """Take the name of an image back. Raises MobilityError(GUEST_RUNS_HERE) while a guest of this host uses it."""
    wait_until_gone(context, how["uuid"])
    others = users(context, how["from"], how["uuid"])
    if others:
        raise MobilityError(
            "DISK_IN_USE", how["from"], f"belongs to {', '.join(others)} here.", "Look whose it is; it is not removed."
        )
    if os.path.lexists(how["from"]):
        directory.rename(how["from"], how["to"])


def wait_until_gone(context: Context, uuid: str) -> None:
    """Until the guest has no process here. Raises MobilityError(GUEST_RUNS_HERE) when it keeps one."""
    began = context.monotonic()
    while True:
        domain = context.hypervisor.find(uuid)
        if domain is None or domain.is_off():
            return
        if context.monotonic() - began >= _LINGER_S:
            raise MobilityError(
                "GUEST_RUNS_HERE",
                domain.name,
                f"is {domain.state()} on the destination: what was made for it is not taken back.",
                "Look at both hypervisors, then run kvmops.mobility.recover.",
            )
        context.sleep(_POLL_S)


def users(context: Context, path: str, uuid: str) -> list[str]:
    """Names of the guests here, that with *uuid* aside, whose definition, stored or running, has *path*."""
    found = []
    for domain in context.hypervisor.domains():
        xmls = [domain.xml(inactive=True), domain.xml(inactive=False)]
        paths = {disk.path for xml in xmls for disk in GuestDefinition.from_xml(xml).disks}
        if domain.uuid != uuid and path in paths:
            found.append(domain.name)
    return found


def unlink(context: Context, how: Mapping[str, str]) -> None:
    """Remove one file that carries this migration's id. Gone already is no error."""
    if context.params["migration"] not in os.path.basename(how["path"]):
        raise Refused(
            "PATH_NOT_OURS", how["path"], "does not carry this migration's id.", "It is not removed; look what it is."
        )
    remove_file(how["path"])


def unmake_directory(context: Context, how: Mapping[str, str]) -> None:
    """Remove a directory that was made, with the empty files that QEMU made in it for a guest that never ran here.

    What holds something is nobody's to remove: then the directory stays, and harms nothing.
    """
    path = how["path"]
    if not os.path.isdir(path):
        return
    for one in directory.entries(path):
        if one.kind == "file" and not one.apparent_bytes and not directory.holders([f"{path}/{one.name}"]):
            remove_file(f"{path}/{one.name}")
    left = [one.name for one in directory.entries(path)]
    if left:
        message = f"holds {', '.join(left)}, which this migration did not make, and stays."
        context.warn(Finding("LIVE_DIRECTORY_KEPT", path, message, "Look what it is.", Severity.WARN).line())
        return
    directory.remove_room(path)


def remove_file(path: str) -> None:
    """Remove one file durably. Gone already is no error."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    sync_directory(Path(path).parent)
