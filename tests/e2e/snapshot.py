# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must not change on the hosts: taken before and after, and compared."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

from ansible_collections.kvmops.mobility.tests.e2e import lab

Snapshot = Mapping[str, str]
OURS = (lab.PREFIX, "c2")
_GUEST = re.compile(
    r"(?: domain | definition | of )([^ ]+)"
    r"|/images/([^/.]+?)(?:_resize|_reverted)?(?:/|$|\.)"
    r"|/etc/libvirt/qemu/(?:autostart/)?([^/]+)\.xml"
)


def take() -> Snapshot:
    """Files, contents, definitions, states and records of both hosts."""
    seen = lab.parallel(lambda host: lab.remote(host, "snapshot"), lab.HOSTS)
    return {f"{host}: {key}": value for host, found in zip(lab.HOSTS, seen) for key, value in found.items()}


def difference(before: Snapshot, after: Snapshot, *about: str) -> list[str]:
    """What changed, one line or a short diff each; only what one of *about* is part of, when they are given.

    Guests of somebody who uses the lab at the same time are left out.
    """
    others = _others(before) | _others(after)
    lines = []
    for key in sorted({*before, *after}):
        old, new = before.get(key, ""), after.get(key, "")
        if old != new and _guest_of(key) not in others and (not about or any(one in key for one in about)):
            told = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=0)
            lines.append("\n".join((key, *list(told)[3:])))
    return lines


def _others(snapshot: Snapshot) -> set[str]:
    """Guests that are not of these tests."""
    names = {_guest_of(key) for key in snapshot if " domain " in key or " of " in key}
    return {name for name in names if not name.startswith(OURS)}


def _guest_of(key: str) -> str:
    """The guest an entry is about, empty when it says none."""
    found = _GUEST.search(key)
    return next((one for one in found.groups() if one), "") if found else ""


def mentioning(snapshot: Snapshot, text: str) -> list[str]:
    """The entries about something: paths and domains whose name has *text* in it."""
    return sorted(key for key in snapshot if text in key)


def of_guest(snapshot: Snapshot, host: str, name: str) -> list[str]:
    """Domain, definition and directories of a guest on *host*, staged ones included."""
    images = f"{host}: path {lab.IMAGES}/{name}"
    ways = (f"{host}: domain {name} ", *(f"{images}{tail}/" for tail in ("", "_resize", "_reverted")))
    exact = (f"{host}: definition {name}", images, f"{images}_resize", f"{images}_reverted")
    return [key for key in snapshot if key in exact or key.startswith((*ways, f"{images}."))]


def locks(snapshot: Snapshot, name: str) -> list[str]:
    """The locks that are held on a guest."""
    return [key for key in snapshot if "/locks/" in key and key.endswith(f" of {name}")]
