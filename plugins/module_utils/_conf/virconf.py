# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a configuration file of libvirt (libvirtd.conf, qemu.conf and their like), edited in place. Pure.

The grammar is that of libvirt's own reader (virconf.c): statements C(name = value), parted by line ends or semicolons;
a value is a whole number, a string in single, double or triple double quotes that knows no escapes, or a list, which
may go over several lines. Of two statements with one name libvirt takes the first. A text of nothing but blanks, which
libvirt does not take, is to be edited all the same.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Union

from ansible_collections.kvmops.mobility.plugins.module_utils._conf.text import (
    Syntax,
    commented,
    ended,
    ending,
    is_secret,
    lines_of,
)

Value = Union[int, str, Sequence["Value"]]
"""A whole number, a string, or a list of values (as a tuple where we made it)."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_NUMBER = re.compile(r"[-+]?[0-9]+")
_BLANKS = re.compile(r"[ \t]*")
_SPACE = re.compile(r"[ \t\r\n]*")
_COMMENT = re.compile(r"#[^\r\n]*")
_STRINGS = (
    re.compile(r'"""(?=....)(?P<text>.*?)"""', re.DOTALL),  # libvirt takes an empty one at the very end for two others
    re.compile(r'"(?P<text>[^"\r\n]*)"'),
    re.compile(r"'(?P<text>[^'\r\n]*)'"),
)
_DEFAULT = re.compile(r"# ?(?=[A-Za-z])")
_LINE_REST = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)?")
_PARTED = re.compile(r"[ \t]*;?[ \t]*")


@dataclass(frozen=True)
class Setting:
    """A statement, and where in the text it is."""

    name: str
    value: Value
    start: int
    value_start: int
    end: int


@dataclass(frozen=True)
class VirConf:
    """A file's text, and what libvirt reads in it."""

    text: str
    settings: tuple[Setting, ...]

    def get(self, name: str) -> Value | None:
        """What libvirt takes for *name*, None when it is not set."""
        found = self._first(name)
        return None if found is None else found.value

    def _first(self, name: str) -> Setting | None:
        return next((one for one in self.settings if one.name == name), None)

    def set(self, name: str, value: Value) -> VirConf:
        """With *name* as *value*: where it stands, else where its default is commented out, else at the end.

        Raises ValueError for a value that this format cannot hold.
        """
        shown = render(value)
        found = self._first(name)
        if found is not None:
            return self if found.value == _plain(value) else self._spliced(found.value_start, found.end, shown)
        place = _default(self.text, name)
        if place is not None:
            return self._spliced(*place, f"{name} = {shown}")
        whole = ended(self.text)
        return parse(f"{whole}{name} = {shown}{ending(whole)}")

    def unset(self, name: str) -> VirConf:
        """Without *name*. What has its lines for itself is commented out; passwords, and what shares a line, go."""
        conf = self
        while True:
            found = conf._first(name)
            if found is None:
                return conf
            start, end = conf._lines(found)
            around = conf.text[start : found.start] + conf.text[found.end : end]
            if is_secret(name) or not re.fullmatch(r"\s*(#.*)?\s*", around):
                conf = conf._without(found)
            else:
                conf = conf._spliced(start, end, commented(conf.text[start:end]))

    def _lines(self, setting: Setting) -> tuple[int, int]:
        """Where the lines begin and end that a statement is on."""
        start = max(self.text.rfind(end, 0, setting.start) for end in "\r\n") + 1
        return start, _skip(_LINE_REST, self.text, setting.end)

    def _without(self, setting: Setting) -> VirConf:
        return self._spliced(setting.start, _skip(_PARTED, self.text, setting.end), "")

    def _spliced(self, start: int, end: int, new: str) -> VirConf:
        text = self.text[:start] + new + self.text[end:]
        return parse(text if text.strip() else "")


def parse(text: str) -> VirConf:
    """What libvirt would read. Raises Syntax where it would stop."""
    return VirConf(text, tuple(_statements(text)))


def render(value: Value) -> str:
    """A value as libvirt writes it. Raises ValueError for a text that no quotes can hold."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, str):
        return f"[ {', '.join(map(render, value))} ]" if value else "[ ]"
    if "\0" in value:
        raise ValueError("it holds a zero byte, which ends the file for libvirt")
    for quote in ('"', "'"):
        if quote not in value and not re.search(r"[\r\n]", value):
            return f"{quote}{value}{quote}"
    if '"""' in value or value.endswith('"'):
        raise ValueError("libvirt has no quotes that can hold it")
    return f'"""{value}"""'


def _plain(value: Value) -> Value:
    return value if isinstance(value, (int, str)) else tuple(map(_plain, value))


def _statements(text: str) -> Iterator[Setting]:
    at = _skip(_SPACE, text, 0)
    while at < len(text):
        if text[at] == "#":
            at = _skip(_COMMENT, text, at)
        else:
            found = _statement(text, at)
            yield found
            at = _skip(_BLANKS, text, found.end)
            at = _skip(_COMMENT, text, at)
        at = _skip(_BLANKS, text, at)
        if at < len(text) and text[at] not in "\r\n;":
            raise Syntax(_line(text, at), "a line end or a semicolon is missing between two settings")
        if at < len(text) and text[at] == ";":
            at += 1
        at = _skip(_SPACE, text, at)


def _statement(text: str, start: int) -> Setting:
    name = _NAME.match(text, start)
    if name is None:
        raise Syntax(_line(text, start), "here the name of a setting is expected")
    at = _skip(_BLANKS, text, name.end())
    if text[at : at + 1] != "=":
        raise Syntax(_line(text, at), f"an equals sign is expected behind {name.group()}")
    value_start = _skip(_BLANKS, text, at + 1)
    value, end = _value(text, value_start)
    return Setting(name.group(), value, start, value_start, end)


def _value(text: str, at: int) -> tuple[Value, int]:
    """A value and where it ends."""
    if text[at : at + 1] == "[":
        return _list(text, at)
    number = _NUMBER.match(text, at)
    if number is not None:
        return int(number.group()), number.end()
    if text[at : at + 1] not in ('"', "'") or at >= len(text):
        raise Syntax(_line(text, at), "a value is expected: a whole number, a quoted string or a list in brackets")
    for pattern in _STRINGS:
        found = pattern.match(text, at)
        if found is not None:
            return found["text"], found.end()
    raise Syntax(_line(text, at), "a string does not end")


def _list(text: str, start: int) -> tuple[Value, int]:
    found: list[Value] = []
    at = _skip(_SPACE, text, start + 1)
    while text[at : at + 1] != "]":
        if at >= len(text):
            raise Syntax(_line(text, start), "a list is not closed with ]")
        value, at = _value(text, at)
        found.append(value)
        at = _skip(_SPACE, text, at)
        if text[at : at + 1] == ",":
            at = _skip(_SPACE, text, at + 1)
        elif at < len(text) and text[at] != "]":
            raise Syntax(_line(text, at), "a comma or ] is expected in a list")
    return tuple(found), at + 1


def _default(text: str, name: str) -> tuple[int, int] | None:
    """Where *name* is set in a comment, without the line end: the last one, best one right behind the comment sign.

    libvirt's own files have their defaults so. Examples in their prose are farther from the sign.
    """
    lines = lines_of(text)
    found: list[tuple[bool, int, int]] = []
    start = 0
    for index, line in enumerate(lines):
        sign = _DEFAULT.match(line)
        if sign is not None:
            statement, length = _in_comment(lines[index:], sign.end())
            if statement is not None and statement.name == name:
                found.append((sign.end() == 1, start, start + length))
        start += len(line)
    return max(found)[1:] if found else None


def _in_comment(lines: list[str], indent: int) -> tuple[Setting | None, int]:
    """The statement that stands in a comment, which may go on in comments below; how much text it is."""
    bare, length = "", 0
    for line in lines:
        if not line.startswith("#"):
            break
        bare += line[indent if not bare else 1 :]
        length += len(line)
        try:
            statement = _statement(bare, 0)
        except Syntax:
            if "[" not in bare:
                break
            continue
        rest = bare[statement.end :]
        if re.fullmatch(r"[ \t]*(#[^\r\n]*)?(\r\n|\r|\n)?", rest) is None:
            break
        return statement, length - (len(rest) - len(rest.rstrip("\r\n")))
    return None, 0


def _skip(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return at if found is None else found.end()


def _line(text: str, at: int) -> int:
    return len(re.findall(r"\r\n|\r|\n", text[:at])) + 1
