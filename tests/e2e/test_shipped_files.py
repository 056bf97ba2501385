# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Edits by lot of the configuration files that Debian ships: what is asked for is there, all else is untouched."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.kvmops.mobility.plugins.module_utils._conf import libvirt_edit, nova_edit, oslo, virconf
from ansible_collections.kvmops.mobility.plugins.module_utils._conf.libvirt_options import FILES
from ansible_collections.kvmops.mobility.plugins.module_utils._conf.nova_options import SECTIONS
from ansible_collections.kvmops.mobility.plugins.module_utils._conf.option import Option, Type
from ansible_collections.kvmops.mobility.plugins.module_utils._conf.text import lines_of
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.tests import readers
from ansible_collections.kvmops.mobility.tests.e2e import debian
from ansible_collections.kvmops.mobility.tests.e2e.debian import RELEASES, Release

pytestmark = pytest.mark.without_lab

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), max_size=12)
"""What one line can hold, more or less: what a format cannot is refused, and that is right, too."""
HOSTS = st.sampled_from(["192.0.2.7", "2001:db8::7", "c1.example.com"])
EACH_RELEASE = pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.suite)
UNSET = object()
Step = tuple[Any, Any]
"""An option, and its value or UNSET."""
READER = readers.Reader()


@pytest.fixture(scope="module", autouse=True)
def packages() -> None:
    """Unpacked, once for this machine."""
    debian.unpack()


class Format(Protocol):
    """One kind of file: our edits of it, and its own reader."""

    @property
    def options(self) -> Mapping[Any, Option]:
        """Those that we know."""

    def same(self, text: str) -> str:
        """The text, parsed and put together again."""

    def edited(self, text: str, key: Any, value: Any) -> str:
        """With that option set, or unset. Raises Refused."""

    def read(self, text: str) -> dict[Any, Any]:
        """What its reader finds in it."""

    def is_about(self, line: str, key: Any) -> bool:
        """Whether a line sets that option, or shows its default, or has nothing in it."""


class LibvirtFormat:
    """libvirtd.conf and its like."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.options = FILES[name]

    def same(self, text: str) -> str:
        return virconf.parse(text).text

    def edited(self, text: str, key: str, value: Any) -> str:
        if value is UNSET:
            return libvirt_edit.edit(text, {}, [key]).text
        params = {"path": self.name, "kind": "", "libvirt_version": "", "unmanaged": False, "unset": []}
        return libvirt_edit.edit(text, libvirt_edit.wanted({**params, "settings": {key: value}}), []).text

    def read(self, text: str) -> dict[str, Any]:
        found = {one.name: one.value for one in virconf.parse(text).settings}
        for name, value in found.items():
            told = READER.get(text, name)
            assert told == ("list" if isinstance(value, tuple) else value)
        return found

    def is_about(self, line: str, key: str) -> bool:
        # A default that is a list may go over several lines.
        return re.match(rf"#? ?{key} *=|#? *([\"\]].*)?$", line) is not None


class NovaFormat:
    """nova.conf."""

    def __init__(self) -> None:
        self.options = {(section, name): one for section, options in SECTIONS.items() for name, one in options.items()}

    def same(self, text: str) -> str:
        return oslo.parse(text).text

    def edited(self, text: str, key: tuple[str, str], value: Any) -> str:
        if value is UNSET:
            return nova_edit.edit(text, {}, [key]).text
        section, name = key
        params = {"nova_version": "", "unmanaged": False, "settings": {section: {name: value}}}
        return nova_edit.edit(text, nova_edit.wanted(params), []).text

    def read(self, text: str) -> dict[tuple[str, str], Any]:
        found = readers.oslo(text)
        return {(section, name): values[-1] for section, names in found.items() for name, values in names.items()}

    def is_about(self, line: str, key: tuple[str, str]) -> bool:
        section, name = key
        return re.match(rf"#? ?{name} *=|\[{section}\]$|$", line) is not None


def values(option: Option) -> st.SearchStrategy[Any]:
    """What an option takes, and for a text more than its format can hold."""
    if option.choices:
        return st.sampled_from(option.choices)
    return {
        Type.BOOLEAN: st.booleans(),
        Type.INTEGER: st.integers(option.least, option.most),
        Type.TEXT: WORDS,
        Type.HOST: HOSTS,
        Type.PATH: WORDS.map(lambda word: f"/{word}"),
        Type.LIST: st.lists(WORDS, max_size=3),
    }[option.type]


def steps(options: Mapping[Any, Option]) -> st.SearchStrategy[list[Step]]:
    """Some of them, each set or unset; one may come again."""
    one = st.sampled_from(sorted(options)).flatmap(
        lambda key: st.tuples(st.just(key), values(options[key]) | st.just(UNSET))
    )
    return st.lists(one, min_size=1, max_size=8)


def middle(before: str, after: str) -> tuple[list[str], list[str]]:
    """The lines of each between those that both begin and end with."""
    old, new = lines_of(before), lines_of(after)
    while old and new and old[0] == new[0]:
        del old[0], new[0]
    while old and new and old[-1] == new[-1]:
        del old[-1], new[-1]
    return old, new


def walk(kind: Format, shipped: str, taken: Sequence[Step]) -> str:
    """The file after these steps; after each the option is what it should be, and all else is as it was."""
    text = shipped
    for key, value in taken:
        try:
            after = kind.edited(text, key, value)
        except Refused:
            assert may_be_refused(kind.options[key])
            continue
        kept, found = kind.read(text), kind.read(after)
        assert matches(kind.options[key], value, found.pop(key, UNSET))
        kept.pop(key, None)
        assert found == kept
        assert [one for lines in middle(text, after) for one in lines if not kind.is_about(one, key)] == []
        assert kind.edited(after, key, value) == after
        text = after
    return text


def may_be_refused(option: Option) -> bool:
    """Whether it takes texts of any kind, some of which no quotes can hold."""
    return option.type in (Type.TEXT, Type.PATH, Type.LIST) and not option.choices


def matches(option: Option, asked: Any, found: Any) -> bool:
    """Whether a value means what was asked for."""
    if asked is UNSET or found is UNSET:
        return asked is found
    return option.read(found) == option.read(asked) or found == asked


def check(kind: Format, shipped: str, examples: int) -> None:
    """Steps by lot, and back again: each option that they touched as it was at first."""
    assert kind.same(shipped) == shipped
    before = kind.read(shipped)

    @settings(deadline=None, max_examples=examples)
    @given(steps(kind.options))
    def by_lot(taken: list[Step]) -> None:
        text = walk(kind, shipped, taken)
        back = [(key, before.get(key, UNSET)) for key in dict(taken)]
        assert kind.read(walk(kind, text, back)) == before

    by_lot()


def files() -> list[Any]:
    """Each release with the files of libvirt that it ships; those of the modular daemons are in no package."""
    names = ("libvirtd.conf", "qemu.conf")
    return [pytest.param(release, name, id=f"{release.suite}-{name}") for release in RELEASES for name in names]


@pytest.mark.parametrize(("release", "name"), files())
def test_files_of_libvirt(release: Release, name: str) -> None:
    shipped = release.shipped(name)
    assert shipped is not None
    check(LibvirtFormat(name), shipped, examples=50)


@EACH_RELEASE
def test_nova_conf(release: Release) -> None:
    shipped = release.shipped("nova.conf")
    assert shipped is not None
    check(NovaFormat(), shipped, examples=20)  # of ten thousand lines
