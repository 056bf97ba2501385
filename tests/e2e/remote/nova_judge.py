# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run by the Python of a Debian release: what Nova's validator and its own parser say of some files.

Both take seconds to begin with. So that is done once, and a process of its own, forked behind it, judges each file:
what one has set or warned of is not there for the next.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any


class Said(logging.Handler):
    """Keeps what a logger says that is worse than a note."""

    def __init__(self, logger: str) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []
        logging.getLogger(logger).addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.lines.append(record.getMessage())


class Options:
    """Values as texts, and the mistakes in them, by section and name."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.wrong: dict[str, str] = {}

    def read(self, place: str, reading: Callable[[], Any]) -> Any:
        """Look at one option: oslo.config does not before."""
        try:
            value = reading()
        except ValueError as error:
            self.wrong[place] = str(error)
            return None
        self.values[place] = str(value)
        return value

    def read_group(self, name: str, group: Any) -> None:
        """Look at all of a section."""
        for option in group:
            self.read(f"[{name}]{option}", partial(group.__getitem__, option))


def validated(words: list[str]) -> dict[str, Any]:
    """How oslo-config-validator ends when it is called so."""
    from oslo_config import validator

    said = Said("")
    sys.argv = words
    return {"code": validator.main(), "said": said.lines}


def parsed(path: str) -> dict[str, Any]:
    """What Nova's programs find in a file: each option that they have, looked at."""
    from oslo_config.cfg import ConfigOpts

    config = import_module("nova.config")
    said = Said("oslo_config.cfg")
    config.parse_args(["nova-compute", "--config-file", path], configure_db=False, init_rpc=False)
    options = Options()
    for name in list(config.CONF):
        found = options.read(f"[DEFAULT]{name}", partial(config.CONF.__getitem__, name))
        if isinstance(found, ConfigOpts.GroupAttr):
            del options.values[f"[DEFAULT]{name}"]
            options.read_group(name, found)
    return {"warned": said.lines, "values": options.values, "wrong": options.wrong}


def forked(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What *work* returns in a process of its own."""
    with tempfile.TemporaryFile("w+") as result:
        child = os.fork()
        if not child:
            code = 1
            try:
                json.dump(work(), result)
                result.flush()
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        result.seek(0)
        found: dict[str, Any] = json.load(result)
        return found


def main(files: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The verdict on each file at *path*, by its name; *validate* is the command that has it validated."""
    import_module("nova.config")
    validated(next(iter(files.values()))["validate"])  # for what it loads
    return {name: _verdict(one["validate"], one["path"]) for name, one in files.items()}


def _verdict(words: list[str], path: str) -> dict[str, Any]:
    return {**forked(lambda: validated(words)), **forked(lambda: parsed(path))}
