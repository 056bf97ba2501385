# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of devices that hold state outside the disks, or belong to one hypervisor.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.kvmops.mobility.plugins.module_utils._checks.codes import found
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.context import Move
from ansible_collections.kvmops.mobility.plugins.module_utils._checks.finding import Finding


def nvram(move: Move) -> Iterator[Finding]:
    """UEFI variables are in a file outside the guest's directory, which is not carried yet."""
    if move.definition.nvram:
        yield found(
            "NVRAM_UNSUPPORTED", move.name, f"the guest keeps UEFI variables in NVRAM: {move.definition.nvram}."
        )


def tpm(move: Move) -> Iterator[Finding]:
    """A TPM's state and secret are not carried yet."""
    if move.definition.tpm:
        yield found("TPM_UNSUPPORTED", move.name, f"the guest has a TPM, whose state is on {move.source}.")


def host_devices(move: Move) -> Iterator[Finding]:
    """A device of the source is not on the destination."""
    devices = move.definition.host_devices
    if devices:
        yield found("HOST_DEVICE", move.name, f"the guest uses devices of {move.source}: {', '.join(devices)}.")


def mediated_devices(move: Move) -> Iterator[Finding]:
    """A mediated device exists on one hypervisor only."""
    devices = move.definition.mediated_devices
    if devices:
        message = f"the guest uses mediated devices of {move.source}: {', '.join(devices)}."
        yield found("MEDIATED_DEVICE", move.name, message)


def filesystems(move: Move) -> Iterator[Finding]:
    """A directory of the source that is shared with the guest is not on the destination."""
    shared = move.definition.filesystems
    if shared:
        message = f"the guest has directories of {move.source} passed through: {', '.join(shared)}."
        yield found("FILESYSTEM_PASSTHROUGH", move.name, message)


CHECKS = (nvram, tpm, host_devices, mediated_devices, filesystems)
