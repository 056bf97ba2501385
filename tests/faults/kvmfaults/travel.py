# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a running guest is on its way, by what libvirt on its source says or by what the watcher there tells, and how
to keep it there for a while."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kvmlab.config import LabError
from kvmlab.host import Host
from kvmlab.run import wait_for
from kvmlab.virsh import virsh

from .case import SPLIT, Travelling

CEILING_MS = 500
"""Of every policy here."""
FIRST_MS = 50
"""The limit that a policy begins with which goes by what it sees."""
LOWER_MS = 150
"""What a retune allows."""
_ANY_GUEST: Mapping[str, Any] = {"forecast": "off"}
_STALL_S = 5
"""Less than a round over what the guest writes takes on the links of the stages in which a policy acts."""


@dataclass(frozen=True)
class Way:
    """How a guest gets so far, and stays there for a while."""

    mbit: int
    """Of both hosts' links: slow enough that the stage lasts."""
    policy: object = "fast"
    post_copy: bool = False
    told: Mapping[str, str] = field(default_factory=dict)
    """What the watcher tells when it is there, a pattern; it is stopped right behind. Empty: libvirt there is asked."""
    rounds_mbit: int = 0
    """From the second round over the memory on: much slower than the guest writes, also on a busy machine."""
    lasting_mbit: int = 0
    """From when the watcher has told that; it goes on then, and libvirt is asked."""


def _acting(policy: object, words: str, *, post_copy: bool = False, lasts: bool = False) -> Way:
    """To where a policy acts by itself."""
    told = {"file": "post-copy.json" if post_copy else "live.json", "words": words}
    return Way(100, policy, post_copy, told, rounds_mbit=16, lasting_mbit=4 if lasts else 0)


_BALANCED = {"name": "balanced", "stall_s": _STALL_S}
_MUST_FINISH = {"name": "must_finish", "stall_s": _STALL_S}
_HURRIED = {"name": "must_finish", "stall_s": 0, "completion_timeout_s": 6}
"""24 s for a guest whose memory and disk count as 2 GiB each. libvirt takes 25 to find out that a link is silent."""
WAYS = {
    Travelling.DISKS: Way(8),
    Travelling.MEMORY: Way(40),
    Travelling.POST_COPY: Way(20, post_copy=True),
    Travelling.SWITCHING: _acting(_BALANCED, '"switched"', post_copy=True),
    Travelling.SWITCHED: _acting(_BALANCED, '"switched"', post_copy=True, lasts=True),
    Travelling.PAUSING: _acting(_MUST_FINISH, '"paused": true'),
    Travelling.PAUSED: _acting(_MUST_FINISH, '"paused": true', lasts=True),
    Travelling.GIVING_UP: _acting(_BALANCED, '"given_up": "the guest'),
    Travelling.GIVEN_UP: _acting(_BALANCED, " s: given up: "),
    Travelling.RAISING: _acting("balanced", rf'"downtime_ms": (?!null|{FIRST_MS}\b)'),
    Travelling.RAISED: _acting("balanced", rf" s: downtime limit (?!{FIRST_MS} )"),
    Travelling.HURRIED: Way(20, _HURRIED, post_copy=True),
    Travelling.HURRIED_TO_PAUSE: Way(20, _HURRIED),
}
_REACH_S = 120
_POLL_S = 0.05


def variables(travelling: Travelling | None) -> Mapping[str, Any]:
    """What the operator asks for besides."""
    # Guests are held up on purpose here: what a forecast would make of that is another subject.
    if travelling is None:
        return {"policy": "fast", "live": _ANY_GUEST}
    way = WAYS[travelling]
    return {"policy": way.policy, "live": {**_ANY_GUEST, **({"post_copy": True} if way.post_copy else {})}}


def reached(host: Host, guest: str, stage: Travelling) -> bool:
    """Whether it is there now, by libvirt."""
    if stage is Travelling.DISKS:
        return "Copy" in _said(host, "blockjob", guest, "vda", "--raw")
    if stage in SPLIT:
        return "post-copy" in _said(host, "domstate", guest, "--reason")
    if stage is Travelling.PAUSED:
        return _said(host, "domstate", guest).strip() == "paused" and has_job(host, guest)
    job = _said(host, "domjobinfo", guest)
    return "Memory total" in job and "Iteration" in job and not reached(host, guest, Travelling.POST_COPY)


def await_stage(host: Host, guest: str, stage: Travelling) -> None:
    """Wait until it is there. Raises LabError when that does not come."""
    wait_for(f"{stage.value}", lambda: reached(host, guest, stage), timeout_s=_REACH_S, interval_s=_POLL_S)


def await_round(host: Host, guest: str) -> None:
    """Wait until all of its memory was sent once. Raises LabError."""

    def is_second() -> bool:
        found = re.search(r"^Iteration:\s+(\d+)", _said(host, "domjobinfo", guest), re.MULTILINE)
        return found is not None and int(found.group(1)) > 1

    wait_for("the second round over the memory", is_second, timeout_s=_REACH_S, interval_s=_POLL_S)


def await_limit(host: Host, guest: str, most_ms: int) -> None:
    """Wait until libvirt may stop the guest for no longer than that. Raises LabError."""

    def is_lower() -> bool:
        said = _said(host, "migrate-getmaxdowntime", guest).strip()
        return said.isdigit() and int(said) <= most_ms

    wait_for(f"a downtime limit of {most_ms} ms", is_lower, timeout_s=_REACH_S, interval_s=_POLL_S)


def await_running(host: Host, guest: str) -> None:
    """Wait until it runs there. Raises LabError."""
    runs = "running"
    wait_for(runs, lambda: _said(host, "domstate", guest).strip() == runs, timeout_s=_REACH_S, interval_s=_POLL_S)


def has_job(host: Host, guest: str) -> bool:
    """Whether libvirt has anything to do with the guest there."""
    return "None" not in _said(host, "domjobinfo", guest).partition("\n")[0]


def _said(host: Host, *words: str) -> str:
    """Empty when libvirt refuses to answer, or has no such guest."""
    try:
        return virsh(host, *words)
    except LabError:
        return ""
