# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the firewalls are told, as pure text; that they do it is seen on hosts (extensions/molecule)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._firewall import firewalld, nft, peers, ufw
from ansible_collections.kvmops.mobility.plugins.module_utils._firewall.rules import Ports, Rule, read_ports, wanted
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context
from ansible_collections.kvmops.mobility.tests.unit.bed import Bed

ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)
PORTS = st.tuples(st.integers(1, 65535), st.integers(1, 65535)).map(lambda pair: Ports(min(pair), max(pair)))
RULES = st.lists(st.builds(Rule, ADDRESSES, PORTS), unique=True, max_size=5)


@pytest.mark.parametrize(
    ("text", "ports"),
    [("16514", Ports(16514, 16514)), ("49152-49215", Ports(49152, 49215)), ("1-65535", Ports(1, 65535))],
)
def test_ports(text: str, ports: Ports) -> None:
    assert read_ports(text) == ports
    assert ports.joined("-") == text


@pytest.mark.parametrize("text", ["", "0", "65536", "10-9", "a", "1-", "-1", "1:2", "1-2-3", " 1"])
def test_what_is_no_port(text: str) -> None:
    with pytest.raises(Refused) as caught:
        read_ports(text)
    assert (caught.value.code, caught.value.subject) == ("PORTS_INVALID", text)


def test_each_peer_to_each_port_once() -> None:
    found = wanted(["192.0.2.12", "2001:DB8:0::2", "192.0.2.12"], ["16514", "49152-49215"])
    assert found == (
        Rule("192.0.2.12", Ports(16514, 16514)),
        Rule("192.0.2.12", Ports(49152, 49215)),
        Rule("2001:db8::2", Ports(16514, 16514)),
        Rule("2001:db8::2", Ports(49152, 49215)),
    )
    assert [one.family for one in found] == ["ipv4", "ipv4", "ipv6", "ipv6"]


@given(RULES)
def test_firewalld_says_what_it_was_told(rules: list[Rule]) -> None:
    others = ['rule family="ipv4" source address="192.0.2.9" port port="22" protocol="tcp" accept']
    listed = "\n".join([*others, *map(firewalld.words, rules)]) + "\n"
    assert firewalld.held(listed) == tuple(sorted(rules))


def test_what_firewalld_is_told() -> None:
    one, other = Rule("192.0.2.12", Ports(16514, 16514)), Rule("2001:db8::2", Ports(49152, 49215))
    rule = 'rule priority="-4915" family="{}" source address="{}" port port="{}" protocol="tcp" accept'
    assert firewalld.orders((one,), (other,), permanent=True) == (
        ("firewall-cmd", "--quiet", "--permanent", f"--add-rich-rule={rule.format('ipv4', '192.0.2.12', '16514')}"),
        (
            "firewall-cmd",
            "--quiet",
            "--permanent",
            f"--remove-rich-rule={rule.format('ipv6', '2001:db8::2', '49152-49215')}",
        ),
    )
    assert all("--permanent" not in order for order in firewalld.orders((one,), (other,), permanent=False))


ADDED = """Added user rules (see 'ufw status' for running firewall):
ufw allow 22/tcp
ufw allow from 192.0.2.12 to any port 49152:49215 proto tcp comment 'kvmops.mobility'
ufw allow from 2001:db8::2 to any port 16514 proto tcp comment 'kvmops.mobility'
ufw allow from 192.0.2.13 to any port 16514 proto tcp comment 'mine'
ufw deny from 192.0.2.14 to any port 16514 proto tcp comment 'kvmops.mobility'
"""


def test_which_rules_of_ufw_are_ours() -> None:
    assert ufw.held(ADDED) == (Rule("192.0.2.12", Ports(49152, 49215)), Rule("2001:db8::2", Ports(16514, 16514)))


def test_what_ufw_is_told_new_rules_first() -> None:
    one, other = Rule("192.0.2.12", Ports(49152, 49215)), Rule("192.0.2.13", Ports(16514, 16514))
    told = [" ".join(order) for order in ufw.orders((one,), (other,))]
    assert told == [
        "ufw allow proto tcp from 192.0.2.12 to any port 49152:49215 comment kvmops.mobility",
        "ufw delete allow proto tcp from 192.0.2.13 to any port 16514",
    ]


@pytest.mark.parametrize(
    ("status", "on"), [("Status: active\n\nTo\n", True), ("Status: inactive\n", False), ("", False)]
)
def test_whether_ufw_filters(status: str, on: bool) -> None:
    assert ufw.active(status) is on


def asked(bed: Bed, **params: Any) -> Context:
    return bed.context(**{"peers": ["192.0.2.12"], "ports": ["16514"], "strict": False, **params})


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.usefixtures("nothing_installed")
def test_where_nothing_filters_nothing_is_opened(bed: Bed) -> None:
    found = peers.work(asked(bed, peers=["192.0.2.13", "c9.invalid"]))
    assert (found.effects, found.result["firewall"], found.result["peers"]) == ((), "none", [])


@pytest.mark.usefixtures("nothing_installed")
def test_strangers_cannot_be_kept_out_without_nftables(bed: Bed) -> None:
    with pytest.raises(Refused) as caught:
        peers.work(asked(bed, strict=True))
    assert caught.value.code == "FIREWALL_MISSING"


def test_a_name_that_leads_nowhere(bed: Bed) -> None:
    with pytest.raises(Refused) as caught:
        peers.work(asked(bed, peers=["c9.invalid"], strict=True))
    assert (caught.value.code, caught.value.subject) == ("PEER_UNRESOLVED", "c9.invalid")


def test_the_table() -> None:
    rules = wanted(["192.0.2.12", "192.0.2.13", "2001:db8::2"], ["49152-49215", "16509"])
    assert nft.table(rules, [one.ports for one in rules]).splitlines()[1:] == [
        "table inet kvmops_mobility",
        "delete table inet kvmops_mobility",
        "table inet kvmops_mobility {",
        "    chain peers {",
        '        iif "lo" accept',
        "        ip saddr { 192.0.2.12, 192.0.2.13 } accept",
        "        ip6 saddr { 2001:db8::2 } accept",
        "        drop",
        "    }",
        "    chain input {",
        "        type filter hook input priority -10; policy accept;",
        "        tcp dport { 16509, 49152-49215 } tcp flags & (fin | syn | rst | ack) == syn jump peers",
        "    }",
        "}",
    ]


def test_without_peers_everybody_is_dropped() -> None:
    lines = nft.table((), [Ports(16509, 16509)]).splitlines()
    assert lines[4:8] == ["    chain peers {", '        iif "lo" accept', "        drop", "    }"]
    assert any("tcp dport { 16509 }" in line for line in lines)


def test_what_listens_waits_for_the_table() -> None:
    text = nft.unit(["libvirtd-tcp.socket", "libvirtd-tls.socket"])
    assert "Before=network-pre.target libvirtd-tcp.socket libvirtd-tls.socket\n" in text
    assert text.endswith("RequiredBy=libvirtd-tcp.socket libvirtd-tls.socket\n")
