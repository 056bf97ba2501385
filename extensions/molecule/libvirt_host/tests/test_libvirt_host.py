# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role libvirt_host leaves on a host, who gets in, and who does not."""

from __future__ import annotations

import contextlib
import datetime
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.plugin_utils._pki import Authority

testinfra_hosts = ["ansible://hypervisors"]
TLS_PORT, TCP_PORT = 16514, 16509
NOW = datetime.datetime.now(datetime.timezone.utc)
PATIENCE_S = 10


def variables(host: Any) -> dict[str, Any]:
    """The host's."""
    found: dict[str, Any] = host.ansible.get_variables()
    return found


def address(host: Any) -> str:
    """At which the controller reaches it."""
    return str(variables(host)["ansible_host"])


@pytest.fixture(scope="module")
def authority() -> Authority:
    """The one that the role made."""
    return Authority(os.path.join(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"], "tls", "ca"))


@pytest.fixture
def stranger(tmp_path: Path) -> Authority:
    """One that nobody knows."""
    made = Authority(str(tmp_path / "stranger" / "ca"))
    with made.alone():
        made.make(NOW)
    return made


def context(directory: Path, host_authority: Authority, signer: Authority | None, name: str) -> ssl.SSLContext:
    """A client that believes the host, and shows a certificate for *name*, if any."""
    directory.mkdir(exist_ok=True)
    found = ssl.create_default_context(cadata=host_authority.certificate())
    if signer is not None:
        pair = signer.sign(name, [name], NOW, 1)
        for part, text in (("cert", pair.certificate), ("key", pair.key)):
            (directory / part).write_text(text, encoding="ascii")
        found.load_cert_chain(directory / "cert", directory / "key")
    return found


def let_in(host: Any, client: ssl.SSLContext) -> bool:
    """Whether libvirt says that it accepts us: it sends one byte when it does, and hangs up otherwise."""
    where = (address(host), TLS_PORT)
    try:
        with (
            socket.create_connection(where, timeout=PATIENCE_S) as plain,
            client.wrap_socket(plain, server_hostname=where[0]) as line,
        ):
            return line.recv(1) == b"\x01"
    except (ssl.SSLError, ConnectionError):
        return False


def listening(host: Any) -> Iterator[int]:
    """The ports of TCP on which anybody listens."""
    for line in host.check_output("ss -H -l -t -n").splitlines():
        yield int(line.split()[3].rpartition(":")[2])


def told(host: Any) -> str:
    """What libvirt said until now."""
    return str(host.check_output("journalctl --no-pager --output=cat --unit=libvirtd.service"))


def test_the_socket_for_tls_is_on_and_the_other_one_off(host: Any) -> None:
    tls, tcp = host.service("libvirtd-tls.socket"), host.service("libvirtd-tcp.socket")
    assert (tls.is_enabled, tls.is_running, tcp.is_enabled, tcp.is_running) == (True, True, False, False)
    assert TLS_PORT in set(listening(host))
    assert TCP_PORT not in set(listening(host))


def test_the_daemon_is_up_and_not_told_to_listen(host: Any) -> None:
    assert host.run("virsh -c qemu:///system version").rc == 0
    assert not host.file("/etc/default/libvirtd").contains("^LIBVIRTD_ARGS=.*--listen")


@pytest.mark.parametrize("name", ["serverkey", "clientkey"])
def test_keys_of_libvirt_are_for_root_alone(host: Any, name: str) -> None:
    key = host.file(f"/etc/pki/libvirt/private/{name}.pem")
    assert (key.user, key.group, key.mode) == ("root", "root", 0o600)
    assert host.file("/etc/pki/libvirt/private").mode == 0o700


def test_keys_of_qemu_are_for_qemu(host: Any) -> None:
    key = host.file("/etc/pki/qemu/server-key.pem")
    assert (key.user, key.group, key.mode) == ("root", "libvirt-qemu", 0o640)
    assert host.run("runuser -u libvirt-qemu -g libvirt-qemu -- cat /etc/pki/qemu/server-key.pem > /dev/null").rc == 0
    assert host.run("runuser -u nobody -- cat /etc/pki/qemu/server-key.pem").rc != 0


def test_every_peer_gets_in(host: Any) -> None:
    groups, here = variables(host)["groups"]["hypervisors"], variables(host)["inventory_hostname"]
    for peer in (one for one in groups if one != here):
        where = host.get_host(f"ansible://{peer}", ansible_inventory=os.environ["KVMOPS_INVENTORY"])
        assert host.check_output(f"virsh -c qemu+tls://{address(where)}/system hostname") == peer


def test_who_is_on_the_list_gets_in(host: Any, authority: Authority, tmp_path: Path) -> None:
    """Or else the refusals below would prove nothing."""
    peer = next(one for one in variables(host)["groups"]["hypervisors"])
    assert let_in(host, context(tmp_path / "peer", authority, authority, peer))


@pytest.mark.parametrize(
    ("ours", "name", "cause"),
    [
        (True, "c9", "is not on the list of allowed clients"),
        (False, "c1", "hasn't got a known issuer"),
        (None, "", "No certificate was found"),
    ],
    ids=["a name that is not allowed", "another authority", "no certificate"],
)
def test_strangers_are_refused_for_what_they_are(
    host: Any, authority: Authority, stranger: Authority, tmp_path: Path, ours: bool | None, name: str, cause: str
) -> None:
    signer = None if ours is None else authority if ours else stranger
    before = told(host).count(cause)
    assert not let_in(host, context(tmp_path / "x", authority, signer, name))
    assert told(host).count(cause) > before


def test_without_tls_nobody_answers(host: Any) -> None:
    with socket.create_connection((address(host), TLS_PORT), timeout=PATIENCE_S) as line:
        line.sendall(b"\0" * 28)
        with contextlib.suppress(ConnectionError):
            assert line.recv(1) in (b"", b"\x15")  # hung up, or an alert of TLS
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address(host), TCP_PORT), timeout=PATIENCE_S)


def test_qemu_takes_only_what_is_encrypted(host: Any) -> None:
    conf = host.file("/etc/libvirt/qemu.conf")
    for line in ("migrate_tls_force = 1", "default_tls_x509_verify = 1", 'default_tls_x509_cert_dir = "/etc/pki/qemu"'):
        assert conf.contains(f"^{line}$"), line


def test_post_copy_is_possible_after_the_next_boot(host: Any) -> None:
    assert host.file("/etc/sysctl.d/60-kvmops-mobility.conf").contains("^vm.unprivileged_userfaultfd = 1$")
    assert host.file("/proc/sys/vm/unprivileged_userfaultfd").content_string.strip() == "1"
