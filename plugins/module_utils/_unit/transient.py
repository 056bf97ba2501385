# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Long work as a transient systemd unit: it outlives the module and the controller, and can be found again by name.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import base64
import enum
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.kvmops.mobility.plugins.module_utils._command import Completed, failed, run
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import CommandFailed, TimedOut
from ansible_collections.kvmops.mobility.plugins.module_utils._file.own import text_of
from ansible_collections.kvmops.mobility.plugins.module_utils._unit.shown import Shown

_QUICK_S = 30
_POLL_S = 0.1
_PROPERTIES = "LoadState,ActiveState,SubState,ExecMainStatus"


class Phase(enum.Enum):
    """Where a unit stands."""

    ABSENT = "absent"
    RUNNING = "running"
    ENDED = "ended"


@dataclass(frozen=True)
class Unit:
    """One piece of long work. *directory* takes what it prints, in NAME.out and NAME.err."""

    name: str
    """Without the suffix .service."""
    directory: str

    @property
    def output(self) -> Path:
        """What the work printed."""
        return Path(self.directory) / f"{self.name}.out"

    @property
    def errors(self) -> Path:
        """What it printed on standard error."""
        return Path(self.directory) / f"{self.name}.err"


def name_of(migration_id: str, step: str) -> str:
    """The unit of a migration's step."""
    return f"kvmops-{migration_id}-{step}"


def phase(name: str) -> Phase:
    """Where the unit *name* stands now."""
    return _read(name)[0]


def _read(name: str) -> tuple[Phase, int]:
    shown = run(("systemctl", "show", f"{name}.service", f"--property={_PROPERTIES}"), timeout_s=_QUICK_S).stdout
    found = Shown.parse(shown)
    if found["LoadState"] != "loaded":
        return Phase.ABSENT, 0
    code = int(found["ExecMainStatus"] or 0)
    going = found["ActiveState"] in ("activating", "deactivating", "reloading")
    if going or (found["ActiveState"] == "active" and found["SubState"] != "exited"):
        return Phase.RUNNING, code
    return Phase.ENDED, code


def carry_out(
    unit: Unit,
    argv: Sequence[str],
    timeout_s: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    beginning: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Completed:
    """Start *argv* as *unit*, or attach to the one that runs or has ended, and wait for its end.

    It is started within C(beginning()), which may refuse that.
    Raises CommandFailed(COMMAND_FAILED) as C(run()) does, TimedOut(COMMAND_TIMED_OUT) while it goes on.
    """
    with beginning():
        begin(unit, argv)
    began = clock()
    while True:
        now, code = _read(unit.name)
        if now is not Phase.RUNNING:
            break
        if clock() - began >= timeout_s:
            raise TimedOut(
                "COMMAND_TIMED_OUT",
                unit.name,
                f"goes on after {timeout_s:g} s: {' '.join(argv)}.",
                f"Wait for it, or end it: systemctl stop {unit.name}.",
            )
        sleep(_POLL_S)
    if now is Phase.ABSENT:
        raise CommandFailed(
            "COMMAND_FAILED",
            unit.name,
            "was ended by somebody else before its work was done.",
            "See kvmops.mobility.status.",
            returncode=-1,
        )
    done = Completed(tuple(argv), code, text_of(unit.output), text_of(unit.errors))
    forget(unit.name)
    if done.code:
        raise failed(done)
    return done


def begin(unit: Unit, argv: Sequence[str]) -> None:
    """Start *argv* as *unit*, unless it is there."""
    if phase(unit.name) is Phase.ABSENT:
        _start(unit, argv, ["RemainAfterExit=yes"])  # else its exit code would be forgotten with it


def _start(unit: Unit, argv: Sequence[str], properties: Sequence[str]) -> None:
    always = (
        "Type=exec",
        f"StandardOutput=truncate:{unit.output}",
        f"StandardError=truncate:{unit.errors}",
        "UMask=0077",
    )
    options = [f"--property={one}" for one in (*always, *properties)]
    words = [one.replace("$", "$$") for one in argv]  # systemd expands variables in a command, also of our paths
    command = ("systemd-run", "--quiet", f"--unit={unit.name}", "--setenv=LC_ALL=C", *options, "--", *words)
    run(command, timeout_s=_QUICK_S)


def start_service(unit: Unit, argv: Sequence[str], properties: Sequence[str] = (), program: str = "") -> None:
    """Start *argv* as a unit that works until it is stopped, with the text of a *program* as its standard input.

    It runs as root unless *properties* say otherwise, and is never started again by systemd: whoever relied on it has
    to learn that it went away. Raises CommandFailed(COMMAND_FAILED) when it cannot be started.
    """
    read = [f"StandardInputData={base64.b64encode(program.encode()).decode()}"] if program else []
    _start(unit, argv, ["TimeoutStopSec=5", *properties, *read])


def words(unit: Unit) -> str:
    """What the unit said on standard error, its last kibibyte."""
    return text_of(unit.errors).strip()[-1024:]


def forget(name: str) -> bool:
    """End the unit when it runs, and let systemd forget it; whether there was one."""
    if phase(name) is Phase.ABSENT:
        return False
    run(("systemctl", "stop", f"{name}.service"), timeout_s=_QUICK_S, accept=(0, 5))
    run(("systemctl", "reset-failed", f"{name}.service"), timeout_s=_QUICK_S, accept=(0, 1))
    return True
