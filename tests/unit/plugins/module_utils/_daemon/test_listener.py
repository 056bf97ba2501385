# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How libvirt is run, from what systemctl said on Debian 13, and what is to be done for each transport."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kvmops.mobility.plugins.module_utils._daemon import listening
from ansible_collections.kvmops.mobility.plugins.module_utils._daemon.layout import (
    LOCAL,
    PROXY,
    PROXY_REMOTE,
    REMOTE,
    SERVICE,
    Facts,
    Layout,
    Unit,
    parse,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._daemon.listener import (
    DROP_IN,
    Address,
    Now,
    Order,
    Wanted,
    back,
    wanted,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._daemon.listening import check_usable
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import CommandFailed, MobilityError
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.transport import Transport

SHOWN = """\
Id=libvirtd.service
LoadState=loaded
ActiveState=active
UnitFileState=enabled
EnvironmentFiles=/etc/default/libvirtd (ignore_errors=yes)
Environment="LIBVIRTD_ARGS=--timeout 120"

Id=libvirtd.socket
LoadState=loaded
ActiveState=active
UnitFileState=enabled

Id=libvirtd-ro.socket
LoadState=loaded
ActiveState=active
UnitFileState=enabled

Id=libvirtd-admin.socket
LoadState=loaded
ActiveState=active
UnitFileState=enabled

Id=libvirtd-tls.socket
LoadState=loaded
ActiveState=inactive
UnitFileState=disabled
NeedDaemonReload=yes
DropInPaths=/etc/systemd/system/libvirtd-tls.socket.d/10-kvmops-mobility.conf /run/systemd/system/service.d/10.conf

Id=libvirtd-tcp.socket
LoadState=loaded
ActiveState=inactive
UnitFileState=disabled

Id=virtqemud.service
LoadState=not-found
ActiveState=inactive
UnitFileState=
"""
TLS, TCP = REMOTE["tls"], REMOTE["tcp"]
UP = {name: Unit(name, there=True, active=True, enabled=True) for name in (SERVICE, *LOCAL)}
OFF = {name: Unit(name, there=True) for name in REMOTE.values()}
SOCKET = Facts({**UP, **OFF}, "/etc/default/libvirtd", "--timeout 120")
MASKED = {name: Unit(name, there=True, masked=True) for name in (*LOCAL, *REMOTE.values())}
TRADITIONAL = Facts({**MASKED, SERVICE: UP[SERVICE]}, "/etc/default/libvirtd", "--timeout 120")
MODULAR = Facts(
    {
        name: Unit(name, there=True, active=True, enabled=True)
        for name in ("virtqemud.service", "virtqemud.socket", PROXY, "virtproxyd.socket")
    }
    | {name: Unit(name, there=True) for name in PROXY_REMOTE.values()}
)


def but(facts: Facts, name: str, **how: Any) -> Facts:
    return replace(facts, units={**facts.units, name: replace(facts.unit(name), **how)})


def orders(now: Now, transport: Transport, address: Address | None = None) -> list[str]:
    return [str(one) for one in wanted(now, transport, address or Address()).orders]


# --- what is there -----------------------------------------------------------------------------------------------


def test_what_systemctl_says() -> None:
    facts = parse(SHOWN)
    read = (DROP_IN.format(TLS), "/run/systemd/system/service.d/10.conf")
    expected = but(SOCKET, TLS, outdated=True, drop_ins=read)
    assert facts == replace(expected, units={**expected.units, "virtqemud.service": Unit("virtqemud.service")})
    assert facts.layout is Layout.SOCKET


def test_what_is_told_of_it() -> None:
    told = but(SOCKET, SERVICE, active=False, failed=True).as_result()
    assert (told["layout"], told["failed_units"]) == ("socket", [SERVICE])
    # A list of that name would make Ansible take the task for a failed one.
    assert "failed" not in told


@pytest.mark.parametrize(
    ("facts", "layout"),
    [
        (SOCKET, Layout.SOCKET),
        (but(SOCKET, SERVICE, active=False), Layout.SOCKET),
        (TRADITIONAL, Layout.TRADITIONAL),
        (but(TRADITIONAL, SERVICE, active=False, failed=True), Layout.TRADITIONAL),
        (but(SOCKET, LOCAL[0], active=False, enabled=False), Layout.TRADITIONAL),
        (MODULAR, Layout.MODULAR),
        (Facts({**MODULAR.units, SERVICE: Unit(SERVICE, there=True)}), Layout.MODULAR),
        (Facts({SERVICE: Unit(SERVICE, there=True), "virtqemud.socket": Unit("x", there=True)}), Layout.SOCKET),
        (Facts(), Layout.ABSENT),
    ],
)
def test_layouts(facts: Facts, layout: Layout) -> None:
    assert facts.layout is layout


@pytest.mark.parametrize(
    ("facts", "code"),
    [(Facts(), "LIBVIRT_MISSING"), (Facts({**SOCKET.units, **MODULAR.units}), "LIBVIRT_MIXED")],
)
def test_what_cannot_be_worked_with(facts: Facts, code: str) -> None:
    with pytest.raises(MobilityError) as error:
        check_usable(facts)
    assert error.value.code == code
    check_usable(SOCKET)


def test_both_at_once() -> None:
    assert Facts({**SOCKET.units, **MODULAR.units}).mixed
    assert not SOCKET.mixed
    assert not MODULAR.mixed


# --- what is to be done ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "transport", "said"),
    [
        (Now(SOCKET, "--timeout 120"), Transport.SSH, []),
        (
            Now(SOCKET, "--timeout 120"),
            Transport.TLS,
            [f"enable {TLS}", f"stop {SERVICE}", f"start {TLS}", f"start {SERVICE}"],
        ),
        (
            # Presets of a first boot switched the TLS socket on; without certificates libvirtd dies, sockets and all.
            Now(
                Facts(
                    {
                        **{name: Unit(name, there=True, enabled=True, failed=True) for name in (SERVICE, *LOCAL, TLS)},
                        TCP: Unit(TCP, there=True, enabled=True),
                    }
                ),
                "",
            ),
            Transport.SSH,
            [
                f"disable {TLS} {TCP}",
                f"stop {SERVICE} {TLS} {TCP}",
                f"reset-failed {SERVICE} {' '.join(LOCAL)} {TLS}",
                f"start {' '.join(LOCAL)}",
                f"start {SERVICE}",
            ],
        ),
        # --listen under socket activation: libvirtd refuses to start.
        (
            Now(but(SOCKET, SERVICE, active=False, failed=True), "--listen"),
            Transport.SSH,
            [f"stop {SERVICE}", f"reset-failed {SERVICE}", f"start {SERVICE}"],
        ),
        # Masked sockets and a timeout: libvirtd ends when it is idle, and nothing starts it again.
        (
            Now(but(TRADITIONAL, SERVICE, active=False, failed=True), "--timeout 120 --listen"),
            Transport.TCP,
            [f"reset-failed {SERVICE}", f"restart {SERVICE}"],
        ),
        (Now(TRADITIONAL, "--listen"), Transport.TCP, []),
        (Now(TRADITIONAL, "--listen"), Transport.SSH, [f"restart {SERVICE}"]),
        (Now(TRADITIONAL, "--listen", stale=True), Transport.TLS, [f"restart {SERVICE}"]),
        (
            Now(but(TRADITIONAL, TLS, masked=False, enabled=True), "--listen"),
            Transport.TLS,
            [f"stop {TLS}", f"disable {TLS}", f"mask {TLS}", f"restart {SERVICE}"],
        ),
        # A socket that somebody masked by hand.
        (
            Now(but(SOCKET, TLS, masked=True)),
            Transport.TLS,
            [f"unmask {TLS}", f"enable {TLS}", f"stop {SERVICE}", f"start {TLS}", f"start {SERVICE}"],
        ),
        (
            Now(MODULAR),
            Transport.TLS,
            [
                "enable virtproxyd-tls.socket",
                "stop virtproxyd.service",
                "start virtproxyd-tls.socket",
                "start virtproxyd.service",
            ],
        ),
        (Now(SOCKET, stale=True), Transport.SSH, [f"stop {SERVICE}", f"start {SERVICE}"]),
    ],
)
def test_orders(now: Now, transport: Transport, said: list[str]) -> None:
    assert orders(now, transport) == said


@pytest.mark.parametrize(
    ("now", "transport", "arguments"),
    [
        (Now(SOCKET, "--timeout 120"), Transport.TLS, "--timeout 120"),
        (Now(SOCKET, "--listen --timeout 60"), Transport.TCP, "--timeout 60"),
        (Now(SOCKET, "-l --verbose"), Transport.SSH, "--verbose"),
        (Now(TRADITIONAL, "--timeout 120"), Transport.SSH, ""),
        (Now(TRADITIONAL, "--timeout=120 --verbose"), Transport.TLS, "--listen --verbose"),
        (Now(TRADITIONAL, "-t 30"), Transport.TCP, "--listen"),
        (Now(MODULAR, "as it is"), Transport.TCP, "as it is"),
    ],
)
def test_the_command_line(now: Now, transport: Transport, arguments: str) -> None:
    assert wanted(now, transport, Address()).arguments == arguments


def test_an_address_and_a_port_go_into_a_drop_in() -> None:
    path = DROP_IN.format(TLS)
    done = wanted(Now(SOCKET), Transport.TLS, Address("192.0.2.11", 0))
    assert done.drop_ins[path].endswith("[Socket]\nListenStream=\nListenStream=192.0.2.11:16514\nFreeBind=yes\n")
    assert str(done.orders[0]) == "daemon-reload"
    assert (
        "ListenStream=[2001:db8::1]:16600\n"
        in wanted(Now(SOCKET), Transport.TLS, Address("2001:db8::1", 16600)).drop_ins[path]
    )
    held = Now(but(SOCKET, TLS, active=True, enabled=True, drop_ins=(path,)), "", done.drop_ins)
    assert orders(held, Transport.TLS, Address("192.0.2.11", 0)) == []
    # Without an address again: the drop-in goes, and the socket listens anew.
    back = wanted(held, Transport.TLS, Address())
    assert back.drop_ins == {path: ""}
    assert [str(one) for one in back.orders] == [
        f"stop {TLS}",
        "daemon-reload",
        f"stop {SERVICE}",
        f"start {TLS}",
        f"start {SERVICE}",
    ]


@pytest.mark.parametrize(
    "how",
    [
        {"drop_ins": ()},  # what systemd up to 256 says of a drop-in in a directory that is new
        {"drop_ins": (), "outdated": True},
        {"drop_ins": (DROP_IN.format(TLS),), "outdated": True},
    ],
)
def test_a_drop_in_that_systemd_has_not_read(how: dict[str, Any]) -> None:
    """As a run leaves it that was killed when it had written the file."""
    text = wanted(Now(SOCKET), Transport.TLS, Address("192.0.2.11")).drop_ins
    now = Now(but(SOCKET, TLS, active=True, enabled=True, **how), "", text)
    assert orders(now, Transport.TLS, Address("192.0.2.11")) == [
        f"stop {TLS}",
        "daemon-reload",
        f"stop {SERVICE}",
        f"start {TLS}",
        f"start {SERVICE}",
    ]
    # For whoever does not need that socket it is no reason to restart anything.
    off = Now(but(SOCKET, TLS, **how), "", text)
    assert orders(replace(off, drop_ins={}), Transport.SSH) == []


UNITS = st.builds(
    lambda masked, active, failed, enabled: {
        "masked": masked,
        "active": active and not masked and not failed,
        "failed": failed and not masked,
        "enabled": enabled and not masked,
    },
    *[st.booleans()] * 4,
)


@dataclass(frozen=True)
class Host:
    """What systemd makes of orders and files, as far as this model knows it."""

    facts: Facts
    arguments: str = "--listen"
    began_with: str = "--listen"
    """The command line that the running service has."""
    files: Mapping[str, str] = field(default_factory=dict)
    """By socket, our drop-in."""
    read: Mapping[str, str] = field(default_factory=dict)
    """By socket, the drop-in that systemd goes by."""
    heard: Mapping[str, str] = field(default_factory=dict)
    """By socket, the drop-in with which it began to listen."""
    new: bool = False
    """systemd is of version 257 or later."""

    def now(self) -> Now:
        """As it is seen."""
        facts = self.facts
        for unit in REMOTE.values():
            file, read = self.files.get(unit, ""), self.read.get(unit, "")
            known = file != read and (bool(read) or self.new)
            facts = but(facts, unit, outdated=known, drop_ins=(DROP_IN.format(unit),) if read else ())
        held = {DROP_IN.format(unit): text for unit, text in self.files.items() if text}
        stale = self.facts.unit(SERVICE).active and self.arguments != self.began_with
        return Now(facts, self.arguments, held, stale)

    def written(self, after: Wanted) -> Host:
        """With the files as they are wanted."""
        files = {unit: after.drop_ins.get(DROP_IN.format(unit), "") for unit in REMOTE.values()}
        return replace(self, arguments=after.arguments, files=files)

    def told(self, order: Order) -> Host:
        """What becomes of it."""
        host = self
        if order.verb in ("daemon-reload", "enable", "disable", "mask", "unmask"):
            host = replace(host, read=host.files)
        for unit in order.units:
            was, facts = host.facts.unit(unit), but(host.facts, unit, **CHANGES[order.verb])
            host = replace(host, facts=facts)
            if order.verb in ("start", "restart") and (order.verb == "restart" or not was.active):
                host = replace(host, heard={**host.heard, unit: host.read.get(unit, "")})
                host = replace(host, began_with=host.arguments if unit == SERVICE else host.began_with)
        return host

    def run(self, transport: Transport, address: Address, orders: int | None = None) -> Host:
        """One run, to its end or until so many orders were obeyed."""
        after = wanted(self.now(), transport, address)
        host = self.written(after)
        for one in after.orders[:orders]:
            host = host.told(one)
        return host


CHANGES: Mapping[str, Mapping[str, bool]] = {
    "enable": {"enabled": True},
    "disable": {"enabled": False},
    "mask": {"masked": True, "active": False, "enabled": False},
    "unmask": {"masked": False},
    "start": {"active": True, "failed": False},
    "restart": {"active": True, "failed": False},
    "stop": {"active": False},
    "reset-failed": {"failed": False},
}
ADDRESSES = (Address(), Address("192.0.2.11"), Address("192.0.2.12", 16600))


def drop_in(address: Address) -> str:
    return wanted(Now(SOCKET), Transport.TLS, address).drop_ins.get(DROP_IN.format(TLS), "")


def check(after: Host, transport: Transport, address: Address) -> None:
    """Nothing is left to be done, and who listens does so as it was wanted, and nobody else."""
    assert wanted(after.now(), transport, address).orders == ()
    on = {name for name, unit in REMOTE.items() if after.facts.unit(unit).active}
    assert on == ({transport.value} - {"ssh"} if after.facts.layout is Layout.SOCKET else set())
    text = wanted(after.now(), transport, address).drop_ins
    assert all(after.heard.get(REMOTE[name], "") == text.get(DROP_IN.format(REMOTE[name]), "") for name in on)


@pytest.mark.parametrize("new", [False, True])
@pytest.mark.parametrize("killed", range(6))
@pytest.mark.parametrize(("old", "address"), tuple(itertools.permutations(ADDRESSES, 2)))
def test_who_comes_after_a_run_that_was_killed_ends_it(new: bool, killed: int, old: Address, address: Address) -> None:
    held = {TLS: drop_in(old)}
    facts = but(SOCKET, TLS, active=True, enabled=True)
    before = Host(facts, "", "", files=held, read=held, heard=held, new=new)
    check(before, Transport.TLS, old)
    assert len(wanted(before.now(), Transport.TLS, address).orders) == 5
    check(before.run(Transport.TLS, address, killed).run(Transport.TLS, address), Transport.TLS, address)


@pytest.mark.parametrize(("old", "address"), tuple(itertools.permutations(ADDRESSES, 2)))
def test_what_failed_is_put_back(old: Address, address: Address) -> None:
    """Also where the socket listens, when it was the service that did not come up."""
    held = {TLS: drop_in(old)}
    before = Host(but(SOCKET, TLS, active=True, enabled=True), "", "", files=held, read=held, heard=held)
    failed = before.run(Transport.TLS, address)
    assert failed.heard[TLS] == drop_in(address)
    after = replace(failed, files=before.files)
    for one in back(before.facts):
        after = after.told(one)
    assert after.facts == before.facts
    check(after, Transport.TLS, old)


@st.composite
def hosts(draw: st.DrawFn) -> Host:
    """Sockets in any state; those that listen do so as their drop-ins say."""
    units = draw(st.fixed_dictionaries({name: UNITS for name in (*LOCAL, *REMOTE.values())}))
    there = {name: Unit(name, there=True, **how) for name, how in units.items()}
    service = Unit(SERVICE, there=True, active=draw(st.booleans()), enabled=True)
    held = {TLS: draw(st.sampled_from([drop_in(one) for one in ADDRESSES]))}
    return Host(Facts({**there, SERVICE: service}), files=held, read=held, heard=held, new=draw(st.booleans()))


@given(hosts(), st.sampled_from(Transport), st.sampled_from(ADDRESSES), st.integers(0, 9))
def test_from_anywhere_one_run_is_enough(before: Host, transport: Transport, address: Address, killed: int) -> None:
    """Also after one that was killed. And no run changes the layout."""
    after = before.run(transport, address, killed).run(transport, address)
    assert after.facts.layout is before.facts.layout
    check(after, transport, address)
    traditional = before.facts.layout is Layout.TRADITIONAL
    assert ("--listen" in after.arguments) is (traditional and transport is not Transport.SSH)


@pytest.mark.parametrize(
    ("words", "calls"),
    [
        ("Job for x.service failed because of unavailable resources or another system error.", 2),
        ("Job for x.service failed because the control process exited with error code.", 1),
    ],
)
def test_what_systemd_could_not_fork_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: str, calls: int
) -> None:
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\necho "{words}" >&2\nexit 1\n', encoding="ascii")
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(CommandFailed):
        listening._give(Order("restart", ("x.service",)))
    assert (tmp_path / "calls").read_text(encoding="ascii").splitlines() == ["restart -- x.service"] * calls
