# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What M(kvmops.mobility.libvirt_layout_info) and M(kvmops.mobility.libvirt_listener) do: look, and order.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ansible_collections.kvmops.mobility.plugins.module_utils._command import run
from ansible_collections.kvmops.mobility.plugins.module_utils._conf import environment
from ansible_collections.kvmops.mobility.plugins.module_utils._conf.text import differing
from ansible_collections.kvmops.mobility.plugins.module_utils._daemon.layout import (
    ARGUMENTS,
    LISTENERS,
    PROPERTIES,
    UNITS,
    Facts,
    Layout,
    parse,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._daemon.listener import (
    DROP_IN,
    Address,
    Now,
    Order,
    back,
    service_of,
    wanted,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import (
    CommandFailed,
    MobilityError,
    NotFound,
    Refused,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._file.own import put, text_of
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.transport import Transport
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect, Plan
from ansible_collections.kvmops.mobility.plugins.module_utils._unit.restart import Service, booted_s, last_words, newer

_QUICK_S = 30
_ORDER_S = 120
_PUBLIC = 0o644
_UNFORKED = "because of unavailable resources or another system error"
"""systemctl's words for the result 'resources'."""


def look() -> Facts:
    """How libvirt is run on this host."""
    shown = run(["systemctl", "show", f"--property={','.join(PROPERTIES)}", "--", *UNITS], timeout_s=_QUICK_S)
    return parse(shown.stdout)


def info(_context: Context) -> Plan:
    """What systemd says of libvirt's daemons."""
    return Plan(result=look().as_result())


def work(context: Context) -> Plan:
    """At most one effect: listen, which is all of it or nothing.

    Raises NotFound(LIBVIRT_MISSING), Refused(LIBVIRT_MIXED, BUSY).
    """
    params = context.params
    facts = look()
    if facts.layout is Layout.ABSENT and context.check:
        context.warn("libvirt is not installed here yet; how it will be run is not known before it is.")
        return Plan(result={"layout": facts.layout.value, "orders": [], "due": False})
    check_usable(facts)
    now = _now(facts, params["files"])
    after = wanted(now, Transport(params["transport"]), Address(params["address"] or "", params["port"] or 0))
    files = dict(_files(now, after.arguments, after.drop_ins))
    result = {"layout": facts.layout.value, "orders": [str(one) for one in after.orders], "due": bool(after.orders)}
    if not after.orders and not files:
        return Plan(result=result)
    if not params["consent"]:
        what = ", then ".join(map(str, after.orders)) or "nothing but files"
        context.warn(f"{service_of(facts.layout)} has to be restarted for this, which nobody agreed to: {what}.")
        return Plan(result={**result, "due": True})
    _check_idle()
    effect = Effect("listen", f"let others in by {params['transport']}", lambda: _apply(facts, files, after.orders))
    before, later = zip(*(differing(_held(path), text) for path, text in files.items())) if files else ((), ())
    return Plan((effect,), {**result, "due": False} if not context.check else result, "".join(before), "".join(later))


def check_usable(facts: Facts) -> None:
    """Raises NotFound(LIBVIRT_MISSING), Refused(LIBVIRT_MIXED)."""
    if facts.layout is Layout.ABSENT:
        raise NotFound(
            "LIBVIRT_MISSING", "this host", "has neither libvirtd nor virtqemud.", "Install libvirt-daemon-system."
        )
    if facts.mixed:
        raise Refused(
            "LIBVIRT_MIXED",
            "this host",
            "runs libvirtd and virtqemud at once, which both take the guests for theirs.",
            "Decide for one, and disable the other's service and sockets: https://libvirt.org/daemons.html",
        )


def _check_idle() -> None:
    """A migration talks to the daemon all the while; restarted beneath it, it would have to be taken back."""
    argv = ["systemctl", "list-units", "--plain", "--no-legend", "--state=active,activating", "kvmops-*"]
    found = run(argv, timeout_s=_QUICK_S).stdout.split()
    if found:
        raise Refused(
            "BUSY",
            "this host",
            f"moves a guest ({found[0]}), which a restart of libvirt would break.",
            "Wait until it has ended (kvmops.mobility.status), then run it again.",
        )


def _now(facts: Facts, files: Sequence[str]) -> Now:
    held = {path: _held(path) for path in map(DROP_IN.format, LISTENERS)}
    said = environment.get(_held(facts.arguments_file), ARGUMENTS) if facts.arguments_file else None
    return Now(
        facts,
        facts.default_arguments if said is None else said,
        {path: text for path, text in held.items() if text},
        _stale(facts, [*files, *([facts.arguments_file] if facts.arguments_file else [])]),
    )


def _held(path: str) -> str:
    return text_of(Path(path), errors="surrogateescape")


def _stale(facts: Facts, files: Sequence[str]) -> bool:
    service = Service.shown(service_of(facts.layout))
    return bool(newer(service, files, booted_s()))


def _files(now: Now, arguments: str, drop_ins: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The files that differ, and what has to be in them; empty for one that has to go."""
    if arguments != now.arguments:
        yield now.facts.arguments_file, environment.set_to(_held(now.facts.arguments_file), ARGUMENTS, arguments)
    for path, text in drop_ins.items():
        if now.drop_ins.get(path, "") != text:
            yield path, text


def _apply(facts: Facts, files: Mapping[str, str], orders: Sequence[Order]) -> Mapping[str, object]:
    """Raises MobilityError(LISTENER_FAILED) after everything was put back."""
    before = {path: _held(path) for path in files}
    try:
        for path, text in files.items():
            _put(path, text)
        for order in orders:
            _give(order)
    except MobilityError as error:
        words = last_words(service_of(facts.layout))
        left = _take_back(facts, before)
        raise MobilityError(
            "LISTENER_FAILED",
            service_of(facts.layout),
            f"does not come up so: {' '.join(error.message.split())}{words}",
            left or "Everything is as it was. Mend what it names, then run it again.",
        ) from None
    return {}


def _give(order: Order) -> None:
    """Twice where systemd could not fork: a service's group may vanish between its end and its start (Debian 13)."""
    try:
        run(order.argv, timeout_s=_ORDER_S)
    except CommandFailed as error:
        if _UNFORKED not in error.message:
            raise
        run(order.argv, timeout_s=_ORDER_S)


def _put(path: str, text: str) -> None:
    mode = os.stat(path).st_mode & 0o777 if os.path.exists(path) else _PUBLIC
    put(Path(path), text.encode("utf-8", "surrogateescape") if text else None, mode)


def _take_back(facts: Facts, files: Mapping[str, str]) -> str:
    """Files and units as they were. Returns what could not be put back, for people."""
    for path, text in files.items():
        _put(path, text)
    left = []
    for order in back(facts):
        done = run(order.argv, timeout_s=_ORDER_S, accept=range(256))
        if done.code and order.verb != "reset-failed":  # which fails for a unit that has not failed
            left.append(str(order))
    return f"Not everything could be put back: {', '.join(left)} failed. Look at it on that host." if left else ""
