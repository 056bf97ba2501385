# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The model against libvirt's own reader, which libvirt's library has in it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kvmops.mobility.plugins.module_utils._conf.text import Syntax, lines_of
from ansible_collections.kvmops.mobility.plugins.module_utils._conf.virconf import Value, VirConf, parse, render
from ansible_collections.kvmops.mobility.tests.readers import Reader

SHIPPED = """\
# Master libvirt daemon configuration file
#
# This is enabled by default, uncomment this to disable it:
#listen_tls = 0

# Prose may hold examples:
#
#       user = "qemu"   # A user named "qemu"
#       user = "+0"     # Super user (uid=0)
#
#user = "libvirt-qemu"

#tcp_port = "16509"
#cgroup_device_acl = [
#    "/dev/null", "/dev/full",
#    "/dev/ptmx"
#]
max_clients = 20   # enough
tls_allowed_dn_list = [
    "CN=c1",  # a comment in a list is none for libvirt, but this one is in the string's line
]
"""
PLAIN = SHIPPED.replace("  # a comment in a list is none for libvirt, but this one is in the string's line", "")


READER = Reader()


def told(value: Value | None) -> Any:
    return value if value is None or isinstance(value, (int, str)) else "list"


# --- reading -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a = 1\n \t\r\n",
        "\n\na = 1",
        PLAIN,
        'a = 1; b = "x" ;c = [ ]',
        "a=-5\nb = +7 # seven",
        "a = 'single' \r\nb = \"double\"\r\n",
        'a = """many\nlines "quoted" """\nb = 1\n',
        'a = [ "x", [ 1, 2 ], ]\n',
        "a = 1\na = 2\n",
        "a = \"\"\nb = ''\n",
        "# only\n#comments",
    ],
)
def test_reads_what_libvirt_reads(text: str) -> None:
    conf = parse(text)
    assert READER.reads(text)
    assert conf.text == text
    for one in conf.settings:
        assert told(conf.get(one.name)) == READER.get(text, one.name)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a\n", 1, "an equals sign is expected behind a"),
        ("\na = \n", 2, "a value is expected"),
        ("a = yes\n", 1, "a value is expected"),
        ('a = "x\ny"\n', 1, "a string does not end"),
        ("a = 1 b = 2\n", 1, "a line end or a semicolon is missing"),
        ("a = [ 1\nb = 2\n", 2, "a comma or ] is expected"),
        ("a = [ 1,\n 2\n", 1, "a list is not closed"),
        ("ok = 1\n_a = 1\n", 2, "the name of a setting is expected"),
        ("[libvirt]\n", 1, "the name of a setting is expected"),
        (SHIPPED, 20, "a value is expected"),
    ],
)
def test_stops_where_libvirt_stops(text: str, line: int, says: str) -> None:
    assert not READER.reads(text)
    with pytest.raises(Syntax, match=says) as mistake:
        parse(text)
    assert mistake.value.line == line


PIECES = st.sampled_from(
    [
        "a",
        "b_1",
        " = ",
        "=",
        "1",
        "-2",
        '"x"',
        "'y'",
        '"',
        "'",
        '"""',
        "[",
        "]",
        ", ",
        ";",
        "\n",
        "\r\n",
        " ",
        "# c",
        "#",
    ]
)


@given(st.lists(PIECES, max_size=14).map("".join))
def test_takes_and_refuses_what_libvirt_does(text: str) -> None:
    try:
        conf = parse(text)
    except Syntax:
        assert not READER.reads(text)
        return
    assert READER.reads(text) or text.strip() == ""
    assert {one.name: told(conf.get(one.name)) for one in conf.settings} == {
        one.name: READER.get(text, one.name) for one in conf.settings
    }


# --- changing ----------------------------------------------------------------------------------------------------


def changed(before: str, after: str) -> list[str]:
    """What is new in the lines of *after*."""
    old = lines_of(before)
    return [one for one in lines_of(after) if one not in old]


@pytest.mark.parametrize(
    ("name", "value", "old", "new"),
    [
        ("listen_tls", 0, "#listen_tls = 0\n", "listen_tls = 0\n"),
        ("tcp_port", "16600", '#tcp_port = "16509"\n', 'tcp_port = "16600"\n'),
        ("user", "qemu", '#user = "libvirt-qemu"\n', 'user = "qemu"\n'),
        ("max_clients", 30, "max_clients = 20   # enough\n", "max_clients = 30   # enough\n"),
        ("tls_allowed_dn_list", ["CN=c2"], '[\n    "CN=c1",\n]\n', '[ "CN=c2" ]\n'),
        (
            "cgroup_device_acl",
            ("/dev/null",),
            '#cgroup_device_acl = [\n#    "/dev/null", "/dev/full",\n#    "/dev/ptmx"\n#]\n',
            'cgroup_device_acl = [ "/dev/null" ]\n',
        ),
    ],
)
def test_is_set_where_it_stands(name: str, value: Value, old: str, new: str) -> None:
    after = parse(PLAIN).set(name, value)
    assert old in PLAIN
    assert after.text == PLAIN.replace(old, new)
    assert told(after.get(name)) == READER.get(after.text, name)
    assert after.set(name, value) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "new = 1\n"),
        ("a = 2", "a = 2\nnew = 1\n"),
        ("a = 2\r\n", "a = 2\r\nnew = 1\r\n"),
        ("# new = 5 is what they say\n", "# new = 5 is what they say\nnew = 1\n"),
        ("# new = 5\n", "new = 1\n"),
        ("#renew = 5\n", "#renew = 5\nnew = 1\n"),
        ("#new = 5\nnew = 3\n", "#new = 5\nnew = 1\n"),
        ("new = 3\nnew = 4\n", "new = 1\nnew = 4\n"),
    ],
)
def test_what_is_nowhere_goes_to_the_end(before: str, after: str) -> None:
    conf = parse(before).set("new", 1)
    assert (conf.text, READER.get(conf.text, "new")) == (after, 1)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a = 1\n", "#a = 1\n"),
        ("a = 1 # why\r\nb = 2\r\n", "#a = 1 # why\r\nb = 2\r\n"),
        ('a = [\n  "x",\n  "y"\n]\nb = 2', '#a = [\n#  "x",\n#  "y"\n#]\nb = 2'),
        ("a = 1; b = 2\n", "b = 2\n"),
        ("b = 2; a = 1\n", "b = 2; \n"),
        ("a = 1\nb = 2\na = 3\n", "#a = 1\nb = 2\n#a = 3\n"),
        ("  a = 1", "#  a = 1"),
        ("b = 2\n", "b = 2\n"),
    ],
)
def test_unset_comments_it_out(before: str, after: str) -> None:
    conf = parse(before).unset("a")
    assert conf.text == after
    assert READER.get(after, "a") is None
    assert READER.get(after, "b") == parse(before).get("b")


def test_a_password_is_not_left_in_a_comment() -> None:
    assert parse('vnc_password = "XYZ12345"\nb = 1\n').unset("vnc_password").text == "\nb = 1\n"
    assert (
        parse('vnc_password = "XYZ12345"\n').unset("vnc_password").text == ""
    )  # libvirt does not take blank lines alone


def test_back_on_again_where_it_was_commented_out() -> None:
    assert parse(PLAIN).unset("max_clients").set("max_clients", 20).text == PLAIN.replace("20   # enough", "20")


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
VALUES = st.integers(-(2**62), 2**62) | TEXTS | st.lists(TEXTS, max_size=3).map(tuple)


@given(VALUES)
def test_a_value_comes_back_from_libvirt(value: Value) -> None:
    try:
        text = f"a = {render(value)}\n"
    except ValueError:
        assert '"' in repr(value)
        return
    assert parse(text).get("a") == value
    assert READER.get(text, "a") == told(value)


@given(st.sampled_from(["listen_tls", "user", "max_clients", "tls_allowed_dn_list", "nowhere"]), VALUES)
def test_only_what_is_asked_for_changes(name: str, value: Value) -> None:
    before = parse(PLAIN)
    try:
        after = before.set(name, value)
    except ValueError:
        return
    assert after.get(name) == value
    assert READER.get(after.text, name) == told(value)
    others = [one for one in before.settings if one.name != name]
    assert [(one.name, one.value) for one in after.settings if one.name != name] == [
        (one.name, one.value) for one in others
    ]
    gone = after.unset(name)
    assert gone.get(name) is None
    assert isinstance(gone, VirConf)
    assert READER.get(gone.text, name) is None
