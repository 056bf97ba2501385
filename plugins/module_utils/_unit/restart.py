# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What M(kvmops.mobility.service_restart) does: restart what runs with older settings than its files have.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.kvmops.mobility.plugins.module_utils._command import run
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import CommandFailed, MobilityError, NotFound
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect, Plan
from ansible_collections.kvmops.mobility.plugins.module_utils._unit.shown import Shown

_SHOWN = ("LoadState", "ActiveState", "ExecMainStartTimestampMonotonic")
_SHOW_S = 30
_RESTART_S = 120
_SETTLE_S = 1.0
_LAST_LINES = 5


@dataclass(frozen=True)
class Service:
    """A unit of systemd as it is."""

    unit: str
    loaded: bool
    active: bool
    started_s: float
    """Seconds after the boot at which its main process began; 0 when it has none."""

    @classmethod
    def from_show(cls, unit: str, text: str) -> Service:
        """From the output of C(systemctl show)."""
        found = Shown.parse(text)
        return cls(unit, found.there, found.active, int(found["ExecMainStartTimestampMonotonic"] or 0) / 1e6)

    @classmethod
    def shown(cls, unit: str) -> Service:
        """As systemd has it now."""
        done = run(["systemctl", "show", f"--property={','.join(_SHOWN)}", "--", unit], timeout_s=_SHOW_S)
        return cls.from_show(unit, done.stdout)


def work(context: Context) -> Plan:
    """At most one effect: restart. Raises NotFound(SERVICE_MISSING)."""
    params = context.params
    service = Service.shown(params["unit"])
    if not service.loaded and not context.check:
        raise NotFound(
            "SERVICE_MISSING", params["unit"], "systemd does not know it.", "Install it, or name the unit that is here."
        )
    later = newer(service, params["files"], booted_s())
    result = {"unit": service.unit, "active": service.active, "newer": later, "due": bool(later)}
    if not later:
        return Plan(result=result)
    if not params["consent"]:
        context.warn(f"{service.unit} runs with older settings than {', '.join(later)} has: restart it when it suits.")
        return Plan(result=result)
    effect = Effect("restart", f"restart {service.unit}", lambda: _restart(context, service))
    return Plan((effect,), result)


def booted_s() -> float:
    """Unix time of the boot."""
    return time.time() - time.clock_gettime(time.CLOCK_MONOTONIC)


def newer(service: Service, files: Sequence[str], boot_s: float) -> list[str]:
    """Those of *files* that changed after a running service was started; *boot_s* is the Unix time of the boot.

    By the time of the last change of any kind: a file that was moved there has an old time of writing.
    """
    if not service.active:
        return []
    return [path for path in files if os.path.exists(path) and os.stat(path).st_ctime > boot_s + service.started_s]


def _restart(context: Context, before: Service) -> Mapping[str, Any]:
    """Raises MobilityError(SERVICE_FAILED) with its last words when it does not stay up."""
    try:
        run(["systemctl", "restart", "--", before.unit], timeout_s=_RESTART_S)
    except CommandFailed as error:
        raise _failed(before.unit, " ".join(error.message.split())) from None
    context.sleep(_SETTLE_S)
    if not Service.shown(before.unit).active:
        raise _failed(before.unit, "it ended again at once.")
    return {"active": True, "due": False}


def _failed(unit: str, message: str) -> MobilityError:
    return MobilityError(
        "SERVICE_FAILED",
        unit,
        f"does not come up with its new settings: {message}{last_words(unit)}",
        "Mend what it names; backup=true on the task that edited the file keeps the old one.",
    )


def last_words(unit: str) -> str:
    """What a unit said last, to be put behind a message; empty when it said nothing.

    Its main process is asked for by number too: to what one says that ends at once, the journal ascribes no unit.
    """
    shown = run(["systemctl", "show", "--property=ExecMainPID", "--value", "--", unit], timeout_s=_SHOW_S)
    main = shown.stdout.strip()
    argv = ["journalctl", "--no-pager", "--boot", "--output=cat", f"--lines={_LAST_LINES}"]
    said = [f"_SYSTEMD_UNIT={unit}", "+", f"UNIT={unit}", *(["+", f"_PID={main}"] if int(main or 0) else [])]
    lines = run([*argv, *said], timeout_s=_SHOW_S, accept=range(256)).stdout.splitlines()
    return f" Its last words: {' / '.join(lines)}" if lines else ""
