# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.kvmops.mobility.plugins.module_utils import _command
from ansible_collections.kvmops.mobility.plugins.module_utils._command import Completed
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import (
    Entry,
    Event,
    Phase,
    Step,
    parse,
    pending_undo,
    read,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal_file import RESERVED, Journal
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.store import Store
from ansible_collections.kvmops.mobility.tests.unit.bed import ID
from ansible_collections.kvmops.mobility.tests.unit.clock import Clock
from ansible_collections.kvmops.mobility.tests.unit.flows import line

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=3,
)
OBJECTS = st.dictionaries(st.text(max_size=8), JSON, max_size=2)
ENTRIES = st.builds(
    Entry,
    at=NUMBERS,
    phase=st.sampled_from(Phase),
    step=st.sampled_from(Step),
    event=st.sampled_from(Event),
    effect=st.text(),
    undo=st.none() | OBJECTS,
    result=OBJECTS,
)


def path(store: Store) -> Path:
    return store.migration(ID) / "journal.jsonl"


def writer(store: Store, step: Step = Step.CLAIM) -> Journal:
    return Journal(store, ID, Phase.MOVE, step, Clock(5.0))


@settings(max_examples=40, deadline=None)
@given(st.lists(ENTRIES, max_size=4))
def test_what_was_appended_is_read_back(entries: list[Entry]) -> None:
    text = "".join(json.dumps(one.as_result()) + "\n" for one in entries)
    assert parse(text) == tuple(entries)


@settings(max_examples=40, deadline=None)
@given(st.lists(ENTRIES, min_size=1, max_size=4), st.data())
def test_a_torn_last_line_never_took_effect(entries: list[Entry], data: st.DataObject) -> None:
    lines = [json.dumps(one.as_result()) + "\n" for one in entries]
    kept = data.draw(st.integers(0, len(lines[-1]) - 1))
    assert parse("".join(lines[:-1]) + lines[-1][:kept]) == tuple(entries[:-1])


def test_lines_are_appended_and_read_in_their_order(store: Store) -> None:
    first = writer(store).write(Event.BEGIN, result={"effects": ["lock"]})
    second = writer(store, Step.HAND_OVER).write(Event.BEGIN, "fence", {"kind": "rename"})
    assert read(store, ID) == (first, second)
    assert first == Entry(5.0, Phase.MOVE, Step.CLAIM, Event.BEGIN, result={"effects": ["lock"]})
    assert second.undo == {"kind": "rename"}


def test_no_journal_is_an_empty_one(store: Store) -> None:
    assert read(store, "never-heard-of") == ()


@pytest.mark.parametrize("torn", ['{"at": 1.0, "ph', "x", "{}"])
def test_a_torn_line_is_repaired_by_the_next_append(store: Store, torn: str) -> None:
    first = writer(store).write(Event.BEGIN)
    with path(store).open("a", encoding="utf-8") as journal:
        journal.write(torn)
    assert read(store, ID) == (first,)
    second = writer(store).write(Event.END)
    assert read(store, ID) == (first, second)
    assert torn not in path(store).read_text(encoding="utf-8").splitlines()


def test_a_journal_that_is_only_a_torn_line(store: Store) -> None:
    store.make(path(store).parent)
    path(store).write_text('{"at": ', encoding="utf-8")
    assert read(store, ID) == ()
    only = writer(store).write(Event.BEGIN)
    assert read(store, ID) == (only,)


def test_data_and_directory_are_on_disk_when_the_call_returns(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.make(path(store).parent)
    synced: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    writer(store).write(Event.BEGIN)
    assert synced == [str(path(store)), str(path(store).parent)]
    synced.clear()
    writer(store).write(Event.END)
    assert synced == [str(path(store))]


def test_every_new_directory_above_it_is_on_disk_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))
    writer(store).write(Event.BEGIN)
    root = store.root
    assert synced[:3] == [str(root.parent), str(root), str(root / "migrations")]


def test_only_root_reads_it(store: Store) -> None:
    writer(store).write(Event.BEGIN)
    assert path(store).stat().st_mode & 0o777 == 0o600
    assert path(store).parent.stat().st_mode & 0o777 == 0o700


FILL = """
import resource, sys
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Event, Phase, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal_file import Journal
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.store import Store
journal = Journal(Store(sys.argv[1]), sys.argv[2], Phase.MOVE, Step.CLAIM, lambda: 5.0)
journal.write(Event.BEGIN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
journal.write(Event.BEGIN, "fence", {"kind": "rename"})
print("written")
"""


def test_a_line_that_does_not_fit_on_the_disk_is_an_error(store: Store) -> None:
    """A disk that fills up takes a part of a write and says so only by the number: the effect must not begin."""
    whole = len(json.dumps(line(Step.CLAIM, Event.BEGIN, at=5.0).as_result())) + 1
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(store.root), ID, str(whole + 40)], capture_output=True, text=True, check=False
    )
    assert "File too large" in done.stderr
    assert "written" not in done.stdout
    assert [(one.event, one.effect) for one in read(store, ID)] == [(Event.BEGIN, "")]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_a_disk_that_fills_up_later_has_blocks_for_it_already(store: Store) -> None:
    writer(store).write(Event.BEGIN)
    before = path(store).stat()
    assert before.st_size < 4096
    assert before.st_blocks * 512 >= RESERVED
    for _number in range(100):
        writer(store).write(Event.END, result={"words": "x" * 300})
    assert path(store).stat().st_blocks == before.st_blocks


def test_without_room_for_it_nothing_begins(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    said = Completed((), 1, "", "fallocate: fallocate failed: No space left on device\n")
    monkeypatch.setattr(_command, "run", lambda argv, timeout_s, accept: said)
    for _try in range(2):
        with pytest.raises(OSError, match="No space left on device"):
            writer(store).write(Event.BEGIN)
    assert read(store, ID) == ()


def test_a_file_system_that_cannot_promise_blocks_is_left_without(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = Completed((), 1, "", "fallocate: fallocate failed: Operation not supported\n")
    monkeypatch.setattr(_command, "run", lambda argv, timeout_s, accept: said)
    begun = writer(store).write(Event.BEGIN)
    assert read(store, ID) == (begun,)


# --- what has to be undone ---------------------------------------------------------------------------------------


def begun(step: Step, effect: str, phase: Phase = Phase.MOVE) -> Entry:
    return line(step, Event.BEGIN, phase, effect, undo={"kind": "rename"})


def ended(step: Step, effect: str) -> Entry:
    return line(step, Event.END, effect=effect)


def taken_back(step: Step, effect: str, phase: Phase = Phase.MOVE) -> Entry:
    return line(Step.UNDO, Event.END, phase, effect, result={"step": step.value})


STOP = (begun(Step.HAND_OVER, "stop"), ended(Step.HAND_OVER, "stop"))
FENCE = (begun(Step.HAND_OVER, "fence"), ended(Step.HAND_OVER, "fence"))


@pytest.mark.parametrize(
    ("entries", "pending"),
    [
        pytest.param((), [], id="nothing happened"),
        pytest.param((*STOP, *FENCE), ["fence", "stop"], id="last first"),
        pytest.param((*STOP, FENCE[0]), ["fence", "stop"], id="announced counts: it may have happened"),
        pytest.param((*STOP, line(Step.HAND_OVER, Event.END, effect="sweep")), ["stop"], id="no undo, nothing to do"),
        pytest.param((*STOP, line(Step.HAND_OVER, Event.BEGIN, effect="sweep")), ["stop"], id="begun without an undo"),
        pytest.param((*STOP, *FENCE, taken_back(Step.HAND_OVER, "fence")), ["stop"], id="taken back once"),
        pytest.param(
            (*STOP, *FENCE, taken_back(Step.HAND_OVER, "fence"), taken_back(Step.HAND_OVER, "stop")), [], id="all back"
        ),
        pytest.param((*STOP, taken_back(Step.TAKE_OVER, "stop")), ["stop"], id="the same name in another step"),
        pytest.param((*STOP, line(Step.UNDO, Event.BEGIN, effect="stop")), ["stop"], id="an undo that did not end"),
        pytest.param(
            (*STOP, *FENCE, taken_back(Step.HAND_OVER, "stop"), *STOP), ["stop", "fence"], id="done again: last now"
        ),
        pytest.param((*STOP, *FENCE, STOP[0]), ["stop", "fence"], id="begun twice, undone once"),
        pytest.param((*STOP, begun(Step.HAND_OVER, "park", Phase.REVERT)), ["stop"], id="another phase"),
        pytest.param((*STOP, taken_back(Step.HAND_OVER, "stop", Phase.REVERT)), ["stop"], id="undone in another phase"),
    ],
)
def test_what_is_pending(entries: Sequence[Entry], pending: list[str]) -> None:
    assert [one.effect for one in pending_undo(entries, Phase.MOVE)] == pending


EFFECTS = st.tuples(st.sampled_from((Step.CLAIM, Step.HAND_OVER)), st.sampled_from(("a", "b", "c")))


@given(st.lists(EFFECTS))
def test_working_through_it_leaves_nothing_and_can_be_repeated(effects: list[tuple[Step, str]]) -> None:
    entries = tuple(begun(step, name) for step, name in effects)
    pending = pending_undo(entries, Phase.MOVE)
    assert {(one.step, one.effect) for one in pending} == set(effects)
    for number, one in enumerate(pending):
        entries = (*entries, taken_back(one.step, one.effect))
        assert pending_undo(entries, Phase.MOVE) == pending[number + 1 :]
