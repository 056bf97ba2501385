# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import contextlib
import errno
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._disk import nbd

GREETING = struct.pack(">QQH", 0x4E42444D41474943, 0x49484156454F5054, 3)
EXPORT = struct.pack(">QH", 4096, 1)
REPLY = struct.pack(">IIQ", 0x67446698, 0, 512)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[bytes], str]]:
    """A server that says its lines whatever it is asked, and hangs up."""
    threads: list[threading.Thread] = []

    def start(lines: bytes) -> str:
        path = str(tmp_path / "nbd")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(path)
        listener.listen(1)

        def answer() -> None:
            with listener, listener.accept()[0] as client:
                client.sendall(lines)
                client.shutdown(socket.SHUT_WR)
                with contextlib.suppress(ConnectionResetError):
                    while client.recv(4096):
                        pass

        threads.append(threading.Thread(target=answer))
        threads[-1].start()
        return path

    yield start
    for one in threads:
        one.join(timeout=10)


def test_it_reads(serve: Callable[[bytes], str]) -> None:
    with nbd.connected(serve(GREETING + EXPORT + REPLY + b"x" * 100)) as reader:
        assert reader.size == 4096
        assert reader.read(512, 100) == b"x" * 100


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (b"SSH-2.0-OpenSSH_10.0\r\n", "no NBD server that we know"),
        (struct.pack(">QQH", 0x4E42444D41474943, 0x00420281861253, 0), "no NBD server that we know"),
        (GREETING, "hung up"),
        (GREETING + EXPORT, "hung up"),
        (GREETING + EXPORT + REPLY + b"x", "hung up"),
        (GREETING + EXPORT + struct.pack(">IIQ", 0x67446698, 0, 7), "cannot be understood"),
        (GREETING + EXPORT + struct.pack(">IIQ", 0x67446698, errno.EIO, 512), "cannot be read there"),
    ],
)
def test_what_goes_wrong_is_an_error(serve: Callable[[bytes], str], lines: bytes, words: str) -> None:
    with pytest.raises(OSError, match=words), nbd.connected(serve(lines)) as reader:
        reader.read(512, 100)
