# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making guests and taking them away."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path

from . import record, watch
from .config import GIB, IMAGES_DIR, MIB, LabError
from .content import SEEDED, write_bulk
from .domain import GuestSpec, definition, target_of
from .host import Host
from .load import STRESS_DISK_MIB, Load, memory_needed_mib, ring_offset, write_ring
from .record import GuestRecord
from .run import run, wait_for
from .seed import DATA_OFFSET, Seed, sha256_of, write_seeded
from .sharing import unshare
from .virsh import guest_states, virsh, wait_for_agent

EXTRA_DISK_GIB = 1
COPY_OFFLOADING = "-C"  # the file system shares the blocks, they are not written twice
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
BOOT_TIMEOUT_S = 120  # seconds are normal; a busy machine emulating eight CPUs is slow


def create(spec: GuestSpec, host: Host, hosts: list[Host], *, start: bool) -> None:
    """Make a guest on a host and wait until its agent answers."""
    _check(spec)
    record.reserve(spec.name)
    try:
        _refuse_known(spec.name, hosts)
        _make_files(spec, host)
        virsh(host, "define", "/dev/stdin", stdin=definition(spec))
        # A guest that a power loss takes away again would be nobody's loss but the lab's.
        host.storage.sync()
        if spec.ticks:
            watch.start(spec.name)
        if start:
            _start(spec, host)
    except BaseException:
        if record.load(spec.name) is None:
            # Nothing of this guest was made, only its name was taken.
            record.forget(spec.name)
        raise


def _check(spec: GuestSpec) -> None:
    if not NAME.fullmatch(spec.name):
        raise LabError(f"{spec.name!r} is no name for a guest: letters, digits, dots, dashes")
    smallest = min(spec.root_gib, EXTRA_DISK_GIB if spec.disks > 1 else spec.root_gib)
    if DATA_OFFSET + spec.data_mib * MIB > smallest * GIB:
        raise LabError(f"{spec.data_mib} MiB of data do not fit on a disk of {smallest} GiB")
    if not 1 <= spec.disks <= 8:
        raise LabError("a guest has between 1 and 8 disks")
    if spec.backing and spec.image_format != "qcow2":
        raise LabError("only a qcow2 disk can be an overlay on a base")
    if spec.load:
        _check_load(spec, spec.load)


def _check_load(spec: GuestSpec, load: Load) -> None:
    if DATA_OFFSET + (spec.data_mib + load.disk) * MIB > spec.root_gib * GIB:
        raise LabError(f"a load in {load.disk} MiB of the disk does not fit behind {spec.data_mib} MiB of data")
    if load.stress and DATA_OFFSET + (spec.data_mib + load.disk) * MIB > STRESS_DISK_MIB[0] * MIB:
        raise LabError(f"{spec.data_mib} MiB of data reach to where a stressed guest writes, {STRESS_DISK_MIB[0]} MiB")
    if memory_needed_mib(load) > spec.memory_mib:
        raise LabError(f"a load {load} needs a guest of {memory_needed_mib(load)} MiB of memory")


def _refuse_known(name: str, hosts: list[Host]) -> None:
    for host in hosts:
        if name in guest_states(host):
            raise LabError(f"guest {name!r} is already defined on {host.name}")
        left = _directories(name, host)
        if left:
            raise LabError(f"{host.name} has left-overs of a guest {name!r}: {IMAGES_DIR}/{left[0].name}")


def _directories(name: str, host: Host) -> list[Path]:
    """Everything under a host's images that was or will be this guest's."""
    return [path for path in _possible_directories(name, host) if path.exists()]


def _possible_directories(name: str, host: Host) -> list[Path]:
    """Where that can be, and where it is being made ready."""
    images = host.storage.images
    exact = [images / name, images / f"{name}_resize", images / f"{name}_reverted"]
    grown = [path for kind in ("staging", "returning") for path in images.glob(f"*.{kind}")]
    grown = [path for path in grown if path.name.startswith(f"{name}.")]
    # A guest web has nothing to do with the staging directory of a guest web.2.
    return exact + [path for path in grown if path.name.removeprefix(f"{name}.").count(".") == 1]


def _make_files(spec: GuestSpec, host: Host) -> None:
    made = GuestRecord(spec.uuid, load=spec.load)
    record.save(spec.name, made)
    directory = host.storage.images / spec.name
    directory.mkdir(mode=0o711)
    for number, file in enumerate(spec.disk_names()):
        size = (spec.root_gib if number == 0 else EXTRA_DISK_GIB) * GIB
        made.disks[target_of(number)] = _make_disk(spec, host, file, size)
    if spec.config_drive:
        _make_config_drive(spec, directory / "disk.config")
        made.config_drive_sha256 = sha256_of(directory / "disk.config")
    record.save(spec.name, made)


def _make_disk(spec: GuestSpec, host: Host, file: str, size: int) -> Seed:
    target = f"{spec.directory}/{file}"
    make = _make_seeded if spec.content == SEEDED else _make_bulk
    seed = make(spec, host, target, size)
    if file == spec.disk_names()[0]:
        if spec.load and spec.load.disk:
            _make_ring(spec, host, target, seed, spec.load)
        if spec.backing:
            _put_on_base(spec, host, target, size)
    return seed


def _make_seeded(spec: GuestSpec, host: Host, file: str, size: int) -> Seed:
    raw = host.outside(f"{file}.raw")
    seed = write_seeded(raw, size, f"{spec.name}/{raw.stem}", spec.data_mib)
    _convert(spec, host, file)
    return seed


def _make_bulk(spec: GuestSpec, host: Host, file: str, size: int) -> Seed:
    """Take a copy of the image that was made for the first guest with such content, which shares its blocks."""
    seeds = host.storage.seeds
    seeds.mkdir(exist_ok=True)
    image = seeds / f"{spec.content}-{spec.data_mib}.{spec.image_format}"
    remembered = image.with_suffix(f".{spec.image_format}.json")
    if remembered.exists():
        seed = Seed(**json.loads(remembered.read_text()))
        _share_blocks(image, host.outside(file))
    else:
        seed = write_bulk(host.outside(f"{file}.raw"), spec.content, spec.data_mib)
        _convert(spec, host, file, COPY_OFFLOADING)
        _share_blocks(host.outside(file), image)
        host.storage.sync()
        part = remembered.with_suffix(".part")
        part.write_text(json.dumps(asdict(seed)))
        part.rename(remembered)
    host.exec(["qemu-img", "resize", "-q", "-f", spec.image_format, file, str(size)])
    return seed


def _share_blocks(source: Path, target: Path) -> None:
    run(["cp", "--reflink=always", source, target], timeout_s=600)


def _convert(spec: GuestSpec, host: Host, file: str, *words: str) -> None:
    """Make the image out of the raw one beside it."""
    raw = host.outside(f"{file}.raw")
    if spec.image_format == "raw":
        raw.rename(host.outside(file))
        return
    convert = ["qemu-img", "convert", *words, "-f", "raw", "-O", spec.image_format, f"{file}.raw", file]
    host.exec(convert, timeout_s=60 + spec.data_mib)
    raw.unlink()


def _make_ring(spec: GuestSpec, host: Host, file: str, seed: Seed, load: Load) -> None:
    ring = host.outside(f"{file}.ring")
    write_ring(ring, seed, load)
    write = f"write -q -s {file}.ring {ring_offset(seed)} {load.disk}M"
    host.exec(["qemu-io", "-f", spec.image_format, "-c", write, file])
    ring.unlink()


def _put_on_base(spec: GuestSpec, host: Host, file: str, size: int) -> None:
    """Make the image a base and the disk an overlay on it."""
    base = host.outside(spec.base)
    base.parent.mkdir(mode=0o711, exist_ok=True)
    host.outside(file).rename(base)
    host.exec(["qemu-img", "create", "-q", "-f", "qcow2", "-b", spec.base, "-F", spec.image_format, file, str(size)])


def _make_config_drive(spec: GuestSpec, target: Path) -> None:
    """A config drive as OpenStack has it: ISO 9660, labelled config-2."""
    with tempfile.TemporaryDirectory() as scratch:
        latest = Path(scratch) / "openstack/latest"
        latest.mkdir(parents=True)
        (latest / "meta_data.json").write_text(json.dumps({"uuid": spec.uuid, "name": spec.name}))
        run(["genisoimage", "-quiet", "-J", "-r", "-V", "config-2", "-o", target, scratch])


def _start(spec: GuestSpec, host: Host) -> None:
    virsh(host, "start", spec.name)
    sign = "KVMLAB hang" if spec.hang else "KVMLAB up"
    # The console costs nothing to look at; each call to an agent that is not there yet fills a log.
    wait_for(
        f"{sign!r} on the console of guest {spec.name}",
        lambda: sign in console(spec.name, [host]),
        timeout_s=BOOT_TIMEOUT_S,
    )
    if not spec.hang:
        wait_for_agent(host, spec.name, BOOT_TIMEOUT_S)


def destroy(name: str, hosts: list[Host]) -> bool:
    """Remove a guest wherever it is; False when there was nothing of it."""
    found = False
    for host in hosts:
        state = guest_states(host).get(name)
        if state is not None:
            found = True
            if state != "shut off":
                host.exec(["virsh", "-c", "qemu:///system", "destroy", name], check=False)
            virsh(host, "undefine", "--managed-save", "--nvram", "--snapshots-metadata", "--checkpoints-metadata", name)
    for host in hosts:
        for directory in _directories(name, host):
            found = True
            if not unshare(directory):
                shutil.rmtree(directory)
        _remove_base(name, host)
    found = found or record.load(name) is not None
    watch.stop(name)
    record.forget(name)
    return found


def _remove_base(name: str, host: Host) -> None:
    base = host.outside(GuestSpec(name, "").base)
    if base.exists():
        base.unlink()
        if not any(base.parent.iterdir()):
            base.parent.rmdir()


def console(name: str, hosts: list[Host]) -> str:
    """What the guest printed so far, on all hosts it was on."""
    said = []
    for host in hosts:
        for directory in _directories(name, host):
            log = directory / "console.log"
            if log.exists():
                said.append((log.stat().st_mtime, log.read_text(errors="replace")))
    return "".join(text for _time, text in sorted(said))


def consoles(name: str, hosts: list[Host]) -> list[tuple[str, Path]]:
    """Host and path of every console the guest can have now, whether it is there or not."""
    found = []
    for host in hosts:
        # The storage of a host that loses power is an input/output error.
        with contextlib.suppress(OSError):
            found += [(host.name, directory / "console.log") for directory in _possible_directories(name, host)]
    return found
