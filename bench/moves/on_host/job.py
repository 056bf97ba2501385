# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run on a host of the lab: what libvirt says of a guest's job, a line of JSON each time, and its last word at the end.

Whoever starts the migration, this looks at all of them in the same way. It goes on until the guest has left, nobody
reads what it prints, or its time is over.
"""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import libvirt

_LAST_WORD_S = 3.0


def main(payload: dict[str, Any]) -> bool:
    """Watch the job of C(guest) every C(period_s) for up to C(seconds); whether libvirt's last word was heard."""
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    libvirt.virEventRegisterDefaultImpl()
    threading.Thread(target=_events, daemon=True).start()
    connection = libvirt.open("qemu:///system")
    domain = connection.lookupByName(payload["guest"])
    heard = threading.Event()

    def ended(_connection: object, _domain: object, figures: dict[str, Any], _opaque: object) -> None:
        _say({"completed": dict(figures)})
        heard.set()

    event = libvirt.VIR_DOMAIN_EVENT_ID_JOB_COMPLETED
    connection.domainEventRegisterAny(domain, event, ended, None)
    until = time.monotonic() + payload["seconds"]
    while not heard.is_set() and time.monotonic() < until:
        stats = _stats(domain)
        if stats is None:
            heard.wait(_LAST_WORD_S)
            break
        _say({"stats": stats, "limit_ms": _limit_ms(domain)} if stats.get("type") else {})
        time.sleep(payload["period_s"])
    return heard.is_set()


def _events() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()


def _say(words: dict[str, Any]) -> None:
    print(json.dumps({"at": time.time(), **words}), flush=True)


def _stats(domain: Any) -> dict[str, Any] | None:
    """The job's, empty without one; None when the guest is gone."""
    try:
        return dict(domain.jobStats())
    except libvirt.libvirtError as error:
        return None if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN else {}


def _limit_ms(domain: Any) -> int:
    try:
        return int(domain.migrateGetMaxDowntime(0))
    except libvirt.libvirtError:
        return 0
