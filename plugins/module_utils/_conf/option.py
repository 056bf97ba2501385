# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an option may hold, and which versions of its reader know it. Pure.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._conf.text import Syntax, is_secret
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused

_TRUE, _FALSE = ("true", "1", "on", "yes"), ("false", "0", "off", "no")
_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_-]{1,63})*\.?")
_LONGEST = 2**31 - 1


class Type(Enum):
    """Kinds of values; what each takes is said by C(words)."""

    BOOLEAN = "true or false"
    INTEGER = "a whole number"
    TEXT = "a text"
    HOST = "an IP address or host name"
    PATH = "an absolute path"
    LIST = "a list of texts"


@dataclass(frozen=True)
class Option:
    """One option of a configuration file."""

    type: Type
    least: int = 0
    most: int = _LONGEST
    choices: tuple[str, ...] = ()
    since: tuple[int, ...] = ()
    """The first version that knows it; empty for one that is older than all we work with."""
    until: tuple[int, ...] = ()
    """The first version that does not know it any more."""
    instead: str = ""
    """What to use instead of one that is gone, or going."""

    @property
    def words(self) -> str:
        """What it takes, for people."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.type is Type.INTEGER:
            return f"a whole number from {self.least}{'' if self.most == _LONGEST else f' to {self.most}'}"
        return str(self.type.value)

    def read(self, value: object) -> bool | int | str | tuple[str, ...] | None:
        """*value*, which may be a text, as its type; None when it is not of it or out of bounds."""
        if self.type is Type.BOOLEAN:
            return _boolean(value)
        if self.type is Type.INTEGER:
            return self._integer(value)
        return _list(value) if self.type is Type.LIST else self._text(value)

    def _integer(self, value: object) -> int | None:
        if isinstance(value, bool) or not re.fullmatch(r"[-+]?[0-9]{1,19}", str(value).strip()):
            return None
        return int(str(value)) if self.least <= int(str(value)) <= self.most else None

    def _text(self, value: object) -> str | None:
        if not isinstance(value, (str, int)) or isinstance(value, bool):
            return None
        text = str(value)
        if (self.type is Type.HOST and not _is_host(text)) or (self.type is Type.PATH and not text.startswith("/")):
            return None
        return text if not self.choices or text in self.choices else None


def _boolean(value: object) -> bool | None:
    text = str(value).strip().lower()
    return True if text in _TRUE else False if text in _FALSE else None


def _list(value: object) -> tuple[str, ...] | None:
    if isinstance(value, (list, tuple)) and all(isinstance(one, str) for one in value):
        return tuple(value)
    return None


def _is_host(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        # What consists of numbers and dots only is an address with a mistake.
        return _HOST.fullmatch(text) is not None and re.fullmatch(r"[0-9.]+", text) is None
    return True


def version_of(text: str) -> tuple[int, ...]:
    """C(11.3.0) as numbers; empty for an empty one. Raises Refused(OPTION_VERSION)."""
    if text and not re.fullmatch(r"[0-9]+(\.[0-9]+)*", text):
        raise Refused("OPTION_VERSION", text, "is no version.", "Give it as numbers with dots between, such as 11.3.0.")
    return tuple(int(one) for one in text.split(".")) if text else ()


def known(name: str, options: Mapping[str, Option], where: str) -> Option:
    """The option called *name*. Raises Refused(OPTION_UNKNOWN) with the names that are near."""
    if name in options:
        return options[name]
    near = get_close_matches(name, options, n=3)
    hint = f"Is {' or '.join(near)} meant? " if near else ""
    raise Refused(
        "OPTION_UNKNOWN",
        name,
        f"is no option of {where} that we know.",
        f"{hint}What is meant all the same goes in unchecked with unmanaged=true.",
    )


def check_version(name: str, option: Option, version: tuple[int, ...], reader: str) -> None:
    """Raises Refused(OPTION_NOT_HERE) for an option that the installed version does not have."""
    if not version:
        return
    shown = ".".join(map(str, version))
    if option.since and version < option.since:
        since = ".".join(map(str, option.since))
        raise Refused(
            "OPTION_NOT_HERE", name, f"came with {reader} {since}; here is {shown}.", "Leave it out on this host."
        )
    if option.until and version >= option.until:
        until = ".".join(map(str, option.until))
        instead = f"Use {option.instead} instead." if option.instead else "Leave it out; nothing took its place."
        raise Refused("OPTION_NOT_HERE", name, f"{reader} {until} took it out; here is {shown}.", instead)


def read(name: str, option: Option, value: object) -> bool | int | str | tuple[str, ...]:
    """*value* as the option called *name* takes it. Raises Refused(OPTION_VALUE)."""
    found = option.read(value)
    if found is None:
        raise not_allowed(name, value, option.words)
    return found


def check_once(wanted: Iterable[str], unwanted: Iterable[str]) -> None:
    """Raises Refused(OPTION_TWICE) for an option that is to be set and to be unset."""
    both = sorted({*wanted} & {*unwanted})
    if both:
        raise Refused("OPTION_TWICE", both[0], "is to be set and to be unset.", "Name it in one of the two.")


@contextmanager
def as_read_by(reader: str, name: str, value: object) -> Iterator[None]:
    """For trying *value* in its reader's format. Raises Refused(OPTION_VALUE) for what that cannot hold."""
    try:
        yield
    except (ValueError, Syntax) as error:
        raise not_allowed(name, value, f"what {reader} can read ({error})") from None


def not_allowed(name: str, value: Any, allowed: str) -> Refused:
    """The refusal of a value that an option does not take."""
    shown = "what was given" if is_secret(name) else repr(value)
    return Refused("OPTION_VALUE", name, f"cannot be {shown}.", f"It takes {allowed}.")
