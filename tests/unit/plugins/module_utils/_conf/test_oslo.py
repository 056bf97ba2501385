# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The model against oslo.config itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oslo_config.cfg import ParseError

from ansible_collections.kvmops.mobility.plugins.module_utils._conf.oslo import parse
from ansible_collections.kvmops.mobility.plugins.module_utils._conf.text import Syntax
from ansible_collections.kvmops.mobility.tests.readers import Read
from ansible_collections.kvmops.mobility.tests.readers import oslo as read

NOVA = """\
[DEFAULT]

#
# From nova.conf
#

# The address of this host (host address value)
#my_ip = <host_ipv4>
log_dir = /var/log/nova
transport_url = rabbit://nova:secret@192.0.2.1

[libvirt]
virt_type=kvm
# live_migration_downtime would be a word in prose
#live_migration_downtime = 500
passthrough_whitelist = {"one": 1}
passthrough_whitelist = {"two": 2}
long = first
   second
   third

[vnc]
server_listen : $my_ip

[libvirt]
cpu_mode = none
"""


def ours(text: str) -> Read:
    conf = parse(text)
    return {name: {key: list(conf.get(name, key)) for key in conf.names(name)} for name, _line in conf.sections}


# --- reading -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        NOVA,
        NOVA.replace("\n", "\r\n"),
        "[a]\nx = \"quoted\"\ny = 'it's'\nz = \"\n",
        "[a]\nx:1=2\ny=1:2\n",
        "[a]\nx = 1\n\n[b]\n[a]\nx = 2\n",
        "[a]\nx =\n  one\n\ttwo  \n   \ny = 3",
        "[a] \nx = 1 # no comment\n;y = 2\n",
        "[[a]]\nx = 1\n",
    ],
)
def test_reads_what_oslo_reads(text: str) -> None:
    assert ours(text) == read(text)
    assert parse(text).text == text


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("x = 1\n", 1, "x stands before the first section"),
        ("[a\n", 1, "does not end in"),
        ("[a]\n[]\n", 2, "a section has no name"),
        ("[a]\nx\n", 2, "has no equals sign"),
        ("[a]\n = 1\n", 2, "begins with a blank"),
        ("[a]\n= 1\n", 2, "the name of an option is missing"),
        ("[a]\nx = 1\n# c\n  more\n", 4, "begins with a blank"),
        ("[a]\nx = 1\n\n  more\n", 4, "begins with a blank"),
    ],
)
def test_stops_where_oslo_stops(text: str, line: int, says: str) -> None:
    with pytest.raises(ParseError):
        read(text)
    with pytest.raises(Syntax, match=says) as mistake:
        parse(text)
    assert mistake.value.line == line


PIECES = st.sampled_from(
    ["[a]", "[b]", "[", "]", "x", "y", "=", " = ", ":", '"', "'", "1", "$z", " ", "\n", "\r\n", "\t", "#", ";"]
)


@given(st.lists(PIECES, max_size=20).map("".join))
def test_takes_and_refuses_what_oslo_does(text: str) -> None:
    try:
        found = ours(text)
    except Syntax:
        with pytest.raises(ParseError):
            read(text)
        return
    assert found == read(text)
    assert parse(text).text == text


# --- changing ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "name", "values", "old", "new"),
    [
        ("libvirt", "virt_type", ("qemu",), "virt_type=kvm\n", "virt_type=qemu\n"),
        ("libvirt", "cpu_mode", ("custom",), "cpu_mode = none\n", "cpu_mode = custom\n"),
        (
            "libvirt",
            "live_migration_downtime",
            ("300",),
            "#live_migration_downtime = 500\n",
            "live_migration_downtime = 300\n",
        ),
        ("DEFAULT", "my_ip", ("192.0.2.7",), "#my_ip = <host_ipv4>\n", "my_ip = 192.0.2.7\n"),
        ("vnc", "server_listen", ("0.0.0.0",), "server_listen : $my_ip\n", "server_listen : 0.0.0.0\n"),
        ("vnc", "enabled", ("True",), ": $my_ip\n", ": $my_ip\nenabled = True\n"),
        ("libvirt", "new", ("1",), "cpu_mode = none\n", "cpu_mode = none\nnew = 1\n"),
        ("libvirt", "long", ("short",), "long = first\n   second\n   third\n", "long = short\n"),
        ("libvirt", "long", ("a\nb",), "long = first\n   second\n   third\n", "long = a\n  b\n"),
        ("compute", "new", ("1",), "cpu_mode = none\n", "cpu_mode = none\n\n[compute]\nnew = 1\n"),
        ("libvirt", "passthrough_whitelist", ("x",), '{"two": 2}\n', "x\n"),
        (
            "libvirt",
            "passthrough_whitelist",
            ("x", "y", "z"),
            'passthrough_whitelist = {"one": 1}\npassthrough_whitelist = {"two": 2}\n',
            "passthrough_whitelist = x\npassthrough_whitelist = y\npassthrough_whitelist = z\n",
        ),
        ("DEFAULT", "quoted", ('"x"',), "192.0.2.1\n", '192.0.2.1\nquoted = ""x""\n'),
    ],
)
def test_is_set_where_it_stands(section: str, name: str, values: tuple[str, ...], old: str, new: str) -> None:
    assert NOVA.count(old) == 1
    after = parse(NOVA).set(section, name, values)
    assert after.text == NOVA.replace(old, new)
    assert read(after.text)[section][name][-len(values) :] == list(values)
    assert after.set(section, name, values) == after


def test_fewer_values_than_before() -> None:
    text = "[a]\nx = 1\nx = 2\nx = 3\ny = 4\n"
    assert parse(text).set("a", "x", ("7", "8")).text == "[a]\nx = 7\nx = 8\ny = 4\n"


def test_a_file_without_its_last_line_end() -> None:
    assert parse("[a]\r\nx = 1").set("a", "y", ("2",)).text == "[a]\r\nx = 1\r\ny = 2\r\n"
    assert parse("").set("a", "y", ("2",)).text == "[a]\ny = 2\n"


def test_unset_comments_it_out_everywhere() -> None:
    text = "[a]\nx = 1\n  more\nz = 0\n[b]\nx = 3\n[a]\nx = 2\n"
    after = parse(text).unset("a", "x").text
    assert after == "[a]\n#x = 1\n#  more\nz = 0\n[b]\nx = 3\n[a]\n#x = 2\n"
    assert read(after) == {"a": {"z": ["0"]}, "b": {"x": ["3"]}}
    assert parse(after).set("a", "x", ("2",)).text == after.replace("#x = 2", "x = 2")


def test_a_secret_is_not_left_in_a_comment() -> None:
    assert "rabbit" not in parse(NOVA).unset("DEFAULT", "transport_url").text


@pytest.mark.parametrize("value", ["a\n\nb", "a\n b", '"x"\ny', "a\rb", "a\x85b", "a\n"])
def test_what_the_format_cannot_hold(value: str) -> None:
    with pytest.raises(ValueError, match=r"lines of a value|control character|the first line"):
        parse(NOVA).set("vnc", "x", (value,))


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), max_size=8)


@given(
    st.sampled_from(["DEFAULT", "libvirt", "new"]),
    st.sampled_from(["virt_type", "long", "passthrough_whitelist", "n"]),
    st.lists(WORDS, min_size=1, max_size=3),
)
def test_values_come_back_from_oslo_and_nothing_else_changes(section: str, name: str, values: list[str]) -> None:
    before = read(NOVA)
    try:
        text = parse(NOVA).set(section, name, tuple(values)).text
    except ValueError:
        return
    after = read(text)
    kept = before.get(section, {}).get(name, [])[:-1] if len(values) == 1 else []
    assert after[section][name] == kept + values
    after[section].pop(name)
    before.setdefault(section, {}).pop(name, None)
    assert after == before
