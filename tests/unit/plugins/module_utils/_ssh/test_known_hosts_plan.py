# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import multiprocessing
import os
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh import hashing
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.keys import fingerprint
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.known_hosts import (
    hash_name,
    match_hashes,
    match_list,
    parse,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.known_hosts_plan import (
    Class,
    Finding,
    Repair,
    State,
    Wish,
    plan,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.peers import (
    Authority,
    Peer,
    authorities_of,
    lookup,
    peers_of,
)
from ansible_collections.kvmops.mobility.tests.unit.ssh_keys import ECDSA, ED25519, RSA, host_key

FILE = "/var/lib/nova/.ssh/known_hosts"
NEW, OLD, FOREIGN, CA = (host_key(number) for number in (1, 2, 3, 4))
NEW_RSA, OLD_ECDSA = host_key(1, RSA), host_key(2, ECDSA)
C2 = Peer("c2", ("c2", "192.0.2.12"), keys=(NEW,))
AUTHORITY = Authority(("*.example.com", "192.0.2.*"), CA)
SALT = bytes(range(20))


def repaired(text: str, peers: tuple[Peer, ...] = (C2,), **wish: Any) -> Repair:
    """The plan, after it was made sure that a second one changes nothing."""
    found = plan(parse(text.encode()), FILE, Wish(peers, **wish))
    again = plan(parse(found.data), FILE, Wish(peers, **wish))
    assert again.data == found.data
    return found


def after(text: str, peers: tuple[Peer, ...] = (C2,), **wish: Any) -> str:
    return repaired(text, peers, **wish).data.decode()


def told(found: Repair) -> list[tuple[int, str, str]]:
    return [(one.line, one.kind.value, one.name) for one in found.findings]


def hidden(name: str) -> str:
    return hash_name(name.encode(), SALT).decode()


RIGHT = f"c2,192.0.2.12 {NEW.line}\n"


# --- what is taken out -------------------------------------------------------------------------------------------


def test_the_founding_case() -> None:
    """A host was installed anew: line 34 of many has its old key."""
    others = [f"c{number}.example.com {FOREIGN.line}\n" for number in range(100, 133)]
    text = "".join([*others, f"c2,192.0.2.12 {OLD_ECDSA.line}\n", *others])
    found = repaired(text)
    assert found.data.decode() == "".join([*others, *others, RIGHT])
    first = found.findings[0]
    assert (first.file, first.line, first.kind, first.peer, first.name) == (FILE, 34, Class.CHANGED, "c2", "c2")
    assert (first.have, first.want) == (fingerprint(OLD_ECDSA), fingerprint(NEW))
    assert told(found) == [
        (34, "changed", "c2"),
        (34, "changed", "192.0.2.12"),
        (0, "missing", "c2"),
        (0, "missing", "192.0.2.12"),
    ]


@pytest.mark.parametrize(
    ("before", "kept"),
    [
        (f"c2 {OLD.line} it\n", ""),
        (f"c2,192.0.2.12 {OLD.line}\n", ""),
        (f"C2,x {OLD.line} it\n", f"x {OLD.line} it\n"),
        (f"x,c2,y {OLD.line}\r\n", f"x,y {OLD.line}\r\n"),
        (f" \tx,192.0.2.12\t{OLD.line} #\n", f" \tx\t{OLD.line} #\n"),
        (f"{hidden('c2')} {OLD.line}\n", ""),
        (f"{hidden('192.0.2.12')} {OLD.line}\n", ""),
        (f"{hidden('c3')} {OLD.line}\n", f"{hidden('c3')} {OLD.line}\n"),
        (f"c2 {OLD_ECDSA.line}\n", ""),
        (f"c2,*.lab {OLD.line}\n", f"*.lab {OLD.line}\n"),
        (f"c22,[c2]:2222 {OLD.line}\n", f"c22,[c2]:2222 {OLD.line}\n"),
        (f"# c2 {OLD.line}\n\n", f"# c2 {OLD.line}\n\n"),
        (f"@revoked c2 {OLD.line}\n", f"@revoked c2 {OLD.line}\n"),
        (f"@revoked * {OLD.line}\n", f"@revoked * {OLD.line}\n"),
    ],
)
def test_only_the_name_that_is_wrong_goes(before: str, kept: str) -> None:
    assert after(RIGHT + before) == RIGHT + kept
    assert after(before + RIGHT) == kept + RIGHT


def test_an_old_key_goes_also_where_nothing_is_to_be_added() -> None:
    found = repaired(f"c2,x {OLD.line}\n", add=False)
    assert found.data.decode() == f"x {OLD.line}\n"
    assert told(found) == [(1, "changed", "c2")]


def test_an_audit_changes_nothing() -> None:
    text = f"c2 {OLD.line}\nnonsense\n"
    found = repaired(text, state=State.AUDIT)
    assert found.data.decode() == text
    assert [one.kind.value for one in found.findings] == ["changed", "malformed", "missing", "missing"]


# --- what is added -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("", RIGHT),
        ("# mine\n", "# mine\n" + RIGHT),
        ("# mine", "# mine\n" + RIGHT),
        ("# mine\r\n", "# mine\r\n" + RIGHT.replace("\n", "\r\n")),
        (f"c2 {NEW.line}", f"c2 {NEW.line}\n192.0.2.12 {NEW.line}\n"),
        (f"{hidden('c2')} {NEW.line}\n", f"{hidden('c2')} {NEW.line}\n192.0.2.12 {NEW.line}\n"),
        (f"* {NEW.line}\n", f"* {NEW.line}\n"),
    ],
)
def test_what_is_missing_is_added(before: str, expected: str) -> None:
    assert after(before) == expected


def test_a_file_without_a_last_newline_stays_so_when_nothing_follows() -> None:
    assert after(f"c2,x {OLD.line}\n{RIGHT}# end") == f"x {OLD.line}\n{RIGHT}# end"


def test_every_type_of_key_is_added() -> None:
    peer = Peer("c2", ("c2",), keys=(NEW, NEW_RSA))
    assert after(f"c2 {NEW.line}\n", (peer,)) == f"c2 {NEW.line}\nc2 {NEW_RSA.line}\n"


def test_another_port_is_another_name() -> None:
    peer = Peer("c2", ("c2", "2001:db8::12"), 2222, (NEW,))
    other = f"c2,2001:db8::12,[c2]:22222 {OLD.line}\n"
    found = after(f"{other}[c2]:2222 {OLD.line}\n{hidden('[2001:db8::12]:2222')} {OLD.line}\n", (peer,))
    assert found == f"{other}[c2]:2222,[2001:db8::12]:2222 {NEW.line}\n"


def test_new_names_are_hashed_when_asked() -> None:
    found = after("", salt=lambda: SALT)
    assert found == f"{hidden('c2')} {NEW.line}\n{hidden('192.0.2.12')} {NEW.line}\n"


# --- what is reported and left alone -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (f"c* {OLD.line}\n", "wildcard"),
        (f"*,!c2 {NEW.line}\n", "wildcard"),
        (f"c2 {NEW.line} again\n", "duplicate"),
        (f"{hidden('c2')} {NEW.line}\n", "duplicate"),
        ("c2 ssh-new AAAA\n", "malformed"),
        ("c2 ssh-ed25519 AAAA\n", "malformed"),
        ("c2\n", "malformed"),
        (f"@odd c2 {NEW.line}\n", "malformed"),
        (f"|1|odd {NEW.line}\n", "malformed"),
    ],
)
def test_reported_and_left_alone(line: str, kind: str) -> None:
    found = repaired(RIGHT + line)
    assert found.data.decode() == RIGHT + line
    assert [(one.line, one.kind.value) for one in found.findings] == [(2, kind)]
    assert "left alone" in found.findings[0].message


@pytest.mark.parametrize("line", [f"c*,!c2 {OLD.line}\n", f"*.lab {OLD.line}\n", f"!c2 {OLD.line}\n", "\n", "# c2\n"])
def test_nothing_to_report(line: str) -> None:
    assert repaired(RIGHT + line) == Repair((), (RIGHT + line).encode())


def test_a_line_that_is_a_finding_for_two_peers() -> None:
    other = Peer("c3", ("c3",), keys=(FOREIGN,))
    found = repaired(f"c2,c3 {OLD.line}\n", (C2, other), add=False)
    assert [(one.peer, one.want) for one in found.findings] == [
        ("c2", fingerprint(NEW)),
        ("c3", fingerprint(FOREIGN)),
    ]
    assert found.data == b""


def test_a_finding_as_a_result() -> None:
    assert Finding(FILE, 3, Class.CHANGED, "c2", "192.0.2.12", "m", "h", "w").as_result() == {
        "file": FILE,
        "line": 3,
        "class": "changed",
        "peer": "c2",
        "name": "192.0.2.12",
        "message": "m",
        "have_fingerprint": "h",
        "want_fingerprint": "w",
    }


# --- revoked keys ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hosts", ["c2", "*", "x,192.0.2.12", hidden("c2")])
@pytest.mark.parametrize("rest", ["", RIGHT, f"c2 {OLD.line}\n"])
def test_a_true_key_that_is_revoked_is_for_people(hosts: str, rest: str) -> None:
    text = f"{rest}@revoked {hosts} {NEW.line}\n"
    with pytest.raises(Refused) as refusal:
        repaired(text)
    assert (refusal.value.code, refusal.value.subject) == ("HOST_KEY_REVOKED", "c2")
    assert f"{FILE}:{text.count(chr(10))}" in refusal.value.message
    assert "revoked" in {one["class"] for one in refusal.value.facts["findings"]}
    assert "revoked" in {one.kind.value for one in repaired(text, state=State.AUDIT).findings}


def test_a_key_that_is_revoked_for_others_is_no_matter() -> None:
    text = f"@revoked c3 {NEW.line}\n{RIGHT}"
    assert repaired(text) == Repair((), text.encode())


def test_absent_leaves_the_revoked() -> None:
    text = f"@revoked c2 {NEW.line}\n"
    assert after(text + RIGHT, state=State.ABSENT) == text


# --- certificate authorities -------------------------------------------------------------------------------------


def test_a_peer_that_no_authority_signed_is_added_all_the_same() -> None:
    ca = f"@cert-authority * {CA.line}\n"
    assert after(ca) == ca
    assert after(ca, (replace(C2, certified=False),)) == ca + RIGHT


def test_an_authority_that_vouches_is_enough() -> None:
    text = f"@cert-authority c2,192.0.2.* {CA.line}\n"
    assert repaired(text) == Repair((), text.encode())
    assert after(text + f"c2 {OLD.line}\n") == text


@pytest.mark.parametrize("lost", [f"@revoked c2 {CA.line}\n", f"@revoked * {CA.line}\n"])
def test_an_authority_that_is_revoked_vouches_for_nobody(lost: str) -> None:
    text = f"@cert-authority c2 {CA.line}\n{lost}"
    assert after(text) == text + RIGHT


def test_an_authority_for_some_names_leaves_the_others_missing() -> None:
    text = f"@cert-authority 192.0.2.* {CA.line}\n"
    assert after(text) == f"{text}c2 {NEW.line}\n"


def test_a_wanted_authority_is_added_and_vouches_at_once() -> None:
    peer = Peer("c2", ("c2.example.com", "192.0.2.12"))
    found = repaired("", (peer,), authorities=(AUTHORITY,))
    assert found.data.decode() == f"@cert-authority *.example.com,192.0.2.* {CA.line}\n"
    assert told(found) == [(0, "missing", "*.example.com,192.0.2.*")]


@pytest.mark.parametrize(
    ("hosts", "enough"),
    [
        ("192.0.2.*,*.example.com", True),
        ("*.EXAMPLE.com,192.0.2.*,more", True),
        ("*.example.com", False),
        ("*.example.com,192.0.2.*,!c9.example.com", False),
    ],
)
def test_an_authority_that_is_there(hosts: str, enough: bool) -> None:
    text = f"@cert-authority {hosts} {CA.line}\n"
    assert (after(text, (), authorities=(AUTHORITY,)) == text) is enough


def test_an_authority_that_is_revoked_is_not_added() -> None:
    with pytest.raises(Refused) as refusal:
        repaired(f"@revoked * {CA.line}\n", (), authorities=(AUTHORITY,))
    assert refusal.value.code == "HOST_KEY_REVOKED"


def test_an_authority_that_leaves() -> None:
    other = f"@cert-authority * {FOREIGN.line}\n"
    text = f"@cert-authority *.example.com,192.0.2.*,x {CA.line}\n@cert-authority *.example.com {CA.line}\n{other}"
    assert after(text, (), authorities=(AUTHORITY,), state=State.ABSENT) == f"@cert-authority x {CA.line}\n{other}"


def test_a_peer_of_whom_nothing_is_known() -> None:
    stranger = Peer("c9", ("c9",))
    with pytest.raises(Refused) as refusal:
        repaired("", (stranger,))
    assert (refusal.value.code, refusal.value.subject) == ("PEER_KEYS_MISSING", "c9")
    assert told(repaired("", (stranger,), state=State.AUDIT)) == [(0, "missing", "c9")]
    text = f"c9 {OLD.line}\n"
    assert after(text, (stranger,), add=False) == text


# --- absent ------------------------------------------------------------------------------------------------------


def test_absent_takes_the_names_out() -> None:
    text = f"c2,x {OLD.line}\n{hidden('192.0.2.12')} {NEW.line}\n{RIGHT}c* {OLD.line}\nc22 {OLD.line}"
    found = repaired(text, state=State.ABSENT)
    assert found.data.decode() == f"x {OLD.line}\nc* {OLD.line}\nc22 {OLD.line}"
    assert told(found) == [(4, "wildcard", "c2")]


# --- properties --------------------------------------------------------------------------------------------------

KEYS = st.sampled_from([NEW, OLD, FOREIGN, NEW_RSA, OLD_ECDSA])
NAMES = st.sampled_from(["c2", "C2", "192.0.2.12", "c3", "c22", "x", "*.lab", "c*", "!c2", "[c2]:2222"])
HOSTS = st.lists(NAMES, min_size=1, max_size=4).map(",".join) | st.sampled_from(["c2", "c3"]).map(hidden)
ENTRIES = st.builds(
    lambda marker, hosts, key: f"{marker}{hosts} {key.line}",
    st.sampled_from(["", "", "", "", "@cert-authority ", "@odd "]),
    HOSTS,
    KEYS,
)
TEXTS = st.builds(
    lambda lines, ending, last: ending.join(lines) + last,
    st.lists(ENTRIES | st.sampled_from(["", "# c2", "c2", "nonsense of old"]), max_size=10),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", "\n"]),
)


@settings(deadline=None)
@given(TEXTS, st.sampled_from([State.PRESENT, State.ABSENT]), st.booleans(), st.booleans())
def test_lines_about_others_keep_every_byte_and_a_second_run_changes_nothing(
    text: str, state: State, add: bool, hashes: bool
) -> None:
    found = after(text, state=state, add=add, salt=(lambda: SALT) if hashes else None)
    ours = re.compile(rf"(^|,)(c2|192\.0\.2\.12)(,|$)|^{re.escape(hidden('c2'))}$", re.IGNORECASE)

    def others(lines: str) -> list[str]:
        kept = [line for line in lines.split("\n") if line.strip()]
        return [line.rstrip("\r") for line in kept if not any(ours.search(word) for word in line.split()[:2])]

    before, now = others(text), others(found)
    # What is more now are lines that lost our name and kept another.
    iterator = iter(now)
    assert all(line in iterator for line in before)


@settings(deadline=None)
@given(TEXTS)
def test_after_a_repair_ssh_takes_only_the_true_keys_for_the_names(text: str) -> None:
    found = repaired(text)
    model = parse(found.data)
    left = {(one.line, one.name) for one in found.findings if one.kind is Class.WILDCARD}
    for name in C2.lookups:
        for line in model.lines:
            if line.hosts and not line.marker and not line.problem and not line.is_hashed:
                exact = name in line.hosts.lower().split(b",")
                if exact and match_list(line.hosts, name) > 0:
                    assert line.blob == C2.blobs[0] or left


@settings(deadline=None)
@given(TEXTS)
def test_absent_leaves_no_line_with_the_name_itself(text: str) -> None:
    model = parse(repaired(text, state=State.ABSENT).data)
    for line in model.lines:
        if line.hosts and not line.marker and not line.problem and match_list(line.hosts, b"c2") > 0:
            assert b"c2" not in line.hosts.lower().split(b",")


# --- hashed names on several processors --------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [0, 10**9])
def test_sharing_out_finds_the_same(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(hashing, "_WORTH_IT", limit)
    monkeypatch.setattr(hashing, "_CHUNK", 7)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1})
    names = [f"h{number}".encode() for number in range(40)]
    hidden_names = [*names, b"y", b"z"]
    questions = [(hash_name(name, SALT), [name] if at % 2 else [b"x"]) for at, name in enumerate(hidden_names)]
    expected = [*names, None, b"z"]
    assert hashing.match(questions, names) == match_hashes(questions, names) == expected


def test_where_no_processes_can_be_started_it_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_method: str) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(hashing, "_WORTH_IT", 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1})
    monkeypatch.setattr(multiprocessing, "get_context", refuse)
    assert hashing.match([(hash_name(b"c2", SALT), [])], [b"c1", b"c2"]) == [b"c2"]


# --- parameters --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "port", "expected"),
    [
        ("C2.Example.Com", 22, "c2.example.com"),
        ("192.0.2.12", 2222, "[192.0.2.12]:2222"),
        ("2001:DB8:0:0::12", 22, "2001:db8::12"),
        ("[2001:db8::12]", 22, "2001:db8::12"),
        ("2001:db8::12", 2222, "[2001:db8::12]:2222"),
        ("fe80::1%eth0", 22, "fe80::1%eth0"),
    ],
)
def test_the_name_that_ssh_looks_for(name: str, port: int, expected: str) -> None:
    assert lookup(name, port) == expected


def given_peer(**values: Any) -> dict[str, Any]:
    return {"name": "c2", "names": ["c2"], "port": 22, "keys": [NEW.line], **values}


def test_peers() -> None:
    (peer,) = peers_of([given_peer(names=["c2", "C2"], keys=[NEW.line, f"{NEW.line} again", NEW_RSA.line])])
    assert (peer.lookups, [key.type for key in peer.keys]) == ((b"c2",), [ED25519, RSA])


@pytest.mark.parametrize(
    ("read", "code"),
    [
        (lambda: peers_of([given_peer(names=[])]), "VALUE_INVALID"),
        (lambda: peers_of([given_peer(names=["c*"])]), "VALUE_INVALID"),
        (lambda: peers_of([given_peer(names=["c2,c3"])]), "VALUE_INVALID"),
        (lambda: peers_of([given_peer(names=["c2 ssh-rsa"])]), "VALUE_INVALID"),
        (lambda: peers_of([given_peer(names=["c2\n* "])]), "VALUE_INVALID"),
        (lambda: peers_of([given_peer(names=["@revoked"])]), "VALUE_INVALID"),
        (lambda: peers_of([given_peer(names=["#c2"])]), "VALUE_INVALID"),
        (lambda: peers_of([given_peer(names=[""])]), "VALUE_INVALID"),
        (lambda: peers_of([given_peer(port=0)]), "VALUE_INVALID"),
        (lambda: peers_of([given_peer(keys=["x"])]), "PUBLIC_KEY_INVALID"),
        (lambda: peers_of([given_peer(), given_peer(name="c3", keys=[OLD.line])]), "VALUE_INVALID"),
        (lambda: authorities_of([{"patterns": [], "key": CA.line}]), "VALUE_INVALID"),
        (lambda: authorities_of([{"patterns": ["a,b"], "key": CA.line}]), "VALUE_INVALID"),
        (lambda: authorities_of([{"patterns": ["*"], "key": ""}]), "PUBLIC_KEY_INVALID"),
    ],
)
def test_parameters_that_are_wrong(read: Callable[[], object], code: str) -> None:
    with pytest.raises(Refused) as refusal:
        read()
    assert refusal.value.code == code


def test_one_host_may_have_two_labels() -> None:
    assert len(peers_of([given_peer(), given_peer(name="other")])) == 2
    assert authorities_of([{"patterns": [" *.x ", "!c9.x"], "key": CA.line}])[0].patterns == ("*.x", "!c9.x")
