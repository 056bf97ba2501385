# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What sshd says of its own settings (C(sshd -T)), as far as trust depends on it. Pure.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

DEFAULT_HOST_KEYS = tuple(f"/etc/ssh/ssh_host_{kind}_key" for kind in ("rsa", "ecdsa", "ed25519"))
"""Where sshd looks when it was told nothing."""


@dataclass(frozen=True)
class Settings:
    """The settings of sshd that are asked for; the defaults are OpenSSH's."""

    host_keys: tuple[str, ...] = DEFAULT_HOST_KEYS
    """Paths of private keys, in sshd's order."""
    ports: tuple[int, ...] = (22,)
    max_sessions: int = 10
    """Channels of one connection."""
    max_startups: int = 10
    """Connections that may be logging in at once before sshd begins to drop new ones."""
    stream_forwarding: bool = True
    """Whether UNIX sockets may be forwarded to this host."""
    tcp_forwarding: bool = True

    def as_result(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def parse(listing: str) -> Settings:
    """The settings in the output of C(sshd -T)."""
    found: dict[str, list[str]] = {}
    for name, value in _lines(listing):
        found.setdefault(name, []).append(value)

    def one(name: str, default: str) -> str:
        return found.get(name, [default])[0]

    return Settings(
        host_keys=tuple(found.get("hostkey", DEFAULT_HOST_KEYS)),
        ports=tuple(int(port) for port in found.get("port", ["22"])),
        max_sessions=int(one("maxsessions", "10")),
        max_startups=int(one("maxstartups", "10").split(":")[0]),
        stream_forwarding=one("allowstreamlocalforwarding", "yes") in ("yes", "all", "local"),
        tcp_forwarding=one("allowtcpforwarding", "yes") in ("yes", "all", "local"),
    )


def _lines(listing: str) -> Iterator[tuple[str, str]]:
    for line in listing.splitlines():
        name, _blank, value = line.strip().partition(" ")
        if value:
            yield name.lower(), value.strip()


def limits(settings: Settings, parallel_moves: int, root: bool) -> tuple[str, ...]:
    """Why sshd would not stand *parallel_moves* at once; empty when it does.

    A move begins with one connection of its own for the copy, and one for libvirt where root is used as well.
    """
    found = []
    logins = parallel_moves * (2 if root else 1)
    if settings.max_startups < logins:
        found.append(
            f"MaxStartups begins to drop logins at {settings.max_startups}, and {parallel_moves} moves at once may "
            f"need {logins}: raise it to at least {logins}:30:{10 * logins} in sshd_config."
        )
    if settings.max_sessions < 2:
        found.append(f"MaxSessions is {settings.max_sessions}: a copy beside a forwarded socket needs 2.")
    return tuple(found)
