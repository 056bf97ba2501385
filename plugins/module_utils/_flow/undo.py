# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Step undo: takes back, last first, every effect the journal says was begun here.

Each kind of undo looks before it acts, so that an effect that was announced and never happened, or was taken back
already, is no error.

PRIVATE to the collection kvmops.mobility.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Callable

from ansible_collections.kvmops.mobility.plugins.module_utils._disk import directory
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import MobilityError, Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._flow import live, mirror, prepare, stored
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.power import Stopper
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import journal, lock, record, reverting
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import CLOSE, Entry, Event, Phase, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.starting import may_have_run
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.state import Status
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect, Plan
from ansible_collections.kvmops.mobility.plugins.module_utils._unit import transient

_LINGER_S = 5
"""A guest that was asked to shut down, and whose stop was given up, may still act on it a moment later."""
_POLL_S = 0.1
_UNLOCK = "unlock"


def plan(context: Context) -> Plan:
    """One effect for each that is to be taken back, then one that closes the book."""
    entries = journal.read(context.store, context.params["migration"])
    _check_legal(context, entries)
    _check_not_started(context, entries)
    if not entries:
        return Plan(result={"undone": []}, untouched=True)
    _check_not_arrived(context, entries)
    only = context.params["only"]
    everything = journal.pending_undo(entries, context.phase)
    pending = tuple(one for one in everything if not only or one.step.value in only)
    locks = tuple(one for one in pending if one.undo and one.undo["kind"] == _UNLOCK)
    effects = tuple(_effect(context, one) for one in pending if one not in locks)
    if not only:
        effects = (*effects, *_power_on(context, entries, pending))
    if not only and (effects or locks or _open(context, entries)):
        effects = (*effects, _close(context))
    # The lock is the last that goes: until the book is closed nobody else may begin.
    effects = (*effects, *(_effect(context, one) for one in locks))
    return Plan(effects, result={"undone": [one.effect for one in pending]}, untouched=not effects)


def _check_legal(context: Context, entries: tuple[Entry, ...]) -> None:
    """A move that was taken over is reverted, never undone: the guest lives on the destination since, and writes there.
    A revert that brought its data back is not undone either, once the source has taken it over.

    The destination knows it from the end of the take-over, the source from the receipt it was given.
    """
    if context.phase is Phase.REVERT and reverting.taken(entries):
        raise Refused(
            "ILLEGAL_MOVE",
            context.params["migration"],
            "has brought the guest back: it lives on the source, and what it wrote there since would be lost.",
            "Finish it: the same revert again, or recover.",
        )
    if context.phase is not Phase.MOVE:
        return
    ends = [e for e in entries if e.phase is Phase.MOVE and e.event is Event.END and not e.effect]
    arrived = any(e.step in (Step.ARRIVE, Step.DEPART) for e in ends)
    released = [e.result.get("status") for e in ends if e.step is Step.RELEASE]
    if arrived or Status.COMPLETED.value in released:
        raise Refused(
            "ILLEGAL_MOVE",
            context.params["migration"],
            "has brought the guest to the destination, where it runs since.",
            "Move it back with another live migration.",
        )
    taken = any(e.step is Step.TAKE_OVER for e in ends)
    if taken or Status.FINISHED.value in released:
        raise Refused(
            "ILLEGAL_MOVE",
            context.params["migration"],
            "is finished: the guest lives on the destination, and what it wrote there would be lost.",
            "Use kvmops.mobility.revert, which asks what happens to that.",
        )


def _check_not_started(context: Context, entries: tuple[Entry, ...]) -> None:
    """A take-over that was killed behind the guest's start did not end, and the guest may write there since."""
    concerned = not context.params["only"] or Step.TAKE_OVER.value in context.params["only"]
    if concerned and not context.params["despite_start"] and may_have_run(entries, context.phase):
        raise Refused(
            "GUEST_MAY_HAVE_RUN",
            context.params["migration"],
            "has started the guest here, or was about to: what it wrote since would be lost.",
            "Run kvmops.mobility.recover: it carries the move or revert through.",
        )


def _check_not_arrived(context: Context, entries: tuple[Entry, ...]) -> None:
    """A live migration's guest may run on the destination before any step has said so: only libvirt knows.

    Raises MobilityError(GUEST_RUNS_HERE) after a while, for the destination's libvirt gives up a moment later.
    """
    kept = record.read(context.store, context.params["migration"])
    if kept is None or kept.migration.live is None or kept.role != "destination":
        return
    if not _closed(entries, context.phase):
        prepare.wait_until_gone(context, kept.migration.uuid)


def _power_on(context: Context, entries: tuple[Entry, ...], pending: tuple[Entry, ...]) -> tuple[Effect, ...]:
    """A guest that ran, and went off without us while its autostart was off (its host lost power), would stay off."""
    step = _autostart_missed(context, entries)
    if step is None or any(one.undo and one.undo["kind"] == "start" for one in pending):
        return ()
    kept = record.read(context.store, context.params["migration"])
    losing = "source" if context.phase is Phase.MOVE else "destination"
    if kept is None or kept.role != losing or not kept.migration.was_running or _closed(entries, context.phase):
        return ()
    domain = context.hypervisor.find(kept.migration.uuid)
    if domain is None or not domain.is_off():
        return ()

    def start() -> Mapping[str, Any]:
        _start(context, {"uuid": kept.migration.uuid})
        return {"step": step.value}

    return (Effect("start", f"start {kept.migration.name}, which ran before", start),)


def _autostart_missed(context: Context, entries: tuple[Entry, ...]) -> Step | None:
    """The step in which it may have gone off so: between the hand-over's begin and its stop, or on its way live.

    A live migration ends without us, so that only who has seen to the destination may say that it can be started here.
    """
    mine = [one for one in entries if one.phase is context.phase]
    if any((one.step, one.event) == (Step.HAND_OVER, Event.BEGIN) for one in mine):
        return Step.HAND_OVER
    live_off = [one.undo for one in mine if one.step is Step.LIVE and one.undo]
    return Step.LIVE if context.params["power_on"] and any(map(stored.booted_since, live_off)) else None


def _close(context: Context) -> Effect:
    """What was undone needs its definitions, which may hold passwords, no more; a revert that was undone does."""

    def close() -> Mapping[str, Any]:
        if context.phase is Phase.MOVE:
            record.forget_definitions(context.store, context.params["migration"])
        return {"step": Step.UNDO.value}

    return Effect(CLOSE, "close the book of this migration", close)


def _open(context: Context, entries: tuple[Entry, ...]) -> bool:
    """Whether this hypervisor took part and its book was not closed by an undo."""
    return any(e.phase is context.phase for e in entries) and not _closed(entries, context.phase)


def _closed(entries: tuple[Entry, ...], phase: Phase) -> bool:
    return any((e.phase, e.step, e.event, e.effect) == (phase, Step.UNDO, Event.END, CLOSE) for e in entries)


def _effect(context: Context, entry: Entry) -> Effect:
    how = dict(entry.undo or {})
    kind = str(how.pop("kind"))

    def undo() -> Mapping[str, Any]:
        _KINDS[kind](context, how)
        return {"step": entry.step.value}

    details = ", ".join(f"{key} {value}" for key, value in sorted(how.items()))
    return Effect(entry.effect, f"take {entry.step.value} {entry.effect} back: {kind} {details}", undo)


def _rename(_context: Context, how: Mapping[str, Any]) -> None:
    directory.rename(how["from"], how["to"])


def _remove(context: Context, how: Mapping[str, Any]) -> None:
    if context.params["migration"] not in os.path.basename(how["path"]):
        raise Refused(
            "PATH_NOT_OURS", how["path"], "does not carry this migration's id.", "It is not removed; look what it is."
        )
    directory.remove(how["path"])


def _rmdir(_context: Context, how: Mapping[str, Any]) -> None:
    directory.remove_room(how["path"])


def _make_room(_context: Context, how: Mapping[str, Any]) -> None:
    directory.make_room(how["path"])


def _start(context: Context, how: Mapping[str, Any]) -> None:
    domain = context.hypervisor.domain(how["uuid"])
    began = context.monotonic()
    while not domain.is_off():
        if context.monotonic() - began >= _LINGER_S:
            return
        context.sleep(_POLL_S)
    domain.start()


def _destroy(context: Context, how: Mapping[str, Any]) -> None:
    domain = context.hypervisor.find(how["uuid"])
    if domain is not None:
        Stopper(domain, context.monotonic, context.sleep).force()


def _undefine(context: Context, how: Mapping[str, Any]) -> None:
    domain = context.hypervisor.find(how["uuid"])
    if domain is None:
        return
    if not domain.is_off():
        raise MobilityError("GUEST_RUNS_HERE", domain.name, f"is {domain.state()}.", "It is not undefined.")
    domain.undefine(keep_nvram=False, keep_tpm=False, remove_managed_save=True, remove_metadata=True)


def _unlock(context: Context, how: Mapping[str, Any]) -> None:
    lock.release(context.store, how["uuid"], context.params["migration"], context.params["run"])


def _stop_unit(_context: Context, how: Mapping[str, Any]) -> None:
    transient.forget(how["name"])


_KINDS: Mapping[str, Callable[[Context, Mapping[str, Any]], None]] = {
    "rename": _rename,
    "remove": _remove,
    "rmdir": _rmdir,
    "make_room": _make_room,
    "start": _start,
    "destroy": _destroy,
    "undefine": _undefine,
    "autostart": stored.restore_autostart,
    _UNLOCK: _unlock,
    "stop_unit": _stop_unit,
    "end_mirror": mirror.end,
    "limit_writes": mirror.unthrottle,
    "end_live": live.end,
    "unplace": prepare.unplace,
    "unlink": prepare.unlink,
    "unmake_directory": prepare.unmake_directory,
}
