# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may reach which port of this host, whatever firewall sees to it. Pure.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused

_RANGE = re.compile(r"(\d+)(?:-(\d+))?")
_MOST = 65535


@dataclass(frozen=True, order=True)
class Ports:
    """TCP ports from *first* to *last*, both included."""

    first: int
    last: int

    def joined(self, by: str) -> str:
        """One port as itself, several with *by* between the first and the last."""
        return str(self.first) if self.first == self.last else f"{self.first}{by}{self.last}"


@dataclass(frozen=True, order=True)
class Rule:
    """A peer may reach these ports."""

    source: str
    """An IP address, as Python writes it."""
    ports: Ports

    @property
    def family(self) -> str:
        """ipv4 or ipv6."""
        return "ipv6" if ":" in self.source else "ipv4"


def wanted(addresses: Iterable[str], ports: Iterable[str]) -> tuple[Rule, ...]:
    """Each of *addresses* to each of *ports*, such as C(16514) or C(49152-49215). Raises Refused(PORTS_INVALID)."""
    ranges = [read_ports(one) for one in ports]
    return tuple(sorted({Rule(plain(address), one) for address in addresses for one in ranges}))


def read_ports(text: str) -> Ports:
    """The inverse of C(joined("-")). Raises Refused(PORTS_INVALID)."""
    found = _RANGE.fullmatch(text)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 0 < first <= last <= _MOST:
        raise Refused(
            "PORTS_INVALID",
            text,
            f"is no TCP port between 1 and {_MOST}, and no range of them.",
            "Give a number, or the first and the last with - between them.",
        )
    return Ports(first, last)


def matched(pattern: re.Pattern[str], text: str) -> tuple[Rule, ...]:
    """The rules in the lines of *text* that are as *pattern*, with its groups source, first and last."""
    found = [one for one in (pattern.fullmatch(line.strip()) for line in text.splitlines()) if one]
    return tuple(
        sorted(Rule(plain(one["source"]), Ports(int(one["first"]), int(one["last"] or one["first"]))) for one in found)
    )


def plain(address: str) -> str:
    """An address as it is compared. Raises ValueError."""
    return str(ipaddress.ip_address(address))
