# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The readers that our models of configuration files are held against: libvirt's own, and oslo.config's."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any

from oslo_config import iniparser
from oslo_config.cfg import ConfigParser

Read = dict[str, dict[str, list[str]]]


class Reader:
    """virConf of the installed libvirt."""

    def __init__(self) -> None:
        self.library = ctypes.CDLL("libvirt.so.0")
        self.library.virConfReadString.restype = ctypes.c_void_p
        self.library.virConfReadString.argtypes = [ctypes.c_char_p, ctypes.c_uint]
        for name in ("virConfGetValueType", "virConfGetValueString", "virConfGetValueLLong", "virConfFree"):
            getattr(self.library, name).argtypes = None

    def reads(self, text: str) -> bool:
        """Whether it takes the text at all."""
        with self._conf(text) as conf:
            return bool(conf)

    def get(self, text: str, name: str) -> Any:
        """A number, a string, "list", or None."""
        with self._conf(text) as conf:
            assert conf
            return self._value(conf, name.encode())

    def _value(self, conf: ctypes.c_void_p, key: bytes) -> Any:
        kind = self.library.virConfGetValueType(conf, key)
        if kind in (1, 2):
            number = ctypes.c_longlong()
            assert self.library.virConfGetValueLLong(conf, key, ctypes.byref(number)) == 1
            return number.value
        if kind == 3:
            found = ctypes.c_char_p()
            assert self.library.virConfGetValueString(conf, key, ctypes.byref(found)) == 1
            return (found.value or b"").decode()
        return {0: None, 4: "list"}[kind]

    @contextmanager
    def _conf(self, text: str) -> Iterator[ctypes.c_void_p]:
        conf = ctypes.c_void_p(self.library.virConfReadString(text.encode("utf-8", "surrogateescape"), 0))
        try:
            yield conf
        finally:
            self.library.virConfFree(conf)


def oslo(text: str) -> Read:
    """What oslo.config reads, as a file is read: line ends of any kind."""
    sections: Read = {}
    parser = ConfigParser("nova.conf", sections)
    iniparser.BaseParser.parse(parser, StringIO(text, newline=None))
    return {name: {key: list(value) for key, value in options.items()} for name, options in sections.items()}
