# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes over a host's link, seen from the machine that the hosts' links end at."""

from __future__ import annotations

import socket
import threading
from types import TracebackType

from ansible_collections.kvmops.mobility.tests.e2e import lab

_EVERY_PROTOCOL = 0x0003
"""ETH_P_ALL"""
_LARGEST = 65536
_FORCED_BUFFER = 33
"""SO_RCVBUFFORCE"""
_BUFFER_BYTES = 64 * 2**20
_WAIT_S = 0.2


class Listening:
    """Counts the packets on the link of *host* that have *marker* in them, while the block runs."""

    def __init__(self, host: str, marker: bytes) -> None:
        self._marker = marker
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen)
        self._link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERY_PROTOCOL))
        self._link.setsockopt(socket.SOL_SOCKET, _FORCED_BUFFER, _BUFFER_BYTES)
        self._link.settimeout(_WAIT_S)
        self._link.bind((f"vb-{host}-{lab.INSTANCE}" if lab.INSTANCE else f"vb-{host}", 0))
        self.packets = 0
        """All that were seen."""
        self.telling = 0
        """Those with the marker."""

    def __enter__(self) -> Listening:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._link.close()

    def _listen(self) -> None:
        while not self._over.is_set():
            try:
                packet = self._link.recv(_LARGEST)
            except TimeoutError:
                continue
            self.packets += 1
            self.telling += self._marker in packet
