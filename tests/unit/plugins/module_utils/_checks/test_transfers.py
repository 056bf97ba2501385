# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which way the disks go."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._checks.transfers import MIRROR_LIBVIRT, choose
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.asked import Transfer
from ansible_collections.kvmops.mobility.tests.unit.builders import guest, hypervisor, move, request, site


def source(**values: Any) -> Any:
    return site(hypervisors={"c1": hypervisor("c1", **values), "c2": hypervisor("c2")})


def test_a_guest_that_runs_is_mirrored() -> None:
    choice = choose(move())
    assert choice.transfer is Transfer.MIRROR
    assert "runs" in choice.reason


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (move(guest(state="shut off")), "off"),
        (move(where=source(libvirt_version=MIRROR_LIBVIRT - 1)), "libvirt on c1"),
        (
            move(where=site(hypervisors={"c1": hypervisor("c1"), "c2": hypervisor("c2", qemu_nbd=False)})),
            "no qemu-nbd on c2",
        ),
    ],
)
def test_what_cannot_be_mirrored_goes_by_rsync(made: Any, reason: str) -> None:
    choice = choose(made)
    assert choice.transfer is Transfer.RSYNC
    assert reason in choice.reason


@pytest.mark.parametrize("wanted", list(Transfer))
def test_what_was_asked_for_is_what_is_taken(wanted: Transfer) -> None:
    assert choose(move(asked=request(transfer=wanted))).transfer is wanted
