# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""nftables: a table of ours that drops strangers at the ports of moves, and a unit that loads it. Pure.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ansible_collections.kvmops.mobility.plugins.module_utils._firewall.rules import Ports, Rule

TABLE = "kvmops_mobility"
RULES = "/etc/kvmops.mobility/peers.nft"
UNIT = "libvirt-peers-only.service"
"""Not kvmops-*: that is what the units of moves are called."""
UNIT_FILE = f"/etc/systemd/system/{UNIT}"
VERSION = ("nft", "--version")
LIST = ("nft", "list", "table", "inet", TABLE)
"""Ends with 0 where it is loaded."""
_HEAD = "# Written by kvmops.mobility (role libvirt_host); a change made here is lost.\n"
_FAMILIES = {"ipv4": "ip", "ipv6": "ip6"}


def table(rules: Iterable[Rule], guarded: Iterable[Ports]) -> str:
    """What C(nft -f) takes: at the ports *guarded*, nobody but the peers and this host itself is answered.

    It replaces itself as a whole, so that there is no moment without it.
    """
    found = tuple(rules)
    ports = ", ".join(one.joined("-") for one in sorted({*guarded}))
    lines = (
        f"table inet {TABLE}",
        f"delete table inet {TABLE}",
        f"table inet {TABLE} {{",
        "    chain peers {",
        '        iif "lo" accept',
        *_accepting(found),
        "        drop",
        "    }",
        "    chain input {",
        "        type filter hook input priority -10; policy accept;",
        # Connections that begin: a port of these may also be this host's own end of one that it began.
        f"        tcp dport {{ {ports} }} tcp flags & (fin | syn | rst | ack) == syn jump peers",
        "    }",
        "}",
    )
    return _HEAD + "\n".join(lines) + "\n"


def _accepting(rules: Iterable[Rule]) -> Iterator[str]:
    for family, word in _FAMILIES.items():
        sources = sorted({one.source for one in rules if one.family == family})
        if sources:
            yield f"        {word} saddr {{ {', '.join(sources)} }} accept"


def unit(guarded: Iterable[str]) -> str:
    """Loads the table before any of the units *guarded* listens; where it cannot be loaded, none does."""
    units = " ".join(guarded)
    return (
        f"{_HEAD}[Unit]\n"
        "Description=Only the peers reach what live migrations listen on\n"
        "DefaultDependencies=no\n"
        "After=local-fs.target nftables.service\n"
        # Debian's own begins with a flush of everything.
        "PartOf=nftables.service\n"
        "ReloadPropagatedFrom=nftables.service\n"
        "Wants=network-pre.target\n"
        f"Before=network-pre.target {units}\n"
        "\n"
        "[Service]\n"
        "Type=oneshot\n"
        "RemainAfterExit=yes\n"
        f"ExecStart=nft -f {RULES}\n"
        f"ExecReload=nft -f {RULES}\n"
        f"ExecStop=nft delete table inet {TABLE}\n"
        "\n"
        "[Install]\n"
        f"RequiredBy={units}\n"
    )
