# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

from ansible_collections.kvmops.mobility.plugins.module_utils._file.own import put, text_of


def test_put_read_and_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "some" / "where" / "x"
    assert text_of(path) == ""
    put(path, "ä".encode() + b"\xff", 0o640)
    assert (text_of(path), text_of(path, errors="surrogateescape")) == ("ä\ufffd", "ä\udcff")
    assert path.stat().st_mode & 0o777 == 0o640
    for _once_more in range(2):
        put(path, None, 0o640)
    assert list(path.parent.iterdir()) == []
