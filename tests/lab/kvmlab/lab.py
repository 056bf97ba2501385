# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab as a whole: up, down, status."""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from .config import HOSTS, LabError, cache_dir, guests_dir, host_spec, run_dir, ssh_dir, ticks_dir
from .host import Host
from .image import Image, ensure_image
from .initrd import ensure_initrd
from .machine import allow_userfaultfd, install_programs, require_root, restore_userfaultfd
from .mounts import mounts_below, share_mounts, unmount_below
from .network import ensure_bridge, remove_bridge
from .run import say, wait_for
from .trouble import put_right, troubles
from .trust import ensure_lab_key, establish, make_host_keys, pin
from .virsh import guest_states
from .watch import resume_all, stop_all


def all_hosts() -> list[Host]:
    """The hosts, whatever state they are in."""
    return [Host(spec) for spec in HOSTS]


@contextmanager
def _alone() -> Iterator[None]:
    """One `up` or `down` at a time: the second waits for the first."""
    cache_dir().mkdir(parents=True, exist_ok=True)
    with (cache_dir() / "lock").open("w") as handle:
        wait_for("another `lab up` or `lab down`", lambda: _locked(handle.fileno()), timeout_s=900)
        yield


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def up() -> None:
    """Bring the lab up from whatever state it is in; quick when it is up."""
    require_root()
    began = time.monotonic()
    with _alone():
        install_programs()
        image = ensure_image()
        initrd = ensure_initrd(image)
        share_mounts(run_dir())
        guests_dir().mkdir(parents=True, exist_ok=True)
        allow_userfaultfd()
        ensure_bridge()
        ensure_lab_key()
        hosts = all_hosts()
        for host in hosts:
            put_right(host)
        down_hosts = [host for host in hosts if not _usable(host)]
        _make(hosts, down_hosts, image)
        for host in hosts:
            host.place_boot_files(image, initrd)
        for host in down_hosts:
            say(f"booting {host.name}")
            host.boot()
        for host in down_hosts:
            host.wait_ready()
        establish(hosts)
        resume_all()
    say(f"up after {time.monotonic() - began:.1f} s")


def _usable(host: Host) -> bool:
    """Whether a host can stay as it is; half dead ones are ended."""
    if host.running():
        try:
            host.wait_ready()
        except LabError as error:
            say(f"{host.name} runs but is of no use ({error}): booting it again")
        else:
            return True
    host.kill()
    return False


def _make(hosts: list[Host], wanted: list[Host], image: Image) -> None:
    new = [host for host in wanted if host.mount(image)]
    for host in new:
        say(f"making {host.name}")
        host.prepare()
        make_host_keys(host)
    pin(hosts)
    for host in new:
        host.settle(image)


def down() -> None:
    """Take away everything but the cache, after a crash too."""
    require_root()
    began = time.monotonic()
    with _alone():
        stop_all()
        for host in all_hosts():
            host.remove()
        remove_bridge()
        restore_userfaultfd()
        unmount_below(run_dir())
        left = mounts_below(run_dir())
        if left:
            raise LabError(f"still mounted: {', '.join(map(str, left))}")
        (run_dir() / "trust").unlink(missing_ok=True)
        for directory in (guests_dir(), ticks_dir(), ssh_dir(), run_dir() / "hosts"):
            shutil.rmtree(directory, ignore_errors=True)
        if run_dir().is_dir():
            run_dir().rmdir()
    say(f"down after {time.monotonic() - began:.1f} s")


@dataclass
class HostView:
    """A host as `status` shows it."""

    name: str
    address: str
    up: bool
    guests: dict[str, str] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)


def status() -> list[HostView]:
    """How the hosts are; nothing is changed."""
    views = []
    for host in all_hosts():
        wrong = troubles(host)
        # What can be asked of a host whose link is cut is asked on the machine.
        well = host.running() and (host.answers() or "cut" in wrong)
        view = HostView(host.name, host.address, well and "cut" not in wrong, troubles=wrong)
        if well:
            view.guests = guest_states(host)
        views.append(view)
    return views


def boot(name: str) -> None:
    """Boot a host that crashed, and wait until it can be used; quick when it is up."""
    require_root()
    began = time.monotonic()
    host = Host(host_spec(name))
    if not host.made():
        raise LabError(f"there is no host {name} yet: run `lab up` first")
    if not host.running():
        host.kill()
        host.mount(ensure_image())
        host.boot()
    host.wait_ready()
    say(f"{name} is up after {time.monotonic() - began:.1f} s")
