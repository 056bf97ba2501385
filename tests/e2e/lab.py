# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab as the tests use it: its one executable, typed; every call is bounded."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "tests/lab/lab"
REMOTE = Path(__file__).resolve().parent / "remote"
HOSTS = ("c1", "c2")
INSTANCE = int(os.environ.get("KVMLAB_INSTANCE") or "0")
"""Which of several labs on one machine these tests use; test_reach wants the bridge of lab 0 too."""
ADDRESSES = {name: f"198.51.100.{10 * INSTANCE + 10 + int(name[1:])}" for name in HOSTS}
IMAGES = "/var/lib/libvirt/images"
RECORDS = "/var/lib/kvmops"
PREFIX = "e2e-"
"""What every guest of these tests is called by, so that a sweep finds what an aborted run left."""

BOOTSTRAP = (
    "import json, sys; given = json.load(sys.stdin); names = {}; "
    "exec(compile(given['source'], given['name'], 'exec'), names); print(json.dumps(names['main'](given['payload'])))"
)
"""What Python is started with, to run what C(program) says on its standard input."""
_One = TypeVar("_One")
_Other = TypeVar("_Other")


@dataclass(frozen=True)
class View:
    """A guest as C(lab guest verify) sees it."""

    name: str
    uuid: str
    host: str
    state: str
    vcpus: int
    memory_mib: int
    root_bytes: int
    sums: dict[str, str | None]
    defined_on: tuple[str, ...]
    problems: tuple[str, ...]
    config_drive_ok: bool | None

    @property
    def size(self) -> tuple[int, int, int]:
        """vCPUs, memory in MiB and root disk in bytes."""
        return self.vcpus, self.memory_mib, self.root_bytes


def run(
    *words: str, stdin: str | None = None, check: bool = True, timeout_s: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run the lab's executable; a failure shows what it said."""
    done = subprocess.run(
        [str(LAB), *words], input=stdin or "", capture_output=True, text=True, timeout=timeout_s, check=False
    )
    assert not check or done.returncode == 0, f"lab {' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def on_machine(*words: str, timeout_s: float = 60) -> str:
    """What a program on the machine under the lab printed; it has to succeed."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=timeout_s, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def remote(host: str, name: str, payload: object = None, timeout_s: float = 60) -> Any:
    """What C(main(payload)) of remote/NAME.py returns when it is run as root on *host*."""
    command = f"python3 -c {json.dumps(BOOTSTRAP)}"
    return json.loads(run("ssh", host, command, stdin=program(name, payload), timeout_s=timeout_s).stdout)


def program(name: str, payload: object) -> str:
    """Text that has BOOTSTRAP print, as JSON, what C(main(payload)) of remote/NAME.py returns."""
    source = (REMOTE / f"{name}.py").read_text(encoding="utf-8")
    return json.dumps({"source": source, "name": f"{name}.py", "payload": payload})


def shell(host: str, command: str) -> str:
    """What a command line on *host* printed; it has to succeed."""
    return run("ssh", host, command).stdout


def create(name: str, *options: str, host: str = "c1") -> None:
    """Make a guest with little data on it and wait until its agent answers."""
    words = ("guest", "create", name, "--host", host, "--data-mib", "4", *options)
    if run(*words, check=False, timeout_s=180).returncode != 0:
        run("guest", "destroy", name)  # an aborted run may have taken the name
        run(*words, timeout_s=180)


def look(name: str) -> View | None:
    """The guest as it is now; None when it cannot be looked at (yet)."""
    done = run("guest", "verify", name, "--json", check=False, timeout_s=120)
    if not done.stdout:
        return None
    seen = json.loads(done.stdout)
    return View(
        name=seen["name"],
        uuid=seen["uuid"],
        host=seen["host"],
        state=seen["state"],
        vcpus=seen["vcpus"],
        memory_mib=seen["memory_mib"],
        root_bytes=seen["root_bytes"],
        sums={disk["target"]: disk["sha256"] for disk in seen["disks"]},
        defined_on=tuple(seen["defined_on"]),
        problems=tuple(seen["problems"]),
        config_drive_ok=seen["config_drive_ok"],
    )


def verify(name: str, timeout_s: float = 90) -> View:
    """The guest once it can be looked at: one that was just started has to boot first."""
    found: list[View] = []

    def answers() -> bool:
        view = look(name)
        if view is not None:
            found.append(view)
        return view is not None

    wait_for(f"guest {name} to tell of itself", answers, timeout_s=timeout_s)
    return found[0]


def verify_all(names: Iterable[str]) -> dict[str, View]:
    """All these guests, each once it answers."""
    return {view.name: view for view in parallel(verify, list(names))}


def destroy(*names: str) -> None:
    """Remove these guests on both hosts, and what was kept of their migrations."""
    parallel(lambda name: run("guest", "destroy", name), names)
    parallel(lambda host: remote(host, "forget", list(names)), HOSTS)


def shape(mbit: int, *, check: bool = True) -> None:
    """What each host's link carries; 0: as much as it can."""
    for host in HOSTS:
        run("shape", host, str(mbit), check=check)


@contextmanager
def guest(name: str, *options: str) -> Iterator[str]:
    """One guest, for as long as the block; links that were made slow meanwhile are as before afterwards."""
    create(name, *options)
    try:
        yield name
    finally:
        shape(0, check=False)
        destroy(name)


def guests() -> dict[str, str]:
    """The guests there are, with the host each is on (the last, when several define it)."""
    seen = json.loads(run("status", "--json", check=False).stdout)
    return {name: host["name"] for host in seen for name in host["guests"]}


def parallel(work: Callable[[_One], _Other], items: Sequence[_One], workers: int = 4) -> list[_Other]:
    """*work* on every item, a few at a time; the first error is raised when all are done."""
    with ThreadPoolExecutor(max_workers=workers) as pool:
        futures = [pool.submit(work, one) for one in items]
    return [future.result() for future in futures]


def wait_for(what: str, probe: Callable[[], bool], *, timeout_s: float, interval_s: float = 0.2) -> None:
    """Poll until *probe* holds; fails with *what* was waited for."""
    deadline = time.monotonic() + timeout_s
    while not probe():
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s for {what}"
        time.sleep(interval_s)
