# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether mirrors that were ready stayed so until the guest was off.

When the guest goes off while its mirrors are ready, libvirt tells nothing of them. So whatever it tells of one from the
request on, that it failed, was given up or was finished, means that later writes may be missing in the copy.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.domain import Domain
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.library import libvirt


class Watch:
    """What was heard."""

    def __init__(self) -> None:
        self.lost: dict[str, str] = {}
        """By target, what became of its mirror."""

    def heard(self, target: str, status: int) -> None:
        """An event of libvirt."""
        if status != libvirt.VIR_DOMAIN_BLOCK_JOB_READY:
            self.lost[target] = _words().get(status, f"changed to {status}")


def _words() -> Mapping[int, str]:
    return {
        libvirt.VIR_DOMAIN_BLOCK_JOB_COMPLETED: "was finished",
        libvirt.VIR_DOMAIN_BLOCK_JOB_FAILED: "failed",
        libvirt.VIR_DOMAIN_BLOCK_JOB_CANCELED: "was given up",
    }


@contextmanager
def watching(domain: Domain) -> Iterator[Watch]:
    """Listen as long as the context lasts."""
    watch = Watch()
    stop = domain.on_block_job(watch.heard)
    try:
        yield watch
    finally:
        stop()
