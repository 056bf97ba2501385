# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service's environment file."""

from __future__ import annotations

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._conf.environment import get, set_to

DEBIAN = """\
# Customizations
#LIBVIRTD_ARGS="--timeout 120"

# when using sysvinit, this line can be uncommented instead.
#LIBVIRTD_ARGS="--listen"
#QEMU_AUDIO_DRV=sdl
"""


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        (DEBIAN, None),
        ('LIBVIRTD_ARGS="--listen"\n', "--listen"),
        ("LIBVIRTD_ARGS=--listen", "--listen"),
        ("LIBVIRTD_ARGS='--timeout 120'\n", "--timeout 120"),
        ("LIBVIRTD_ARGS=\n", ""),
        ("LIBVIRTD_ARGS=a\nLIBVIRTD_ARGS=b\r\n", "b"),
        ('LIBVIRTD_ARGS="a\n', '"a'),
        ("MY_LIBVIRTD_ARGS=a\n", None),
    ],
)
def test_get(text: str, value: str | None) -> None:
    assert get(text, "LIBVIRTD_ARGS") == value


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", 'LIBVIRTD_ARGS="--listen"\n'),
        ("A=1", 'A=1\nLIBVIRTD_ARGS="--listen"\n'),
        (DEBIAN, DEBIAN.replace('#LIBVIRTD_ARGS="--listen"', 'LIBVIRTD_ARGS="--listen"')),
        ('LIBVIRTD_ARGS="--timeout 120"\nA=1\n', 'LIBVIRTD_ARGS="--listen"\nA=1\n'),
        ("LIBVIRTD_ARGS=--listen\n", "LIBVIRTD_ARGS=--listen\n"),
        ("LIBVIRTD_ARGS=--listen\nLIBVIRTD_ARGS=\r\n", 'LIBVIRTD_ARGS=--listen\nLIBVIRTD_ARGS="--listen"\n'),
    ],
)
def test_set(before: str, after: str) -> None:
    assert set_to(before, "LIBVIRTD_ARGS", "--listen") == after
    assert get(after, "LIBVIRTD_ARGS") == "--listen"
