# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judging a guest: where it is, how big, and whether its data is what was seeded."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from . import record, watch
from .config import MIB, LabError
from .content import bulk_sum, is_bulk
from .domain import Defined, DiskSource, parse
from .host import Host
from .load import SLOT_BYTES, Load, Run, judge, parse_runs, ring_offset, runs_of, salt_of
from .record import GuestRecord
from .seed import DATA_OFFSET, HEADER_BYTES, HEADER_OFFSET, MAGIC, Seed, sha256_of
from .virsh import agent_exec, guest_states, virsh, wait_for_agent

LOADED_S = 180
"""How much longer a guest with a load may take to answer, on a machine that is busy too."""


@dataclass
class DiskView:
    """One seeded disk as it is now."""

    target: str
    bytes: int
    sha256: str | None
    expected: str | None
    ok: bool


@dataclass
class GuestView:
    """A guest as it is now; it is well when there are no problems."""

    name: str
    uuid: str
    host: str
    state: str
    vcpus: int = 0
    memory_mib: int = 0
    mem_total_kib: int | None = None
    root_bytes: int = 0
    disks: list[DiskView] = field(default_factory=list)
    config_drive_ok: bool | None = None
    load_newest: int | None = None  # record of the load on the disk
    load_acknowledged: int | None = None  # seen outside before the disk was read
    defined_on: list[str] = field(default_factory=list)
    startable_on: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Facts:
    """Sizes and checksums, from the inside or from the files."""

    vcpus: int
    memory_mib: int
    mem_total_kib: int | None
    sizes: dict[str, int]
    sums: dict[str, str | None]


def verify(name: str, hosts: list[Host]) -> GuestView:
    """Look at a guest wherever it is."""
    found = {host.name: (host, state) for host in hosts if (state := guest_states(host).get(name)) is not None}
    if not found:
        raise LabError(f"guest {name!r} is on no host")
    problems: list[str] = []
    active = [host for host, state in found.values() if state != "shut off"]
    definitions = {
        host.name: parse(virsh(host, "dumpxml", "--inactive", "--security-info", name))
        for host, _state in found.values()
    }
    startable = [host for host, _state in found.values() if _complete(host, definitions[host.name])]
    if len(active) > 1:
        raise LabError(f"guest {name!r} runs on {' and '.join(host.name for host in active)}")
    if len(startable) > 1:
        problems.append(f"can be started on {' and '.join(host.name for host in startable)}")
    chosen = (active or startable or [host for host, _state in found.values()])[0]
    defined = definitions[chosen.name]
    view = GuestView(
        name=name,
        uuid=defined.uuid,
        host=chosen.name,
        state=found[chosen.name][1],
        defined_on=sorted(found),
        startable_on=[host.name for host in startable],
        problems=problems,
    )
    if not active and not startable:
        problems.append(f"its disks are not where the definition on {chosen.name} says")
        return view
    _look(view, chosen, defined)
    return view


def _complete(host: Host, defined: Defined) -> bool:
    """Whether all disks are there, so that the guest could be started."""
    return all(host.outside(disk.file).exists() for disk in defined.disks)


def _look(view: GuestView, host: Host, defined: Defined) -> None:
    remembered = record.load(view.name)
    if remembered is None:
        view.problems.append("the lab did not make this guest: nothing to compare its data with")
        remembered = GuestRecord(defined.uuid)
    if remembered.uuid != defined.uuid:
        view.problems.append(f"its UUID is {defined.uuid}, was {remembered.uuid}")
    longest = max((seed.length for seed in remembered.disks.values() if not is_bulk(seed)), default=0)
    patience_s = LOADED_S if remembered.load else 0
    off = view.state == "shut off"
    facts = _from_files(host, defined) if off else _from_inside(host, view.name, longest // MIB + patience_s)
    view.vcpus = facts.vcpus
    view.memory_mib = facts.memory_mib
    view.mem_total_kib = facts.mem_total_kib
    view.root_bytes = facts.sizes.get("vda", 0)
    for target, seed in sorted(remembered.disks.items()):
        actual = _bulk_sum(host, defined, target, seed) if is_bulk(seed) else facts.sums.get(target)
        ok = actual == seed.sha256
        view.disks.append(DiskView(target, facts.sizes.get(target, 0), actual, seed.sha256, ok))
        if not ok:
            view.problems.append(f"{target}: seeded {seed.sha256}, found {actual or 'no seeded content'}")
    if remembered.load is not None and remembered.load.disk and "vda" in remembered.disks:
        _check_load(view, host, defined, remembered.load, remembered.disks["vda"])
    if remembered.config_drive_sha256 is not None:
        _check_config_drive(view, host, defined, remembered.config_drive_sha256)


def _from_inside(host: Host, name: str, patience_s: int) -> Facts:
    """Ask the guest itself, through its agent."""
    wait_for_agent(host, name, 15)
    listing = agent_exec(host, name, ["/bin/kvmlab-facts", "disks"], timeout_s=60 + patience_s)
    lines = [dict(word.split("=", 1) for word in line.split()) for line in listing.splitlines()]
    disks = {line["disk"]: line for line in lines[1:]}
    return Facts(
        vcpus=int(lines[0]["vcpus"]),
        memory_mib=int(lines[0]["memory_mib"]),
        mem_total_kib=int(lines[0]["mem_total_kib"]),
        sizes={target: int(line["bytes"]) for target, line in disks.items()},
        sums={target: line.get("sha256") for target, line in disks.items()},
    )


def _from_files(host: Host, defined: Defined) -> Facts:
    """Read definition and images of a guest that is off."""
    writable = [disk for disk in defined.disks if not disk.read_only]
    return Facts(
        vcpus=defined.vcpus,
        memory_mib=defined.memory_mib,
        mem_total_kib=None,
        sizes={disk.target: _virtual_size(host, disk) for disk in writable},
        sums={disk.target: _seeded_sum(host, disk) for disk in writable},
    )


def _virtual_size(host: Host, disk: DiskSource) -> int:
    said = host.exec(["qemu-img", "info", "--output=json", "-f", disk.image_format, disk.file]).stdout
    size: int = json.loads(said)["virtual-size"]
    return size


def _seeded_sum(host: Host, disk: DiskSource) -> str | None:
    """The checksum of an image's seeded content, None when it has no header."""
    # A directory of the host's own, so that qemu-img in it and this program both reach it.
    scratch = Path(tempfile.mkdtemp(prefix="kvmlab-", dir=host.root / "var/tmp"))
    try:
        head = _extract(host, disk, scratch / "head", HEADER_OFFSET // HEADER_BYTES, 1, HEADER_BYTES)
        words = head.read_bytes().split(b"\n")[0].decode(errors="replace").split()
        if len(words) < 4 or words[0] != MAGIC:
            return None
        data = _extract(host, disk, scratch / "data", DATA_OFFSET // MIB, int(words[1]) // MIB, MIB)
        return sha256_of(data)
    finally:
        shutil.rmtree(scratch)


def _extract(host: Host, disk: DiskSource, target: Path, skip: int, count: int, block: int) -> Path:
    inside = f"/{target.relative_to(host.root)}"
    host.exec(
        [
            "qemu-img",
            "dd",
            "-f",
            disk.image_format,
            "-O",
            "raw",
            f"bs={block}",
            f"skip={skip}",
            # qemu-img counts from the start of the input, skipped blocks included
            f"count={skip + count}",
            f"if={disk.file}",
            f"of={inside}",
        ],
        timeout_s=60 + count,
    )
    return target


def _bulk_sum(host: Host, defined: Defined, target: str, seed: Seed) -> str | None:
    for disk in defined.disks:
        if disk.target == target:
            return bulk_sum(host, disk.file, disk.image_format, seed)
    return None


def _check_load(view: GuestView, host: Host, defined: Defined, load: Load, seed: Seed) -> None:
    outage = watch.seen(view.name)
    view.load_acknowledged = outage.acknowledged
    if view.state == "shut off":
        runs = _ring_from_file(host, defined, seed, load)
    else:
        words = ["/bin/kvmlab-facts", "ring", str(ring_offset(seed) // SLOT_BYTES), str(load.slots)]
        runs = parse_runs(agent_exec(host, view.name, words, timeout_s=LOADED_S + 10 * load.disk))
    view.load_newest, problems = judge(runs, load.slots, salt_of(seed), outage.acknowledged)
    view.problems += [*problems, *outage.rewritten]


def _ring_from_file(host: Host, defined: Defined, seed: Seed, load: Load) -> list[Run]:
    scratch = Path(tempfile.mkdtemp(prefix="kvmlab-", dir=host.root / "var/tmp"))
    try:
        (disk,) = (disk for disk in defined.disks if disk.target == "vda")
        ring = _extract(host, disk, scratch / "ring", ring_offset(seed) // MIB, load.disk, MIB)
        return runs_of(ring.read_bytes())
    finally:
        shutil.rmtree(scratch)


def _check_config_drive(view: GuestView, host: Host, defined: Defined, expected: str) -> None:
    files = [host.outside(disk.file) for disk in defined.disks if disk.read_only]
    view.config_drive_ok = any(file.exists() and sha256_of(file) == expected for file in files)
    if not view.config_drive_ok:
        view.problems.append("the config drive is not the one that was made")
