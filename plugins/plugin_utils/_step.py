# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The base of the action plugins: what a flow needs of every module that works on a hypervisor.

Neither C(rescue) nor C(always) runs when a delegated host is unreachable, so unreachable becomes an ordinary failure
with the code HOST_UNREACHABLE, or with what ssh has against the host's key; a call has a deadline; long work shows that
it lives.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, NoReturn

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.kvmops.mobility.plugins.module_utils._call.table import NAMES
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh import errors
from ansible_collections.kvmops.mobility.plugins.module_utils._ssh.known_hosts_file import stored_fingerprint

_STEP = "kvmops.mobility.migration_step"
_GRACE_S = 30
"""What the controller waits beyond the hypervisor's own deadline, for the answer to come back."""


_NOT_BELIEVED = ("HOST_KEY_", "CERTIFICATE_")
"""How the codes of a host begin that answered and was not believed."""
_VOUCH = (
    "Was it installed anew? Read a fingerprint on its console (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), "
    "then run: " + errors.REPAIR + ' -e \'{"fingerprints": {"%s": "SHA256:..."}}\' If not, somebody else answers there.'
)


class StepAction(ActionBase):
    """Runs the module of the same name on the hypervisor."""

    TRANSFERS_FILES = False
    DEADLINE_S: ClassVar[int] = 120
    """For calls that name none with deadline_s; 0 means none."""
    HEARTBEAT_S: ClassVar[float] = 15.0
    LABEL: ClassVar[str] = "working"
    """What it does, for the line that shows it lives."""
    OWNED: ClassVar[bool] = True
    """A step of a migration acts for the run that has the guest, and shows its token."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The module's result; unreachable and overdue as failures with a code."""
        variables = task_vars or {}
        result: dict[str, Any] = super().run(tmp, variables)
        arguments = {"deadline_s": self.DEADLINE_S, **self._run(variables), **self._task.args}
        where = str(self._task.delegate_to or variables.get("inventory_hostname", "localhost"))
        began = time.time()
        try:
            with self._heartbeat(where), self._alarm(int(arguments["deadline_s"])):
                result.update(self.carry_out(arguments, variables))
        except AnsibleConnectionFailure as error:
            result.update(self._unreachable(where, str(error)))
        except TimeoutError as error:
            result.update(self._unreachable(where, str(error)))
        return self._finished(result, where, began)

    def _run(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The token of this run, where the plan has given the guest one: no task can forget it."""
        owned = self.OWNED and self._task.args.get("migration") and "kvmops_run" in variables
        return {"run": str(variables["kvmops_run"])} if owned else {}

    def carry_out(self, arguments: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        """What the step is: its module, or the one that stands for all that a move calls."""
        name = self._task.action.rpartition(".")[2]
        if name not in NAMES:
            done: dict[str, Any] = self._execute_module(module_args=arguments, task_vars=variables)
            return done
        asked = {"module": name, "arguments": arguments}
        done = self._execute_module(module_name=_STEP, module_args=asked, task_vars=variables)
        if "invocation" in done:
            done["invocation"] = {"module_args": arguments}
        return done

    def _finished(self, result: dict[str, Any], where: str, began: float) -> dict[str, Any]:
        """Where and when it ran, and a code for what failed without one (a module that was killed)."""
        if result.pop("unreachable", False):
            result.update(self._unreachable(where, str(result.get("msg", ""))))
        if result.get("failed") and "code" not in result:
            result["code"] = "MODULE_FAILED"
            result["remedy"] = f"See the output of the task; look at {where}, then run kvmops.mobility.status."
        result["ran_on"] = where
        result["controller_clock"] = {"began": began, "ended": time.time()}
        return result

    def _unreachable(self, where: str, words: str) -> dict[str, Any]:
        """A host that did not answer, or one whose host key the controller's ssh did not believe."""
        failure = errors.parse_error(words, where)
        if failure is not None and failure.code.startswith(_NOT_BELIEVED):
            known = errors.with_stored(failure, stored_fingerprint)
            reason = f"{known.code}: {known.message}"
            return _failed(known.code, where, f"ssh from the controller: {known.message}", _VOUCH % where, reason)
        reason = " ".join(words.split())
        remedy = f"See whether {where} is up and ssh from the controller works, then run it again."
        return _failed("HOST_UNREACHABLE", where, f"did not answer: {reason}", remedy, reason)

    @contextmanager
    def _alarm(self, deadline_s: int) -> Iterator[None]:
        """The hypervisor keeps the deadline itself; this is for one that no longer answers.

        A task with a timeout of its own has Ansible's alarm already, and only one can be set.
        """
        if deadline_s <= 0 or self._task.timeout or threading.current_thread() is not threading.main_thread():
            yield
            return

        def expire(_signal: int, _frame: object) -> NoReturn:
            raise TimeoutError(f"no answer within {deadline_s + _GRACE_S} s")

        previous = signal.signal(signal.SIGALRM, expire)
        signal.alarm(deadline_s + _GRACE_S)
        try:
            yield
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, previous)

    @contextmanager
    def _heartbeat(self, where: str) -> Iterator[None]:
        """A line every HEARTBEAT_S seconds while the module runs, none for what is quicker."""
        over = threading.Event()
        began = time.monotonic()

        def beat() -> None:
            while not over.wait(self.HEARTBEAT_S):
                Display().display(f"{where}: still {self.LABEL} ({time.monotonic() - began:.0f} s)")

        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def _failed(code: str, where: str, message: str, remedy: str, reason: str) -> dict[str, Any]:
    msg = f"{code}: {where}: {message} {remedy}"
    return {"failed": True, "code": code, "subject": where, "remedy": remedy, "reason": reason, "msg": msg}


class ControllerAction(ActionBase):
    """Works on the controller alone: no module, no connection."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The result of C(work()), its refusals as failures with a code."""
        result: dict[str, Any] = super().run(tmp, task_vars or {})
        try:
            result.update(self.work(self._task.args, task_vars or {}))
        except MobilityError as error:
            result.update({"failed": True, **error.as_result()})
        return result

    def work(self, arguments: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        """What the action does."""
        raise NotImplementedError

    def show(self, lines: list[str]) -> None:
        """Show *lines* to the operator."""
        for line in lines:
            Display().display(line)
