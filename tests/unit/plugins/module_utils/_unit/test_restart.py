# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemctl says of a service, and which files are newer than it. Restarting itself is seen on real hosts."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._unit.restart import Service, newer

SHOWN = "LoadState={}\nActiveState={}\nExecMainStartTimestampMonotonic={}\n"


@pytest.mark.parametrize(
    ("text", "service"),
    [
        (SHOWN.format("loaded", "active", 12500000), Service("x", True, True, 12.5)),
        (SHOWN.format("loaded", "reloading", 1), Service("x", True, True, 1e-6)),
        (SHOWN.format("loaded", "inactive", 0), Service("x", True, False, 0)),
        (SHOWN.format("masked", "inactive", 0), Service("x", True, False, 0)),
        (SHOWN.format("not-found", "inactive", 0), Service("x", False, False, 0)),
        ("LoadState=loaded\nActiveState=failed\n", Service("x", True, False, 0)),
    ],
)
def test_what_systemctl_says(text: str, service: Service) -> None:
    assert Service.from_show("x", text) == service


def test_files_that_changed_since(tmp_path: Path) -> None:
    conf = tmp_path / "nova.conf"
    conf.write_text("[a]\n", encoding="utf-8")
    boot_s = time.time() - 1000
    files = [str(conf), str(tmp_path / "nowhere")]
    assert newer(Service("x", True, True, 990), files, boot_s) == [str(conf)]
    assert newer(Service("x", True, True, 1010), files, boot_s) == []
    assert newer(Service("x", True, False, 990), files, boot_s) == []


def test_an_old_file_that_was_moved_there_is_news(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("[a]\n", encoding="utf-8")
    os.utime(kept, (1, 1))
    kept.rename(tmp_path / "nova.conf")
    assert newer(Service("x", True, True, 990), [str(tmp_path / "nova.conf")], time.time() - 1000) != []
