# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The frame of all modules, run in this process with a module of a few lines."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.kvmops.mobility.plugins.module_utils import _module
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import journal, lock
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.authority import Authority
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Event, Phase, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal_file import Journal
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.store import Store
from ansible_collections.kvmops.mobility.plugins.module_utils._module import Spec, run
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Context, Effect, Plan
from ansible_collections.kvmops.mobility.plugins.module_utils._unit.process import myself
from ansible_collections.kvmops.mobility.plugins.modules import domain_info
from ansible_collections.kvmops.mobility.tests.unit.bed import RUN
from ansible_collections.kvmops.mobility.tests.unit.builders import UUID

Work = Callable[[Context], Plan]
Call = Callable[..., dict[str, Any]]
PLAIN = Spec(options={"name": {"type": "str"}}, libvirt=False)
STEP = Spec(options={}, libvirt=False, step=Step.HAND_OVER)
OPTIONAL = Spec(options={}, libvirt=False, step=Step.COPY, step_optional=True)
UNDO = Spec(options={"only": {"type": "list", "elements": "str", "default": []}}, libvirt=False, step=Step.UNDO)
MINE = lock.Lock(UUID, "id-1", "root@control", "resize web1", 1_700_000_000.0, RUN)
ANNS = replace(MINE, owner="ann@laptop", command="recover", since=1_700_000_060.0, token="6f6f")


@pytest.fixture
def call(store: Store, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run a module to its result; a step as the run that has the guest."""

    def call(spec: Spec, work: Work, **params: Any) -> dict[str, Any]:
        if "migration" in params and "_ansible_check_mode" not in params and "run" not in params:
            lock.take(store, MINE)
        shown = {"run": RUN} if spec.step is not None else {}
        arguments = {"state_directory": str(store.root), **shown, **params}
        with patch_module_args(arguments), pytest.raises(SystemExit) as ended:
            run(spec, work)
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert ended.value.code == (1 if result.get("failed") else 0)
        return result

    return call


class Deeds:
    """Effects that note that they were done."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def effect(self, name: str, made: Mapping[str, Any] | None = None, undo: Mapping[str, Any] | None = None) -> Effect:
        def do() -> Mapping[str, Any] | None:
            self.done.append(name)
            return made

        return Effect(name, f"do {name}", do, undo)

    def refusing(self, name: str, error: Exception) -> Effect:
        def do() -> None:
            self.done.append(name)
            raise error

        return Effect(name, f"do {name}", do)


REFUSAL = Refused("PATH_TAKEN", "/x", "is taken.", "Move it away.", more=[1])


def test_effects_are_done_in_order_and_told(call: Call) -> None:
    deeds = Deeds()
    plan = Plan((deeds.effect("one", {"a": 1}), deeds.effect("two", {"b": 2})), result={"where": "here"})
    found = call(PLAIN, lambda _context: plan)
    assert deeds.done == ["one", "two"]
    assert (found["changed"], found["a"], found["b"], found["where"]) == (True, 1, 2, "here")
    assert [(one["name"], one["does"]) for one in found["steps"]] == [("one", "do one"), ("two", "do two")]
    assert all(one["seconds"] >= 0 for one in found["steps"])


def test_a_plan_without_effects_is_no_change(call: Call) -> None:
    found = call(PLAIN, lambda context: Plan(result={"name": context.params["name"]}), name="web1")
    assert (found["changed"], found["name"], found["steps"]) == (False, "web1", [])


@pytest.mark.parametrize("spec", [PLAIN, STEP])
def test_check_mode_says_what_would_be_and_does_nothing(call: Call, store: Store, spec: Spec) -> None:
    deeds = Deeds()
    needed = {"migration": "id-1"} if spec is STEP else {}
    plan = Plan((deeds.effect("one"), deeds.effect("two")))
    found = call(spec, lambda _context: plan, _ansible_check_mode=True, **needed)
    assert deeds.done == []
    assert found["changed"] is True
    assert found["steps"] == [{"name": "one", "does": "do one"}, {"name": "two", "does": "do two"}]
    assert not store.root.exists()


@pytest.mark.parametrize("check", [True, False])
def test_a_diff_when_it_is_asked_for(call: Call, check: bool) -> None:
    plan = Plan((Deeds().effect("one"),), before={"size": 1}, after={"size": 2})
    found = call(PLAIN, lambda _context: plan, _ansible_diff=True, _ansible_check_mode=check)
    assert found["diff"] == {"before": {"size": 1}, "after": {"size": 2}}
    assert "diff" not in call(PLAIN, lambda _context: plan)


def lines(store: Store) -> list[tuple[Event, str]]:
    return [(one.event, one.effect) for one in journal.read(store, "id-1")]


def test_lines_around_each_effect_and_around_them_all(call: Call, store: Store) -> None:
    seen: dict[str, list[tuple[Event, str]]] = {}

    def effect(name: str) -> Effect:
        def do() -> dict[str, Any]:
            seen[name] = lines(store)
            return {name: True}

        return Effect(name, f"do {name}", do, {"kind": "rename", "from": name})

    call(STEP, lambda _context: Plan((effect("one"), effect("two")), result={"r": 1}), migration="id-1", phase="revert")
    assert seen["one"] == [(Event.BEGIN, ""), (Event.BEGIN, "one")]
    assert seen["two"] == [*seen["one"], (Event.END, "one"), (Event.BEGIN, "two")]
    assert lines(store) == [*seen["two"], (Event.END, "two"), (Event.END, "")]
    entries = journal.read(store, "id-1")
    assert {(one.phase, one.step) for one in entries} == {(Phase.REVERT, Step.HAND_OVER)}
    assert entries[0].result == {"effects": ["one", "two"], "process": myself().as_result(), "run": RUN}
    assert entries[1].undo == {"kind": "rename", "from": "one"}
    assert entries[2].result == {"one": True}
    assert entries[-1].result == {"r": 1, "changed": True, "one": True, "two": True}


def test_a_failure_is_written_and_keeps_what_was_done(call: Call, store: Store) -> None:
    deeds = Deeds()
    plan = Plan((deeds.effect("one"), deeds.refusing("two", REFUSAL), deeds.effect("three")))
    found = call(STEP, lambda _context: plan, migration="id-1")
    assert found["failed"] is True
    assert (found["code"], found["subject"], found["remedy"], found["more"]) == (
        "PATH_TAKEN",
        "/x",
        "Move it away.",
        [1],
    )
    assert found["msg"] == "PATH_TAKEN: /x: is taken. Move it away."
    assert [one["name"] for one in found["steps"]] == ["one"]
    assert deeds.done == ["one", "two"]
    assert lines(store)[-2:] == [(Event.BEGIN, "two"), (Event.FAIL, "")]
    assert journal.read(store, "id-1")[-1].result["code"] == "PATH_TAKEN"


def test_what_the_file_system_refuses_has_a_code(call: Call) -> None:
    error = OSError(errno.ENOSPC, "No space left on device", "/images/web1")
    found = call(PLAIN, lambda _context: Plan((Deeds().refusing("one", error),)))
    assert (found["code"], found["subject"]) == ("FILE_SYSTEM_FAILED", "/images/web1")
    assert "No space left on device" in found["msg"]


def test_a_refusal_before_the_first_effect_leaves_no_line(call: Call, store: Store) -> None:
    def work(_context: Context) -> Plan:
        raise REFUSAL

    found = call(STEP, work, migration="id-1")
    assert (found["code"], found["steps"]) == ("PATH_TAKEN", [])
    assert lines(store) == []


def test_a_module_that_also_works_alone_then_writes_no_journal(call: Call, store: Store) -> None:
    deeds = Deeds()
    call(OPTIONAL, lambda _context: Plan((deeds.effect("one"),)))
    assert deeds.done == ["one"]
    assert store.migrations() == []
    call(OPTIONAL, lambda _context: Plan((deeds.effect("one"),)), migration="id-1")
    assert store.migrations() == ["id-1"]


def test_a_step_needs_its_migration(call: Call) -> None:
    found = call(STEP, lambda _context: Plan())
    assert found["failed"] is True
    assert "migration" in found["msg"]


def test_a_deadline_ends_the_call_and_is_written(call: Call, store: Store) -> None:
    began = time.monotonic()

    def sleep() -> None:
        time.sleep(30)

    plan = Plan((Deeds().effect("one"), Effect("slow", "be slow", sleep)))
    found = call(STEP, lambda _context: plan, migration="id-1", deadline_s=1)
    assert time.monotonic() - began < 10
    assert found["code"] == "DEADLINE"
    assert "within 1 s" in found["msg"]
    assert [one["name"] for one in found["steps"]] == ["one"]
    assert journal.read(store, "id-1")[-1].result["code"] == "DEADLINE"


def test_a_deadline_that_was_met_does_not_ring_later(call: Call) -> None:
    assert call(PLAIN, lambda _context: Plan(), deadline_s=1)["changed"] is False
    time.sleep(1.2)


def test_what_it_makes_is_for_its_user_only(call: Call, tmp_path: Path) -> None:
    call(PLAIN, lambda _context: Plan((Effect("make", "make a file", (tmp_path / "x").touch),)))
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o600


def test_a_module_that_uses_libvirt_without_saying_so(call: Call) -> None:
    found = call(PLAIN, lambda context: Plan(result={"host": context.hypervisor.hostname}))
    assert found["code"] == "INTERNAL"


def test_libvirt_is_opened_when_it_is_asked_for(call: Call, uri: str) -> None:
    spec = Spec(options={})
    found = call(spec, lambda context: Plan(result={"guests": len(context.hypervisor.domains())}), uri=uri)
    assert found["guests"] == 0


def test_libvirt_that_does_not_answer(call: Call) -> None:
    found = call(Spec(options={}), lambda _context: Plan(), uri="test:///no/such/file")
    assert (found["code"], found["subject"]) == ("LIBVIRT_UNAVAILABLE", "test:///no/such/file")


def test_without_the_bindings() -> None:
    """A real module in a process that cannot import libvirt."""
    code = f"""
import runpy, sys
from ansible.module_utils.testing import patch_module_args
sys.modules["libvirt"] = None
with patch_module_args({{}}):
    runpy.run_module({domain_info.__name__!r}, run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)
    assert (done.returncode, found["code"]) == (1, "LIBVIRT_PYTHON_MISSING")
    assert "libvirt-python" in found["msg"]


def test_a_step_waits_for_the_one_that_is_at_work(call: Call, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_module, "_OTHERS_S", 0.1)
    deeds = Deeds()
    home = os.open(store.make(store.migration("id-1")), os.O_RDONLY)
    fcntl.flock(home, fcntl.LOCK_EX)
    found = call(STEP, lambda _context: Plan((deeds.effect("one"),)), migration="id-1")
    assert (found["failed"], found["code"], found["subject"], deeds.done) == (True, "BUSY", "id-1", [])
    os.close(home)
    assert "failed" not in call(STEP, lambda _context: Plan((deeds.effect("one"),)), migration="id-1")
    assert deeds.done == ["one"]


def test_where_nothing_ever_happened_nothing_is_written(call: Call, store: Store) -> None:
    call(STEP, lambda _context: Plan(untouched=True), migration="id-1")
    assert lines(store) == []


def test_a_run_that_has_the_guest_is_heard_of_with_each_call(call: Call, store: Store) -> None:
    call(STEP, lambda _context: Plan(untouched=True), migration="id-1")
    assert time.time() - lock.heard_at(store, UUID) < 60
    assert lines(store) == []


def test_an_answer_says_how_long_it_may_be_acted_upon(call: Call) -> None:
    found = call(STEP, lambda _context: Plan(), migration="id-1")
    assert 30 < found["valid_until"] - time.time() < 60


HELD_BY = {
    "another run": (ANNS, ["ann@laptop", "recover", "2023-11-14 22:14:20 UTC"]),
    "an equal run": (replace(MINE, token="6f6f"), ["root@control", "resize web1"]),
    "another migration": (replace(MINE, migration="id-2"), ["does not hold the guest"]),
    "nobody": (None, ["given back or taken away"]),
}


@pytest.mark.parametrize(("holder", "words"), HELD_BY.values(), ids=HELD_BY)
@pytest.mark.parametrize("effects", [1, 0], ids=["an effect", "lines in the journal only"])
def test_a_run_that_lost_the_guest_is_refused(
    call: Call, store: Store, holder: lock.Lock | None, words: Sequence[str], effects: int
) -> None:
    deeds = Deeds()
    if holder is not None:
        lock.take(store, holder)
    plan = Plan(tuple(deeds.effect("one") for _one in range(effects)))
    found = call(STEP, lambda _context: plan, migration="id-1", run=RUN)
    assert (found["failed"], found["code"], found["subject"], deeds.done) == (True, "LOST_THE_LOCK", "id-1", [])
    for word in words:
        assert word in found["msg"]
    assert "6f6f" not in str(found)
    assert lines(store) == []


def test_a_call_that_shows_no_run_is_refused(call: Call, store: Store) -> None:
    lock.take(store, replace(MINE, token=""))
    found = call(STEP, lambda _context: Plan((Deeds().effect("one"),)), migration="id-1", run="")
    assert found["code"] == "LOST_THE_LOCK"
    assert "shows no run" in found["msg"]


def taken_away(store: Store) -> None:
    lock.replace(store, ANNS)


def test_a_step_is_refused_at_its_next_effect(call: Call, store: Store) -> None:
    """The lock is taken away while the first one is at work."""
    deeds = Deeds()
    first = Effect("one", "do one", lambda: taken_away(store))
    found = call(STEP, lambda _context: Plan((first, deeds.effect("two"))), migration="id-1")
    assert (found["code"], deeds.done) == ("LOST_THE_LOCK", [])
    assert lines(store)[-2:] == [(Event.END, "one"), (Event.FAIL, "")]


def test_what_tidies_up_is_done_to_its_end(call: Call, store: Store) -> None:
    """Whoever took the lock waits for the step."""
    deeds = Deeds()
    first = Effect("one", "do one", lambda: taken_away(store))
    call(UNDO, lambda _context: Plan((first, deeds.effect("two"))), migration="id-1")
    assert deeds.done == ["two"]


CLOSED = {
    "undone": (Phase.MOVE, Step.UNDO, "close"),
    "confirmed": (Phase.CONFIRM, Step.DISCARD, ""),
    "reverted": (Phase.REVERT, Step.DISCARD, ""),
    "departed": (Phase.MOVE, Step.DEPART, ""),
}


def close(store: Store, phase: Phase, step: Step, effect: str) -> None:
    Journal(store, "id-1", phase, step, lambda: 1_700_000_000.0).write(Event.END, effect)


@pytest.mark.parametrize("closing", CLOSED.values(), ids=CLOSED)
def test_a_migration_that_is_over_stays_over(call: Call, store: Store, closing: tuple[Phase, Step, str]) -> None:
    close(store, *closing)
    before = lines(store)
    deeds = Deeds()
    found = call(STEP, lambda _context: Plan((deeds.effect("one"),)), migration="id-1")
    assert (found["code"], deeds.done) == ("LOST_THE_LOCK", [])
    assert "closed on this hypervisor at 2023-11-14 22:13:20 UTC" in found["msg"]
    assert lines(store) == before


def began(store: Store, run: str) -> None:
    Journal(store, "id-1", Phase.MOVE, Step.CLAIM, time.time).write(Event.BEGIN, result={"run": run})


@pytest.mark.parametrize(
    ("run", "holder", "code"),
    [
        pytest.param(RUN, None, None, id="its own, and nobody has the guest"),
        pytest.param("6f6f", None, "LOST_THE_LOCK", id="another has worked on it since"),
        pytest.param(RUN, replace(MINE, migration="id-2"), None, id="its claim never got the lock"),
    ],
)
def test_a_claim_that_failed_is_tidied_up(
    call: Call, store: Store, run: str, holder: lock.Lock | None, code: str | None
) -> None:
    began(store, run)
    if holder is not None:
        lock.take(store, holder)
    deeds = Deeds()
    found = call(UNDO, lambda _context: Plan((deeds.effect("one"),)), migration="id-1", run=RUN)
    assert found.get("code") == code
    assert deeds.done == ([] if code else ["one"])


def test_what_was_locked_and_has_another_migration_now_is_left_alone(store: Store) -> None:
    began(store, RUN)
    Journal(store, "id-1", Phase.MOVE, Step.CLAIM, time.time).write(Event.END, "lock")
    lock.take(store, replace(MINE, migration="id-2"))
    shown = Authority(store, "id-1", Step.UNDO, RUN, time.time, uuid=UUID)
    with pytest.raises(Refused) as refusal:
        shown.check_begin(journal.read(store, "id-1"))
    assert refusal.value.code == "LOST_THE_LOCK"


@pytest.mark.parametrize(("late_s", "code"), [(5, "CALL_TOO_LATE"), (-60, None)])
def test_a_call_that_comes_too_late(call: Call, late_s: int, code: str | None) -> None:
    deeds = Deeds()
    plan = Plan((deeds.effect("one"),))
    found = call(STEP, lambda _context: plan, migration="id-1", not_after=time.time() - late_s)
    assert (found.get("code"), deeds.done) == (code, [] if code else ["one"])


@pytest.mark.parametrize("stolen", [True, False])
def test_long_work_is_begun_by_the_run_that_has_the_guest(call: Call, store: Store, stolen: bool) -> None:
    """Between the look at the lock and the begin of the unit nobody else comes."""
    spec = replace(OPTIONAL, step=Step.COPY)
    deeds = Deeds()

    def work(context: Context) -> Plan:
        def copy() -> None:
            if stolen:
                lock.replace(store, ANNS)
            with context.beginning():
                home = os.open(store.migration("id-1"), os.O_RDONLY)
                with pytest.raises(BlockingIOError):
                    fcntl.flock(home, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.close(home)
                deeds.done.append("begun")

        return Plan((Effect("copy", "copy", copy),))

    found = call(spec, work, migration="id-1")
    assert found.get("code") == ("LOST_THE_LOCK" if stolen else None)
    assert deeds.done == ([] if stolen else ["begun"])


def test_who_takes_the_lock_away_waits_for_nobody(call: Call, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_module, "_OTHERS_S", 0.1)
    home = os.open(store.make(store.migration("id-1")), os.O_RDONLY)
    fcntl.flock(home, fcntl.LOCK_EX)
    deeds = Deeds()
    call(replace(STEP, step=Step.LOCK), lambda _context: Plan((deeds.effect("lock"),)), migration="id-1")
    os.close(home)
    assert deeds.done == ["lock"]


def test_what_ends_single_steps_goes_on_beside_one_that_is_at_work(
    call: Call, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_module, "_OWN_S", 0.1)
    home = os.open(store.make(store.migration("id-1")), os.O_RDONLY)
    fcntl.flock(home, fcntl.LOCK_EX)
    deeds = Deeds()
    call(UNDO, lambda _context: Plan((deeds.effect("mirror"),)), migration="id-1", only=["mirror"])
    os.close(home)
    assert deeds.done == ["mirror"]
