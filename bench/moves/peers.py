# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people do without this collection, as the shell scripts they would run on the source. Pure.

Each says when what happened: C(MARK NAME SECONDS) since 1970; the lab's hosts have one clock. The commands and their
order are Nova's. Left out, in Nova's favour: that it looks once a second whether the guest is off and twice a second
whether it runs, calls between its services, the network's ports, libguestfs, and the making of the definition, which is
at the destination before the guest stops. Sessions of ssh are not shared, as Nova does not share them.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass

STOP, OFF, START, RUNNING = "stop", "off", "start", "running"
"""Marks: the guest is asked to stop, is off, is started, and runs as libvirt sees it."""
_OFF_POLLS = 3000


@dataclass(frozen=True)
class Disk:
    """One image of the guest."""

    file: str
    """Its name in the guest's directory."""
    image_format: str = "qcow2"
    backing: bool = False


@dataclass(frozen=True)
class Job:
    """Which guest goes where."""

    guest: str
    directory: str
    address: str
    """The destination's, for ssh as root."""
    disks: tuple[Disk, ...] = (Disk("disk"),)

    @property
    def parked(self) -> str:
        """What Nova calls the source's directory from the stop to the confirm."""
        return f"{self.directory}_resize"

    @property
    def definition(self) -> str:
        """Where both hosts have the guest's definition meanwhile."""
        return f"{self.directory}.xml"


def _there(job: Job, command: str) -> str:
    """*command* on the destination, as Nova calls ssh."""
    return f"ssh -o BatchMode=yes {job.address} {shlex.quote(command)}"


_PREAMBLE = """\
set -euo pipefail
export LC_ALL=C
mark() { printf 'MARK %s %s\\n' "$1" "$EPOCHREALTIME"; }"""


def _prepare(job: Job) -> list[str]:
    define = f"cat > {job.definition}"
    return [
        _PREAMBLE,
        f"virsh dumpxml --inactive --security-info {job.guest} | tee {job.definition} | {_there(job, define)}",
    ]


def _stop(job: Job) -> list[str]:
    look = f"[[ $(virsh --quiet domstate {job.guest}) == 'shut off' ]]"
    return [
        f"mark {STOP}",
        f"virsh --quiet shutdown {job.guest}",
        f"for ((poll = 0; poll < {_OFF_POLLS}; poll++)); do {look} && break; sleep 0.02; done",
        look,
        f"mark {OFF}",
    ]


def _finish(job: Job, *before: str) -> list[str]:
    """Define and start at the destination, all in one session."""
    mark = "printf 'MARK %s %s\\n' {} $EPOCHREALTIME"
    start = [mark.format(START), f"virsh --quiet start {job.guest}", mark.format(RUNNING)]
    steps = ["set -e", *before, *start]
    return [_there(job, f"bash -c {shlex.quote('; '.join(steps))}")]


def _nova_finish(job: Job) -> list[str]:
    """Nova looks whether the root disk has to grow (it has not), then makes and starts the guest."""
    root = f"{job.directory}/{job.disks[0].file}"
    return _finish(job, f"qemu-img info {root} > /dev/null", f"virsh --quiet define {job.definition}")


def _park(job: Job) -> list[str]:
    return [f"rm -rf {job.parked}", f"mv {job.directory} {job.parked}"]


def kilo(job: Job) -> list[str]:
    """Nova Kilo, as the founding log shows it: a backing file is flattened; rsync with zlib, tried dry first."""
    lines = [*_prepare(job), f"qemu-img info --force-share {job.directory}/{job.disks[0].file} > /dev/null"]
    lines += [_there(job, f"mkdir -p {job.directory}"), *_stop(job), f"mv {job.directory} {job.parked}"]
    for disk in job.disks:
        lines += _kilo_copy(job, disk)
    return lines + _nova_finish(job)


def _kilo_copy(job: Job, disk: Disk) -> list[str]:
    # rsync of that time had nothing but zlib, which today has to be asked for.
    copy = "rsync --sparse --compress --compress-choice=zlib"
    source, there = f"{job.parked}/{disk.file}", f"{job.address}:{job.directory}/{disk.file}"
    flat = f"{source}_rbase"
    if not disk.backing:
        return [f"{copy} --dry-run {source} {there}", f"{copy} {source} {there}"]
    return [
        f"qemu-img convert -f qcow2 -O qcow2 {source} {flat}",
        f"{copy} --dry-run {flat} {there}",
        f"{copy} {flat} {there}",
        f"rm -f {flat}",
    ]


def _today(job: Job, make_directory: list[str], copy: Callable[[Disk, str, str], str]) -> list[str]:
    """Nova of today (migrate_disk_and_power_off, finish_migration): nothing is flattened, qcow2 is not compressed."""
    look = [f"qemu-img info --force-share --output=json {job.directory}/{disk.file} > /dev/null" for disk in job.disks]
    probe = f"touch {job.directory}/probe.tmp"
    lines = [*_prepare(job), f"{_there(job, probe)} || true  # storage that both see would show it here"]
    lines += [*make_directory, *_stop(job), *look, *_park(job)]
    lines += [
        copy(disk, f"{job.parked}/{disk.file}", f"{job.address}:{job.directory}/{disk.file}") for disk in job.disks
    ]
    return lines + _nova_finish(job)


def today_ssh(job: Job) -> list[str]:
    """Nova of today with its default, remote_filesystem_transport=ssh."""

    def copy(disk: Disk, source: str, target: str) -> str:
        return f"scp {'' if disk.image_format == 'qcow2' else '-C '}-r {source} {target}"

    return _today(job, [_there(job, f"mkdir -p {job.directory}")], copy)


def today_rsync(job: Job) -> list[str]:
    """Nova of today with remote_filesystem_transport=rsync."""

    def copy(disk: Disk, source: str, target: str) -> str:
        return f"rsync -r --sparse {source} {target}{'' if disk.image_format == 'qcow2' else ' --compress'}"

    make = [
        "empty=$(mktemp -d)",
        f'mkdir -p "$empty{job.directory}"',
        f'rsync --archive --relative --no-implied-dirs "$empty/.{job.directory}" {job.address}:/',
        'rm -r "$empty"',
    ]
    return _today(job, make, copy)


def offline(job: Job) -> list[str]:
    """By hand: disks by rsync, the definition by virsh migrate --offline; at the end the source's disks go aside."""
    uri = f"qemu+ssh://root@{job.address}/system"
    return [
        *_prepare(job),
        *_stop(job),
        f"rsync -a --sparse {job.directory}/ {job.address}:{job.directory}/",
        f"virsh --quiet migrate --offline --persistent --undefinesource {job.guest} {uri}",
        *_finish(job),
        *_park(job),
    ]


PEERS: dict[str, Callable[[Job], list[str]]] = {
    "kilo": kilo,
    "today-ssh": today_ssh,
    "today-rsync": today_rsync,
    "offline": offline,
}


def back(job: Job) -> list[str]:
    """The guest on the source again, with the disks it had when it was stopped; from every state a peer can leave."""
    gone = f"virsh --quiet destroy {job.guest}; virsh --quiet undefine {job.guest}; rm -rf {job.directory}"
    look = f"virsh --quiet domstate {job.guest}"
    return [
        "set -euo pipefail",
        f"ssh -o BatchMode=yes {job.address} {shlex.quote(gone)} 2> /dev/null || true",
        f"if [[ -d {job.parked} ]]; then rm -rf {job.directory}; mv {job.parked} {job.directory}; fi",
        f"rm -f {job.directory}/*_rbase",
        f"{look} > /dev/null 2>&1 || virsh --quiet define {job.definition}",
        f"[[ $({look}) == running ]] || virsh --quiet start {job.guest}",
        f"rm -f {job.definition}",
        f"{_there(job, f'rm -f {job.definition}')}",
    ]


def marks(output: str) -> dict[str, float]:
    """When what happened, seconds since 1970."""
    words = [line.split() for line in output.splitlines() if line.startswith("MARK ")]
    return {word[1]: float(word[2]) for word in words if len(word) == 3}
