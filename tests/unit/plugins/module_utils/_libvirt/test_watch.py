# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.library import libvirt
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.watch import watching
from ansible_collections.kvmops.mobility.tests.unit.bed import Bed


def status(name: str) -> int:
    return int(getattr(libvirt, f"VIR_DOMAIN_BLOCK_JOB_{name}"))


def test_silence_is_good(bed: Bed) -> None:
    with watching(bed.guest()) as watch:
        assert len(bed.jobs.listeners) == 1
    assert watch.lost == {}
    assert bed.jobs.listeners == []


def test_ready_is_no_loss(bed: Bed) -> None:
    with watching(bed.guest()) as watch:
        bed.jobs.tell("vda", status("READY"))
    assert watch.lost == {}


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (status("COMPLETED"), "was finished"),
        (status("FAILED"), "failed"),
        (status("CANCELED"), "was given up"),
        (77, "changed to 77"),
    ],
)
def test_whatever_else_is_told(bed: Bed, number: int, words: str) -> None:
    with watching(bed.guest()) as watch:
        bed.jobs.tell("vdb", number)
        bed.jobs.tell("vda", status("READY"))
    assert watch.lost == {"vdb": words}


def test_nobody_listens_after_an_error(bed: Bed) -> None:
    with pytest.raises(OSError, match="the stop failed"), watching(bed.guest()):
        raise OSError("the stop failed")
    assert bed.jobs.listeners == []
