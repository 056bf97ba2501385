# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of a playbook: a controller of its own, that shares nothing with the one before."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kvmlab.config import LabError
from kvmlab.run import wait_for

REPOSITORY = Path(__file__).resolve().parents[3]
# A link that is cut is found out sooner than in an operator's set-up, so that a case takes less time.
SSH = "-o ControlMaster=auto -o ControlPersist=30s -o ServerAliveInterval=2 -o ServerAliveCountMax=2"


def checkout(scratch: Path) -> Path:
    """Another checkout of the collection below *scratch*, where Ansible finds it by name; its root."""
    parts = ("galaxy.yml", "meta", "playbooks", "plugins", "roles")
    listing = subprocess.run(
        ["git", "-C", str(REPOSITORY), "ls-files", "-z", "--cached", *parts],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    target = scratch / "ansible_collections/kvmops/mobility"
    for name in filter(None, listing.stdout.split("\0")):
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / name, place)
    return target


class Controller:
    """ansible-playbook in a session of its own."""

    def __init__(self, playbook: str, variables: Mapping[str, Any], collections: Path, log: Path) -> None:
        # A short path: ssh appends to it, and a UNIX socket's name may have 108 characters.
        self._home = Path(tempfile.mkdtemp(prefix="kvf-"))
        self.log = log
        program = shutil.which("ansible-playbook")
        if program is None:
            raise LabError("ansible-playbook is not on PATH: run this through tools/faults")
        inventory = str(REPOSITORY / "tests/lab/instance.yml")
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [program, "-i", inventory, f"kvmops.mobility.{playbook}", "-e", json.dumps(dict(variables))],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd=self._home,
                env=self._environment(collections),
            )

    def _environment(self, collections: Path) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "KVMLAB_INSTANCE", "KVMLAB_CACHE") if name in os.environ}
        return {
            **kept,
            "HOME": str(self._home),
            "LANG": "C.UTF-8",
            "ANSIBLE_HOME": str(self._home / "ansible"),
            "ANSIBLE_COLLECTIONS_PATH": str(collections),
            "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self._home / "cp"),
            "ANSIBLE_SSH_ARGS": SSH,
            "ANSIBLE_TIMEOUT": "4",
            "ANSIBLE_LOCALHOST_WARNING": "no",
        }

    def ended(self) -> bool:
        """Whether it is over."""
        return self._process.poll() is not None

    def wait(self, timeout_s: float) -> int:
        """Its exit code. Raises LabError when it does not end."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise LabError(f"the controller had not ended after {timeout_s:g} s, see {self.log}") from None

    def kill(self) -> None:
        """SIGKILL to it, its forks and their ssh clients."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        self._process.wait(10)

    def cut_ssh(self) -> int:
        """Kill the ssh connections it shares among its tasks; how many."""
        mark = f"ssh: {self._home}"
        killed = 0
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace")
                if words.startswith(mark):
                    os.kill(int(entry.name), signal.SIGKILL)
                    killed += 1
            except OSError:
                continue
        return killed

    def forget(self) -> None:
        """Leave nothing of it but its log."""
        self.cut_ssh()
        try:
            wait_for("the controller's files", self._removed, timeout_s=5, interval_s=0.1)
        except LabError:
            shutil.rmtree(self._home, ignore_errors=True)

    def _removed(self) -> bool:
        shutil.rmtree(self._home, ignore_errors=True)
        return not self._home.exists()
