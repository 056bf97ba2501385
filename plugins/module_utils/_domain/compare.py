# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where two domain definitions differ: pure, no libvirt.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import hashlib
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from ansible_collections.kvmops.mobility.plugins.module_utils._domain.xmltext import XmlText


@dataclass(frozen=True)
class Difference:
    """One place where two definitions differ."""

    xpath: str
    """Like C(/domain/devices/disk[2]/source/@file); elements of other namespaces are C(Q{uri}name)."""
    old: str | None
    """The value before, none when it was not there."""
    new: str | None


def canonical(xml: str) -> str:
    """Canonical XML (C14N 2.0) of a definition: equal text means equal definitions.

    Indentation, comments and the domain's runtime C(id) do not count. Raises
    C(xml.parsers.expat.ExpatError) when *xml* is not well-formed.
    """
    return ET.canonicalize(_without_id(xml), strip_text=True)


def digest(xml: str) -> str:
    """SHA-256 of C(canonical()), as hexadecimal digits."""
    return hashlib.sha256(canonical(xml).encode()).hexdigest()


def changed_xpaths(before: str, after: str) -> tuple[str, ...]:
    """Where the two definitions differ, as sorted XPath-like strings; comments count, indentation does not."""
    return tuple(sorted(one.xpath for one in differences(before, after)))


def differences(before: str, after: str) -> list[Difference]:
    """The places of C(changed_xpaths()) with both values, in document order."""
    old, new = _without_id(before), _without_id(after)
    found = list(_compare("", _tree(old), _tree(new)))
    if _prefixes(old) != _prefixes(new):
        # Trees are equal by namespace; C14N, and other tools, also see how its prefix is written.
        found.append(Difference("/domain/namespace::*", " ".join(_prefixes(old)), " ".join(_prefixes(new))))
    return found


def _prefixes(xml: str) -> list[str]:
    """The namespace prefixes that elements are written with."""
    return sorted({node.tag.partition(":")[0] for node in XmlText(xml).root.walk() if ":" in node.tag})


def _without_id(xml: str) -> str:
    text = XmlText(xml)
    text.drop_attribute(text.root, "id")
    return str(text)


def _tree(xml: str) -> ET.Element:
    return ET.fromstring(xml, ET.XMLParser(target=ET.TreeBuilder(insert_comments=True)))


def _label(element: ET.Element) -> str:
    if not isinstance(element.tag, str):
        return "comment()"
    return "Q" + element.tag if element.tag.startswith("{") else element.tag


def _characters(element: ET.Element) -> str:
    pieces = [element.text, *(child.tail for child in element)]
    return " ".join(stripped for piece in pieces if (stripped := (piece or "").strip()))


def _compare(parent: str, old: ET.Element, new: ET.Element, step: str | None = None) -> Iterator[Difference]:
    path = f"{parent}/{step or _label(old)}"
    if _label(old) != _label(new):
        yield Difference(path, _label(old), _label(new))
        return
    for name in sorted({*old.attrib, *new.attrib}):
        if old.get(name) != new.get(name):
            yield Difference(f"{path}/@{name}", old.get(name), new.get(name))
    if _characters(old) != _characters(new):
        yield Difference(f"{path}/text()", _characters(old), _characters(new))
    yield from _compare_children(path, old, new)


def _compare_children(path: str, old: ET.Element, new: ET.Element) -> Iterator[Difference]:
    before, after = _by_label(old), _by_label(new)
    for label in {**before, **after}:
        pair = before[label], after[label]
        count = max(len(one) for one in pair)
        for index in range(count):
            step = f"{label}[{index + 1}]" if count > 1 else label
            if index >= len(pair[0]):
                yield Difference(f"{path}/{step}", None, label)
            elif index >= len(pair[1]):
                yield Difference(f"{path}/{step}", label, None)
            else:
                yield from _compare(path, pair[0][index], pair[1][index], step)
    orders = [[_label(child) for child in element] for element in (old, new)]
    if orders[0] != orders[1] and sorted(orders[0]) == sorted(orders[1]):
        yield Difference(f"{path}/*", " ".join(orders[0]), " ".join(orders[1]))


def _by_label(element: ET.Element) -> defaultdict[str, list[ET.Element]]:
    groups: defaultdict[str, list[ET.Element]] = defaultdict(list)
    for child in element:
        groups[_label(child)].append(child)
    return groups
