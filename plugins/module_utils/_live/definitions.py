# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The definitions that a guest has on its destination: those of the source but for what differs there. Pure.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ansible_collections.kvmops.mobility.plugins.module_utils._domain.edit import (
    DefinitionChange,
    apply_changes,
    digest,
    verify_only,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._domain.xmltext import XmlText


def stored(xml: str, listen: Mapping[str, str]) -> str:
    """The stored definition *xml* with the listeners of the destination.

    Raises Refused(DEFINITION_EDIT_UNEXPECTED) when that changes anything else.
    """
    if not listen:
        return xml
    change = DefinitionChange(listen=listen)
    edited = apply_changes(xml, change)
    verify_only(xml, edited, change)
    return edited


def running(xml: str, listen: Mapping[str, str], copied: Collection[str]) -> str:
    """The running definition *xml* for the destination.

    A disk that is copied arrives as one image with the contents of its whole chain: the chain that libvirt has written
    down for the source is left out, and the destination looks at the image for itself.
    """
    text = XmlText(stored(xml, listen))
    for disk in text.root.find_all("devices/disk"):
        target = disk.find("target")
        if target is None or target.attributes.get("dev") not in copied:
            continue
        for chain in disk.find_all("backingStore"):
            text.drop(chain)
    return str(text)


def is_as_planned(there: str, listen: Mapping[str, str], planned_digest: str) -> bool:
    """Whether the destination's stored definition *there* is the planned one but for its listeners."""
    back = {new: old for old, new in listen.items()}
    return digest(stored(there, back)) == planned_digest
