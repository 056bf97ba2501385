# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The model against any bytes, and against ssh-keygen."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.known_hosts import (
    KnownHosts,
    glob,
    hash_name,
    match_hashes,
    match_list,
    parse,
    parse_line,
    without,
)
from ansible_collections.kvmops.mobility.tests.unit.ssh_keys import ECDSA, ED25519, RSA, host_key

KEY = host_key(1).line
SALT = bytes(range(20))
NAMES = ("c1", "c2", "c2.example.com", "192.0.2.12", "2001:db8::12", "[c2]:2222", "[2001:db8::12]:2222", "c22")


# --- bytes -------------------------------------------------------------------------------------------------------


@given(st.binary())
@example(b"")
@example(b"\n\r\n\r\r\n")
@example(b"c2 ssh-ed25519 AAAA\r\nlast")
def test_any_bytes_come_back(data: bytes) -> None:
    assert parse(data).render() == data


PIECES = st.sampled_from(
    [b"c2", b",", b" ", b"\t", b"\n", b"\r\n", b"#", b"|1|", b"@revoked", b"@cert-authority", KEY.encode(), b"*", b"!"]
)


@given(st.lists(PIECES | st.binary(max_size=3)).map(b"".join))
def test_what_looks_like_known_hosts_comes_back(data: bytes) -> None:
    assert parse(data).render() == data


@pytest.mark.parametrize(
    ("raw", "hosts", "marker", "problem"),
    [
        (f"c2 {KEY} it\n", b"c2", b"", ""),
        (f" \tc2,c3\t{KEY}", b"c2,c3", b"", ""),
        (f"c2 {KEY}\r\n", b"c2", b"", ""),
        (f"@revoked c2 {KEY}\n", b"c2", b"@revoked", ""),
        (f"@cert-authority\t*.x {KEY}\n".replace(" ", "\t"), b"*.x", b"@cert-authority", ""),
        (f"@cert-authority\t*.x {KEY}\n", b"", b"", "its marker is none that ssh knows"),
        (f"@other c2 {KEY}\n", b"", b"", "its marker is none that ssh knows"),
        (f"@revoked @revoked c2 {KEY}\n", b"", b"", "its marker is none that ssh knows"),
        ("@revoked\n", b"", b"", "its marker is none that ssh knows"),
        ("c2\n", b"", b"", "it has no key"),
        ("c2 ssh-ed25519\n", b"", b"", "it has no key"),
        ("c2 ssh-ed25519 \r\n", b"", b"", "it has no key"),
        (f"|1|x|y {KEY}\n", b"", b"", "its hashed name is damaged"),
        (f"c2 ssh-new {host_key(1).blob_base64}\n", b"c2", b"", "its key type is not one that we know"),
        ("c2 ssh-ed25519 AAAA\n", b"c2", b"", "its key is damaged"),
        ("c2 1024 35 1234567\n", b"c2", b"", "its key type is not one that we know"),
        ("# c2 a comment\n", b"", b"", ""),
        ("\n", b"", b"", ""),
        ("  \r\n", b"", b"", ""),
    ],
)
def test_a_line(raw: str, hosts: bytes, marker: bytes, problem: str) -> None:
    line = parse_line(raw.encode())
    assert (line.raw, line.hosts, line.problem) == (raw.encode(), hosts, problem)
    assert line.marker == marker


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("c2,x kk b\n", "x kk b\n"),
        ("@revoked revoked kk b\n", "@revoked x kk b\n"),
        ("@cert-authority cert kk b\n", "@cert-authority x kk b\n"),
        (" \tc \tcc b", " \tx \tcc b"),
    ],
)
def test_other_hosts_in_a_line_change_nothing_else(raw: str, expected: str) -> None:
    assert parse_line(raw.encode()).with_hosts(b"x") == expected.encode()


@pytest.mark.parametrize(
    ("data", "ending"),
    [(b"", b"\n"), (b"a", b"\n"), (b"a\r\nb", b"\r\n"), (b"a\r\nb\n", b"\n"), (b"a\nb\r\nc", b"\r\n")],
)
def test_the_files_own_line_ending(data: bytes, ending: bytes) -> None:
    assert parse(data).ending == ending


@pytest.mark.parametrize(
    ("hosts", "names", "left"),
    [
        (b"a,b,c", [b"b"], b"a,c"),
        (b"A,b", [b"a"], b"b"),
        (b"a", [b"a"], b""),
        (b"a,a", [b"a"], b""),
        (b"a,,", [b"a"], b""),
        (b"a,,b", [b"a"], b",b"),
        (b"ab,*.a,!a", [b"a"], b"ab,*.a,!a"),
        (b"a,!a", [b"a"], b"!a"),
    ],
)
def test_names_are_taken_out(hosts: bytes, names: list[bytes], left: bytes) -> None:
    assert without(hosts, names) == left


# --- names and patterns ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hosts", "name", "verdict"),
    [
        (b"c2", b"c2", 1),
        (b"C2", b"c2", 1),
        (b"c2", b"c22", 0),
        (b"c1,c2", b"c2", 1),
        (b"c?", b"c2", 1),
        (b"*", b"c2", 1),
        (b"*.example.com", b"c2.example.com", 1),
        (b"*.example.com", b"example.com", 0),
        (b"c2,!c2", b"c2", -1),
        (b"!c2,*", b"c2", -1),
        (b"!c2", b"c1", 0),
        (b"[c2]:2222", b"[c2]:2222", 1),
        (b"[c2]:2222", b"c", 0),
        (b"a.c", b"abc", 0),
        (b"*a*b*", b"xxaxxbxx", 1),
        (b"*a*b", b"xxaxxbxx", 0),
        (b"c2," + b"x" * 1023, b"c2", 0),
        (b"c2," + b"x" * 1022, b"c2", 1),
    ],
)
def test_a_list_of_names(hosts: bytes, name: bytes, verdict: int) -> None:
    assert match_list(hosts, name) == verdict


@given(st.text("ab.*?", max_size=12), st.text("ab.", max_size=12))
def test_patterns_are_what_they_say(pattern: str, name: str) -> None:
    plain = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    assert bool(glob(pattern.encode()).fullmatch(name.encode())) is bool(re.fullmatch(plain, name))


def test_a_hostile_pattern_takes_no_time() -> None:
    assert not glob(b"*a" * 60 + b"b").fullmatch(b"a" * 250)


@pytest.mark.parametrize("name", [one.encode() for one in NAMES])
def test_a_hashed_name_is_found(name: bytes) -> None:
    hosts = hash_name(name, SALT)
    everything = [one.encode() for one in NAMES]
    assert match_hashes([(hosts, [])], everything) == [name]
    assert match_hashes([(hosts, [name])], []) == [name]
    assert match_hashes([(hosts, [b"other"])], [b"another"]) == [None]


def test_a_hash_that_ssh_would_not_write_is_found_by_nobody() -> None:
    proper = hash_name(b"c2", SALT)
    for hosts in (proper.rstrip(b"="), proper + b"|", proper.replace(b"|1|", b"|2|"), b"|1|" + b"!" * 28 + proper[31:]):
        assert match_hashes([(hosts, [b"c2"])], [b"c2"]) == [None]


# --- against ssh-keygen ------------------------------------------------------------------------------------------


def found_by_ssh_keygen(path: Path, name: str) -> tuple[int, ...]:
    said = subprocess.run(["ssh-keygen", "-F", name, "-f", path], check=False, capture_output=True, text=True).stdout
    return tuple(int(number) for number in re.findall(r"^# Host .* found: line (\d+)", said, re.MULTILINE))


def hashed_name(name: str) -> str:
    return hash_name(name.encode(), SALT).decode()


ELEMENTS = st.sampled_from(
    [
        *NAMES,
        "C2",
        "C2.Example.Com",
        "*",
        "c*",
        "*.example.com",
        "?2",
        "!c2",
        "!*.example.com",
        "192.0.2.*",
        "",
        "x" * 1023,
    ]
)
HOSTS = st.lists(ELEMENTS, min_size=1, max_size=4).map(",".join) | st.sampled_from(NAMES).map(hashed_name)
KEYS = st.sampled_from(
    [*(host_key(number, kind).line for number in (1, 2) for kind in (ED25519, RSA, ECDSA)), "ssh-new AAAA", "x", ""]
)
MARKERS = st.sampled_from(["", "", "", "@revoked ", "@cert-authority ", "@revoked\t", "@other ", "@revoked  ", "@"])
BLANKS = st.sampled_from([" ", "\t", "  ", " \t"])
ENTRIES = st.builds(
    lambda before, marker, hosts, blank, key, comment: f"{before}{marker}{hosts}{blank}{key}{comment}",
    st.sampled_from(["", "", " ", "\t"]),
    MARKERS,
    HOSTS,
    BLANKS,
    KEYS,
    st.sampled_from(["", " root@c2", " #", "\t x y"]),
)
LINES = ENTRIES | st.sampled_from(["", "# c2 of old", "   ", "c2", "|1|damaged|= " + KEY, "|1| " + KEY, "| " + KEY])
FILES = st.builds(
    lambda lines, ending, last: ending.join(lines) + last,
    st.lists(LINES, max_size=12),
    st.sampled_from(["\n", "\n", "\r\n"]),
    st.sampled_from(["", "\n"]),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FILES, st.sampled_from(NAMES))
def test_lookup_agrees_with_ssh_keygen(tmp_path: Path, text: str, name: str) -> None:
    path = tmp_path / "known_hosts"
    path.write_bytes(text.encode())
    assert parse(text.encode()).find(name) == found_by_ssh_keygen(path, name)


def test_lookup_agrees_on_what_ssh_keygen_hashed(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text("".join(f"{name} {host_key(at).line}\n" for at, name in enumerate(NAMES)), encoding="ascii")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", path], check=True, capture_output=True)
    model: KnownHosts = parse(path.read_bytes())
    assert all(line.is_hashed for line in model.lines)
    assert [model.find(name) for name in NAMES] == [(at,) for at, _name in enumerate(NAMES, 1)]
