# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role libvirt_host leaves on a host whose libvirtd opens its sockets itself."""

from __future__ import annotations

import os
from typing import Any

import pytest

testinfra_hosts = ["ansible://hypervisors"]
SOCKETS = [f"libvirtd{part}.socket" for part in ("", "-ro", "-admin", "-tls", "-tcp")]


def variables(host: Any) -> dict[str, Any]:
    """The host's."""
    found: dict[str, Any] = host.ansible.get_variables()
    return found


@pytest.mark.parametrize("name", SOCKETS)
def test_the_layout_stays(host: Any, name: str) -> None:
    assert host.service(name).is_masked
    assert host.service("libvirtd.service").is_running


def test_it_listens_and_does_not_end_by_itself(host: Any) -> None:
    told = host.file("/etc/default/libvirtd")
    assert told.contains("^LIBVIRTD_ARGS=.*--listen")
    assert not told.contains("^LIBVIRTD_ARGS=.*--timeout")
    assert "--listen" in host.check_output("tr '\\0' ' ' < /proc/$(systemctl show -P MainPID libvirtd)/cmdline")


def test_for_tls_alone(host: Any) -> None:
    ports = {line.split()[3].rpartition(":")[2] for line in host.check_output("ss -H -l -t -n").splitlines()}
    assert "16514" in ports
    assert "16509" not in ports
    conf = host.file("/etc/libvirt/libvirtd.conf")
    assert conf.contains("^listen_tls = 1$")
    assert conf.contains("^listen_tcp = 0$")
    assert not conf.contains("^auth_tcp")


def test_guests_are_shut_down_with_the_host(host: Any) -> None:
    settings = host.file("/etc/default/libvirt-guests")
    assert settings.contains("^ON_SHUTDOWN=shutdown$")
    assert settings.contains("^SHUTDOWN_TIMEOUT=120$")
    assert host.service("libvirt-guests.service").is_enabled
    assert host.service("libvirt-guests.service").is_running


def test_the_hypervisors_know_each_other_by_name(host: Any) -> None:
    for peer in variables(host)["groups"]["hypervisors"]:
        where = variables(host.get_host(f"ansible://{peer}", ansible_inventory=os.environ["KVMOPS_INVENTORY"]))
        assert host.file("/etc/hosts").contains(f"^{where['ansible_host']} {peer}$")


def test_every_peer_gets_in(host: Any) -> None:
    groups, here = variables(host)["groups"]["hypervisors"], variables(host)["inventory_hostname"]
    for peer in (one for one in groups if one != here):
        where = host.get_host(f"ansible://{peer}", ansible_inventory=os.environ["KVMOPS_INVENTORY"])
        uri = f"qemu+tls://{variables(where)['ansible_host']}/system"
        assert host.check_output(f"virsh -c {uri} hostname") == peer
        refused = host.run(f"virsh -c {uri}?pkipath=/nowhere hostname")
        assert "Cannot read CA certificate" in refused.stderr
