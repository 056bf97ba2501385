# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opening libvirt, and its errors in our words.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import functools
import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable, TypeVar, cast

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Lost, MobilityError, NotFound
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.library import libvirt

_T = TypeVar("_T")
_KEEPALIVE_INTERVAL_S = 5
_KEEPALIVE_COUNT = 5


def _ignore_error(_context: object, _error: object) -> None:
    """libvirt's default handler prints to stderr, where a module's JSON must stand alone."""


@functools.cache
def _start_event_loop() -> None:
    """Keepalive and the embedded driver are served by an event loop, which must be registered before opening.

    One serves every connection of the process, also those that are opened when another was lost.
    """
    libvirt.virEventRegisterDefaultImpl()

    def serve() -> None:
        while True:
            libvirt.virEventRunDefaultImpl()

    threading.Thread(target=serve, name="libvirt-events", daemon=True).start()


@contextmanager
def connect(uri: str) -> Iterator[Any]:
    """An open virConnect, closed at the end.

    Raises Lost(LIBVIRT_UNAVAILABLE) when the daemon does not answer.
    """
    libvirt.registerErrorHandler(_ignore_error, None)
    _start_event_loop()
    try:
        connection = libvirt.open(uri)
    except libvirt.libvirtError as error:
        raise Lost(
            "LIBVIRT_UNAVAILABLE",
            uri,
            f"libvirt does not answer: {error.get_error_message()}.",
            "Look at libvirtd (or virtqemud) on this hypervisor: systemctl status libvirtd.",
        ) from None
    try:
        # Local drivers (test, embed) know no keepalive and say so by raising.
        _quietly(lambda: connection.setKeepAlive(_KEEPALIVE_INTERVAL_S, _KEEPALIVE_COUNT))
        yield connection
    finally:
        _quietly(connection.close)


def _quietly(call: Callable[[], object]) -> None:
    """For calls whose failure changes nothing for us."""
    try:
        call()
    except libvirt.libvirtError:
        return


@contextmanager
def errors_kept() -> Iterator[None]:
    """For calls into libvirt whose error matters: no garbage is collected meanwhile.

    The binding asks for the error after the call. A domain's handle that is collected in between frees itself with
    another call, which resets it: the exception then has neither code nor words.
    """
    _Calls.begin()
    try:
        yield
    finally:
        _Calls.end()


class _Calls:
    """Those under way: two threads may call at once, and the last to come back collects."""

    _lock = threading.Lock()
    _under_way = 0
    _collecting = False

    @classmethod
    def begin(cls) -> None:
        with cls._lock:
            if cls._under_way == 0:
                cls._collecting = gc.isenabled()
                gc.disable()
            cls._under_way += 1

    @classmethod
    def end(cls) -> None:
        with cls._lock:
            cls._under_way -= 1
            if cls._under_way == 0 and cls._collecting:
                gc.enable()


def translated(subject: str, attempted: str, call: Callable[[], _T]) -> _T:
    """The result of *call*; libvirt's error as ours, by its code and never by its text.

    Raises NotFound(DOMAIN_NOT_FOUND), Lost(LIBVIRT_UNAVAILABLE) or MobilityError(LIBVIRT_FAILED); each says what was
    attempted.
    """
    try:
        with errors_kept():
            return call()
    except libvirt.libvirtError as error:
        raise translation(error, subject, attempted) from None


def translation(error: Any, subject: str, attempted: str) -> MobilityError:
    """libvirt's *error* as ours; for who has to look at it before, C(translated()) for all others."""
    code = cast(int, error.get_error_code())
    words = error.get_error_message()
    if code == libvirt.VIR_ERR_NO_DOMAIN:
        return NotFound(
            "DOMAIN_NOT_FOUND", subject, "no such domain on this hypervisor.", "See kvmops.mobility.status."
        )
    # A system error of the connection is a lost daemon; one of QEMU's driver is a file it could not open.
    lost = code == libvirt.VIR_ERR_SYSTEM_ERROR and error.get_error_domain() == libvirt.VIR_FROM_RPC
    if lost or code in (libvirt.VIR_ERR_RPC, libvirt.VIR_ERR_NO_CONNECT):
        return Lost(
            "LIBVIRT_UNAVAILABLE",
            subject,
            f"libvirt went away while we tried to {attempted}: {words}.",
            "Look at libvirtd (or virtqemud) on this hypervisor, then run it again.",
        )
    return MobilityError(
        "LIBVIRT_FAILED",
        subject,
        f"libvirt could not {attempted}: {words}.",
        "Its log on this hypervisor tells more.",
        libvirt_code=code,
    )
