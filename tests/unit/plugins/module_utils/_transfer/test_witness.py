# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the witness makes of the bytes that go by, without a program: the headers of the protocol, written by hand."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.kvmops.mobility.plugins.module_utils._transfer import witness
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer.export import shortcoming
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer.witness import Conversation
from ansible_collections.kvmops.mobility.tests.unit.clock import Clock

READ, WRITE, DISCONNECT, FLUSH, TRIM, ZEROES, BLOCK_STATUS = 0, 1, 2, 3, 4, 6, 7
OK, ENOSPC = 0, 28
DONE = 1
ERROR_CHUNK = 0x8001


def option(number: int, data: bytes = b"") -> bytes:
    return b"IHAVEOPT" + struct.pack(">II", number, len(data)) + data


def request(kind: int, cookie: int, length: int = 0, data: bytes = b"") -> bytes:
    return struct.pack(">IHHQQI", 0x25609513, 0, kind, cookie, 0, length or len(data)) + data


def extended_request(kind: int, cookie: int, length: int = 0, data: bytes = b"") -> bytes:
    return struct.pack(">IHHQQQ", 0x21E41C71, 0, kind, cookie, 0, length or len(data)) + data


def option_reply(number: int, kind: int, data: bytes = b"") -> bytes:
    return struct.pack(">QIII", 0x0003E889045565A9, number, kind, len(data)) + data


def simple_reply(cookie: int, error: int = OK) -> bytes:
    return struct.pack(">IIQ", 0x67446698, error, cookie)


def chunk(cookie: int, kind: int = 0, data: bytes = b"", flags: int = DONE) -> bytes:
    return struct.pack(">IHHQI", 0x668E33EF, flags, kind, cookie, len(data)) + data


def extended_chunk(cookie: int, kind: int = 0, data: bytes = b"", flags: int = DONE) -> bytes:
    return struct.pack(">IHHQQQ", 0x6E8A278C, flags, kind, cookie, 0, len(data)) + data


HELLO = struct.pack(">I", 3)
GREETING = b"NBDMAGIC" + b"IHAVEOPT" + struct.pack(">H", 3)
MAGIC_INSIDE = request(DISCONNECT, 9) + simple_reply(9, ENOSPC)
"""As the contents of a disk."""


class Talk:
    """One client and its server, told header by header."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.seen = Conversation(self.clock)
        self._client, self._server = witness.client_reader(self.seen), witness.server_reader(self.seen)
        self.client(HELLO + option(7, b"\0" * 6))
        self.server(GREETING + option_reply(7, 1))

    def client(self, data: bytes) -> None:
        self._client.feed(memoryview(data))

    def server(self, data: bytes) -> None:
        self._server.feed(memoryview(data))

    def done(self, kind: int, cookie: int, data: bytes = b"") -> None:
        """A request with its good answer."""
        self.client(request(kind, cookie, data=data))
        self.server(chunk(cookie))

    def goes(self) -> None:
        self.client(request(DISCONNECT, 99))

    def missing(self) -> str:
        return shortcoming({"clients": [self.seen.as_result()], "exit_code": None})


@pytest.fixture
def talk() -> Talk:
    return Talk()


def test_written_flushed_and_good_bye_is_proof(talk: Talk) -> None:
    talk.done(WRITE, 1, b"data")
    talk.done(FLUSH, 2)
    talk.goes()
    assert talk.missing() == ""
    assert (talk.seen.requests, talk.seen.changes) == (3, 1)


def test_a_client_that_only_read_needs_no_flush(talk: Talk) -> None:
    talk.client(request(READ, 1, length=len(MAGIC_INSIDE)))
    talk.server(chunk(1, 1, MAGIC_INSIDE, flags=0) + chunk(1))
    talk.goes()
    assert talk.missing() == ""
    assert talk.seen.errors == 0


def test_nothing_in_what_is_written_is_taken_for_a_header(talk: Talk) -> None:
    talk.done(WRITE, 1, MAGIC_INSIDE)
    assert (talk.seen.requests, talk.seen.said_goodbye) == (1, False)


def test_no_good_bye(talk: Talk) -> None:
    talk.done(WRITE, 1, b"data")
    talk.done(FLUSH, 2)
    assert "without a good-bye" in talk.missing()


@pytest.mark.parametrize("kind", [WRITE, TRIM, ZEROES, 200], ids=["write", "trim", "zeroes", "unknown"])
def test_a_change_after_the_last_flush(talk: Talk, kind: int) -> None:
    talk.done(WRITE, 1, b"data")
    talk.done(FLUSH, 2)
    talk.done(kind, 3)
    talk.goes()
    assert talk.missing() == "1 writes were not flushed"


def test_a_flush_is_not_good_for_a_write_that_was_answered_after_it_was_asked(talk: Talk) -> None:
    talk.client(request(WRITE, 1, data=b"data") + request(FLUSH, 2))
    talk.server(chunk(1) + chunk(2))
    talk.goes()
    assert talk.missing() == "1 writes were not flushed"
    talk.done(FLUSH, 3)
    assert talk.missing() == ""


def test_a_flush_is_good_for_what_was_answered_whatever_was_asked_first(talk: Talk) -> None:
    talk.client(request(WRITE, 1, data=b"a") + request(WRITE, 2, data=b"b"))
    talk.server(chunk(2))
    talk.client(request(FLUSH, 3))
    talk.server(chunk(1) + chunk(3))
    assert talk.seen.as_result()["unflushed"] == 1


def test_an_earlier_flush_that_is_answered_later_takes_nothing_back(talk: Talk) -> None:
    talk.client(request(FLUSH, 1))
    talk.done(WRITE, 2, b"data")
    talk.done(FLUSH, 3)
    talk.server(chunk(1))
    talk.goes()
    assert talk.missing() == ""


def test_a_flush_that_failed_has_flushed_nothing(talk: Talk) -> None:
    talk.done(WRITE, 1, b"data")
    talk.client(request(FLUSH, 2))
    talk.server(chunk(2, ERROR_CHUNK, b"\0\0\0\5\0\0"))
    talk.goes()
    assert talk.seen.as_result()["unflushed"] == 1
    assert talk.missing() == "1 requests were answered with an error"


@pytest.mark.parametrize(
    "answer",
    [
        simple_reply(1, ENOSPC),
        chunk(1, ERROR_CHUNK, struct.pack(">IH", ENOSPC, 0)),
        chunk(1, ERROR_CHUNK, struct.pack(">IH", ENOSPC, 0), flags=0) + chunk(1),
        extended_chunk(1, ERROR_CHUNK, struct.pack(">IH", ENOSPC, 0)),
        chunk(77, ERROR_CHUNK, struct.pack(">IH", ENOSPC, 0)),
    ],
    ids=["simple", "chunk", "chunk, then done", "extended", "to nobody's question"],
)
def test_one_error_is_enough_even_when_it_was_written_again(talk: Talk, answer: bytes) -> None:
    talk.client(request(WRITE, 1, data=b"data"))
    talk.server(answer)
    talk.server(chunk(1))
    talk.done(WRITE, 2, b"data")
    talk.done(FLUSH, 3)
    talk.goes()
    assert talk.missing() == "1 requests were answered with an error"


def test_half_an_answer_is_none(talk: Talk) -> None:
    talk.client(request(READ, 1, length=8))
    talk.server(chunk(1, 1, b"\0" * 12, flags=0))
    talk.goes()
    assert talk.missing() == "1 requests had no answer"


def test_extended_headers(talk: Talk) -> None:
    talk.client(extended_request(WRITE, 1, data=MAGIC_INSIDE) + extended_request(ZEROES, 2, length=2**40))
    talk.server(extended_chunk(1) + extended_chunk(2))
    talk.client(extended_request(BLOCK_STATUS, 3, length=2**40))
    talk.server(extended_chunk(3, 6, MAGIC_INSIDE))
    talk.client(extended_request(FLUSH, 4))
    talk.server(extended_chunk(4))
    talk.client(extended_request(DISCONNECT, 5))
    assert talk.missing() == ""
    assert (talk.seen.requests, talk.seen.errors) == (5, 0)


def test_how_long_the_oldest_has_waited(talk: Talk) -> None:
    assert talk.seen.oldest_s() == 0
    talk.client(request(WRITE, 1, data=b"a"))
    talk.clock.sleep(2)
    talk.client(request(WRITE, 2, data=b"b"))
    talk.clock.sleep(1)
    assert talk.seen.oldest_s() == 3
    talk.server(chunk(1))
    assert talk.seen.oldest_s() == 1
    talk.server(chunk(2))
    assert talk.seen.oldest_s() == 0


@pytest.mark.parametrize("side", ["client", "server"])
def test_what_is_not_understood_is_told(talk: Talk, side: str) -> None:
    with pytest.raises(ValueError, match=f"the {side} sent 0xdeadbeef"):
        getattr(talk, side)(b"\xde\xad\xbe\xef")


# --- any cutting of the stream -----------------------------------------------------------------------------------

KINDS = (READ, WRITE, FLUSH, TRIM, ZEROES, BLOCK_STATUS)
Piece = tuple[str, bytes]


@st.composite
def pieces(draw: st.DrawFn) -> list[Piece]:
    """Requests with their answers, in any order that a server may give them in, and perhaps a good-bye."""
    found: list[Piece] = [
        ("client", HELLO + option(7, draw(st.binary(max_size=9)))),
        ("server", GREETING + option_reply(7, 1)),
    ]
    asked: list[int] = []
    for cookie in range(draw(st.integers(0, 8))):
        kind = draw(st.sampled_from(KINDS))
        ask = draw(st.sampled_from((request, extended_request)))
        data = draw(st.binary(max_size=40)) if kind == WRITE else b""
        found.append(("client", ask(kind, cookie, data=data)))
        asked.append(cookie)
        while bool(asked) and draw(st.booleans()):
            one = asked.pop(draw(st.integers(0, len(asked) - 1)))
            answer = draw(st.sampled_from((chunk, extended_chunk)))
            number = draw(st.sampled_from((0, 0, 0, ERROR_CHUNK)))
            found.append(("server", answer(one, number, draw(st.binary(max_size=40)))))
    if draw(st.booleans()):
        found.append(("client", request(DISCONNECT, 99)))
    return found


def told(said: list[Piece]) -> dict[str, Any]:
    seen = Conversation(lambda: 0.0)
    readers = {"client": witness.client_reader(seen), "server": witness.server_reader(seen)}
    for side, data in said:
        readers[side].feed(memoryview(data))
    return seen.as_result()


def cut(data: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted(one % (len(data) + 1) for one in at), len(data)]
    return [data[first:last] for first, last in zip(edges, edges[1:])]


@settings(max_examples=40)
@given(pieces(), st.lists(st.lists(st.integers(0, 10_000), max_size=6), min_size=1, max_size=5))
def test_how_it_arrives_makes_no_difference(said: list[Piece], cuts: list[list[int]]) -> None:
    apart = [(side, part) for number, (side, data) in enumerate(said) for part in cut(data, cuts[number % len(cuts)])]
    byte_by_byte = [(side, bytes([one])) for side, data in said for one in data]
    assert told(apart) == told(said) == told(byte_by_byte)


def zeroes(flags: int) -> bytes:
    return struct.pack(">IHHQQI", 0x25609513, flags, ZEROES, 7, 4096, 65536)


@given(st.integers(1, 32), st.binary(max_size=40))
@settings(max_examples=60, deadline=None)
def test_zeroes_may_become_a_hole_as_far_as_they_have_not_gone_by(at: int, written: bytes) -> None:
    """QEMU is not told by libvirt that they may; a raw image would take all of its size."""
    no_hole, fast = 2, 16
    before = HELLO + request(WRITE, 1, len(written), written)
    stream = before + zeroes(no_hole | fast) + request(DISCONNECT, 9)
    at += len(before)
    sent = bytearray(stream)
    reader = witness.client_reader(Conversation(lambda: 0.0))
    reader.feed(memoryview(sent)[:at])
    reader.feed(memoryview(sent)[at:])
    cut_inside_of_it = len(before) + 5 < at < len(before) + 28
    gone_by = stream if cut_inside_of_it else before + zeroes(fast) + request(DISCONNECT, 9)
    assert bytes(sent) == gone_by


@settings(max_examples=40)
@given(pieces())
def test_the_account_adds_up(said: list[Piece]) -> None:
    """Whatever went by: nothing is proven to be flushed that was not answered, and no answer is counted twice."""
    found = told(said)
    steps = [told(said[:upto]) for upto in range(len(said) + 1)]
    assert 0 <= found["unflushed"] <= found["requests"]
    assert 0 <= found["unanswered"] <= found["requests"]
    errors = [one["errors"] for one in steps]
    assert errors == list(accumulate(errors, max))


# --- between two sockets -----------------------------------------------------------------------------------------


class Pair:
    """A client and a server, with the pump that carries one direction between them."""

    def __init__(self, make: Callable[[Conversation], witness.Reader]) -> None:
        self.seen = Conversation(lambda: 0.0)
        self.client, near = socket.socketpair()
        far, self.server = socket.socketpair()
        self.thread = threading.Thread(target=witness._pump, args=(near, far, make(self.seen), self.seen), daemon=True)
        self.thread.start()
        self._ends = (near, far)

    def close(self) -> None:
        self.client.close()
        self.server.close()
        self.thread.join(10)
        assert not self.thread.is_alive()
        for one in self._ends:
            one.close()

    def carried(self, data: bytes) -> bytes:
        self.client.sendall(data)
        return self.server.recv(len(data), socket.MSG_WAITALL)


def test_what_is_not_understood_goes_through_all_the_same() -> None:
    pair = Pair(witness.client_reader)
    strange = HELLO + b"something else" * 10
    assert pair.carried(strange) == strange
    later = request(DISCONNECT, 1)
    assert pair.carried(later) == later
    pair.close()
    assert pair.seen.not_understood == "the client sent 0x736f6d65"
    assert pair.seen.said_goodbye is False  # not a word of it is believed any more
    assert "0x736f6d65" in shortcoming({"clients": [pair.seen.as_result()], "exit_code": None})


def test_bytes_that_are_more_than_fit_arrive_whole() -> None:
    pair = Pair(witness.client_reader)
    data = HELLO + request(WRITE, 1, data=bytes(range(256)) * 2**13)
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(pair.server.recv(len(data), socket.MSG_WAITALL)))
    reader.start()
    pair.client.sendall(data)
    reader.join(10)
    pair.close()
    assert found == [data]
    assert pair.seen.changes == 1
