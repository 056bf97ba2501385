# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command by which the role nova_host has nova.conf validated, called as the role calls it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.kvmops.mobility.tests.e2e.judges import validator

VALIDATOR = Path(sys.executable).with_name("oslo-config-validator")
"""That of the tools: without a Nova beside it, it knows no option at all."""


@pytest.mark.parametrize(("text", "code", "says"), [("", 0, ""), ("[libvirt]\nx = 1\n", 1, "libvirt/x is not part of")])
def test_it_reads_the_file(tmp_path: Path, text: str, code: int, says: str) -> None:
    path = tmp_path / "nova.conf"
    path.write_text(text, encoding="utf-8")
    name, *words = validator(str(path))
    assert name == VALIDATOR.name
    done = subprocess.run([str(VALIDATOR), *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
