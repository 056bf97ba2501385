# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run on a host of the lab: what must not change, as one flat mapping of readable lines."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator
from typing import Any

import libvirt

RECORDS = "/var/lib/kvmops"
MIGRATIONS = f"{RECORDS}/migrations"
ROOTS = ("/var/lib/libvirt/images", RECORDS, "/etc/libvirt/qemu", "/var/lib/libvirt/qemu/save")
PIECE = 2**16


def main(_payload: object) -> dict[str, str]:
    """Files with owner, mode, size, time and contents; domains with state, autostart and definition."""
    names = _names()
    found = {}
    for path in (path for root in ROOTS for path in _walk(root)):
        found[f"path {path}{_owner(path, names)}"] = _file(path)
    connection = libvirt.openReadOnly("qemu:///system")
    for domain in connection.listAllDomains():
        found[f"domain {domain.name()} {domain.UUIDString()}"] = _state(domain)
        found[f"definition {domain.name()}"] = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    connection.close()
    return found


def _names() -> dict[str, str]:
    """The guests that migrations are about, by the migration's id and by the guest's UUID."""
    names = {}
    for identity in os.listdir(MIGRATIONS) if os.path.isdir(MIGRATIONS) else ():
        try:
            with open(f"{MIGRATIONS}/{identity}/record.json", encoding="utf-8") as record:
                migration = json.load(record)["migration"]
        except OSError:
            continue
        names[identity] = names[migration["uuid"]] = migration["name"]
    return names


def _owner(path: str, names: dict[str, str]) -> str:
    """Whose record, journal or lock a path is."""
    part = path.removeprefix(RECORDS).split("/")[2:3]
    owner = names.get(part[0].removesuffix(".json"), "") if path.startswith(RECORDS) and part else ""
    return f" of {owner}" if owner else ""


def _walk(root: str) -> Iterator[str]:
    for directory, directories, files in os.walk(root):
        yield directory
        yield from (os.path.join(directory, name) for name in files)
        yield from (os.path.join(directory, name) for name in directories if os.path.islink(f"{directory}/{name}"))


def _file(path: str) -> str:
    status = os.lstat(path)
    who = f"{stat.filemode(status.st_mode)} {status.st_uid}:{status.st_gid}"
    if not stat.S_ISREG(status.st_mode):
        # A directory's time changes with the probe that is planted in it and pulled again.
        return who
    if path.endswith("/console.log"):
        return f"{who}, a running guest writes to it"
    return f"{who} {status.st_size} bytes {status.st_mtime_ns} {_digest(path)}"


def _digest(path: str) -> str:
    """SHA-256 of what is not zeros, with where it lies: the same however the file system stores it."""
    digest = hashlib.sha256()
    with open(path, "rb") as image:
        for place in _pieces(image.fileno()):
            piece = os.pread(image.fileno(), PIECE, place)
            if piece.strip(b"\0"):
                digest.update(f"{place} ".encode() + piece)
    return digest.hexdigest()


def _pieces(descriptor: int) -> Iterator[int]:
    """Where the pieces begin that are not all hole."""
    place, end = 0, os.fstat(descriptor).st_size
    while place < end:
        try:
            place = max(place, os.lseek(descriptor, place, os.SEEK_DATA) // PIECE * PIECE)
        except OSError:
            return
        yield place
        place += PIECE


def _state(domain: Any) -> str:
    kept = domain.isPersistent()
    autostart = bool(kept and domain.autostart())
    saved = bool(kept and domain.hasManagedSaveImage())
    snapshots = domain.snapshotNum()
    return f"state {domain.state()[0]}, kept {kept}, autostart {autostart}, saved {saved}, {snapshots} snapshots"
