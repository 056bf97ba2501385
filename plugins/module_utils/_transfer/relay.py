# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program of its own: one end of a way through TLS, from sockets of one hypervisor to sockets of another.

Both ends show a certificate of the same authority, with the name that the other one expects. A peer that is silent for
longer than the bound is given up, by the kernel (TCP_USER_TIMEOUT) and by its own questions (keepalive).

It is handed to the hypervisor's Python as text (see C(_unit/transient.py)), so it may import nothing of ours:

    python3 - arrive ADDRESS PEER STALL_S DIRECTORY TARGET=SOCKET...
    python3 - leave ADDRESS PEER STALL_S SOCKET=PORT...

C(arrive) listens on a port of ADDRESS for each TARGET, takes nobody in but PEER, connects it to SOCKET, and keeps the
ports in DIRECTORY/ports.json. C(leave) listens at each SOCKET and connects to PORT of PEER, at ADDRESS; before that
it proves that it will be let in. Certificates and key are ca.pem, cert.pem and key.pem in $CREDENTIALS_DIRECTORY.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

_CHUNK = 1 << 18
_CONNECT_S = 15
_NBD, _PROBE = "nbd", "probe"
"""What a client says it wants (ALPN): a probe ends at this program, so that an export sees one client only."""
_WELCOME = b"+"


def say(words: str) -> None:
    """For the unit's log."""
    sys.stderr.write(words + "\n")
    sys.stderr.flush()


def context(server: bool) -> ssl.SSLContext:
    """Certificates are asked for and verified on both ends."""
    where = os.environ["CREDENTIALS_DIRECTORY"]
    purpose = ssl.Purpose.CLIENT_AUTH if server else ssl.Purpose.SERVER_AUTH
    made = ssl.create_default_context(purpose, cafile=os.path.join(where, "ca.pem"))
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    # Newer Pythons ask for extensions that QEMU does not: an authority that QEMU believes is to do for us.
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    made.verify_mode = ssl.CERT_REQUIRED
    made.load_cert_chain(os.path.join(where, "cert.pem"), os.path.join(where, "key.pem"))
    made.set_alpn_protocols([_NBD, _PROBE])
    return made


def is_named(certificate: Mapping[str, Any], peer: str) -> bool:
    """Whether *certificate*, as ssl tells it, was made for *peer*, a name or an address. No wildcards, no CN."""
    names = certificate.get("subjectAltName", ())
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return any(kind == "DNS" and name.lower() == peer.lower() for kind, name in names)
    return any(kind == "IP Address" and ipaddress.ip_address(name) == address for kind, name in names)


def bound(end: Any, stall_s: int) -> None:
    """Give a silent peer up after *stall_s* seconds, whether something waits for its answer or not.

    *end* is a socket before its connection begins, or the one that listens: Linux hands these on to what it accepts.
    Afterwards would be too late, for asyncio has no socket to show of a connection that was just ended.
    """
    end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, max(1, stall_s - 1))
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, stall_s * 1000)
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def carry(one: tuple[asyncio.StreamReader, asyncio.StreamWriter], other: tuple[Any, Any]) -> None:
    """Bytes both ways, until either side has no more."""
    pumps = [asyncio.ensure_future(pump(one[0], other[1])), asyncio.ensure_future(pump(other[0], one[1]))]
    await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    for _reader, writer in (one, other):
        writer.close()  # what was written goes out before
    await asyncio.wait(pumps, timeout=_CONNECT_S)
    for pending in pumps:
        pending.cancel()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One way."""
    try:
        while True:
            data = await reader.read(_CHUNK)
            if not data:
                return
            writer.write(data)
            await writer.drain()
    except OSError:  # ssl's are among them
        return


def entrance(peer: str, path: str) -> Handler:
    """For *arrive*: who comes has shown a certificate of the authority already."""

    async def come_in(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wanted = writer.get_extra_info("ssl_object").selected_alpn_protocol()
        if not is_named(writer.get_extra_info("peercert"), peer):
            say(f"somebody who is not {peer} was turned away")
            writer.close()
        elif wanted == _NBD:
            await hand_on((reader, writer), path, asyncio.open_unix_connection(path, limit=_CHUNK))
        else:
            writer.write(_WELCOME)
            writer.close()

    return come_in


async def hand_on(one: tuple[Any, Any], name: str, opening: Awaitable[tuple[Any, Any]]) -> None:
    """Carry between *one* and what *opening* gives; where it gives nothing, *one* learns that there is nobody."""
    try:
        other = await opening
    except (OSError, asyncio.TimeoutError) as error:
        say(f"{name}: {error or type(error).__name__}")
        one[1].close()
        return
    await carry(one, other)


async def arrive(address: str, peer: str, stall_s: int, directory: str, sockets: Sequence[str]) -> None:
    """Serve until we are ended."""
    secure = context(server=True)
    ports = {}
    for target, path in (one.split("=", 1) for one in sockets):
        handler = entrance(peer, path)
        server = await asyncio.start_server(
            handler, address, 0, ssl=secure, ssl_handshake_timeout=_CONNECT_S, limit=_CHUNK
        )
        bound(server.sockets[0], stall_s)
        ports[target] = server.sockets[0].getsockname()[1]
    listed = os.path.join(directory, "ports.json")
    with open(listed + ".part", "w", encoding="ascii") as file:
        json.dump(ports, file)
    os.replace(listed + ".part", listed)
    await asyncio.Event().wait()


async def connect(secure: ssl.SSLContext, address: str, peer: str, port: int, stall_s: int) -> tuple[Any, Any]:
    """A way to *port* of *peer*, at *address*. Raises OSError, of which ssl's are."""
    loop = asyncio.get_running_loop()
    plain = await loop.run_in_executor(None, socket.create_connection, (address, port), _CONNECT_S)
    bound(plain, stall_s)
    opening = asyncio.open_connection(sock=plain, ssl=secure, server_hostname=peer, limit=_CHUNK)
    return await asyncio.wait_for(opening, _CONNECT_S)


def asking_for(protocol: str) -> ssl.SSLContext:
    """The client's side, for one protocol."""
    secure = context(server=False)
    secure.set_alpn_protocols([protocol])
    return secure


async def prove(address: str, peer: str, port: int, stall_s: int) -> None:
    """Raises OSError when we are not let in: in TLS 1.3 a client learns that only from what it reads."""
    reader, writer = await connect(asking_for(_PROBE), address, peer, port, stall_s)
    try:
        heard = await asyncio.wait_for(reader.read(1), _CONNECT_S)
    except ssl.SSLError:  # its alert, when that came before it hung up
        heard = b""
    finally:
        writer.close()
    if heard != _WELCOME:
        raise ConnectionRefusedError(
            "it turned us away: it does not trust our certificate, or expects another name in it"
        )


def way_out(secure: ssl.SSLContext, address: str, peer: str, port: int, stall_s: int) -> Handler:
    """For *leave*: each client of a socket gets a way of its own."""

    async def go(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opening = connect(secure, address, peer, port, stall_s)
        await hand_on((reader, writer), f"{peer} port {port}", opening)

    return go


async def leave(address: str, peer: str, stall_s: int, sockets: Sequence[str]) -> None:
    """Serve until we are ended."""
    secure = asking_for(_NBD)
    for path, port in (one.rsplit("=", 1) for one in sockets):
        await prove(address, peer, int(port), stall_s)
        handler = way_out(secure, address, peer, int(port), stall_s)
        await asyncio.start_unix_server(handler, path + ".part", limit=_CHUNK)
        os.replace(path + ".part", path)  # who sees it can connect
    await asyncio.Event().wait()


def main(words: Sequence[str]) -> int:
    """Serve; 1 when that cannot be begun."""
    os.umask(0o177)
    mode, address, peer, stall, *rest = words
    if mode == "arrive":
        serve = arrive(address, peer, int(stall), rest[0], rest[1:])
    else:
        serve = leave(address, peer, int(stall), rest)
    try:
        asyncio.run(serve)
    except (OSError, asyncio.TimeoutError) as error:
        say(str(error) or type(error).__name__)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
