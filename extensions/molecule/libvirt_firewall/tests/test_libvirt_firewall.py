# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who gets through the firewall of a host, and who does not. Nobody listens there: an answer is a refusal."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest

testinfra_hosts = ["ansible://hypervisors"]
OPENED = (49152, 49215, 16514)
PATIENCE_S = 3


def variables(host: Any) -> dict[str, Any]:
    """The host's."""
    found: dict[str, Any] = host.ansible.get_variables()
    return found


@pytest.mark.parametrize("port", OPENED)
def test_every_peer_gets_an_answer(host: Any, port: int) -> None:
    groups, here = variables(host)["groups"]["hypervisors"], variables(host)["inventory_hostname"]
    where = variables(host)["ansible_host"]
    for peer in (one for one in groups if one != here):
        other = host.get_host(f"ansible://{peer}", ansible_inventory=os.environ["KVMOPS_INVENTORY"])
        tried = other.run(f"timeout {PATIENCE_S} bash -c 'exec 3<>/dev/tcp/{where}/{port}'")
        assert tried.rc != 124
        assert "Connection refused" in tried.stderr


@pytest.mark.parametrize("port", [*OPENED, 49151, 49216, 16509])
def test_a_stranger_does_not_get_through(host: Any, port: int) -> None:
    """The controller is none of the peers; a firewall drops, or says so by ICMP."""
    with pytest.raises(OSError) as caught:  # noqa: PT011 - which of its kinds it is depends on the firewall
        socket.create_connection((variables(host)["ansible_host"], port), timeout=PATIENCE_S)
    assert not isinstance(caught.value, ConnectionRefusedError)


def test_ssh_goes_on(host: Any) -> None:
    assert host.run("true").rc == 0
