# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys: the lab's way into the hosts. That the hosts trust each other is what the collection's own playbook does.

Host keys are made here and read from the root file systems, so what is pinned for the machine is what the hosts really
have; nothing is ever learnt over the network.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from .config import HOSTS, INSTANCE, LabError, cache_dir, run_dir, ssh_dir
from .host import Host
from .run import run, run_logged, say

ROOT = Path(__file__).resolve().parents[3]
_PLAYBOOK = "kvmops.mobility.repair_trust"


def lab_key() -> Path:
    """The private key that opens root on every host."""
    return ssh_dir() / "id_ed25519"


def lab_known_hosts() -> Path:
    """The hosts' true keys, for clients on the machine."""
    return ssh_dir() / "known_hosts"


def ssh_argv(address: str) -> list[str]:
    """An ssh command line to root on a host that asks nothing and believes nothing."""
    return [
        "ssh",
        "-F",
        "/dev/null",
        "-i",
        str(lab_key()),
        "-o",
        "IdentitiesOnly=yes",
        "-o",
        "BatchMode=yes",
        "-o",
        "StrictHostKeyChecking=yes",
        "-o",
        f"UserKnownHostsFile={lab_known_hosts()}",
        "-o",
        "GlobalKnownHostsFile=/dev/null",
        "-o",
        "ConnectTimeout=10",
        f"root@{address}",
    ]


def ensure_lab_key() -> None:
    """Make the lab's own key once."""
    ssh_dir().mkdir(parents=True, exist_ok=True)
    ssh_dir().chmod(0o700)
    _ensure_key(lab_key(), "kvmlab")


def make_host_keys(host: Host) -> None:
    """Give a new host its host keys, and let the lab's own key in."""
    run(["ssh-keygen", "-A", "-f", host.root])
    home = host.root / "root/.ssh"
    home.mkdir(mode=0o700, exist_ok=True)
    keys = home / "authorized_keys"
    keys.write_text(lab_key().with_name(f"{lab_key().name}.pub").read_text())
    keys.chmod(0o600)


def _ensure_key(path: Path, comment: str) -> None:
    if not path.exists():
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path])


def pin(hosts: Sequence[Host]) -> None:
    """Let the machine know the hosts' keys, as they are."""
    pinned = "".join(_pins(host) for host in hosts)
    if not lab_known_hosts().exists() or lab_known_hosts().read_text() != pinned:
        lab_known_hosts().write_text(pinned)


def establish(hosts: Sequence[Host]) -> None:
    """Let the hosts trust each other, as an operator does; at once when that was done for these host keys.

    KVMLAB_TRUST=no leaves that to whoever asked for the lab.
    """
    if os.environ.get("KVMLAB_TRUST") == "no":
        return
    stamp = run_dir() / "trust"
    state = hashlib.sha256("".join(_pins(host) for host in hosts).encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == state:
        return
    say(f"{_PLAYBOOK}: {', '.join(host.name for host in hosts)}")
    log = cache_dir() / f"trust-{INSTANCE}.log"
    log.unlink(missing_ok=True)
    settings = {
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".tree"),
        "KVMLAB_INSTANCE": str(INSTANCE),
    }
    words = [f"{name}={value}" for name, value in settings.items()]
    run_logged(["env", "-C", ROOT, *words, _ansible_playbook(), *_inventory(), _PLAYBOOK], log, timeout_s=600)
    stamp.write_text(state)


def _inventory() -> list[str]:
    further = [f"instance_{spec.name}.yml" for spec in HOSTS[2:]]
    return [word for name in ("instance.yml", *further) for word in ("-i", str(ROOT / "tests/lab" / name))]


def _ansible_playbook() -> str:
    """That of the checkout's own environment, else one that is on the path; .tree is made when it lacks."""
    own = ROOT / ".venv/bin/ansible-playbook"
    known = str(own) if own.exists() else shutil.which("ansible-playbook")
    wanted = ["tree"] if known else ["tree", "venv"]
    if not known or not (ROOT / ".tree").is_dir():
        run([ROOT / "tools/prepare", *wanted], timeout_s=900)
    if not known and not own.exists():
        raise LabError("there is no ansible-playbook: run `make venv` first")
    return known or str(own)


def _pins(host: Host) -> str:
    spec = next(spec for spec in HOSTS if spec.name == host.name)
    lines = []
    for public in sorted((host.root / "etc/ssh").glob("ssh_host_*_key.pub")):
        kind, key = public.read_text().split()[:2]
        lines.append(f"{spec.name},{spec.address} {kind} {key}\n")
    return "".join(lines)
