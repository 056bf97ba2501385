# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A systemd for what starts units and looks at them: it remembers, and does what the test says where one would run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ansible_collections.kvmops.mobility.plugins.module_utils._command import Completed

_SHOWN = "LoadState=loaded\nActiveState={}\nSubState={}\nExecMainStatus={}\n"
RUNNING = _SHOWN.format("active", "running", 0)
FAILED = _SHOWN.format("failed", "failed", 255)
ABSENT = "LoadState=not-found\n"


def _nothing(_name: str) -> None:
    """What most units do."""


class Units:
    """Stands where C(run) is in C(_unit/transient.py)."""

    def __init__(self) -> None:
        self.shown: dict[str, str] = {}
        """By name, what systemctl shows."""
        self.started: dict[str, Sequence[str]] = {}
        """By name, the whole argument vector of systemd-run."""
        self.calls: list[tuple[str, str]] = []
        """What was done to which unit, in order."""
        self.on_start: Callable[[str], object] = _nothing
        self.on_stop: Callable[[str], object] = _nothing
        self.starts_as = RUNNING

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        accept: Sequence[int] = (0,),
        environment: Mapping[str, str] | None = None,
    ) -> Completed:
        """As C(_command.run())."""
        assert timeout_s > 0
        assert environment is None
        if argv[0] == "systemd-run":
            name = next(one for one in argv if one.startswith("--unit=")).partition("=")[2]
            assert name not in self.shown, "systemd refuses a name that it knows"
            self.calls.append(("start", name))
            self.started[name] = argv
            self.shown[name] = self.starts_as
            self.on_start(name)
            return Completed(tuple(argv), 0, "", "")
        assert argv[0] == "systemctl"
        verb, name = argv[1], next(one for one in argv if one.endswith(".service"))[: -len(".service")]
        if verb == "show":
            return Completed(tuple(argv), 0, self.shown.get(name, ABSENT), "")
        self.calls.append((" ".join(argv[1:-1]), name))
        if verb == "stop":
            known = self.shown.pop(name, None)
            if known == RUNNING:
                self.on_stop(name)
            assert known or 5 in accept, "systemctl ends with 5 where there is none"
        return Completed(tuple(argv), 0, "", "")

    def properties(self, name: str) -> set[str]:
        """Those that a unit was started with."""
        return {one.partition("=")[2] for one in self.started[name] if one.startswith("--property=")}

    def command(self, name: str) -> tuple[str, ...]:
        """What a unit was started to run."""
        argv = self.started[name]
        return tuple(argv[argv.index("--") + 1 :])
