# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How libvirt is run, from what systemctl said on Debian 13, and what is to be done for each transport."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    wanted,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._daemon.listening import check_usable
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError
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
    assert facts == replace(SOCKET, units={**SOCKET.units, "virtqemud.service": Unit("virtqemud.service")})
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
    on = but(but(SOCKET, TLS, active=True, enabled=True), SERVICE, active=True)
    held = Now(on, "", done.drop_ins)
    assert orders(held, Transport.TLS, Address("192.0.2.11", 0)) == []
    # Without an address again: the drop-in goes, and the socket listens anew.
    back = wanted(held, Transport.TLS, Address())
    assert back.drop_ins == {path: ""}
    assert [str(one) for one in back.orders] == [
        "daemon-reload",
        f"stop {SERVICE} {TLS}",
        f"start {TLS}",
        f"start {SERVICE}",
    ]


UNITS = st.builds(
    lambda masked, active, failed, enabled: {
        "masked": masked,
        "active": active and not masked and not failed,
        "failed": failed and not masked,
        "enabled": enabled and not masked,
    },
    *[st.booleans()] * 4,
)


def obeyed(facts: Facts, said: list[str]) -> Facts:
    """What systemd makes of the orders, as far as this model knows it."""
    changes = {
        "enable": {"enabled": True},
        "disable": {"enabled": False},
        "mask": {"masked": True, "active": False, "enabled": False},
        "unmask": {"masked": False},
        "start": {"active": True, "failed": False},
        "restart": {"active": True, "failed": False},
        "stop": {"active": False},
        "reset-failed": {"failed": False},
        "daemon-reload": {},
    }
    for one in said:
        verb, *names = one.split()
        for name in names:
            facts = but(facts, name, **changes[verb])
    return facts


@given(
    st.fixed_dictionaries({name: UNITS for name in (*LOCAL, *REMOTE.values())}),
    st.booleans(),
    st.sampled_from(Transport),
)
def test_from_anywhere_one_run_is_enough(units: dict[str, dict[str, bool]], up: bool, transport: Transport) -> None:
    """And no run changes the layout, or leaves a listener on that was not asked for."""
    there = {name: Unit(name, there=True, **how) for name, how in units.items()}
    before = Facts({**there, SERVICE: Unit(SERVICE, there=True, active=up, enabled=True)})
    first = wanted(Now(before, "--listen"), transport, Address())
    after = obeyed(before, [str(one) for one in first.orders])
    assert after.layout is before.layout
    assert wanted(Now(after, first.arguments), transport, Address()).orders == ()
    on = {name for name, unit in REMOTE.items() if after.unit(unit).active}
    listening = {transport.value} - {"ssh"} if before.layout is Layout.SOCKET else set()
    assert on == listening
    assert ("--listen" in first.arguments) is (before.layout is Layout.TRADITIONAL and transport is not Transport.SSH)
