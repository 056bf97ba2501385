# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a file as it is to a file as it should be: read, changed in place, judged, replaced as a whole.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._command import run
from ansible_collections.kvmops.mobility.plugins.module_utils._conf.text import Syntax, differing, is_secret, printable
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import CommandFailed, NotFound, Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._file import text as files
from ansible_collections.kvmops.mobility.plugins.module_utils._file.replacing import effects
from ansible_collections.kvmops.mobility.plugins.module_utils._file.text import Kind, Text
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Plan

KIND = Kind(
    "configuration file",
    most_bytes=10 * 2**20,  # libvirt reads no larger ones either
    busy="CONF_BUSY",
    immutable="CONF_IMMUTABLE",
    invalid="CONF_INVALID",
    too_large="CONF_TOO_LARGE",
    unreadable="CONF_UNREADABLE",
    unsafe="CONF_UNSAFE",
)
OPTIONS: dict[str, dict[str, Any]] = {
    "unmanaged": {"type": "bool", "default": False},
    "validate": {"type": "str", "default": ""},
    "backup": {"type": "bool", "default": False},
}
"""Parameters of every module that edits a configuration file; doc_fragments/conf.py has their words."""
_VALIDATE_S = 60
_HIDDEN = "********"


@dataclass(frozen=True)
class Change:
    """One option, before and after; None where it is not set."""

    name: str
    before: Any
    after: Any
    section: str = ""

    def as_result(self) -> dict[str, Any]:
        """Plain JSON, without what nobody may see."""
        shown = {
            key: _HIDDEN if value is not None and is_secret(self.name) else _plain(value)
            for key, value in (("before", self.before), ("after", self.after))
        }
        return {**({"section": self.section} if self.section else {}), "name": self.name, **shown}


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return printable(value) if isinstance(value, str) else value


@dataclass(frozen=True)
class Edited:
    """What an edit makes of a text."""

    text: str
    changes: Sequence[Change]
    notes: Sequence[str] = ()
    """What somebody should know who did not ask for it."""


def plan(context: Context, edit: Callable[[str], Edited]) -> Plan:
    """At most two effects, back_up and replace, for the file of the parameter path.

    *edit* is given the text and may raise Syntax, when its reader would stop there, and our refusals.

    Raises Refused: CONF_SYNTAX, CONF_REFUSED (by the validator) and those of reading; NotFound: CONF_MISSING.
    """
    params = context.params
    text = files.read(params["path"], KIND)
    if text.status is None and not os.path.isdir(os.path.dirname(text.real)):
        _no_directory(context, text)
    before = _decoded(text.data)
    try:
        edited = edit(before)
    except Syntax as mistake:
        raise Refused(
            "CONF_SYNTAX",
            f"{text.path}, line {mistake.line}",
            f"{mistake.why}. Its own reader would stop there, too.",
            "Mend that line; nothing was changed.",
        ) from None
    result: dict[str, Any] = {"path": text.real, "changes": [one.as_result() for one in edited.changes]}
    if edited.notes:
        result["notes"] = list(edited.notes)
    for note in edited.notes:
        context.warn(note)
    if edited.text == before:
        return Plan(result=result)
    data = _encoded(edited.text)
    if params["validate"]:
        _validate(context, text, data)
    old, new = differing(before, edited.text)
    return Plan(effects(context, text, data), result, before=old, after=new)


def _no_directory(context: Context, text: Text) -> None:
    """A dry run on a host on which nothing was installed yet shows what would be written."""
    directory = os.path.dirname(text.real)
    if not context.check:
        raise NotFound(
            "CONF_MISSING", text.path, f"{directory} is not there.", "Install what reads it first; it brings the file."
        )
    context.warn(f"{directory} is not there yet; shown is what an empty file would become.")


def _decoded(data: bytes) -> str:
    """Any bytes, so that they come back as they were."""
    return data.decode("utf-8", "surrogateescape")


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _validate(context: Context, text: Text, data: bytes) -> None:
    """Let a program judge the new text. What it held against the old one, too, is no fault of ours: a warning."""
    command = context.params["validate"]
    argv = shlex.split(command)
    if not any("%s" in one for one in argv):
        raise Refused(
            "CONF_VALIDATE", command, "has no %s, so the file to be judged cannot be named.", "Put %s where it goes."
        )
    mistake = _mistake(argv, text, data)
    if mistake is None:
        return
    if text.status is not None and _mistake(argv, text, text.data) is not None:
        context.warn(f"{argv[0]} takes {text.path} neither as it is nor as it would become: {mistake}")
        return
    raise Refused(
        "CONF_REFUSED",
        text.path,
        f"{argv[0]} does not take what it would become: {mistake}",
        "Nothing was changed. Mend what it names, or the settings that were asked for.",
    )


def _mistake(argv: Sequence[str], text: Text, data: bytes) -> str | None:
    """What the program says against *data*, in a file of the same name that only we can read; None: nothing."""
    with tempfile.TemporaryDirectory(prefix="kvmops-") as directory:
        path = os.path.join(directory, os.path.basename(text.real))
        with open(path, "wb") as handle:
            handle.write(data)
        try:
            run([one.replace("%s", path) for one in argv], timeout_s=_VALIDATE_S)
        except CommandFailed as error:
            if error.code != "COMMAND_FAILED":
                raise
            return " ".join(error.message.split())
    return None
