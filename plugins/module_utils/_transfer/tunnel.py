# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of a mirror: sockets of the source that the migration user's ssh carries to exports of the destination.

Nothing listens on the network for it, and host keys are verified as for every copy.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError, TimedOut
from ansible_collections.kvmops.mobility.plugins.module_utils._file import planted
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh import errors
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.known_hosts_file import stored_fingerprint
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer.rsync import Peer, ssh_argv
from ansible_collections.kvmops.mobility.plugins.module_utils._unit import transient

QEMU_DIRECTORIES = "/var/lib/libvirt/qemu"
"""Where libvirt makes a directory for each running domain: confinement lets QEMU connect to what is in its own."""
_OPEN_S = 20
_POLL_S = 0.05


@dataclass(frozen=True)
class Tunnel:
    """One ssh for all disks of a migration."""

    migration: str
    peer: Peer
    forwards: Mapping[str, str]
    """By local socket, the remote one; the local ones are all in one directory."""
    stall_s: int
    """A link that is silent for so long is given up, seconds."""
    logs: str
    """Directory for what ssh prints, and for the socket by which other ssh share its connection."""

    @property
    def unit(self) -> transient.Unit:
        """Its unit."""
        return transient.Unit(unit_name(self.migration), self.logs)

    @property
    def directory(self) -> str:
        """Where the local sockets are."""
        (found,) = {os.path.dirname(one) for one in self.forwards}
        return found

    @property
    def control(self) -> str:
        """Another ssh with this ControlPath needs no log-in of its own."""
        return control_path(self.logs)


def unit_name(migration: str) -> str:
    """The unit of a migration's tunnel."""
    return transient.name_of(migration, "tunnel")


def control_path(logs: str) -> str:
    """Where a tunnel with *logs* has its control socket."""
    return f"{logs}/tunnel.sock"


def forget_control(logs: str) -> None:
    """Remove the control socket of a tunnel with *logs* that is being ended: an ssh that was killed has left it."""
    Path(control_path(logs)).unlink(missing_ok=True)


def argv(tunnel: Tunnel) -> tuple[str, ...]:
    """ssh that forwards the sockets and ends itself on a silent link. It runs in the directory of the local ones: that
    carries the guest's name, in which ssh would take a colon for the end of the path, and expand % and ${}.

    ssh gives up when ServerAliveCountMax questions, one each second in which nothing was heard, had no answer.
    """
    base = ssh_argv(tunnel.peer, alive=(1, max(1, tunnel.stall_s - 1)))
    options = {
        "ExitOnForwardFailure": "yes",
        "StreamLocalBindMask": "0177",
        "StreamLocalBindUnlink": "yes",
        "ControlMaster": "yes",
        "ControlPath": tunnel.control,
        "ControlPersist": "no",
    }
    words = [*base, "-N"]
    for name, value in options.items():
        words += ["-o", f"{name}={value}"]
    for here, there in tunnel.forwards.items():
        words += ["-L", f"./{os.path.basename(here)}:{there}"]
    return (*words, f"{tunnel.peer.user}@{tunnel.peer.address}")


def open_up(tunnel: Tunnel, monotonic: Callable[[], float], sleep: Callable[[float], None]) -> None:
    """Start it and wait until its sockets are there, each for the user alone that QEMU runs as.

    Raises MobilityError: what ssh refused (HOST_KEY_CHANGED …), TUNNEL_FAILED, or TimedOut(TUNNEL_FAILED).
    """
    transient.start_service(tunnel.unit, argv(tunnel), ("LimitCORE=0", f"WorkingDirectory={tunnel.directory}"))
    began = monotonic()
    waiting = list(tunnel.forwards)
    while waiting:
        if transient.phase(tunnel.unit.name) is not transient.Phase.RUNNING:
            raise _refused(tunnel)
        if monotonic() - began > _OPEN_S:
            raise TimedOut(
                "TUNNEL_FAILED",
                tunnel.peer.address,
                f"ssh forwarded nothing within {_OPEN_S} s: {transient.words(tunnel.unit)}",
                "See whether the link answers, then run it again.",
            )
        sleep(_POLL_S)
        waiting = [one for one in waiting if not _is_socket(one)]
    for one in tunnel.forwards:
        planted.give_socket(one)


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False


def _refused(tunnel: Tunnel) -> MobilityError:
    said = transient.words(tunnel.unit)
    failure = errors.parse_error(said, tunnel.peer.address)
    if failure is not None:
        return errors.as_error(errors.with_stored(failure, stored_fingerprint), tunnel.peer.address)
    return MobilityError(
        "TUNNEL_FAILED",
        tunnel.peer.address,
        f"ssh forwards no sockets there: {' '.join(said.split()) or 'it ended without a word'}.",
        "sshd there must allow AllowStreamLocalForwarding, and the key port-forwarding: "
        "kvmops.mobility.repair_trust sees to it.",
    )


def domain_directory(domain_id: int, root: str = QEMU_DIRECTORIES) -> str:
    """The directory libvirt made for the running domain with that number. Raises MobilityError(MIRROR_CONFINED)."""
    found = sorted(Path(root).glob(f"domain-{domain_id}-*"))
    if len(found) != 1:
        raise MobilityError(
            "MIRROR_CONFINED",
            root,
            f"libvirt has no directory domain-{domain_id}-* there, where its QEMU may connect to.",
            "Use transfer=rsync.",
        )
    return str(found[0])
