# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What M(kvmops.mobility.libvirt_firewall) does: let the peers through whatever filters here, and nobody else.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ansible_collections.kvmops.mobility.plugins.module_utils._command import run
from ansible_collections.kvmops.mobility.plugins.module_utils._conf.text import differing
from ansible_collections.kvmops.mobility.plugins.module_utils._daemon import layout, listening
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import CommandFailed, Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._file.own import put, text_of
from ansible_collections.kvmops.mobility.plugins.module_utils._firewall import firewalld, nft, ufw
from ansible_collections.kvmops.mobility.plugins.module_utils._firewall.rules import Ports, Rule, read_ports, wanted
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect, Plan

_QUICK_S = 30
_PUBLIC = 0o644
_ANY = range(256)
_FIREWALLD, _UFW, _NONE = "firewalld", "ufw", "none"
Orders = tuple[tuple[str, ...], ...]


def work(context: Context) -> Plan:
    """Raises Refused(PORTS_INVALID, PEER_UNRESOLVED, FIREWALL_MISSING)."""
    params = context.params
    kind = _filtering()
    # Where nothing filters, a peer whose name leads nowhere is in nobody's way.
    concerned = kind != _NONE or params["strict"]
    rules = wanted(_addresses(params["peers"]) if concerned else (), params["ports"])
    orders = _opening(kind, rules)
    effects = [Effect("open", f"let the peers through {kind}", lambda: _give(orders))] if orders else []
    before, after = ("".join(f"{' '.join(one)}\n" for one in some) for some in ((), orders))
    ports = tuple(map(read_ports, params["ports"])) if params["strict"] else ()
    files, more = _guarding(rules, ports, context)
    for path, text in files:
        was, will = differing(text_of(Path(path)), text)
        before, after = before + was, after + will
    told = {"firewall": kind, "strict": params["strict"], "peers": sorted({one.source for one in rules})}
    return Plan((*effects, *more), told, before, after)


def _addresses(peers: Sequence[str]) -> Iterator[str]:
    """All addresses of each; several names may have one. Raises Refused(PEER_UNRESOLVED)."""
    for peer in peers:
        try:
            found = socket.getaddrinfo(peer, None, type=socket.SOCK_STREAM)
        except OSError as error:
            raise Refused(
                "PEER_UNRESOLVED",
                peer,
                f"has no address here: {error.strerror or error}.",
                "Give its address, or make its name known on this host (/etc/hosts or DNS).",
            ) from None
        yield from {str(one[4][0]).partition("%")[0] for one in found}


def _said(argv: Sequence[str]) -> tuple[int, str]:
    """How a program ended and what it printed; 127 where it is not installed."""
    try:
        done = run(argv, timeout_s=_QUICK_S, accept=_ANY)
    except CommandFailed:
        return 127, ""
    return done.code, done.stdout


def _filtering() -> str:
    """Which firewall runs here."""
    if _said(firewalld.STATE)[0] == 0:
        return _FIREWALLD
    return _UFW if ufw.active(_said(ufw.STATUS)[1]) else _NONE


def _opening(kind: str, rules: tuple[Rule, ...]) -> Orders:
    """What it has to be told."""
    if kind == _FIREWALLD:
        lasting = _missing(rules, firewalld.held(_said(firewalld.LIST)[1]))
        now = _missing(rules, firewalld.held(_said(firewalld.LIST_NOW)[1]))
        return (*firewalld.orders(*lasting, permanent=True), *firewalld.orders(*now, permanent=False))
    return ufw.orders(*_missing(rules, ufw.held(_said(ufw.SHOW)[1]))) if kind == _UFW else ()


def _missing(rules: Iterable[Rule], held: Iterable[Rule]) -> tuple[tuple[Rule, ...], tuple[Rule, ...]]:
    """What to add, and what to take away."""
    return tuple(sorted({*rules} - {*held})), tuple(sorted({*held} - {*rules}))


def _give(orders: Orders) -> None:
    for order in orders:
        run(order, timeout_s=_QUICK_S)


def _guarding(
    rules: tuple[Rule, ...], ports: tuple[Ports, ...], context: Context
) -> tuple[list[tuple[str, str]], list[Effect]]:
    """The files of our table that differ, and what to do; without *ports* it goes. Raises Refused(FIREWALL_MISSING).

    Without peers it stays: then everybody is a stranger.
    """
    if ports:
        _check_nft(context)
    texts = {nft.RULES: nft.table(rules, ports), nft.UNIT_FILE: nft.unit(_guarded())} if ports else {}
    files = [
        (path, texts.get(path, "")) for path in (nft.RULES, nft.UNIT_FILE) if text_of(Path(path)) != texts.get(path, "")
    ]
    if not ports:
        return files, [Effect("unguard", "let strangers in again, as before", _unguard)] if files else []
    loaded = _said(nft.LIST)[0] == 0
    effect = Effect("guard", "drop what is not of a peer", lambda: _guard(files))
    return files, [effect] if files or not loaded else []


def _check_nft(context: Context) -> None:
    """In check mode it may be a package that the run would have installed."""
    if _said(nft.VERSION)[0] and not context.check:
        raise Refused(
            "FIREWALL_MISSING",
            "nft",
            "is not installed here, and nothing else keeps strangers out for certain.",
            "Install nftables.",
        )


def _guarded() -> tuple[str, ...]:
    """Who listens, so that it does not before the table is loaded."""
    found = listening.look().layout
    if found is layout.Layout.TRADITIONAL:
        return (layout.SERVICE,)
    return tuple((layout.PROXY_REMOTE if found is layout.Layout.MODULAR else layout.REMOTE).values())


def _guard(files: Iterable[tuple[str, str]]) -> None:
    for path, text in files:
        put(Path(path), text.encode("utf-8") or None, _PUBLIC)
    verbs = (("daemon-reload",), ("reenable", nft.UNIT), ("reload-or-restart", nft.UNIT))
    _give(tuple(("systemctl", *one) for one in verbs))


def _unguard() -> None:
    _give((("systemctl", "disable", "--now", nft.UNIT),))
    for path in (nft.RULES, nft.UNIT_FILE):
        put(Path(path), None, _PUBLIC)
    _give((("systemctl", "daemon-reload"),))
