# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._transfer import export as exports
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer import witness
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer.export import Export
from ansible_collections.kvmops.mobility.tests.unit.units import Units

EXPORT = Export("id", "vda", "/images/web1.id.staging/disk", "qcow2", "kvmops", 5)
GOOD = {
    "requests": 9,
    "errors": 0,
    "unflushed": 0,
    "unanswered": 0,
    "said_goodbye": True,
    "gone": True,
    "not_understood": "",
    "stalled_s": 0.0,
}


def state(*clients: dict[str, Any], exit_code: int | None = None) -> dict[str, Any]:
    return {"clients": list(clients), "exit_code": exit_code, "at": 1.0}


def test_its_names() -> None:
    assert EXPORT.unit == "kvmops-id-export-vda"
    assert EXPORT.directory == "/run/kvmops-id-export-vda"
    assert EXPORT.socket == "/run/kvmops-id-export-vda/export.sock"


def test_what_it_runs() -> None:
    assert exports.serve_argv(EXPORT) == (
        sys.executable,
        "-",
        "/run/kvmops-id-export-vda",
        "5",
        "qemu-nbd",
        "--persistent",
        "--format=qcow2",
        "--cache=none",
        "--aio=threads",
        "--discard=unmap",
        "--socket=/run/kvmops-id-export-vda/image.sock",
        "/images/web1.id.staging/disk",
    )


def test_it_runs_as_its_user_in_a_directory_of_its_own_without_a_network(units: Units) -> None:
    exports.start(EXPORT, "/logs")
    assert units.command(EXPORT.unit) == exports.serve_argv(EXPORT)
    properties = units.properties(EXPORT.unit)
    assert {
        "User=kvmops",
        f"RuntimeDirectory={EXPORT.unit}",
        "RuntimeDirectoryMode=0700",
        "NoNewPrivileges=yes",
        "PrivateNetwork=yes",
        "UMask=0077",
        f"StandardError=truncate:/logs/{EXPORT.unit}.err",
    } <= properties
    assert not any(one.startswith("Restart") for one in properties)
    (given,) = (one.partition("=")[2] for one in properties if one.startswith("StandardInputData="))
    assert base64.b64decode(given).decode() == exports.program()


def test_the_program_stands_alone() -> None:
    text = exports.program()
    assert text == Path(witness.__file__).read_text(encoding="utf-8")
    assert "ansible" not in text
    names: dict[str, Any] = {"__name__": "another"}
    exec(compile(text, "<stdin>", "exec"), names)
    assert callable(names["main"])


# --- its word ----------------------------------------------------------------------------------------------------


def test_a_whole_copy() -> None:
    assert exports.shortcoming(state(GOOD)) == ""


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        ({}, "nothing is known of its export"),
        (state(), "its export had 0 clients"),
        (state(GOOD, GOOD), "its export had 2 clients"),
        (state(GOOD, exit_code=0), "its export ended by itself with 0"),
        (state(GOOD, exit_code=-9), "its export ended by itself with -9"),
        (
            state({**GOOD, "not_understood": "the server sent 0x1"}),
            "not all of what went by was understood",
        ),
        (state({**GOOD, "stalled_s": 5.04}), "an answer was not there after 5.0 s"),
        (state({**GOOD, "errors": 2}), "2 requests were answered with an error"),
        (state({**GOOD, "unanswered": 1}), "1 requests had no answer"),
        (state({**GOOD, "unflushed": 3}), "3 writes were not flushed"),
        (state({**GOOD, "said_goodbye": False}), "its client went away without a good-bye"),
    ],
)
def test_what_is_missing_to_a_proof(seen: dict[str, Any], words: str) -> None:
    assert exports.shortcoming(seen).startswith(words)


@pytest.mark.parametrize(
    ("seen", "ended"),
    [
        ({}, False),
        (state(), False),
        (state({**GOOD, "gone": False}), False),
        (state(GOOD), True),
        (state({**GOOD, "said_goodbye": False}), True),
        (state(GOOD, {**GOOD, "gone": False}), False),
    ],
)
def test_whether_its_client_is_gone(seen: dict[str, Any], ended: bool) -> None:
    assert exports.has_ended(seen) is ended


@pytest.mark.parametrize("text", [None, "", '{"clients": ['])
def test_a_state_that_cannot_be_read_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None) -> None:
    monkeypatch.setattr(Export, "directory", str(tmp_path))
    if text is not None:
        (tmp_path / "state.json").write_text(text, encoding="ascii")
    assert exports.state(EXPORT) == {}
    assert exports.shortcoming(exports.state(EXPORT)) == "nothing is known of its export"
