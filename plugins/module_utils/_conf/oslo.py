# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a configuration file of oslo.config (nova.conf), edited in place. Pure.

The grammar is that of oslo_config.iniparser: sections in brackets, C(name = value) or C(name: value), lines that begin
with a blank go on with the value above, C(#) and C(;) begin a comment only at the beginning of a line. Sections of one
name are one section. Of several values of an option the last counts; an option that takes several has them all.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ansible_collections.kvmops.mobility.plugins.module_utils._conf.text import (
    Syntax,
    commented,
    ended,
    ending,
    is_secret,
    lines_of,
)

_QUOTES = ("'", '"')
_PARTS = re.compile(r"([^=:]*)([=:]?)(.*)", re.DOTALL)
_HEAD = re.compile(r"([^=:]*[=:])([ \t]*)")


@dataclass(frozen=True)
class Assignment:
    """An option's value, and the lines it is on: from *start*, up to and without *end*."""

    section: str
    name: str
    value: str
    start: int
    end: int


@dataclass(frozen=True)
class OsloConf:
    """A file's lines, and what oslo.config reads in them."""

    lines: tuple[str, ...]
    sections: tuple[tuple[str, int], ...]
    """Each section's name and the line of its head, in order; a name may be there more than once."""
    assignments: tuple[Assignment, ...]

    @property
    def text(self) -> str:
        """The whole file."""
        return "".join(self.lines)

    def get(self, section: str, name: str) -> tuple[str, ...]:
        """All values of an option, in order; interpolation (C($my_ip)) as it stands."""
        return tuple(one.value for one in self._of(section, name))

    def names(self, section: str) -> tuple[str, ...]:
        """The options that are set in a section."""
        return tuple(dict.fromkeys(one.name for one in self.assignments if one.section == section))

    def _of(self, section: str, name: str) -> list[Assignment]:
        return [one for one in self.assignments if (one.section, one.name) == (section, name)]

    def set(self, section: str, name: str, values: Sequence[str]) -> OsloConf:
        """With *name* as *values*: where it stands, else where its default is commented out, else at its section's end.

        One value goes to where the last one is, which is what counts; several replace what is there, one by one.
        Raises ValueError for a value that this format cannot hold.
        """
        there = self._of(section, name)
        if len(values) == 1 and there:
            last = there[-1]
            return self if last.value == values[0] else self._put(last.start, last.end, [self._shown(last, values[0])])
        if tuple(one.value for one in there) == tuple(values):
            return self
        if there:
            return self._replaced(there, values)
        new = [_rendered(f"{name} = ", one, ending(self.text)) for one in values]
        return self._added(section, name, new)

    def _replaced(self, there: list[Assignment], values: Sequence[str]) -> OsloConf:
        """Values in the places of others; what there are too many of goes, what is missing comes behind the last."""
        conf = self
        kept = [self._shown(old, new) for old, new in zip(there, values)]
        more = [_rendered(f"{there[-1].name} = ", one, ending(self.text)) for one in values[len(there) :]]
        conf = conf._put(there[-1].end, there[-1].end, more)
        for index in reversed(range(len(there))):
            conf = conf._put(there[index].start, there[index].end, kept[index : index + 1])
        return conf

    def _shown(self, old: Assignment, value: str) -> str:
        """Lines for *value* with the name and the blanks around the sign as they stand."""
        head, blanks = _HEAD.match(self.lines[old.start]).groups()  # type: ignore[union-attr]  # it was read as one
        return _rendered(head + (blanks or (" " if head[-2:-1] == " " else "")), value, ending(self.text))

    def _added(self, section: str, name: str, new: list[str]) -> OsloConf:
        default = self._default(section, name)
        if default is not None:
            return self._put(default, default + 1, new)
        behind = self._end_of(section)
        if behind is not None:
            return self._put(behind, behind, new)
        whole = ended(self.text)
        end = ending(whole)
        return parse(f"{whole}{end if whole else ''}[{section}]{end}{''.join(new)}")

    def _default(self, section: str, name: str) -> int | None:
        """The line of a section in which *name* is commented out, as in the files that Nova makes; the last one."""
        pattern = re.compile(rf"[#;]([ \t]?){re.escape(name)}[ \t]*[=:]")
        found = []
        for start, end in self._blocks(section):
            for number in range(start, end):
                match = pattern.match(self.lines[number])
                if match is not None:
                    found.append((not match.group(1), number))
        return max(found)[1] if found else None

    def _blocks(self, section: str) -> Iterator[tuple[int, int]]:
        heads = [number for _name, number in self.sections] + [len(self.lines)]
        for index, (name, number) in enumerate(self.sections):
            if name == section:
                yield number + 1, heads[index + 1]

    def _end_of(self, section: str) -> int | None:
        """Behind the last assignment of a section, or its head: what is written below may be about the next one."""
        ends = [number + 1 for name, number in self.sections if name == section]
        ends += [one.end for one in self.assignments if one.section == section]
        return max(ends) if ends else None

    def unset(self, section: str, name: str) -> OsloConf:
        """Without an option: commented out where it stands; the value of a secret goes."""
        conf = self
        for one in reversed(self._of(section, name)):
            lines = conf.lines[one.start : one.end]
            conf = conf._put(one.start, one.end, [] if is_secret(name) else [commented("".join(lines))])
        return conf

    def _put(self, start: int, end: int, new: Sequence[str]) -> OsloConf:
        before = "".join(self.lines[:start])
        return parse((ended(before) if new else before) + "".join(new) + "".join(self.lines[end:]))


def parse(text: str) -> OsloConf:
    """What oslo.config would read. Raises Syntax where it would stop."""
    lines = lines_of(text)
    return OsloConf(tuple(lines), tuple(_sections(lines)), tuple(_assignments(lines)))


def _sections(lines: list[str]) -> Iterator[tuple[str, int]]:
    for number, line in enumerate(lines):
        if line.startswith("["):
            bare = line.rstrip()
            if not bare.endswith("]"):
                raise Syntax(number + 1, "the name of a section does not end in ]")
            if len(bare) <= 2:
                raise Syntax(number + 1, "a section has no name")
            yield bare[1:-1], number


def _assignments(lines: list[str]) -> Iterator[Assignment]:
    section: str | None = None
    number = 0
    while number < len(lines):
        line = lines[number].rstrip()
        start = number
        number += 1
        if not line or line.startswith(("#", ";")):
            continue
        if line.startswith("["):
            section = line[1:-1]
        elif line.startswith((" ", "\t")):
            raise Syntax(number, "it begins with a blank, but there is no value above that it could go on with")
        else:
            name, value = _split(line, number)
            if section is None:
                raise Syntax(number, f"{name} stands before the first section")
            while number < len(lines) and lines[number].rstrip() and lines[number].startswith((" ", "\t")):
                value += f"\n{lines[number].strip()}"
                number += 1
            yield Assignment(section, name, value, start, number)


def _split(line: str, number: int) -> tuple[str, str]:
    name, sign, value = _PARTS.match(line).groups()  # type: ignore[union-attr]  # it matches anything
    if not sign:
        raise Syntax(number, "it is no section, no comment, and has no equals sign")
    if not name.strip():
        raise Syntax(number, "the name of an option is missing before the equals sign")
    value = value.strip()
    if value and value[0] == value[-1] and value.startswith(_QUOTES):
        value = value[1:-1]
    return name.strip(), value


def _rendered(head: str, value: str, end: str) -> str:
    """The lines of one assignment. Raises ValueError for what this format cannot hold."""
    first, *more = value.split("\n")
    if any(not one or one != one.strip() for one in more):
        raise ValueError("lines of a value, but the first, can be neither empty nor begin or end with a blank")
    if re.search(r"[\r\0\v\f\x1c-\x1e\x85\u2028\u2029]", value):
        raise ValueError("it holds a control character")
    quoted = first != first.strip() or (first != "" and first[0] == first[-1] and first.startswith(_QUOTES))
    if quoted and more:
        raise ValueError("the first line of several can have neither quotes around it nor blanks at its ends")
    text = f'"{first}"' if quoted else first
    return "".join(f"{one}{end}" for one in [f"{head}{text}".rstrip(), *(f"  {one}" for one in more)])
