# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role ssh_trust leaves on a host."""

from __future__ import annotations

import re
from typing import Any

import pytest

testinfra_hosts = ["ansible://hypervisors"]
USER = "kvmops"
HOMES = {USER: "/var/lib/kvmops-home", "root": "/root"}
EVERYBODY = pytest.mark.parametrize("user", list(HOMES))


def peers(host: Any) -> list[str]:
    """The other hosts."""
    variables = host.ansible.get_variables()
    return [name for name in variables["groups"]["hypervisors"] if name != variables["inventory_hostname"]]


def test_the_migration_user_can_log_in(host: Any) -> None:
    user = host.user(USER)
    assert (user.exists, user.home, user.shell) == (True, HOMES[USER], "/bin/sh")
    assert user.uid < 1000
    # no password, and yet not locked
    assert host.check_output(f"getent shadow {USER}").split(":")[1] == "*"


@EVERYBODY
def test_modes_and_owners_are_what_sshd_accepts(host: Any, user: str) -> None:
    home = host.file(HOMES[user])
    assert home.mode & 0o022 == 0
    ssh = host.file(f"{HOMES[user]}/.ssh")
    assert (ssh.user, ssh.mode) == (user, 0o700)
    for name, mode in (("id_ed25519", 0o600), ("id_ed25519.pub", 0o644), ("authorized_keys", 0o600)):
        file = host.file(f"{HOMES[user]}/.ssh/{name}")
        assert (file.is_file, file.user, file.mode) == (True, user, mode), name
    known = host.file(f"{HOMES[user]}/.ssh/known_hosts")
    assert (known.is_file, known.user) == (True, user)
    assert known.mode & 0o022 == 0


@EVERYBODY
def test_every_peer_is_let_in_from_its_own_addresses_only(host: Any, user: str) -> None:
    lines = host.file(f"{HOMES[user]}/.ssh/authorized_keys").content_string.splitlines()
    for peer in peers(host):
        (line,) = [one for one in lines if one.endswith(f" kvmops.mobility:{peer}")]
        may = 'restrict,port-forwarding,permitlisten="none.invalid:1",from='
        assert line.startswith(may)
        assert re.match(r'"[0-9a-f.:,]+" ssh-ed25519 \S+ ', line[len(may) :])


@EVERYBODY
def test_every_peer_is_known_by_all_its_keys(host: Any, user: str) -> None:
    path = f"{HOMES[user]}/.ssh/known_hosts"
    for peer in peers(host):
        found = host.check_output(f"ssh-keygen -F {peer} -f {path}")
        assert {"ssh-rsa", "ecdsa-sha2-nistp256", "ssh-ed25519"} <= set(found.split())


def test_private_keys_differ_from_user_to_user(host: Any) -> None:
    keys = {host.file(f"{home}/.ssh/id_ed25519.pub").content_string.split()[1] for home in HOMES.values()}
    assert len(keys) == len(HOMES)


def test_a_login_and_libvirt_work_without_a_question(host: Any) -> None:
    files = f"-i {HOMES[USER]}/.ssh/id_ed25519 -o UserKnownHostsFile={HOMES[USER]}/.ssh/known_hosts"
    for peer in peers(host):
        strict = "-o BatchMode=yes -o StrictHostKeyChecking=yes"
        assert host.check_output(f"ssh {strict} {files} -o IdentitiesOnly=yes {USER}@{peer} id -un") == USER
        assert host.check_output(f"virsh -c qemu+ssh://root@{peer}/system?no_tty=1 hostname") == peer
