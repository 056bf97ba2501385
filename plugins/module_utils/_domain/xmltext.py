# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Change a few values in XML text and leave every other byte as it was.

A definition is edited in its text, not written anew from a tree: the standard library's trees
rename namespace prefixes (ElementTree) or lose line breaks in attributes (minidom before Python
3.13), and a definition holds parts of other tools that nobody here may touch.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

_ATTRIBUTE = re.compile(rb"""\s+([^\s=/>]+)\s*=\s*("[^"]*"|'[^']*')""")
_HEAD = re.compile(rb"""<[^\s/>]+(?:\s+[^\s=/>]+\s*=\s*(?:"[^"]*"|'[^']*'))*\s*/?>""")
_COMMENT = re.compile(rb"<!--.*?-->", re.DOTALL)
# A parser would turn raw line breaks and tabs in an attribute into spaces.
_ESCAPES = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    "\n": "&#10;",
    "\t": "&#9;",
    "\r": "&#13;",
    '"': "&quot;",
    "'": "&apos;",
}


@dataclass(eq=False)
class Node:
    """One element and where it stands in the text. Offsets are bytes of the UTF-8 text."""

    tag: str
    """As written, with its prefix."""
    attributes: dict[str, str]
    start: int
    head_end: int
    """Just after the start tag."""
    tail: int = 0
    """Where the end tag starts; equal to head_end when the element is empty."""
    text: str = ""
    """The element's own characters, without those of its children."""
    children: list[Node] = field(default_factory=list)

    def find_all(self, path: str) -> Iterator[Node]:
        """The descendants at a path of tags such as C(cpu/topology)."""
        tag, _slash, rest = path.partition("/")
        for child in self.children:
            if child.tag == tag:
                if rest:
                    yield from child.find_all(rest)
                else:
                    yield child

    def find(self, path: str) -> Node | None:
        """The first of C(find_all()), or none."""
        return next(self.find_all(path), None)

    def walk(self) -> Iterator[Node]:
        """This element and all below it, in document order."""
        yield self
        for child in self.children:
            yield from child.walk()


class XmlText:
    """XML text with the edits that were asked for; C(str()) gives the edited text."""

    def __init__(self, xml: str) -> None:
        """Read *xml*. Raises C(xml.parsers.expat.ExpatError) when it is not well-formed."""
        self._bytes = xml.encode()
        self._edits: list[tuple[int, int, bytes]] = []
        self.root = _parse(self._bytes)

    def set_text(self, node: Node, value: str) -> None:
        """Replace the characters of an element without children; comments in it stay."""
        if node.text.strip() == value:
            return
        comments = b"".join(_COMMENT.findall(self._bytes[node.head_end : node.tail]))
        if node.tail > node.head_end or not self._is_self_closing(node):
            self._edits.append((node.head_end, node.tail, _escape(value) + comments))
            return
        slash = self._bytes.rindex(b"/", node.start, node.head_end)
        closed = b">" + _escape(value) + f"</{node.tag}>".encode()
        self._edits.append((slash, node.head_end, closed))

    def set_attribute(self, node: Node, name: str, value: str) -> None:
        """Set or add one attribute."""
        if node.attributes.get(name) == value:
            return
        found = self._attribute(node, name)
        if found is not None:
            start, end = found.span(2)
            self._edits.append((start + 1, end - 1, _escape(value)))
            return
        end = node.head_end - (2 if self._is_self_closing(node) else 1)
        self._edits.append((end, end, f" {name}='".encode() + _escape(value) + b"'"))

    def drop_attribute(self, node: Node, name: str) -> None:
        """Remove one attribute, if it is there."""
        found = self._attribute(node, name)
        if found is not None:
            self._edits.append((found.start(), found.end(), b""))

    def drop(self, node: Node) -> None:
        """Remove an element with all that is in it; nothing in it may be edited as well."""
        empty = node.tail == node.head_end and self._is_self_closing(node)
        end = node.head_end if empty else self._bytes.index(b">", node.tail) + 1
        self._edits.append((node.start, end, b""))

    def __str__(self) -> str:
        parts = []
        position = 0
        for start, end, replacement in sorted(self._edits, key=lambda edit: edit[0]):
            parts += [self._bytes[position:start], replacement]
            position = end
        return b"".join([*parts, self._bytes[position:]]).decode()

    def _is_self_closing(self, node: Node) -> bool:
        return self._bytes[node.head_end - 2 : node.head_end] == b"/>"

    def _attribute(self, node: Node, name: str) -> re.Match[bytes] | None:
        wanted = name.encode()
        return next(
            (m for m in _ATTRIBUTE.finditer(self._bytes, node.start, node.head_end) if m.group(1) == wanted), None
        )


def _escape(value: str) -> bytes:
    return "".join(_ESCAPES.get(character, character) for character in value).encode()


def _parse(data: bytes) -> Node:
    # The text is always UTF-8 here, whatever an XML declaration once said about a file.
    parser = expat.ParserCreate("utf-8")
    top = Node("", {}, 0, 0)
    open_nodes = [top]

    def start(tag: str, attributes: dict[str, str]) -> None:
        head = _HEAD.match(data, parser.CurrentByteIndex)
        # expat has accepted the tag, so the pattern can only miss in a document type's entity.
        if head is None:
            raise expat.ExpatError(f"element {tag} does not stand in the text itself")
        node = Node(tag, attributes, head.start(), head.end())
        open_nodes[-1].children.append(node)
        open_nodes.append(node)

    def end(_tag: str) -> None:
        node = open_nodes.pop()
        empty = data[node.head_end - 2 : node.head_end] == b"/>"
        node.tail = node.head_end if empty else parser.CurrentByteIndex

    def characters(text: str) -> None:
        open_nodes[-1].text += text

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = characters
    parser.Parse(data, True)
    return top.children[0]
