# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a directory is one guest's own. Files are told by device and inode: one may have many names.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator

from ansible_collections.kvmops.mobility.plugins.module_utils._disk import image
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.facts import EntryFacts

SMALL_BYTES = 2**20
"""What is no larger and does not look like an image is no guest's disk."""


def special(directory: str, pools: Iterable[str]) -> str:
    """Why *directory* can be nobody's own, whatever is in it; empty when nothing speaks against it."""
    if os.path.realpath(directory) != directory:
        return "there is a symbolic link or a detour in its path"
    if os.path.ismount(directory):
        return "it is a mount point"
    if any(_same(directory, pool) for pool in pools):
        return "it is a storage pool of libvirt"
    return ""


class Places:
    """Where paths lead to. Each is looked at once: of many guests each is compared with all others."""

    def __init__(self) -> None:
        self._above: dict[str, frozenset[tuple[int, int]]] = {}
        self._files: dict[str, tuple[int, int] | None] = {}

    def file(self, path: str) -> tuple[int, int] | None:
        """Device and inode of *path*, None when it is not there."""
        if path not in self._files:
            self._files[path] = _identity(path)
        return self._files[path]

    def is_inside(self, path: str, directory: str) -> bool:
        """Whether the name or the file *path* is anywhere in *directory*, under whatever name either has."""
        if path.startswith(directory.rstrip("/") + "/"):
            return True
        if path not in self._above:
            self._above[path] = identities(_above(os.path.realpath(path)))
        return self.file(directory) in self._above[path]


def foreign(directory: str, entries: Iterable[EntryFacts], own: Iterable[str]) -> tuple[str, ...]:
    """Names of the files in *directory* that may be somebody's disk, and are none of the guest's *own*."""
    known = {_identity(path) for path in own}
    files = [one for one in entries if one.kind == "file"]
    odd = (one for one in files if not _is_small(directory, one) and _identity(_at(directory, one)) not in known)
    return tuple(one.name for one in odd)


def named(xml: str) -> Iterator[str]:
    """Every absolute path that a definition names, as an attribute or a text."""
    for element in ET.fromstring(xml).iter():
        texts = (*element.attrib.values(), (element.text or "").strip())
        yield from (one for one in texts if os.path.isabs(one) and "\0" not in one)


def identities(paths: Iterable[str]) -> frozenset[tuple[int, int]]:
    """Device and inode of those of *paths* that are there."""
    return frozenset(found for path in paths if (found := _identity(path)) is not None)


def _at(directory: str, entry: EntryFacts) -> str:
    return os.path.join(directory, entry.name)


def _is_small(directory: str, entry: EntryFacts) -> bool:
    """A qcow2 image without data is small as well: its header tells. What cannot be read is not taken for small."""
    try:
        return entry.apparent_bytes <= SMALL_BYTES and image.looks_like(_at(directory, entry)) == "raw"
    except OSError:
        return not os.path.lexists(_at(directory, entry))


def _above(path: str) -> Iterator[str]:
    while (parent := os.path.dirname(path)) != path:
        yield parent
        path = parent


def _same(one: str, other: str) -> bool:
    found = _identity(one)
    return one == other or (found is not None and found == _identity(other))


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
