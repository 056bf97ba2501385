# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what every host says of itself to what each host has to know of the others. Pure.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_EVERYWHERE = ("localhost", "localhost.localdomain", "localhost4", "localhost6", "ip6-localhost", "ip6-loopback")


@dataclass(frozen=True)
class Member:
    """One host of the trust, as it and the inventory describe it."""

    name: str
    """In the inventory."""
    reached_by: tuple[str, ...]
    """Names and addresses that the inventory gives it."""
    calls_itself: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    port: int = 22
    keys: tuple[str, ...] = ()
    """Its host keys, type and blob; empty when it could not be asked."""
    user_key: str = ""
    """Public key of its migration user; empty when it is not made yet."""
    root_key: str = ""
    user: str = ""
    """Its migration user; empty when it was not asked."""

    @property
    def names(self) -> tuple[str, ...]:
        """Everything it may be called by, each once, in the order in which people know it."""
        every = (self.name, *self.reached_by, *self.calls_itself, *self.addresses)
        return tuple(dict.fromkeys(_tidy(one) for one in every if _is_usable(one)))


def _tidy(name: str) -> str:
    return name.strip().rstrip(".").lower()


def _is_usable(name: str) -> bool:
    """A name that means every host, and an address that means oneself, mean nobody else."""
    tidy = _tidy(name)
    if not tidy or tidy in _EVERYWHERE or set(tidy) & set(" ,*?!|[]%\t\n"):
        return False
    address = _address(tidy)
    return address is None or not (address.is_loopback or address.is_link_local or address.is_unspecified)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def shared(members: Iterable[Member]) -> frozenset[str]:
    """Names that more than one host has, such as the address of libvirt's default network: they identify nobody."""
    counted = Counter(name for one in members for name in one.names)
    return frozenset(name for name, times in counted.items() if times > 1)


def own_names(name: str, members: Sequence[Member]) -> list[str]:
    """What others may call *name*."""
    doubtful = shared(members)
    return [called for one in members if one.name == name for called in one.names if called not in doubtful]


def known_peers(name: str, members: Sequence[Member]) -> list[dict[str, Any]]:
    """What the known_hosts of *name* have to say of the others, as known_hosts_repair takes it."""
    doubtful = shared(members)
    return [
        {
            "name": one.name,
            "names": [called for called in one.names if called not in doubtful],
            "port": one.port,
            "keys": list(one.keys),
        }
        for one in members
        if one.name != name and one.keys
    ]


def outsider(given: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A host outside the inventory whose *key* was vouched for, as known_hosts_repair takes it."""
    name, address = str(given["name"]), str(given.get("address") or given["name"])
    return {
        "name": name,
        "names": list(dict.fromkeys((_tidy(name), _tidy(address)))),
        "port": int(given.get("port") or 22),
        "keys": [key],
        # No authority of ours has signed it, whatever its patterns say.
        "certified": False,
    }


def sources(member: Member) -> list[str]:
    """The addresses a host's connections may come from."""
    every = (*member.reached_by, *member.addresses)
    return list(dict.fromkeys(_tidy(one) for one in every if _is_usable(one) and _address(_tidy(one))))


def admitted(name: str, members: Sequence[Member], root: bool) -> list[dict[str, Any]]:
    """Whose keys may log in on *name*, as ssh_authorized_keys takes them."""
    return [
        {"name": one.name, "key": one.root_key if root else one.user_key, "addresses": sources(one)}
        for one in members
        if one.name != name and sources(one)
    ]


def leaving(absent: Sequence[Member]) -> list[dict[str, Any]]:
    """What known_hosts_repair takes out for hosts that leave."""
    return [{"name": one.name, "names": list(one.names), "port": one.port, "keys": []} for one in absent]


def targets(name: str, members: Sequence[Member], addresses: Mapping[str, str]) -> list[dict[str, Any]]:
    """Whom *name* has to reach, as ssh_proof takes it."""
    return [
        {"name": one.name, "address": addresses.get(one.name, one.name), "port": one.port, "user": one.user or None}
        for one in members
        if one.name != name
    ]
