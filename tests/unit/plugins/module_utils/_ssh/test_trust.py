# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._ssh import sshd, trust
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.trust import Member
from ansible_collections.kvmops.mobility.tests.unit.ssh_keys import host_key

C1 = Member(
    name="c1",
    reached_by=("192.0.2.1",),
    calls_itself=("C1", "c1.example.com."),
    addresses=("192.0.2.1", "2001:db8::1", "192.168.122.1", "fe80::1"),
    keys=(host_key(1).line,),
    user_key=host_key(11).line,
    root_key=host_key(12).line,
)
C2 = replace(
    C1,
    name="c2",
    reached_by=("c2.example.com",),
    calls_itself=("c2", "localhost"),
    addresses=("192.0.2.2", "192.168.122.1", "127.0.0.1"),
    keys=(host_key(2).line,),
)


def test_a_peer_has_all_its_names_and_none_that_others_have_too() -> None:
    (peer,) = trust.known_peers("c2", [C1, C2])
    assert peer["names"] == ["c1", "192.0.2.1", "c1.example.com", "2001:db8::1"]
    assert (peer["name"], peer["port"], peer["keys"]) == ("c1", 22, [host_key(1).line])
    assert trust.own_names("c2", [C1, C2]) == ["c2", "c2.example.com", "192.0.2.2"]


def test_a_host_that_could_not_be_asked_is_left_as_it_is() -> None:
    silent = Member("c3", ("192.0.2.3",))
    assert [one["name"] for one in trust.known_peers("c2", [C1, C2, silent])] == ["c1"]
    # its key is empty, which ssh_authorized_keys leaves alone
    assert [(one["name"], one["key"]) for one in trust.admitted("c2", [C1, C2, silent], root=False)] == [
        ("c1", host_key(11).line),
        ("c3", ""),
    ]


def test_roots_have_keys_of_their_own() -> None:
    (one,) = trust.admitted("c2", [C1, C2], root=True)
    assert one == {
        "name": "c1",
        "key": host_key(12).line,
        "addresses": ["192.0.2.1", "2001:db8::1", "192.168.122.1"],
    }


def test_names_that_would_be_patterns_are_no_names() -> None:
    odd = replace(C1, calls_itself=("*", "!c2", "a,b", "[c1]", "|1|x", "c1\n", ""), addresses=("0.0.0.0", "::1"))
    assert odd.names == ("c1", "192.0.2.1")


def test_hosts_that_leave() -> None:
    assert trust.leaving([Member("c3", ())]) == [{"name": "c3", "names": ["c3"], "port": 22, "keys": []}]


LISTING = """port 2222
maxsessions 1
maxstartups 10:30:100
hostkey /etc/ssh/a
hostkey /etc/ssh/b
allowstreamlocalforwarding remote
allowtcpforwarding local
"""


def test_what_sshd_says_of_itself() -> None:
    found = sshd.parse(LISTING)
    assert (found.host_keys, found.ports) == (("/etc/ssh/a", "/etc/ssh/b"), (2222,))
    assert (found.max_sessions, found.max_startups) == (1, 10)
    assert (found.stream_forwarding, found.tcp_forwarding) == (False, True)
    assert sshd.parse("") == sshd.Settings()


def test_limits_of_sshd() -> None:
    assert sshd.limits(sshd.Settings(), 5, root=True) == ()
    (startups, sessions) = sshd.limits(sshd.parse(LISTING), 6, root=True)
    assert "MaxStartups" in startups
    assert "12:30:120" in startups
    assert "MaxSessions is 1" in sessions
    assert len(sshd.limits(sshd.parse(LISTING), 6, root=False)) == 1


@pytest.mark.parametrize(
    ("given", "names", "port"),
    [
        ({"name": "Backup.example.com"}, ["backup.example.com"], 22),
        ({"name": "backup", "address": "192.0.2.9", "port": 2222}, ["backup", "192.0.2.9"], 2222),
        ({"name": "backup", "address": "backup", "port": None}, ["backup"], 22),
    ],
)
def test_a_host_outside_is_known_by_name_and_address(given: dict[str, Any], names: list[str], port: int) -> None:
    found = trust.outsider(given, "ssh-ed25519 AAAA")
    assert found == {
        "name": given["name"],
        "names": names,
        "port": port,
        "keys": ["ssh-ed25519 AAAA"],
        "certified": False,
    }
