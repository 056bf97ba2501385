# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh import authorized_keys
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.authorized_keys import edited, line
from ansible_collections.kvmops.mobility.tests.unit.ssh_keys import host_key

C2 = line("c2", host_key(2).line, ["192.0.2.2", "2001:db8::2"])
C3 = line("c3", host_key(3).line, ["192.0.2.3"])
THEIRS = (
    b"# people\r\nssh-ed25519 AAAA someone\n\n"
    b'  from="10.0.0.1" ssh-rsa BBBB kvmops.mobility:c2 really\n# kvmops.mobility:c2'
)


def test_a_line_is_for_these_addresses_only() -> None:
    assert C2.startswith(b'restrict,port-forwarding,permitlisten="none.invalid:1",from="192.0.2.2,2001:db8::2" ssh-ed')
    assert C2.endswith(b" kvmops.mobility:c2\n")


@pytest.mark.parametrize(
    ("name", "addresses"),
    [("c2", []), ("c2", ['1.2.3.4" ssh-rsa']), ("c2", ["*"]), ("c2", ["c2.example.com"]), ("c 2", ["192.0.2.2"])],
)
def test_a_line_that_would_say_something_else_is_refused(name: str, addresses: list[str]) -> None:
    with pytest.raises(Refused) as refusal:
        line(name, host_key(2).line, addresses)
    assert refusal.value.code == "VALUE_INVALID"


def test_lines_of_others_keep_every_byte() -> None:
    assert edited(THEIRS, {}, ["c2", "c3"]) == THEIRS
    assert edited(THEIRS, {"c2": C2}, []) == THEIRS + b"\n" + C2


def test_a_second_edit_changes_nothing() -> None:
    once = edited(THEIRS, {"c2": C2, "c3": C3}, [])
    assert edited(once, {"c2": C2, "c3": C3}, []) == once


def test_a_new_key_takes_the_place_of_the_old_one() -> None:
    old = line("c2", host_key(9).line, ["192.0.2.9"])
    assert edited(old + b"ssh-rsa x y\n" + old + C3, {"c2": C2}, []) == C2 + b"ssh-rsa x y\n" + C3


def test_a_host_that_leaves_is_taken_out_and_no_other() -> None:
    assert edited(C2 + C3, {}, ["c2", "c33"]) == C3
    assert edited(C2 + C3[:-1], {"c4": C2}, ["c2"]) == C3[:-1] + b"\n" + C2


def test_an_authority_is_asked_for_one_purpose() -> None:
    found = authorized_keys.authority_line(host_key(1).line, "kvmops.mobility")
    options = b'cert-authority,restrict,port-forwarding,permitlisten="none.invalid:1",principals="kvmops.mobility"'
    assert found.startswith(options + b" ssh-ed25519 ")
    assert edited(found + C2, {}, ["@ca"]) == C2


def test_what_is_switched_off_takes_every_line_of_ours() -> None:
    found = authorized_keys.authority_line(host_key(1).line, "kvmops.mobility-root")
    assert edited(THEIRS + b"\n" + C2 + found + C3, {}, [], purge=True) == THEIRS + b"\n"
    assert edited(C2 + C3, {"c2": C2}, [], purge=True) == C2
