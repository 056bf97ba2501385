# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a running guest is on its way, by what libvirt on its source says, and how to keep it there for a while."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kvmlab.config import LabError
from kvmlab.host import Host
from kvmlab.run import wait_for
from kvmlab.virsh import virsh

from .case import Travelling

MBIT = {Travelling.DISKS: 8, Travelling.MEMORY: 40, Travelling.POST_COPY: 20}
"""Of both hosts' links: slow enough that a stage lasts."""
_REACH_S = 120
_POLL_S = 0.05


def variables(travelling: Travelling | None) -> Mapping[str, Any]:
    """What the operator asks for besides."""
    more = {"post_copy": True} if travelling is Travelling.POST_COPY else {}
    # Guests are held up on purpose here: what a forecast would make of that is another subject.
    return {"policy": "fast", "live": {"forecast": "off", **more}}


def reached(host: Host, guest: str, stage: Travelling) -> bool:
    """Whether it is there now."""
    if stage is Travelling.DISKS:
        return "Copy" in _said(host, "blockjob", guest, "vda", "--raw")
    if stage is Travelling.POST_COPY:
        return "post-copy" in _said(host, "domstate", guest, "--reason")
    job = _said(host, "domjobinfo", guest)
    return "Memory total" in job and "Iteration" in job and not reached(host, guest, Travelling.POST_COPY)


def await_stage(host: Host, guest: str, stage: Travelling) -> None:
    """Wait until it is there. Raises LabError when that does not come."""
    wait_for(f"{stage.value}", lambda: reached(host, guest, stage), timeout_s=_REACH_S, interval_s=_POLL_S)


def has_job(host: Host, guest: str) -> bool:
    """Whether libvirt has anything to do with the guest there."""
    return "None" not in _said(host, "domjobinfo", guest).partition("\n")[0]


def _said(host: Host, *words: str) -> str:
    """Empty when libvirt refuses to answer, or has no such guest."""
    try:
        return virsh(host, *words)
    except LabError:
        return ""
