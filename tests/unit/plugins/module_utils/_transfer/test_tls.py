# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How both ends of the way through TLS are started, waited for and given up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError, TimedOut
from ansible_collections.kvmops.mobility.plugins.module_utils._file import planted
from ansible_collections.kvmops.mobility.plugins.module_utils._transfer import tls
from ansible_collections.kvmops.mobility.plugins.module_utils._unit import transient
from ansible_collections.kvmops.mobility.tests.unit.clock import Clock
from ansible_collections.kvmops.mobility.tests.unit.units import FAILED, Units

ENTRANCE, TUNNEL = "kvmops-id-entrance", "kvmops-id-tunnel"


class Host:
    """A hypervisor with certificates."""

    def __init__(self, root: Path, units: Units) -> None:
        self.root, self.units, self.clock = root, units, Clock()
        self.certificates = root / "pki"
        self.certificates.mkdir()
        for name in ("ca-cert", "server-cert", "server-key", "client-cert", "client-key"):
            (self.certificates / f"{name}.pem").touch()

    def entrance(self) -> tls.Entrance:
        return tls.Entrance(
            migration="id",
            user="kvmops",
            address="192.0.2.7",
            peer="c1.example.com",
            sockets={"vda": "/run/a/export.sock", "vdb": "/run/b/export.sock"},
            stall_s=7,
            certificates=str(self.certificates),
            logs=str(self.root),
        )

    def exit(self) -> tls.Exit:
        unit = transient.Unit(TUNNEL, str(self.root))
        forwards = {str(self.root / "vda.sock"): 4711, str(self.root / "vdb.sock"): 4712}
        return tls.Exit(unit, "192.0.2.7", forwards, 7, str(self.certificates))

    def says(self, words: str) -> None:
        for name in (ENTRANCE, TUNNEL):
            (self.root / f"{name}.err").write_text(words, encoding="utf-8")


@pytest.fixture
def host(tmp_path: Path, units: Units, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setattr(tls.Entrance, "directory", property(lambda _self: str(tmp_path / "run")))
    return Host(tmp_path, units)


def listens(host: Host) -> None:
    (host.root / "run").mkdir()
    (host.root / "run/ports.json").write_text(json.dumps({"vda": 4711, "vdb": 4712}))


def test_the_entrance_is_open_when_its_ports_are_known(host: Host) -> None:
    host.units.on_start = lambda _name: listens(host)
    assert tls.open_entrance(host.entrance(), host.clock, host.clock.sleep) == {"vda": 4711, "vdb": 4712}
    words = ("arrive", "192.0.2.7", "c1.example.com", "7", str(host.root / "run"))
    assert host.units.command(ENTRANCE)[2:] == (*words, "vda=/run/a/export.sock", "vdb=/run/b/export.sock")
    properties = host.units.properties(ENTRANCE)
    key = f"LoadCredential=key.pem:{host.certificates}/server-key.pem"
    assert {"User=kvmops", "RuntimeDirectoryMode=0700", "NoNewPrivileges=yes", key} <= properties


def test_the_exit_is_open_when_its_sockets_are_there(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str] = []
    monkeypatch.setattr(planted, "give_socket", given.append)
    leaving = host.exit()

    def listen(_name: str) -> None:
        for one in leaving.forwards:
            Path(one).touch()

    host.units.on_start = listen
    tls.open_exit(leaving, host.clock, host.clock.sleep)
    assert given == list(leaving.forwards)
    sockets = [f"{path}={port}" for path, port in leaving.forwards.items()]
    assert host.units.command(TUNNEL)[2:] == ("leave", "192.0.2.7", "192.0.2.7", "7", *sockets)
    assert f"LoadCredential=cert.pem:{host.certificates}/client-cert.pem" in host.units.properties(TUNNEL)


def test_who_is_not_let_in_says_why(host: Host) -> None:
    host.units.starts_as = FAILED
    host.units.on_start = lambda _name: host.says("certificate verify failed: IP address mismatch")
    for opening in (open_exit, open_entrance):
        with pytest.raises(MobilityError, match="IP address mismatch") as error:
            opening(host)
        assert (error.value.code, error.value.subject) == ("TLS_UNUSABLE", "192.0.2.7")
        host.units.shown.clear()


def open_exit(host: Host) -> None:
    tls.open_exit(host.exit(), host.clock, host.clock.sleep)


def open_entrance(host: Host) -> None:
    tls.open_entrance(host.entrance(), host.clock, host.clock.sleep)


def test_one_that_does_not_open_is_not_waited_for_for_ever(host: Host) -> None:
    with pytest.raises(TimedOut) as error:
        open_exit(host)
    assert error.value.code == "TLS_UNUSABLE"


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        (["client-key"], "client-key.pem is not there"),
        (["ca-cert", "client-cert"], "ca-cert.pem, client-cert.pem are not"),
    ],
)
def test_certificates_that_are_not_there_are_named_before_anything_is_started(
    host: Host, gone: list[str], words: str
) -> None:
    for name in gone:
        (host.certificates / f"{name}.pem").unlink()
    with pytest.raises(MobilityError, match=words) as error:
        open_exit(host)
    assert error.value.subject == str(host.certificates)
    assert host.units.calls == []
