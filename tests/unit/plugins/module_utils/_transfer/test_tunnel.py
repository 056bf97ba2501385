# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError, TimedOut
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer import tunnel
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer.rsync import Peer, ssh_argv
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer.tunnel import Tunnel
from ansible_collections.kvmops.mobility.tests.unit.clock import Clock
from ansible_collections.kvmops.mobility.tests.unit.repository import ROOT
from ansible_collections.kvmops.mobility.tests.unit.units import FAILED, Units

PEER = Peer("c2.example.com", "kvmops", "/images/web1.id.staging", port=2222, identity_file="/k", known_hosts_file="/h")
TUNNEL = Tunnel("id", PEER, {"/d/a.sock": "/run/x/export.sock", "/d/b.sock": "/run/y/export.sock"}, 5, "/state/id")
NAME = "kvmops-id-tunnel"
SAID = ROOT / "tests/unit/data/ssh"


def test_one_ssh_for_all_disks() -> None:
    assert tunnel.argv(TUNNEL) == (
        *ssh_argv(PEER, alive=(1, 4)),
        "-N",
        *("-o", "ExitOnForwardFailure=yes"),
        *("-o", "StreamLocalBindMask=0177"),
        *("-o", "StreamLocalBindUnlink=yes"),
        *("-o", "ControlMaster=yes"),
        *("-o", "ControlPath=/state/id/tunnel.sock"),
        *("-o", "ControlPersist=no"),
        *("-L", "./a.sock:/run/x/export.sock"),
        *("-L", "./b.sock:/run/y/export.sock"),
        "kvmops@c2.example.com",
    )


def test_it_never_asks_and_never_trusts_an_unknown_key() -> None:
    argv = tunnel.argv(TUNNEL)
    assert {"BatchMode=yes", "StrictHostKeyChecking=yes", "UserKnownHostsFile=/h", "IdentitiesOnly=yes"} <= set(argv)
    assert not {"-f", "-g", "-R", "-D", "-A"} & set(argv)  # nothing that listens on a network, or lends a key


@pytest.mark.parametrize(("stall_s", "unanswered"), [(2, 1), (5, 4), (1, 1), (30, 29)])
def test_a_silent_link_is_given_up_in_time(stall_s: int, unanswered: int) -> None:
    """One question each second in which nothing came: the last one is unanswered a second after it was asked."""
    argv = tunnel.argv(replace(TUNNEL, stall_s=stall_s))
    assert "ServerAliveInterval=1" in argv
    assert f"ServerAliveCountMax={unanswered}" in argv


# --- opening -----------------------------------------------------------------------------------------------------


class Source:
    """Where ssh listens for QEMU: two sockets in the directory of a domain."""

    def __init__(self, home: Path, units: Units, stack: ExitStack) -> None:
        self.units = units
        self.clock = Clock()
        self.directory = home / "domain-1-web1"
        self.directory.mkdir()
        self.paths = [self.directory / "a.sock", self.directory / "b.sock"]
        self.tunnel = replace(TUNNEL, forwards={str(one): f"/run/{one.name}" for one in self.paths}, logs=str(home))
        self._stack = stack

    def listens(self, *paths: Path) -> None:
        for one in paths:
            made = self._stack.enter_context(socket.socket(socket.AF_UNIX))
            made.bind(os.path.relpath(one))

    def ends(self, said: str) -> None:
        """ssh ends soon after it was started."""
        self.units.starts_as = FAILED
        self.units.on_start = lambda _name: self.says(said)

    def says(self, words: str) -> None:
        self.tunnel.unit.errors.write_text(words, encoding="utf-8")

    def open_up(self) -> None:
        tunnel.open_up(self.tunnel, self.clock, self.clock.sleep)


@pytest.fixture
def source(tmp_path: Path, units: Units, monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    with ExitStack() as stack:
        yield Source(tmp_path, units, stack)


def test_it_is_open_when_all_sockets_are_there(source: Source) -> None:
    source.units.on_start = lambda _name: source.listens(*source.paths)
    source.open_up()
    assert source.units.calls == [("start", NAME)]
    assert source.units.command(NAME) == tunnel.argv(source.tunnel)
    assert f"WorkingDirectory={source.directory}" in source.units.properties(NAME)


def test_sockets_that_come_one_after_the_other_are_waited_for(source: Source) -> None:
    first, second = source.paths
    source.units.on_start = lambda _name: source.listens(first)
    began = source.clock()

    def sleep(seconds: float) -> None:
        source.clock.sleep(seconds)
        if source.clock() - began > 3 and not second.exists():
            source.listens(second)

    tunnel.open_up(source.tunnel, source.clock, sleep)
    assert 3 < source.clock() - began < 4


def test_the_sockets_are_qemus(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory is that of the user QEMU runs as; each socket is given to it."""
    given: list[tuple[str, int, int]] = []
    monkeypatch.setattr(os, "chown", lambda path, *to: given.append((os.readlink(path), *to)))
    source.units.on_start = lambda _name: source.listens(*source.paths)
    source.open_up()
    owner = source.directory.stat()
    assert given == [(str(one), owner.st_uid, owner.st_gid) for one in source.paths]


@pytest.mark.parametrize("name", ["domain-1-a:b", "domain-1-50%h", "domain-1-${HOME}", "domain-1-a b"])
def test_ssh_is_told_nothing_of_a_name_that_it_would_change(source: Source, name: str) -> None:
    forwards = {f"/var/lib/libvirt/qemu/{name}/kvmops-vda.sock": "/run/x/export.sock"}
    odd = replace(source.tunnel, forwards=forwards)
    assert tunnel.argv(odd)[-3:-1] == ("-L", "./kvmops-vda.sock:/run/x/export.sock")
    assert odd.directory == f"/var/lib/libvirt/qemu/{name}"


def test_a_link_in_the_place_of_a_socket_is_none(source: Source, tmp_path: Path) -> None:
    source.units.on_start = lambda _name: source.listens(source.paths[0])
    source.paths[1].symlink_to(source.paths[0])
    with pytest.raises(TimedOut, match="within 20 s"):
        source.open_up()


def test_a_file_in_its_place_is_no_socket(source: Source) -> None:
    source.units.on_start = lambda _name: source.listens(source.paths[0])
    source.paths[1].write_text("", encoding="ascii")
    with pytest.raises(TimedOut, match="within 20 s") as error:
        source.open_up()
    assert (error.value.code, error.value.subject) == ("TUNNEL_FAILED", "c2.example.com")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("changed-ed25519", "HOST_KEY_CHANGED"),
        ("unknown", "HOST_KEY_UNKNOWN"),
        ("auth-refused", "SSH_AUTH_REFUSED"),
        ("refused", "SSH_UNREACHABLE"),
    ],
)
def test_what_ssh_has_against_it(source: Source, name: str, code: str) -> None:
    source.ends((SAID / f"{name}.txt").read_text(encoding="ascii"))
    with pytest.raises(MobilityError) as error:
        source.open_up()
    assert error.value.code == code


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            "Warning: remote port forwarding failed\r\nCould not request local forwarding.\r\n",
            "Warning: remote port forwarding failed Could not request local forwarding.",
        ),
        ("", "it ended without a word"),
    ],
)
def test_a_forward_that_is_refused(source: Source, said: str, words: str) -> None:
    source.ends(said)
    with pytest.raises(MobilityError, match="AllowStreamLocalForwarding") as error:
        source.open_up()
    assert (error.value.code, error.value.subject) == ("TUNNEL_FAILED", "c2.example.com")
    assert words in error.value.message


# --- where QEMU may connect to -----------------------------------------------------------------------------------


def test_the_directory_of_a_running_domain(tmp_path: Path) -> None:
    for name in ("domain-1-web1", "domain-12-web1", "domain-2-db1", "channel"):
        (tmp_path / name).mkdir()
    assert tunnel.domain_directory(1, str(tmp_path)) == str(tmp_path / "domain-1-web1")
    assert tunnel.domain_directory(12, str(tmp_path)) == str(tmp_path / "domain-12-web1")


def test_without_a_directory_nobody_knows_where_qemu_may_connect_to(tmp_path: Path) -> None:
    with pytest.raises(MobilityError, match="domain-3-") as error:
        tunnel.domain_directory(3, str(tmp_path))
    assert error.value.code == "MIRROR_CONFINED"
