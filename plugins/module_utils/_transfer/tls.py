# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The other way of a mirror: through TLS, with the certificates that QEMU's own migration uses on both hypervisors.

QEMU could speak TLS to an export by itself, but then nothing would bound how long the guest's writes wait for a link
that has gone silent. So both ends are units of ours, as with ssh.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError, TimedOut
from ansible_collections.kvmops.mobility.plugins.module_utils._file import planted
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer import relay
from ansible_collections.kvmops.mobility.plugins.module_utils._unit import transient

DIRECTORY = "/etc/pki/qemu"
"""Where QEMU looks for its certificates by default (default_tls_x509_cert_dir of qemu.conf)."""
_OPEN_S = 20
_POLL_S = 0.05


@dataclass(frozen=True)
class Entrance:
    """The end at the exports: a port for each of them that only one peer is let in at."""

    migration: str
    user: str
    """Runs it: the one who can reach the exports' sockets."""
    address: str
    """Where it listens."""
    peer: str
    """Name or address in the certificate of who may come in."""
    sockets: Mapping[str, str]
    """By target, the export's."""
    stall_s: int
    certificates: str
    """A directory with QEMU's names: ca-cert.pem, server-cert.pem, server-key.pem, client-cert.pem, client-key.pem."""
    logs: str

    @property
    def unit(self) -> transient.Unit:
        """Its unit."""
        return transient.Unit(entrance_name(self.migration), self.logs)

    @property
    def directory(self) -> str:
        """Made by systemd, and gone with the unit."""
        return f"/run/{self.unit.name}"


def entrance_name(migration: str) -> str:
    """The unit of a migration's entrance."""
    return transient.name_of(migration, "entrance")


def credentials(directory: str, role: str) -> tuple[str, ...]:
    """For a unit of any user: systemd reads what only root can, and lets the unit see it.

    Raises MobilityError(TLS_UNUSABLE) naming what is not there.
    """
    files = {"ca.pem": "ca-cert.pem", "cert.pem": f"{role}-cert.pem", "key.pem": f"{role}-key.pem"}
    missing = [name for name in files.values() if not os.path.isfile(f"{directory}/{name}")]
    if missing:
        raise MobilityError(
            "TLS_UNUSABLE",
            directory,
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not there.",
            "Put the certificates of QEMU's TLS there, or mirror through ssh (cold_resize_mirror_tls=false).",
        )
    return tuple(f"LoadCredential={name}:{directory}/{file}" for name, file in files.items())


def open_entrance(
    entrance: Entrance, monotonic: Callable[[], float], sleep: Callable[[float], None]
) -> Mapping[str, int]:
    """Start it; the port of each target. Raises MobilityError(TLS_UNUSABLE)."""
    properties = (
        f"User={entrance.user}",
        f"RuntimeDirectory={entrance.unit.name}",
        "RuntimeDirectoryMode=0700",
        "NoNewPrivileges=yes",
        *credentials(entrance.certificates, "server"),
    )
    sockets = [f"{target}={path}" for target, path in entrance.sockets.items()]
    words = ("arrive", entrance.address, entrance.peer, str(entrance.stall_s), entrance.directory, *sockets)
    transient.forget(entrance.unit.name)
    _start(entrance.unit, words, properties)
    _until(entrance.unit, lambda: bool(ports(entrance)), entrance.address, monotonic, sleep)
    return ports(entrance)


def ports(entrance: Entrance) -> Mapping[str, int]:
    """By target, where it listens; empty while it does not."""
    try:
        found: Mapping[str, int] = json.loads(planted.text_of(f"{entrance.directory}/ports.json"))
    except (OSError, ValueError):
        return {}
    return found


@dataclass(frozen=True)
class Exit:
    """The end at the guest: a socket for each disk."""

    unit: transient.Unit
    address: str
    """Where the entrance listens, and the name or address in its certificate."""
    forwards: Mapping[str, int]
    """By local socket, the port."""
    stall_s: int
    certificates: str


def open_exit(leaving: Exit, monotonic: Callable[[], float], sleep: Callable[[float], None]) -> None:
    """Start it and wait until its sockets are there, each for the user alone that QEMU runs as.

    Raises MobilityError(TLS_UNUSABLE) with what it said: the wrong authority, the wrong name, nobody there.
    """
    sockets = [f"{path}={port}" for path, port in leaving.forwards.items()]
    words = ("leave", leaving.address, leaving.address, str(leaving.stall_s), *sockets)
    properties = ("NoNewPrivileges=yes", "LimitCORE=0", *credentials(leaving.certificates, "client"))
    _start(leaving.unit, words, properties)
    waiting = tuple(leaving.forwards)
    _until(leaving.unit, lambda: all(map(os.path.lexists, waiting)), leaving.address, monotonic, sleep)
    for one in waiting:
        planted.give_socket(one)


def _start(unit: transient.Unit, words: Sequence[str], properties: Sequence[str]) -> None:
    argv = (sys.executable or "python3", "-", *words)
    transient.start_service(unit, argv, properties, inspect.getsource(relay))


def _until(
    unit: transient.Unit,
    ready: Callable[[], bool],
    where: str,
    monotonic: Callable[[], float],
    sleep: Callable[[float], None],
) -> None:
    began = monotonic()
    while not ready():
        ended = transient.phase(unit.name) is not transient.Phase.RUNNING
        if not ended and monotonic() - began <= _OPEN_S:
            sleep(_POLL_S)
            continue
        kind = MobilityError if ended else TimedOut
        raise kind(
            "TLS_UNUSABLE",
            where,
            f"{unit.name} does not serve: {' '.join(transient.words(unit).split()) or 'it said nothing'}.",
            "See that both hypervisors have certificates of the same authority with the names or addresses by which "
            "they reach each other, or mirror through ssh (cold_resize_mirror_tls=false).",
        )
