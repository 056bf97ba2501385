# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program of its own: exports one image with qemu-nbd, stands between it and its client, and writes down what it saw.

At power-off libvirt says nothing about a copy that was ready, so the proof that it is whole is taken here, where the
bytes arrive: one client, every request answered without an error, nothing written after the last completed flush, and
the client's own good-bye. Anything else, above all what is not understood, is no proof. An answer that does not come
within the bound ends the connection, or the guest's writes would wait for it as long as it takes.

It is handed to the hypervisor's Python as text (see C(_unit/transient.py)), so it may import nothing of ours:

    python3 - DIRECTORY STALL_S qemu-nbd OPTION... IMAGE

It listens at DIRECTORY/export.sock, lets qemu-nbd listen at DIRECTORY/image.sock and keeps DIRECTORY/state.json.

Protocol: https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator

_CHUNK = 1 << 20
_START_S = 20
_POLL_S = 0.1

_OPTION = 0x49484156  # IHAVEOPT
_OPTION_REPLY = 0x0003E889
_REQUEST = 0x25609513
_REQUEST_64 = 0x21E41C71
_SIMPLE_REPLY = 0x67446698
_REPLY = 0x668E33EF
_REPLY_64 = 0x6E8A278C
_WRITE, _DISCONNECT, _FLUSH = 1, 2, 3
_READ, _WRITE_ZEROES = 0, 6
_NO_HOLE = 2
_DONE = 1
_ERROR_BIT = 0x8000


class Conversation:
    """What is known of one client: fed with the headers of both directions, in the order they went by."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._waiting: dict[int, tuple[int, float, int]] = {}
        """By cookie: the kind, when it was asked, and how many changes had been answered by then."""
        self._lock = threading.Lock()
        self._answered = 0
        self._flushed = 0
        self.requests = 0
        self.changes = 0
        """Requests that may change the image: all but reads and flushes."""
        self.errors = 0
        self.said_goodbye = False
        self.gone = False
        self.not_understood = ""
        self.stalled_s = 0.0

    def asked(self, kind: int, cookie: int) -> None:
        """The client's request."""
        with self._lock:
            self.requests += 1
            if kind == _DISCONNECT:
                self.said_goodbye = True
                return
            self._waiting[cookie] = (kind, self._clock(), self._answered)
            self.changes += _may_change(kind)

    def answered(self, cookie: int, error: bool, done: bool) -> None:
        """The server's answer, or a part of it. A flush is good for the changes that were answered before it began."""
        with self._lock:
            self.errors += error
            if not done or cookie not in self._waiting:
                return
            kind, _since, before = self._waiting.pop(cookie)
            self._answered += _may_change(kind)
            if kind == _FLUSH and not error:
                self._flushed = max(self._flushed, before)

    def oldest_s(self) -> float:
        """How long the oldest request has waited for its answer, seconds; 0 without one."""
        with self._lock:
            first = min((since for _kind, since, _before in self._waiting.values()), default=None)
        return 0.0 if first is None else self._clock() - first

    def as_result(self) -> dict[str, object]:
        """Plain JSON."""
        return {
            "requests": self.requests,
            "errors": self.errors,
            "unflushed": self.changes - self._flushed,
            "unanswered": len(self._waiting),
            "said_goodbye": self.said_goodbye,
            "gone": self.gone,
            "not_understood": self.not_understood,
            "stalled_s": round(self.stalled_s, 3),
        }


def _may_change(kind: int) -> bool:
    return kind not in (_READ, _FLUSH)


class Reader:
    """Cuts one direction of the stream into headers and passes over what is between them.

    *heads* is a generator that yields how many bytes it wants, negative for bytes it does not care for. What it puts
    into *edits* goes on instead of the header it was given, as far as that has not gone by already.
    """

    def __init__(self, heads: Generator[int, bytes, None], edits: list[bytes] | None = None) -> None:
        self._heads = heads
        self._edits = [] if edits is None else edits
        self._want = next(heads)
        self._got = bytearray()

    def feed(self, data: memoryview) -> None:
        """Take the next bytes. Raises ValueError for what is not understood."""
        while data:
            if self._want < 0:
                passed = min(-self._want, len(data))
                self._want += passed
                data = data[passed:]
                if self._want == 0:
                    self._want = self._heads.send(b"")
                continue
            missing = self._want - len(self._got)
            piece, data = data[:missing], data[missing:]
            self._got += piece
            if len(self._got) == self._want:
                head, self._got = bytes(self._got), bytearray()
                self._want = self._heads.send(head)
                while self._edits:
                    piece[:] = self._edits.pop()[-len(piece) :]


def _client(seen: Conversation, edits: list[bytes]) -> Generator[int, bytes, None]:
    """The client's direction: its flags, options, requests.

    libvirt does not tell QEMU that the copy may have holes unless the guest's own disk says so, and then a raw image
    would take all of its size. The request to write zeroes that may be no hole asks for contents that a hole has too.
    """
    yield 4
    while True:
        head = yield 4
        (magic,) = struct.unpack(">I", head)
        if magic == _OPTION:
            rest = yield 12
            length = struct.unpack(">III", rest)[2]
            payload = True
        elif magic in (_REQUEST, _REQUEST_64):
            wide = magic == _REQUEST_64
            rest = yield 28 if wide else 24
            flags, kind, cookie, _offset, length = struct.unpack(">HHQQQ" if wide else ">HHQQI", rest)
            seen.asked(kind, cookie)
            if kind == _WRITE_ZEROES and flags & _NO_HOLE:
                edits.append(struct.pack(">H", flags & ~_NO_HOLE) + rest[2:])
            payload = kind == _WRITE
        else:
            raise ValueError(f"the client sent {magic:#x}")
        if payload and length:
            yield -length


def _server(seen: Conversation) -> Generator[int, bytes, None]:
    """The server's direction: its greeting, option replies, replies."""
    yield 18
    while True:
        head = yield 4
        (magic,) = struct.unpack(">I", head)
        length = 0
        if magic == _OPTION_REPLY:
            rest = yield 16
            length = struct.unpack(">IIII", rest)[3]
        elif magic == _SIMPLE_REPLY:
            rest = yield 12
            error, cookie = struct.unpack(">IQ", rest)
            seen.answered(cookie, error != 0, done=True)
        elif magic in (_REPLY, _REPLY_64):
            wide = magic == _REPLY_64
            rest = yield 28 if wide else 16
            fields = struct.unpack(">HHQQQ" if wide else ">HHQI", rest)
            length = fields[-1]
            seen.answered(fields[2], bool(fields[1] & _ERROR_BIT), bool(fields[0] & _DONE))
        else:
            raise ValueError(f"the server sent {magic:#x}")
        if length:
            yield -length


def client_reader(seen: Conversation) -> Reader:
    """For what the client sends."""
    edits: list[bytes] = []
    return Reader(_client(seen, edits), edits)


def server_reader(seen: Conversation) -> Reader:
    """For what the server sends."""
    return Reader(_server(seen))


class Witness:
    """The clients so far, and the file that tells of them."""

    def __init__(self, directory: str, stall_s: float) -> None:
        self._directory = directory
        self._stall_s = stall_s
        self._lock = threading.Lock()
        self._exit_code: int | None = None
        self.conversations: list[Conversation] = []

    def ended(self, exit_code: int) -> None:
        """qemu-nbd is gone, which nobody takes back."""
        self._exit_code = exit_code
        self.note()

    def note(self) -> None:
        """Write the state, whole or not at all."""
        path = os.path.join(self._directory, "state.json")
        with self._lock:
            state = {
                "clients": [one.as_result() for one in self.conversations],
                "exit_code": self._exit_code,
                "at": time.time(),
            }
            with open(path + ".part", "w", encoding="ascii") as file:
                json.dump(state, file)
            os.replace(path + ".part", path)

    def attend(self, client: socket.socket) -> None:
        """Carry one client's bytes both ways until either side is gone."""
        seen = Conversation(time.monotonic)
        self.conversations.append(seen)
        self.note()  # before its first byte goes by: the word of one who has left is not good for it
        server = socket.socket(socket.AF_UNIX)
        server.connect(os.path.join(self._directory, "image.sock"))
        pumps = [
            threading.Thread(target=_pump, args=(client, server, client_reader(seen), seen), daemon=True),
            threading.Thread(target=_pump, args=(server, client, server_reader(seen), seen), daemon=True),
        ]
        for one in pumps:
            one.start()
        while all(one.is_alive() for one in pumps):
            pumps[0].join(_POLL_S)
            if seen.oldest_s() > self._stall_s:
                seen.stalled_s = seen.oldest_s()
                break
        for end in (client, server):
            _hang_up(end)
        for one in pumps:
            one.join(_START_S)
        seen.gone = True
        self.note()


def _pump(origin: socket.socket, target: socket.socket, reader: Reader, seen: Conversation) -> None:
    buffer = memoryview(bytearray(_CHUNK))
    try:
        while True:
            got = origin.recv_into(buffer)
            if not got:
                break
            _understand(reader, buffer[:got], seen)
            target.sendall(buffer[:got])
    except OSError:
        pass
    if seen.said_goodbye:
        return  # the other direction may still have an answer to bring
    _hang_up(target)


def _understand(reader: Reader, data: memoryview, seen: Conversation) -> None:
    """Reading is for the proof alone: what cannot be read goes through all the same."""
    if seen.not_understood:
        return
    try:
        reader.feed(data)
    except (ValueError, StopIteration) as error:
        seen.not_understood = str(error) or "the stream went on after its end"


def _hang_up(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


def main(directory: str, stall_s: float, argv: list[str]) -> int:
    """Serve until qemu-nbd ends or we are told to."""
    os.umask(0o177)
    witness = Witness(directory, stall_s)
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL)  # pylint: disable=consider-using-with
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_ignored: child.terminate())
    image = os.path.join(directory, "image.sock")
    give_up = time.monotonic() + _START_S
    while not _serves(image):
        if child.poll() is not None or time.monotonic() > give_up:
            child.kill()
            return child.wait() or 1
        time.sleep(_POLL_S)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.path.join(directory, "export.sock"))
    listener.listen(1)
    witness.note()
    threading.Thread(target=_accept, args=(listener, witness), daemon=True).start()
    code = child.wait()
    witness.ended(code)
    return code


def _serves(path: str) -> bool:
    """Whether qemu-nbd greets there: it makes its socket first, and opens the image after that."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_START_S)
        try:
            probe.connect(path)
            return bool(probe.recv(1))
        except OSError:
            return False


def _accept(listener: socket.socket, witness: Witness) -> None:
    while True:
        client, _address = listener.accept()
        threading.Thread(target=witness.attend, args=(client,), daemon=True).start()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], float(sys.argv[2]), sys.argv[3:]))
