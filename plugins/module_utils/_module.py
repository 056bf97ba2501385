# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one frame of all modules, and the only place in module_utils that knows AnsibleModule.

A module gives its argument spec and one function C(work(context) -> Plan). The frame builds the module, opens
libvirt, computes the plan, and in check mode returns it; otherwise it applies effect after effect, with a journal
line before and after each when the call belongs to a migration. Errors of our family become C(fail_json).

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, NoReturn

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible.module_utils.common.arg_spec import ModuleArgumentSpecValidator
from ansible.module_utils.errors import UnsupportedError

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError, Refused, TimedOut
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.connection import connect
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.hypervisor import Hypervisor
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.library import LIBVIRT_IMP_ERR
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import journal, lock
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.authority import Authority, authority
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Event, Phase, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal_file import Journal
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.store import STATE_DIRECTORY, Store
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.validity import VALID_S
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect, Plan
from ansible_collections.kvmops.mobility.plugins.module_utils._unit.process import myself

_OTHERS_S = 90
_OWN_S = 2
"""How long the end of long work waits for a call that may be at that work, before it goes on beside it."""


@dataclass(frozen=True)
class Spec:
    """What a module takes and needs."""

    options: Mapping[str, Any]
    libvirt: bool = True
    """Opens libvirt and adds the option uri."""
    step: Step | None = None
    """The step of a flow this module is; adds the options migration and phase, and the journal."""
    step_optional: bool = False
    """The module also works by itself, without a migration."""
    tells_journal: bool = False
    """Its result has the journal as it is after the step, so that a receipt need not ask for it."""
    peer: bool = False
    """It logs in on the other hypervisor of the migration; adds user, port and the files for it."""
    required_if: tuple[Any, ...] = ()
    required_one_of: tuple[Any, ...] = ()
    mutually_exclusive: tuple[Any, ...] = ()
    required_together: tuple[Any, ...] = ()


class Call(NamedTuple):
    """A module: what it takes, and what it does with that."""

    spec: Spec
    work: Callable[[Context], Plan]


def _argument_spec(spec: Spec) -> dict[str, Any]:
    options: dict[str, Any] = {
        **spec.options,
        "state_directory": {"type": "path", "default": STATE_DIRECTORY},
        "deadline_s": {"type": "int", "default": 0},
    }
    if spec.peer:
        options.update(_PEER)
    if spec.libvirt:
        options["uri"] = {"type": "str", "default": "qemu:///system"}
    if spec.step is not None:
        options["migration"] = {"type": "str", "required": not spec.step_optional}
        options["phase"] = {"type": "str", "choices": [one.value for one in Phase], "default": Phase.MOVE.value}
        options["run"] = {"type": "str", "default": ""}
        options["not_after"] = {"type": "float", "default": 0.0}
    return options


_PEER: Mapping[str, Any] = {
    "user": {"type": "str", "default": "kvmops"},
    "port": {"type": "int", "default": 22},
    "identity_file": {"type": "path"},
    "known_hosts_file": {"type": "path"},
}


def run(spec: Spec, work: Callable[[Context], Plan]) -> NoReturn:
    """Run a module from its parameters to its result."""
    module = AnsibleModule(argument_spec=_argument_spec(spec), supports_check_mode=True, **_rules(spec))
    _answer(module, Call(spec, work), module.params)


def run_named(names: Sequence[str], find: Callable[[str], Call]) -> NoReturn:
    """Run the one of several modules that is named, with the arguments that are given for it."""
    options = {
        "module": {"type": "str", "required": True, "choices": list(names)},
        "arguments": {"type": "dict", "default": {}},
    }
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    call = find(module.params["module"])
    checked = ModuleArgumentSpecValidator(_argument_spec(call.spec), **_rules(call.spec))
    found = checked.validate(module.params["arguments"])
    for error in found.errors.errors:
        unknown = "Unsupported parameters: " if isinstance(error, UnsupportedError) else ""
        module.fail_json(msg=f"{module.params['module']}: {unknown}{error.msg}")
    _answer(module, call, found.validated_parameters)


def _rules(spec: Spec) -> dict[str, Any]:
    return {
        "required_if": list(spec.required_if),
        "required_one_of": list(spec.required_one_of),
        "mutually_exclusive": list(spec.mutually_exclusive),
        "required_together": list(spec.required_together),
    }


def _answer(module: AnsibleModule, call: Call, parameters: Mapping[str, Any]) -> NoReturn:
    """Do what is asked, and end with its result or with what went wrong."""
    if call.spec.libvirt and LIBVIRT_IMP_ERR is not None:
        module.fail_json(
            msg=missing_required_lib("libvirt-python"), code="LIBVIRT_PYTHON_MISSING", exception=LIBVIRT_IMP_ERR
        )
    os.umask(0o077)
    done: list[dict[str, Any]] = []
    try:
        with _deadline(parameters["deadline_s"]), _opened(call.spec, parameters) as hypervisor:
            result = _carry_out(call, _context(module, parameters, hypervisor), module._diff, done)
    except MobilityError as error:
        module.fail_json(**error.as_result(), steps=done)
    except OSError as error:
        module.fail_json(**_explained(error).as_result(), steps=done)
    module.exit_json(**result)
    raise SystemExit  # exit_json does not return; this is for the type checker


def _explained(error: OSError) -> MobilityError:
    """A full, read-only or forbidden file system, in our words."""
    return MobilityError(
        "FILE_SYSTEM_FAILED",
        str(error.filename or "file system"),
        f"{error.strerror or error}.",
        "Mend it on this hypervisor, then run it again; what was begun is in the journal.",
    )


@contextmanager
def _opened(spec: Spec, parameters: Mapping[str, Any]) -> Iterator[Hypervisor | None]:
    if not spec.libvirt:
        yield None
        return
    with connect(parameters["uri"]) as connection:
        yield Hypervisor(connection)


@contextmanager
def _deadline(seconds: int) -> Iterator[None]:
    """Bound the whole call; what had begun is in the journal and will be undone or resumed."""
    if seconds <= 0:
        yield
        return

    def expire(_signal: int, _frame: object) -> NoReturn:
        raise TimedOut(
            "DEADLINE",
            "this step",
            f"did not end within {seconds} s.",
            "Look at the hypervisor's load and storage, then run it again with a longer deadline_s if it needs one.",
        )

    previous = signal.signal(signal.SIGALRM, expire)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def _carry_out(call: Call, context: Context, diff: bool, done: list[dict[str, Any]]) -> dict[str, Any]:
    owner = _authority(call.spec, context)
    context = replace(context, beginning=_beginning(call.spec, context, owner))
    if owner is not None and not context.check:
        owner.beat()
    with _alone(call.spec, context):
        plan = call.work(context)
        result: dict[str, Any] = {**plan.result, "changed": bool(plan.effects)}
        if diff:
            result["diff"] = {"before": plan.before, "after": plan.after}
        if context.check:
            result["steps"] = [{"name": one.name, "does": one.describe} for one in plan.effects]
        else:
            _apply(plan, _book(call.spec, context, owner, plan), context, result, done)
            result["steps"] = done
            if call.spec.tells_journal:
                entries = journal.read(context.store, context.params["migration"])
                result["journal"] = [one.as_result() for one in entries]
        if owner is not None:
            result["valid_until"] = context.clock() + VALID_S
    return result


def _authority(spec: Spec, context: Context) -> Authority | None:
    """What a call shows of itself when it is a step of a migration."""
    if spec.step is None or not context.params["migration"]:
        return None
    params = context.params
    return authority(context.store, params["migration"], spec.step, params["run"], context.clock, params["not_after"])


def _shared(spec: Spec) -> bool:
    """Long work that goes on in a unit: another step may have to end it, and does not wait for it."""
    return spec.step in (Step.PRESYNC, Step.COPY, Step.DIGEST)


@contextmanager
def _alone(spec: Spec, context: Context) -> Iterator[None]:
    """One step of a migration at a time on this hypervisor, from its plan to its end.

    A controller that lost its connection takes back what a step did while that step may still be at work here: it
    waits until that has ended, and plans from what it left. A copy is not waited for, it is ended (by its unit);
    so is the counting of digests. What ends single steps does not wait for long either: the call that it ends may be
    one that sends files for an hour. Who takes the lock away does not wait at all: a step that is at work is refused
    at its next effect, and what comes after waits for its end.
    """
    beside = spec.step in (None, Step.LOCK) or _shared(spec)
    if beside or context.check or not context.params["migration"]:
        yield
        return
    directory = context.store.migration(context.params["migration"])
    if spec.step is not Step.CLAIM and not directory.is_dir():
        yield
        return
    context.store.make(directory)
    with _exclusive(context, _OWN_S if context.params.get("only") else _OTHERS_S, bool(context.params.get("only"))):
        yield


@contextmanager
def _exclusive(context: Context, timeout_s: float, beside: bool = False) -> Iterator[None]:
    """Hold the lock of the migration's steps; *beside*: go on without it after *timeout_s*. Raises Refused(BUSY)."""
    directory = context.store.migration(context.params["migration"])
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(*((Refused,) if beside else ())):
            lock.wait_for(descriptor, timeout_s, context.monotonic, context.sleep, lambda: _still_at_work(context))
        yield
    finally:
        os.close(descriptor)


def _still_at_work(context: Context) -> Refused:
    return Refused(
        "BUSY",
        context.params["migration"],
        f"another step of this migration is still at work here after {_OTHERS_S} s.",
        "Wait until it has ended, or look at it with kvmops.mobility.status.",
    )


def _beginning(
    spec: Spec, context: Context, owner: Authority | None
) -> Callable[[], contextlib.AbstractContextManager[None]]:
    """What long work of its own is begun in: between the look at the lock and the begin nobody else comes."""
    if owner is None or not _shared(spec):
        return contextlib.nullcontext

    @contextmanager
    def begin() -> Iterator[None]:
        with _exclusive(context, _OTHERS_S):
            owner.check_effect(spec.step.value if spec.step else "")
            yield

    return begin


def _context(module: AnsibleModule, parameters: Mapping[str, Any], hypervisor: Hypervisor | None) -> Context:
    return Context(
        params=parameters,
        check=module.check_mode,
        warn=module.warn,
        clock=time.time,
        monotonic=time.monotonic,
        sleep=time.sleep,
        store=Store(parameters["state_directory"]),
        connected=hypervisor,
    )


@dataclass(frozen=True)
class _Book:
    """The journal of a step, and what the step shows before each line."""

    journal: Journal
    owner: Authority


def _book(spec: Spec, context: Context, owner: Authority | None, plan: Plan) -> _Book | None:
    """None for what leaves no line. Raises Refused: LOST_THE_LOCK, CALL_TOO_LATE."""
    if spec.step is None or owner is None:
        return None
    if not plan.untouched or plan.effects:
        owner.check_begin(journal.read(context.store, owner.migration))
    if plan.untouched:
        return None
    return _Book(Journal(context.store, owner.migration, context.phase, spec.step, context.clock), owner)


def _apply(
    plan: Plan, book: _Book | None, context: Context, result: dict[str, Any], done: list[dict[str, Any]]
) -> None:
    """Each effect between its two journal lines; the step's own lines around them all."""
    if book is None:
        for effect in plan.effects:
            result.update(_timed(effect, context, done))
        return
    write = book.journal.write
    names = [one.name for one in plan.effects]
    write(Event.BEGIN, result={"effects": names, "process": myself().as_result(), "run": book.owner.token})
    try:
        for effect in plan.effects:
            book.owner.check_effect(effect.name)
            write(Event.BEGIN, effect.name, effect.undo)
            made = _timed(effect, context, done)
            write(Event.END, effect.name, result=made)
            result.update(made)
    except MobilityError as error:
        write(Event.FAIL, result={"code": error.code, "message": str(error)})
        raise
    except OSError as error:
        # The journal may be on the very file system that failed: then the missing end says as much.
        with contextlib.suppress(OSError):
            write(Event.FAIL, result={"code": "FILE_SYSTEM_FAILED", "message": str(error)})
        raise
    write(Event.END, result={key: value for key, value in result.items() if key != "diff"})
    if plan.afterwards is not None:
        plan.afterwards()


def _timed(effect: Effect, context: Context, done: list[dict[str, Any]]) -> dict[str, Any]:
    began = context.monotonic()
    made = dict(effect.do() or {})
    done.append({"name": effect.name, "does": effect.describe, "seconds": round(context.monotonic() - began, 3)})
    return made
