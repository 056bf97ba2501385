# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways to move a guest that are measured beside each other: what others do, and this collection's playbooks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.kvmops.mobility.bench.moves import peers
from ansible_collections.kvmops.mobility.bench.moves.guests import BenchError, Guest, run_play, run_script

AGAIN = "+again"
"""What stands behind the name of a method that is measured a second time: the two tell what is noise."""

SAYS = {
    "kilo": "Nova Kilo: flatten, rsync with zlib",
    "today-ssh": "Nova today, ssh: scp",
    "today-rsync": "Nova today, rsync --sparse",
    "offline": "rsync, virsh migrate --offline",
    "ours-rsync": "migrate.yml, transfer=rsync",
    "ours-mirror": "migrate.yml, transfer=mirror",
}
TODAY = ("today-ssh", "today-rsync")
OURS = ("ours-rsync", "ours-mirror")


@dataclass(frozen=True)
class Moved:
    """What a method says of its move: the parts of the outage in seconds, as far as it knows them."""

    guest_stop_s: float | None = None
    between_s: float | None = None
    """Off until libvirt was asked to start it."""
    guest_start_s: float | None = None
    """libvirt's start until libvirt's running."""
    transfer: str = ""
    bytes_said: int = 0
    steps: tuple[Mapping[str, Any], ...] = ()


def says(method: str) -> str:
    """A method for people."""
    name = method.removesuffix(AGAIN)
    return f"{SAYS[name]}{', again' if name != method else ''}"


def choose(names: str) -> list[str]:
    """Methods by their names, separated by commas; C(all) for every one. Raises ValueError for an unknown name."""
    wanted = list(SAYS) if names == "all" else names.split(",")
    unknown = [name for name in wanted if name.removesuffix(AGAIN) not in SAYS]
    if unknown:
        raise ValueError(f"no method {', '.join(unknown)}; there are {', '.join(SAYS)}, and each with {AGAIN}")
    return wanted


def move(method: str, guest: Guest) -> Moved:
    """Move the guest. Raises BenchError."""
    name = method.removesuffix(AGAIN)
    if name in OURS:
        return _ours(name.removeprefix("ours-"), guest)
    marks = peers.marks(run_script(guest.source, peers.PEERS[name](guest.job)))
    missing = [mark for mark in (peers.STOP, peers.OFF, peers.START, peers.RUNNING) if mark not in marks]
    if missing:
        raise BenchError(f"the script did not say {', '.join(missing)}")
    return Moved(
        guest_stop_s=marks[peers.OFF] - marks[peers.STOP],
        between_s=marks[peers.START] - marks[peers.OFF],
        guest_start_s=marks[peers.RUNNING] - marks[peers.START],
    )


def _ours(transfer: str, guest: Guest) -> Moved:
    wanted = {"vm": guest.name, "dest": guest.destination.name, "transfer": transfer}
    moved = from_receipt(run_play("migrate", wanted).receipt(guest.name))
    # A collection that does not tell had no choice yet.
    if (moved.transfer or "rsync") != transfer:
        raise BenchError(f"it was to go by {transfer}, and went by {moved.transfer}")
    return moved


def from_receipt(receipt: Mapping[str, Any]) -> Moved:
    """What our receipt says of a move."""
    outage = receipt.get("outage") or {}
    return Moved(
        guest_stop_s=outage.get("guest_stop"),
        between_s=outage.get("ours"),
        guest_start_s=outage.get("guest_start"),
        transfer=str(receipt.get("transfer") or (receipt.get("migration") or {}).get("transfer") or ""),
        bytes_said=int(receipt.get("bytes_sent") or 0),
        steps=tuple(
            {name: step.get(name) for name in ("step", "hypervisor", "seconds")} for step in receipt.get("steps", ())
        ),
    )


def back(method: str, guest: Guest) -> None:
    """The guest on the source with the disk it had, whatever became of the move. Raises BenchError."""
    if method.removesuffix(AGAIN) in OURS:
        run_play("revert", {"vm": guest.name, "data": "discard"})
    else:
        run_script(guest.source, peers.back(guest.job))
    guest.watch_anew()
