# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the guest's images and of the directory they are in.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.kvmops.mobility.plugins.module_utils._checks.codes import found
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.context import Move
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.finding import Finding
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import DiskFacts
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Layout

FORMATS = ("raw", "qcow2")
"""Formats that qemu-img grows and checks the way the steps rely on."""


def _drives(move: Move) -> Iterator[DiskFacts]:
    """The disks and drives that have a medium."""
    return (disk for disk in move.guest.disks if disk.source_type)


def _files(move: Move) -> Iterator[DiskFacts]:
    """Those whose image could be looked at."""
    return (disk for disk in _drives(move) if disk.source_type == "file" and disk.regular_file and not disk.error)


def plain_files(move: Move) -> Iterator[Finding]:
    """Only plain files are copied and fenced by a rename."""
    for disk in _drives(move):
        if disk.source_type != "file":
            message = f"its source is of type '{disk.source_type}', only 'file' is allowed."
            yield found("DISK_NOT_A_FILE", move.disk(disk), message)
        elif not disk.exists:
            yield found("DISK_MISSING", move.disk(disk), f"there is no such file on {move.source}.")
        elif not disk.regular_file:
            yield found("DISK_NOT_A_FILE", move.disk(disk), f"it is not a regular file on {move.source}.")


def readable(move: Move) -> Iterator[Finding]:
    """An image that cannot be read cannot be judged, copied or grown."""
    for disk in _drives(move):
        if disk.error:
            yield found("DISK_UNREADABLE", move.disk(disk), f"it could not be read on {move.source}: {disk.error}")


def shareable(move: Move) -> Iterator[Finding]:
    """A shareable disk may have another writer."""
    for disk in _drives(move):
        if disk.shareable:
            yield found("DISK_SHAREABLE", move.disk(disk), "it is shareable: another guest may write to it.")


def startup_policy(move: Move) -> Iterator[Finding]:
    """With a startupPolicy a guest starts without the disk when its file is away, so the rename is no fence."""
    for disk in _drives(move):
        if disk.startup_policy:
            message = f"startupPolicy='{disk.startup_policy}' lets the guest start without it, none is allowed."
            yield found("DISK_STARTUP_POLICY", move.disk(disk), message)


def used_by_others(move: Move) -> Iterator[Finding]:
    """What goes with the guest is renamed: another guest that has it as a disk, or below one, would lose it."""
    for disk in move.carried:
        if disk.users:
            yield found("DISK_USED_BY_OTHERS", move.disk(disk), f"it is also used by {', '.join(disk.users)}.")


def chains(move: Move) -> Iterator[Finding]:
    """Backing files stay where they are: others may use them, and the copy is one image that needs none."""
    defined = {disk.target for disk in move.definition.disks if disk.backing_defined}
    for disk in _files(move):
        if disk.data_file:
            yield found("DATA_FILE", move.disk(disk), f"its data is in another file: {disk.data_file}.")
        if disk.backing_path:
            yield from _chain(move, disk, defined=disk.target in defined)


def _chain(move: Move, disk: DiskFacts, *, defined: bool) -> Iterator[Finding]:
    subject = move.disk(disk)
    for link in disk.backing:
        if not link.format:
            yield found("BACKING_FORMAT_UNKNOWN", subject, f"it does not say what format {link.path} below it has.")
        elif link.error:
            yield found("BACKING_UNREADABLE", subject, f"{link.path} below it: {link.error}.")
        elif link.format not in FORMATS:
            allowed = " and ".join(FORMATS)
            yield found("FORMAT_UNSUPPORTED", subject, f"{link.path} below it is {link.format}; allowed are {allowed}.")
    if defined:
        yield found("BACKING_DEFINED", subject, "the definition names its backing files (<backingStore>).")
    if disk.internal_snapshots:
        message = f"flattening would lose its {disk.internal_snapshots} internal snapshot(s)."
        yield found("BACKING_SNAPSHOTS", subject, message)
    paths = ", ".join(link.path for link in disk.backing) or disk.backing_path
    message = f"its copy is flattened into one image, so that {paths} below it can stay on {move.source}."
    yield found("BACKING_CHAIN", subject, message)


def formats(move: Move) -> Iterator[Finding]:
    """The definition's format is the only one an image may ever be opened with, so it must be true."""
    for disk in _files(move):
        if disk.format not in FORMATS:
            given = f"the definition says format '{disk.format}'" if disk.format else "the definition names no format"
            yield found("FORMAT_UNSUPPORTED", move.disk(disk), f"{given}; allowed are {' and '.join(FORMATS)}.")
        elif disk.probed_format and disk.probed_format != disk.format:
            message = f"the definition says {disk.format}, but its header looks like {disk.probed_format}."
            yield found("FORMAT_MISMATCH", move.disk(disk), message)


def old_qcow2(move: Move) -> Iterator[Finding]:
    """qemu-img refuses to resize a version 2 image that has snapshots inside, which would only show after the stop."""
    disk = move.root
    if move.grows_root and disk.qcow2_compat == "0.10" and disk.internal_snapshots:
        message = f"it is a qcow2 image of version 2 (compat 0.10) with {disk.internal_snapshots} internal snapshot(s)."
        yield found("QCOW2_V2_SNAPSHOTS", move.disk(disk), message)


def has_images(move: Move) -> Iterator[Finding]:
    """Without an image there is nothing whose rename would keep the guest from starting."""
    if not any(disk.path and not disk.readonly for disk in _drives(move)):
        yield found("LAYOUT_NO_DIRECTORY", move.name, "it has no writable disk that is a file.")


def directory_entries(move: Move) -> Iterator[Finding]:
    """Links, special files and sub-directories may lead out of what is copied."""
    odd = [f"{entry.name} ({entry.kind})" for entry in move.guest.directory_entries if entry.kind != "file"]
    if odd and move.layout is Layout.DIRECTORY:
        message = f"its directory {move.guest.directory} holds more than plain files: {', '.join(odd)}."
        yield found("LAYOUT_ENTRY_UNSUPPORTED", move.name, message)


CHECKS = (
    plain_files,
    readable,
    shareable,
    startup_policy,
    used_by_others,
    chains,
    formats,
    old_qcow2,
    has_images,
    directory_entries,
)
