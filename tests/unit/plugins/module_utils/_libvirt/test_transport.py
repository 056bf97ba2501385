# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.transport import Transport, uri


@pytest.mark.parametrize(
    ("transport", "address", "port", "wanted"),
    [
        (Transport.SSH, "192.0.2.2", 0, "qemu+ssh://root@192.0.2.2/system?no_tty=1"),
        (Transport.SSH, "2001:db8::2", 22, "qemu+ssh://root@[2001:db8::2]/system?no_tty=1"),
        (Transport.TLS, "192.0.2.2", 0, "qemu+tls://192.0.2.2/system"),
        (Transport.TLS, "c2.example.com", 16514, "qemu+tls://c2.example.com/system"),
        (Transport.TLS, "2001:db8::2", 16555, "qemu+tls://[2001:db8::2]:16555/system"),
        (Transport.TCP, "192.0.2.2", 22, "qemu+tcp://192.0.2.2:22/system"),
    ],
)
def test_uri(transport: Transport, address: str, port: int, wanted: str) -> None:
    assert uri(transport, address, port) == wanted


def test_a_key_is_for_ssh_alone() -> None:
    keyed = uri(Transport.SSH, "c2", 2222, "/root/.ssh/k y")
    assert keyed.endswith("@c2:2222/system?no_tty=1&keyfile=%2Froot%2F.ssh%2Fk%20y")
    assert uri(Transport.TLS, "c2", 0, "/root/.ssh/k") == "qemu+tls://c2/system"
