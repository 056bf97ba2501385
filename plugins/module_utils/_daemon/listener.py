# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From how libvirt is run to how it should be reached: what systemd has to be told, in which order. Pure.

The layout is never changed: guests would be between two daemons. The rules are those of libvirt's own page on remote
support and of libvirtd(8): C(--listen) is refused under socket activation, C(--timeout) has no place outside of it.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.kvmops.mobility.plugins.module_utils._daemon.layout import (
    LISTENERS,
    LOCAL,
    PROXY,
    PROXY_REMOTE,
    REMOTE,
    SERVICE,
    Facts,
    Layout,
    Unit,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.transport import PORTS, Transport

_LISTEN = "--listen"
_TIMEOUT = "--timeout"


@dataclass(frozen=True)
class Address:
    """Where a listener is; empty for libvirt's own choice."""

    host: str = ""
    port: int = 0


@dataclass(frozen=True)
class Order:
    """One command to systemd: systemctl VERB UNIT..."""

    verb: str
    units: tuple[str, ...] = ()

    @property
    def argv(self) -> tuple[str, ...]:
        """Its argument vector."""
        return ("systemctl", self.verb, *(("--", *self.units) if self.units else ()))

    def __str__(self) -> str:
        return " ".join((self.verb, *self.units))


DROP_IN = "/etc/systemd/system/{}.d/10-kvmops-mobility.conf"
_HEAD = "# Written by kvmops.mobility (role libvirt_host); a change made here is lost.\n"


@dataclass(frozen=True)
class Now:
    """How it is."""

    facts: Facts
    arguments: str = ""
    """The service's command line."""
    drop_ins: Mapping[str, str] = field(default_factory=dict)
    """Path of each drop-in of ours, and its text; empty where it is not there."""
    stale: bool = False
    """The service runs with older settings than its files have."""


@dataclass(frozen=True)
class Wanted:
    """What has to become true, and the orders by which it does."""

    arguments: str
    drop_ins: Mapping[str, str]
    orders: tuple[Order, ...]


def service_of(layout: Layout) -> str:
    """Who has to be started anew when a listener changes."""
    return PROXY if layout is Layout.MODULAR else SERVICE


def wanted(now: Now, transport: Transport, address: Address) -> Wanted:
    """What to do so that *transport*, and no other listener, lets others in; no orders when it is so."""
    layout = now.facts.layout
    if layout is Layout.TRADITIONAL:
        arguments = _traditional_arguments(now.arguments, transport)
        drop_ins = dict.fromkeys(now.drop_ins, "")
        return Wanted(arguments, drop_ins, tuple(_masked(now, arguments != now.arguments)))
    remote = PROXY_REMOTE if layout is Layout.MODULAR else REMOTE
    arguments = now.arguments if layout is Layout.MODULAR else _activated_arguments(now)
    drop_ins = {**dict.fromkeys(now.drop_ins, ""), **_drop_ins(remote, transport, address)}
    return Wanted(arguments, drop_ins, tuple(_activated(now, transport, remote, arguments, drop_ins)))


def _without(arguments: str, flag: str, values: int = 0) -> str:
    """A command line without a flag, and as many words behind it."""
    words = arguments.split()
    kept: list[str] = []
    skip = 0
    for word in words:
        if skip:
            skip -= 1
        elif word == flag:
            skip = values
        elif not word.startswith(f"{flag}="):
            kept.append(word)
    return " ".join(kept)


def _activated_arguments(now: Now) -> str:
    if _LISTEN not in now.arguments.split() and "-l" not in now.arguments.split():
        return now.arguments
    return _without(_without(now.arguments, _LISTEN), "-l") or now.facts.default_arguments


def _traditional_arguments(arguments: str, transport: Transport) -> str:
    # With a timeout it ends when it is idle, and there is no socket that would start it again.
    rest = _without(_without(_without(arguments, _TIMEOUT, 1), "-t", 1), _LISTEN)
    rest = _without(rest, "-l")
    return rest if transport is Transport.SSH else f"{_LISTEN} {rest}".strip()


def _drop_ins(remote: Mapping[str, str], transport: Transport, address: Address) -> dict[str, str]:
    if transport is Transport.SSH or not (address.host or address.port):
        return {}
    return {DROP_IN.format(remote[transport.value]): _listen_stream(transport, address)}


def _listen_stream(transport: Transport, address: Address) -> str:
    port = address.port or PORTS[transport]
    host = f"[{address.host}]" if ":" in address.host else address.host
    # An address that is not up yet when the host boots would keep the socket from listening at all.
    free = "FreeBind=yes\n" if host else ""
    return f"{_HEAD}[Socket]\nListenStream=\nListenStream={host + ':' if host else ''}{port}\n{free}"


def _masked(now: Now, changed: bool) -> Iterator[Order]:
    """Traditional: all of systemd's sockets out of the way, the service on."""
    facts = now.facts
    loose = tuple(one for one in (*LOCAL, *REMOTE.values()) if facts.unit(one).there and not facts.unit(one).masked)
    service = facts.unit(SERVICE)
    if loose:
        yield from (Order("stop", loose), Order("disable", loose), Order("mask", loose))
    if not service.enabled:
        yield Order("enable", (SERVICE,))
    if loose or changed or now.stale or not service.active:
        if service.failed:
            yield Order("reset-failed", (SERVICE,))
        yield Order("restart", (SERVICE,))


def _activated(
    now: Now,
    transport: Transport,
    remote: Mapping[str, str],
    arguments: str,
    drop_ins: Mapping[str, str],
) -> Iterator[Order]:
    """Socket activation: the listener's socket on, the others off. A socket does not start beside its service."""
    facts = now.facts
    service = service_of(facts.layout)
    local = () if facts.layout is Layout.MODULAR else LOCAL
    on = tuple(unit for name, unit in remote.items() if name == transport.value)
    held = {path: now.drop_ins.get(path, "") for path in drop_ins}
    moved = drop_ins != held or any(_unread(now, one) for one in on)
    up = tuple(one for one in on if facts.unit(one).active)
    off = tuple(one for one in remote.values() if one not in on and _lives(facts, one))
    masked = tuple(one for one in (*local, *on) if facts.unit(one).masked)
    asleep = tuple(one for one in on if not facts.unit(one).enabled)
    down = tuple(one for one in (*local, *on) if not facts.unit(one).active)
    failed = tuple(one for one in (service, *local, *remote.values()) if facts.unit(one).failed)
    if moved and up:
        # Before all else: when somebody is killed from here on, a socket is down, and who comes next sees that.
        yield Order("stop", up)
    if moved:
        yield Order("daemon-reload")
    if masked:
        yield Order("unmask", masked)
    if off:
        yield Order("disable", off)
    if asleep:
        yield Order("enable", asleep)
    if not (moved or off or down or failed or now.stale or arguments != now.arguments):
        return
    yield Order("stop", (service, *off))
    if failed:
        yield Order("reset-failed", failed)
    if down or (moved and on):
        yield Order("start", tuple(dict.fromkeys((*down, *on))))
    yield Order("start", (service,))


def _unread(now: Now, unit: str) -> bool:
    """Whether systemd goes by other files of it than there are, as after a run that was killed before it said so.

    What systemd itself knows of that leaves out a directory of drop-ins that is new, up to systemd 256 (issue 31752).
    """
    known, path = now.facts.unit(unit), DROP_IN.format(unit)
    return known.outdated or (path in known.drop_ins) is not (path in now.drop_ins)


def _lives(facts: Facts, unit: str) -> bool:
    return facts.unit(unit).active or facts.unit(unit).enabled or facts.unit(unit).failed


def back(facts: Facts) -> Iterator[Order]:
    """Every unit as it was found; the service last, and without a mark of its failure.

    A socket goes on where it listens until it is stopped, whatever its files say.
    """
    service = facts.unit(service_of(facts.layout))
    sockets = [one for one in facts.units.values() if one.there and one.name.endswith(".socket")]
    yield Order("daemon-reload")
    moved = [one for one in sockets if one.active and one.name in LISTENERS]
    yield Order("stop", (service.name, *_relevant(facts, moved)))
    for verb, which in (
        ("unmask", [one for one in sockets if not one.masked]),
        ("enable", [one for one in sockets if one.enabled]),
        ("disable", [one for one in sockets if not one.enabled and not one.masked]),
        ("stop", [one for one in sockets if not one.active]),
        ("mask", [one for one in sockets if one.masked]),
        ("reset-failed", [*sockets, service]),
        ("start", [*(one for one in sockets if one.active), *([service] if service.active else [])]),
    ):
        names = tuple(_relevant(facts, which))
        if names:
            yield Order(verb, names)


def _relevant(facts: Facts, units: Sequence[Unit]) -> Iterator[str]:
    """Only the layout's own: the other daemons' units are none of our business."""
    modular = facts.layout is Layout.MODULAR
    return (one.name for one in units if one.name.startswith("virtproxyd") is modular and "virtqemud" not in one.name)
