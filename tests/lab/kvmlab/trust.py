# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys: the lab's way into the hosts, and the hosts' trust in each other.

Host keys are made here and read from the root file systems, so what is pinned is what the
hosts really have; nothing is ever learnt over the network.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from .config import HOSTS, MIGRATION_HOME, MIGRATION_USER, NETWORK, ssh_dir
from .host import Host
from .run import run


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
    """Give a new host its host keys and root's own key."""
    run(["ssh-keygen", "-A", "-f", host.root])
    home = host.root / "root/.ssh"
    home.mkdir(mode=0o700, exist_ok=True)
    _ensure_key(home / "id_ed25519", f"root@{host.name}")


def _ensure_key(path: Path, comment: str) -> None:
    if not path.exists():
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path])


def write_trust(hosts: Sequence[Host]) -> None:
    """Pin all host keys everywhere and let the hosts' roots in where a migration needs it."""
    pinned = "".join(_pins(host) for host in hosts)
    lab_known_hosts().write_text(pinned)
    for host in hosts:
        (host.root / "etc/ssh/ssh_known_hosts").write_text(pinned)
        peers = [_public(peer.root / "root/.ssh/id_ed25519") for peer in hosts if peer is not host]
        # libvirt's peer-to-peer migration logs in as root
        root_lines = [_public(lab_key()), *(f'from="{NETWORK}" {key}' for key in peers)]
        _authorize(host, "root", "/root", root_lines)
        options = f'restrict,port-forwarding,from="{NETWORK}"'
        _authorize(host, MIGRATION_USER, MIGRATION_HOME, [f"{options} {key}" for key in peers])


def _pins(host: Host) -> str:
    spec = next(spec for spec in HOSTS if spec.name == host.name)
    lines = []
    for public in sorted((host.root / "etc/ssh").glob("ssh_host_*_key.pub")):
        kind, key = public.read_text().split()[:2]
        lines.append(f"{spec.name},{spec.address} {kind} {key}\n")
    return "".join(lines)


def _public(private: Path) -> str:
    return private.with_name(f"{private.name}.pub").read_text().strip()


def _authorize(host: Host, user: str, home: str, lines: Sequence[str]) -> None:
    directory = host.root / home.lstrip("/") / ".ssh"
    directory.mkdir(mode=0o700, exist_ok=True)
    keys = directory / "authorized_keys"
    keys.write_text("".join(f"{line}\n" for line in lines))
    keys.chmod(0o600)
    uid, gid = _ids(host, user)
    for path in (directory, keys):
        shutil.chown(path, uid, gid)


def _ids(host: Host, user: str) -> tuple[int, int]:
    for line in (host.root / "etc/passwd").read_text().splitlines():
        fields = line.split(":")
        if fields[0] == user:
            return int(fields[2]), int(fields[3])
    raise KeyError(user)
