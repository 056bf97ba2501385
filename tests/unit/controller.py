# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action plugins without a connection, and what the locate play leaves in the hypervisors' variables."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, TypeVar

from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play_context import PlayContext
from ansible.playbook.task import Task
from ansible.plugins.action import ActionBase
from ansible.template import Templar

_A = TypeVar("_A", bound=ActionBase)
_NOWHERE: Any = SimpleNamespace(_shell=SimpleNamespace(tmpdir="/nowhere"))
"""All that the base of the action plugins wants of a connection before it runs a module."""


def action(cls: type[_A], *, delegate_to: str | None = None, **arguments: Any) -> _A:
    """The action plugin of a task with these arguments."""
    loader = DataLoader()
    task = Task()
    task.action = "kvmops.mobility.a_module"
    task.args = arguments
    task.delegate_to = delegate_to
    return cls(task, _NOWHERE, PlayContext(), loader, Templar(loader=loader), None)


def over_the_wire(data: Any) -> Any:
    return json.loads(json.dumps(data))


def variables(hosts: dict[str, dict[str, Any]], **more: Any) -> dict[str, Any]:
    """Task variables of the controller, where *hosts* are the hypervisors with what was registered there."""
    return {"groups": {"hypervisors": list(hosts)}, "hostvars": over_the_wire(hosts), **more}
