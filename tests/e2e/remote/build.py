# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run on a host of the lab: carries out steps that make odd guests; never boots more than a BIOS."""

from __future__ import annotations

import pathlib
import subprocess
from typing import Any

import libvirt


def main(steps: list[list[Any]]) -> int:
    """Each step is a verb and its arguments; how many there were."""
    connection = libvirt.open("qemu:///system")
    for verb, *arguments in steps:
        if verb == "define":
            connection.defineXML(*arguments)
        elif verb == "create":
            connection.createXML(*arguments)
        elif verb == "write":
            _write(*arguments)
        elif verb == "run":
            _run(*arguments)
        else:
            raise ValueError(verb)
    connection.close()
    return len(steps)


def _write(path: str, text: str) -> None:
    place = pathlib.Path(path)
    place.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    place.write_text(text, encoding="utf-8")


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: {done.returncode}: {done.stdout} {done.stderr}")
