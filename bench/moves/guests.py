# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab as the measurements use it: a guest for a cell, the link between the hosts, and nothing left afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from kvmlab import lab, trouble, watch
from kvmlab.config import IMAGES_DIR, LabError
from kvmlab.domain import GuestSpec
from kvmlab.host import Host
from kvmlab.outage import Outage
from kvmlab.run import wait_for
from kvmlab.virsh import guest_states, virsh, wait_for_agent

from ansible_collections.kvmops.mobility.bench.moves.cells import Cell
from ansible_collections.kvmops.mobility.bench.moves.peers import Disk, Job
from ansible_collections.kvmops.mobility.tests.e2e import lab as tests_lab
from ansible_collections.kvmops.mobility.tests.e2e.play import Run, play

PREFIX = "bench-"
"""What every guest of the measurements is called by, so that the next call finds what an aborted one left."""
INVENTORY = tests_lab.ROOT / "tests/lab/instance.yml"
COPY = ".copy"
"""What stands behind the name of a guest's directory where only bytes are copied to."""
_LEAVINGS = (".xml", COPY)
_BOOT_S = 300
_PLAY_S = 4 * 3600
_CHUNK_MIB = 4


class BenchError(Exception):
    """A run that did not do what it was to do: one line that says why."""


FAILURES = (BenchError, LabError, AssertionError, KeyError, subprocess.SubprocessError)
"""What a run can fail with; it is a result."""


def hosts() -> tuple[Host, Host]:
    """Source and destination, brought up when they are not."""
    if tests_lab.run("status", check=False).returncode != 0:
        tests_lab.run("up", timeout_s=900)
    source, destination = lab.all_hosts()[:2]
    return source, destination


@contextlib.contextmanager
def clean(every: tuple[Host, ...]) -> Iterator[None]:
    """Without guests of these measurements and without limits on the links, before and afterwards."""
    sweep(every)
    before = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        sweep(every)
        signal.signal(signal.SIGTERM, before)


def _end(number: int, _frame: object) -> None:
    """Go through everything that is to be done at the end."""
    raise SystemExit(128 + number)


def sweep(every: tuple[Host, ...]) -> None:
    """Remove all guests of the measurements, their records and their backing files; take the limits off the links."""
    left = {name for name in tests_lab.guests() if name.startswith(PREFIX)}
    for host in every:
        trouble.put_right(host)
        # A run that was killed may have left a directory and no definition.
        left |= {re.split(r"[._]", path.name)[0] for path in host.storage.images.glob(f"{PREFIX}*")}
    remove(sorted(left), every)


def remove(names: list[str], every: tuple[Host, ...]) -> None:
    """Remove these guests wherever they are, with all that was kept of their moves."""
    tests_lab.destroy(*names)
    for host in every:
        for name in names:
            host.exec(["rm", "-rf", _base(name), *(f"{IMAGES_DIR}/{name}{end}" for end in _LEAVINGS)])


def shape(every: tuple[Host, ...], mbit: int) -> None:
    """Limit the links of the hosts, each way; 0 for no limit."""
    for host in every:
        trouble.shape(host, mbit)


class Guest:
    """The guest of a cell: at first on the source, running, with ticks."""

    def __init__(self, name: str, cell: Cell, source: Host, destination: Host) -> None:
        self.name = name
        self.cell = cell
        self.source = source
        self.destination = destination

    @property
    def job(self) -> Job:
        """What the peers are told of it."""
        disk = Disk("disk", "qcow2", self.cell.backing)
        return Job(self.name, f"{IMAGES_DIR}/{self.name}", self.destination.address, (disk,))

    def create(self) -> None:
        """Make it and wait until it ticks. Raises AssertionError with what the lab said."""
        words = ["guest", "create", self.name, "--host", self.source.name, "--ticks", *options(self.cell)]
        tests_lab.run(*words, timeout_s=600 + self.cell.allocated_mib)
        if self.cell.backing:
            self._fill_overlay()
            virsh(self.source, "start", self.name)
            wait_for_agent(self.source, self.name, _BOOT_S)

    def _fill_overlay(self) -> None:
        """Put content into its overlay, and its backing file onto the destination, where Nova's cache would have it."""
        base = self.destination.outside(_base(self.name))
        base.parent.mkdir(mode=0o711, exist_ok=True)
        subprocess.run(["cp", "--sparse=always", self.source.outside(_base(self.name)), base], check=True, timeout=3600)
        chunk = f"/var/tmp/{self.name}.chunk"
        self.source.exec(["dd", "if=/dev/urandom", f"of={chunk}", "bs=1M", f"count={_CHUNK_MIB}", "status=none"])
        disk = f"{self.job.directory}/disk"
        self.source.exec(["qemu-io", "-f", "qcow2", disk], stdin=_overlay(self.cell, chunk), timeout_s=3600)
        self.source.exec(["rm", chunk])

    def allocated_bytes(self) -> int:
        """What the image that is moved takes on the source's storage."""
        return os.stat(self.source.outside(f"{self.job.directory}/disk")).st_blocks * 512

    def settle(self) -> None:
        """Wait until it ticks on the source, and writes if it is to; nothing of its disk is cached."""
        now = time.time()
        self._wait_for_ticks(self.source, now, _BOOT_S)
        if self.cell.writing:
            what = f"{self.name} to write"
            wait_for(what, lambda: watch.seen(self.name, now).longest_fsync_s is not None, timeout_s=_BOOT_S)
        self.forget_cached()
        time.sleep(1)

    def _wait_for_ticks(self, host: Host, since: float, timeout_s: float) -> Outage:
        """Two ticks on *host*. Raises BenchError."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            seen = watch.seen(self.name, since)
            if seen.ticks >= 2 and seen.ended is not None and seen.ended_on == host.name:
                return seen
            time.sleep(0.1)
        raise BenchError(f"no tick of {self.name} on {host.name} for {timeout_s:g} s")

    def outage_since(self, since: float) -> Outage:
        """The longest gap once it ticks on the destination. Raises BenchError when it does not."""
        return self._wait_for_ticks(self.destination, since, _BOOT_S)

    def off(self) -> None:
        """Shut it down on the source. Raises LabError when it does not go."""
        virsh(self.source, "shutdown", self.name)
        wait_for(f"{self.name} to be off", lambda: not self.runs(), timeout_s=_BOOT_S)

    def on(self) -> None:
        """Start it on the source."""
        if not self.runs():
            virsh(self.source, "start", self.name)

    def runs(self) -> bool:
        """Whether it is not off on the source."""
        return guest_states(self.source).get(self.name) != "shut off"

    def forget_cached(self) -> None:
        """Write everything that waits on both hosts, and take the source's disk out of the page cache."""
        for host in (self.source, self.destination):
            host.storage.sync()
        for path in (self.source.outside(f"{self.job.directory}/disk"), self.source.storage.file):
            _forget(path)

    def compare(self) -> str:
        """How the content at the destination was verified. Raises BenchError when it is not what was on the source."""
        if self.cell.writing:
            done = tests_lab.run("guest", "verify", self.name, check=False, timeout_s=900 + self.cell.allocated_mib)
            if done.returncode != 0:
                raise BenchError(done.stderr.strip() or "guest verify failed")
            return "guest verify"
        self.same(f"{self.job.parked}/disk", f"{self.job.directory}/disk")
        return "qemu-img compare"

    def same(self, source: str, target: str) -> None:
        """Compare an image on the source with one on the destination. Raises BenchError when they differ."""
        words = ["qemu-img", "compare", "-U", _image(self.source, source), _image(self.destination, target)]
        compared = subprocess.run(words, capture_output=True, text=True, timeout=3600, check=False)
        if compared.returncode != 0:
            raise BenchError(f"qemu-img compare: {(compared.stdout + compared.stderr).strip()}")

    def watch_anew(self) -> None:
        """Forget what was seen of it: it goes back to a disk without what it wrote since."""
        watch.stop(self.name)
        watch.start(self.name)


def options(cell: Cell) -> list[str]:
    """What the lab is told of the guest of a cell."""
    words = ["--root-gib", str(cell.root_gib), "--data-mib", str(cell.data_mib), "--content", cell.content]
    words += ["--load", cell.load] if cell.load else []
    return [*words, "--backing", "--off"] if cell.backing else words


def _overlay(cell: Cell, chunk: str) -> str:
    """What qemu-io is told to fill an overlay behind the content of its base: random and compressible in turn."""
    first = cell.data_mib + _CHUNK_MIB
    lines = []
    for number in range(cell.overlay_mib // _CHUNK_MIB):
        what = f"-P {1 + number % 255}" if number % 2 else f"-s {chunk}"
        lines.append(f"write -q {what} {first + number * _CHUNK_MIB}M {_CHUNK_MIB}M\n")
    return "".join(lines)


def _base(name: str) -> str:
    """Where the lab has a guest's backing file."""
    return GuestSpec(name, "").base


def _image(host: Host, path: str) -> str:
    """The same as a name for qemu-img on the machine, to which the path of a backing file means nothing."""
    file = host.outside(path)
    node: dict[str, object] = {"driver": "qcow2", "file": {"driver": "file", "filename": str(file)}}
    if _has_backing(file):
        backing = host.outside(_base(Path(path).parent.name.removesuffix("_resize")))
        node["backing"] = {"driver": "qcow2", "file": {"driver": "file", "filename": str(backing)}}
    return f"json:{json.dumps(node)}"


def _has_backing(file: Path) -> bool:
    with file.open("rb") as image:
        return int.from_bytes(image.read(16)[8:16], "big") != 0  # where the header says its name is


def _forget(path: Path) -> None:
    """Take a file out of the page cache."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(handle)


def run_script(host: Host, lines: list[str]) -> str:
    """What a script printed that root runs on a host over ssh. Raises BenchError with its last words."""
    # Not bash -s: what a script starts, such as ssh, would read on in the script.
    words = [str(tests_lab.LAB), "ssh", host.name, 'bash -c "$(cat)"']
    script = "\n".join(lines) + "\n"
    done = subprocess.run(words, input=script, capture_output=True, text=True, timeout=_PLAY_S, check=False)
    if done.returncode != 0:
        raise BenchError((done.stderr.strip() or f"the script ended with {done.returncode}").splitlines()[-1])
    return done.stdout


def run_play(playbook: str, variables: Mapping[str, object]) -> Run:
    """One of our playbooks, as an operator runs it. Raises BenchError with what it said at its end."""
    done = play(playbook, variables, inventory=[INVENTORY], timeout_s=_PLAY_S)
    if done.code != 0:
        raise BenchError("; ".join([*done.last_lines().values(), *done.failures()][:3]) or done.output[-500:])
    return done
