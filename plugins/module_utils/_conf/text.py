# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the models of both formats share: line ends, comments, mistakes, and what of a change may be shown. Pure.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher

_SECRET = re.compile(r"pass(word|wd|phrase)|secret|token|transport_url|connection$|_key$", re.IGNORECASE)
_ASSIGNMENT = re.compile(r"\s*[#;]?\s*(?P<name>[\w.-]+)\s*[=:]\s*(?=\S)")
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|$)")


class Syntax(Exception):
    """The text is not of its format: its reader would stop at *line* (from 1), because of *why*."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"line {line}: {why}")
        self.line = line
        self.why = why


def lines_of(text: str) -> list[str]:
    """Its lines with their ends; an unended last line is one, too. Joined they are the text again."""
    return [one for one in _LINE.findall(text) if one]


def ending(text: str) -> str:
    """How its lines end, by the first one; a line feed where there is none yet."""
    found = re.search(r"\r\n|\r|\n", text)
    return found.group() if found else "\n"


def ended(text: str) -> str:
    """The text with its last line ended, so that another can follow."""
    return text if not text or text.endswith(("\n", "\r")) else text + ending(text)


def commented(lines: str) -> str:
    """Each of the lines as a comment."""
    return "".join(f"#{one}" for one in lines_of(lines))


def is_secret(name: str) -> bool:
    """Whether an option of this name holds what must not be in a log."""
    return _SECRET.search(name) is not None


def differing(before: str, after: str) -> tuple[str, str]:
    """The lines of each that the other does not have; values of secrets are not shown.

    Not the whole files: what stands beside a change is none of the log's business.
    """
    old, new = lines_of(before), lines_of(after)
    left, right = [], []
    for kind, from_old, to_old, from_new, to_new in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind != "equal":
            left += old[from_old:to_old]
            right += new[from_new:to_new]
    return "".join(map(_masked, left)), "".join(map(_masked, right))


def _masked(line: str) -> str:
    found = _ASSIGNMENT.match(line)
    return f"{line[: found.end()]}********\n" if found and is_secret(found["name"]) else printable(line)


def printable(text: str) -> str:
    """With the numbers of bytes that are no text in their places."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
