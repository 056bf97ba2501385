# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run on a host of the lab: removes everything below the images that carries the tests' prefix, mounts included."""

from __future__ import annotations

import json
import pathlib
import shutil
import subprocess

import libvirt

IMAGES = pathlib.Path("/var/lib/libvirt/images")
BOOT = pathlib.Path("/var/lib/libvirt/boot")
PROGRAMS = pathlib.Path("/usr/local/bin")
RECORDS = pathlib.Path("/var/lib/kvmops")
PINS = pathlib.Path("/etc/ssh/ssh_known_hosts")
UNDEFINE = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
)


def main(prefix: str) -> list[str]:
    """Undefine domains, forget records, unmount and remove; what was there."""
    kept = PINS.with_suffix(".e2e")
    if kept.exists():
        kept.rename(PINS)
    return [*_domains(prefix), *_records(prefix), *_mounts(prefix), *_files(prefix)]


def _domains(prefix: str) -> list[str]:
    connection = libvirt.open("qemu:///system")
    found = [one for one in connection.listAllDomains() if one.name().startswith(prefix)]
    for domain in found:
        kept = domain.isPersistent()
        if domain.isActive():
            domain.destroy()
        if kept:
            domain.undefineFlags(UNDEFINE)
    return [f"domain {one.name()}" for one in found]


def _records(prefix: str) -> list[str]:
    gone = []
    for record in RECORDS.glob("migrations/*/record.json"):
        migration = json.loads(record.read_text(encoding="utf-8"))["migration"]
        if migration["name"].startswith(prefix):
            gone.append(f"record {migration['id']}")
            shutil.rmtree(record.parent)
    for lock in RECORDS.glob("locks/*.json"):
        if json.loads(lock.read_text(encoding="utf-8"))["migration"].startswith(prefix):
            lock.unlink()
            gone.append(f"lock {lock.name}")
    return gone


def _mounts(prefix: str) -> list[str]:
    lines = pathlib.Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    points = [line.split()[1] for line in lines]
    ours = [point for point in points if point.startswith(f"{IMAGES}/{prefix}")]
    for point in reversed(ours):
        subprocess.run(["umount", point], check=True, timeout=20)
    return [f"mount {point}" for point in ours]


def _files(prefix: str) -> list[str]:
    found = [path for place in (IMAGES, BOOT, PROGRAMS) for path in place.glob(f"{prefix}*")]
    # What a migration made for single files beside those of others.
    found += sorted({path.parent for path in IMAGES.glob(f".*/{prefix}*")})
    for path in found:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return [f"path {path}" for path in found]
