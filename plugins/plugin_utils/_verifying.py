# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether Ansible's connection to a host verifies its host key.

What is read or proven over a connection that believes whatever answers is worth nothing. ansible-runner and AWX switch
host key checking off unless they are told otherwise, so this is looked at where it counts: in the connection itself.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from typing import Any

from ansible.plugins.connection import ConnectionBase

from ansible_collections.kvmops.mobility.plugins.module_utils._command import Completed, run
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError, Refused
from ansible_collections.kvmops.mobility.plugins.plugin_utils._step import StepAction

_STRICT = frozenset({"yes", "true"})
_TIMEOUT_S = 20
_REFUSAL_CODE = 255


@dataclass(frozen=True)
class Route:
    """How Ansible's ssh reaches a host: its program, options and target."""

    program: str
    options: tuple[str, ...]
    host: str
    port: int | None
    user: str

    def argv(self, *before: str) -> list[str]:
        """The command line up to the host; *before* wins over what follows, as ssh takes the first value it sees."""
        port = ["-p", str(self.port)] if self.port else []
        user = ["-l", self.user] if self.user else []
        return [self.program, *before, *self.options, *port, *user]

    def settings(self) -> dict[str, list[str]]:
        """What ssh itself makes of all its files and options (C(ssh -G)). Raises CommandFailed."""
        listing = run([*self.argv(), "-G", self.host], timeout_s=_TIMEOUT_S).stdout
        return parse_settings(listing)


def parse_settings(listing: str) -> dict[str, list[str]]:
    """The words of each setting in the output of C(ssh -G)."""
    lines = (line.split() for line in listing.splitlines())
    return {words[0].lower(): words[1:] for words in lines if words}


_NOWHERE = ("/dev/null", "none")


@dataclass(frozen=True)
class Lookup:
    """What the controller's ssh looks a host up by."""

    names: tuple[str, ...]
    port: int
    """22 for a name that stands without a port in known_hosts."""
    files: tuple[str, ...]
    """Its known_hosts files, in the order in which ssh reads them; it writes to the first."""

    def as_result(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"names": list(self.names), "port": self.port, "known_hosts_files": list(self.files)}


def lookup(path: Route) -> Lookup:
    """From ssh's own settings. Raises CommandFailed."""
    settings = path.settings()
    alias = settings.get("hostkeyalias")
    named = [*settings.get("userknownhostsfile", ()), *settings.get("globalknownhostsfile", ())]
    return Lookup(
        names=tuple((alias or settings.get("hostname") or [path.host])[:1]),
        port=22 if alias else int(settings.get("port", ["22"])[0]),
        files=tuple(os.path.expanduser(one) for one in named if one not in _NOWHERE),
    )


def route(connection: ConnectionBase) -> Route:
    """The route of a connection of the plugin ssh."""
    options: list[str] = []
    for name in ("ssh_args", "ssh_common_args", "ssh_extra_args"):
        options += shlex.split(str(connection.get_option(name) or ""))
    port = connection.get_option("port")
    return Route(
        program=str(connection.get_option("ssh_executable") or "ssh"),
        options=tuple(options),
        host=str(connection.get_option("host")),
        port=int(port) if port else None,
        user=str(connection.get_option("remote_user") or ""),
    )


def require(connection: ConnectionBase, where: str) -> None:
    """Raises Refused: CONTROLLER_NOT_VERIFYING when the connection would believe any host key; HOST_KEY_UNKNOWN."""
    if require_setting(connection, where):
        _known_already(route(connection), where)


def require_setting(connection: ConnectionBase, where: str) -> bool:
    """Raises Refused(CONTROLLER_NOT_VERIFYING); returns whether ssh would ask a person about an unknown key."""
    kind = str(connection.transport).rpartition(".")[2]
    if kind == "local":
        return False
    if kind != "ssh":
        raise _refused(where, f"the connection plugin {kind}", "Use the connection plugin ssh.")
    if not connection.get_option("host_key_checking"):
        raise _refused(
            where,
            "host_key_checking = false, which ansible-runner and AWX set by themselves",
            "Set ANSIBLE_HOST_KEY_CHECKING=true in the environment of the run (in AWX: Settings, Jobs, Extra "
            "environment variables), and give it a known_hosts file with the hosts' keys.",
        )
    settings = route(connection).settings()
    strict = " ".join(settings.get("stricthostkeychecking", ["?"]))
    if strict not in {*_STRICT, "ask"}:
        raise _refused(
            where,
            f"StrictHostKeyChecking={strict} of ssh (ssh_args, ssh_common_args, ssh_extra_args, or a file of ssh's)",
            "Set it to yes.",
        )
    return strict == "ask"


def _known_already(path: Route, where: str) -> None:
    """With C(ask), somebody may say yes to anything: only a key that needs no question counts.

    Nothing is offered to the other side but a user's name, and that only when its key is known.
    """
    done = probe(path)
    if done is not None and "Host key verification failed" in done.stderr:
        raise Refused(
            "HOST_KEY_UNKNOWN",
            where,
            "the controller does not know its host key, and would ask you to believe it.",
            f'Give -e \'{{"fingerprints": {{"{where}": "SHA256:..."}}}}\' with what ssh-keygen -lf says '
            "on its console.",
        )


def probe(path: Route, *options: str) -> Completed | None:
    """A strict connection that ends at the login, for its host key alone; None when ssh did not end in time."""
    strict = ["-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes", "-o", "PreferredAuthentications=none"]
    alone = ["-o", "ControlMaster=no", "-o", "ControlPath=none", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"]
    argv = [*path.argv(*options, *strict, *alone, "-o", "ConnectTimeout=10"), path.host, "true"]
    try:
        return run(argv, timeout_s=_TIMEOUT_S, accept=(0, _REFUSAL_CODE))
    except MobilityError:
        return None


def _refused(where: str, what: str, remedy: str) -> Refused:
    return Refused(
        "CONTROLLER_NOT_VERIFYING",
        where,
        f"Ansible's connection to it would believe any host key: {what}. What it says of itself proves nothing.",
        remedy,
    )


class VerifiedAction(StepAction):
    """A step that runs only over a connection that verifies the host."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The module's result, or the refusal."""
        variables = task_vars or {}
        where = str(self._task.delegate_to or variables.get("inventory_hostname", "localhost"))
        try:
            require(self._connection, where)
        except MobilityError as error:
            return {"failed": True, "changed": False, **error.as_result()}
        result = super().run(tmp, variables)
        return {**result, "controller": self._lookup()}

    def _lookup(self) -> dict[str, Any] | None:
        """How this controller knows the host; None where it is the controller itself."""
        local = str(self._connection.transport).rpartition(".")[2] == "local"
        return None if local else lookup(route(self._connection)).as_result()
