# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""As much of the NBD protocol as it takes to read an export at a UNIX socket.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

_ANSWER_S = 300
"""For one answer: storage that takes longer does not answer any more, seconds."""
_SERVER, _OPTION, _REQUEST, _REPLY = 0x4E42444D41474943, 0x49484156454F5054, 0x25609513, 0x67446698
_FIXED, _NO_ZEROES = 1, 2
_EXPORT_NAME = 1
_READ, _DISCONNECT = 0, 2


class Reader:
    """An export that can be read. Raises OSError for everything that goes wrong."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.size = self._negotiate()
        """Bytes."""

    def _negotiate(self) -> int:
        server, option, flags = struct.unpack(">QQH", self._take(18))
        if (server, option) != (_SERVER, _OPTION) or not flags & _FIXED or not flags & _NO_ZEROES:
            raise OSError(f"what answers is no NBD server that we know ({server:x}, {option:x}, {flags:x})")
        self._connection.sendall(struct.pack(">IQII", _FIXED | _NO_ZEROES, _OPTION, _EXPORT_NAME, 0))
        size, _flags = struct.unpack(">QH", self._take(10))
        return int(size)

    def read(self, offset: int, length: int) -> bytes:
        """*length* bytes from *offset* on."""
        self._connection.sendall(struct.pack(">IHHQQI", _REQUEST, 0, _READ, offset, offset, length))
        magic, error, handle = struct.unpack(">IIQ", self._take(16))
        if (magic, handle) != (_REPLY, offset):
            raise OSError(f"the NBD server's answer cannot be understood ({magic:x}, {handle})")
        if error:
            raise OSError(error, "the image cannot be read there", f"offset {offset}")
        return self._take(length)

    def _take(self, length: int) -> bytes:
        data = bytearray(length)
        view, got = memoryview(data), 0
        while got < length:
            more = self._connection.recv_into(view[got:])
            if not more:
                raise OSError("the NBD server hung up")
            got += more
        return bytes(data)

    def close(self) -> None:
        """Take leave: a server for one client ends with it."""
        self._connection.sendall(struct.pack(">IHHQQI", _REQUEST, 0, _DISCONNECT, 0, 0, 0))


@contextmanager
def connected(path: str) -> Iterator[Reader]:
    """The export behind the socket at *path*. Raises OSError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_ANSWER_S)
        connection.connect(path)
        reader = Reader(connection)
        yield reader
        reader.close()
