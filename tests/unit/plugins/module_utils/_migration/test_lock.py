# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import fcntl
import json
import subprocess
import sys
import threading
from dataclasses import asdict, replace

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._migration import lock
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.lock import (
    Lock,
    all_held,
    beat,
    heard_at,
    held,
    release,
    take,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.lock import (
    replace as take_away,
)
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.store import Store
from ansible_collections.kvmops.mobility.tests.unit.builders import OTHER_UUID, UUID

MINE = Lock(UUID, "mine", "root@control", "resize web1", 1_700_000_000.0, "5e5e")
OTHERS = replace(MINE, migration="others", owner="ann@laptop", command="migrate web1", token="0a0a")
EQUAL = replace(MINE, token="6f6f")
OLD = replace(MINE, token="")


def files(store: Store) -> list[str]:
    return sorted(one.name for one in (store.root / "locks").iterdir())


def test_a_lock_that_was_taken_is_held(store: Store) -> None:
    assert held(store, UUID) is None
    take(store, MINE)
    assert held(store, UUID) == MINE
    assert files(store) == [f"{UUID}.json"]
    assert store.lock(UUID).stat().st_mode & 0o777 == 0o600


def test_the_same_run_takes_it_twice(store: Store) -> None:
    take(store, MINE)
    take(store, replace(MINE, since=MINE.since + 60))
    assert held(store, UUID) == MINE
    assert files(store) == [f"{UUID}.json"]


@pytest.mark.parametrize("other", [EQUAL, OLD], ids=["an equal command", "a call that shows no run"])
def test_two_equal_commands_of_one_operator_are_two_runs(store: Store, other: Lock) -> None:
    take(store, MINE)
    with pytest.raises(Refused) as refusal:
        take(store, other)
    assert refusal.value.code == "BUSY"
    assert held(store, UUID) == MINE


def test_a_lock_without_a_token_is_nobodys(store: Store) -> None:
    take(store, OLD)
    with pytest.raises(Refused):
        take(store, OLD)
    assert release(store, UUID, "mine", "") is False
    assert beat(store, UUID, "mine", "", 5.0) is False


def test_another_migration_is_told_who_and_since_when(store: Store) -> None:
    take(store, OTHERS)
    with pytest.raises(Refused) as refusal:
        take(store, MINE)
    error = refusal.value
    assert (error.code, error.subject) == ("BUSY", UUID)
    for word in ("others", "ann@laptop", "migrate web1"):
        assert word in str(error)
    assert error.facts["holder"] == OTHERS.as_result()
    assert "0a0a" not in str(error.facts)
    assert error.facts["holder"]["since"] == 1_700_000_000.0
    assert held(store, UUID) == OTHERS
    assert files(store) == [f"{UUID}.json"]


def test_guests_are_locked_one_by_one(store: Store) -> None:
    take(store, MINE)
    take(store, replace(OTHERS, uuid=OTHER_UUID))
    assert [one.migration for one in all_held(store)] == ["mine", "others"]


def test_no_lock_on_a_new_hypervisor(store: Store) -> None:
    assert all_held(store) == ()


@pytest.mark.parametrize(
    ("holder", "released", "left"),
    [
        pytest.param(None, False, None, id="nobody's"),
        pytest.param(MINE, True, None, id="its own"),
        pytest.param(OTHERS, False, OTHERS, id="another's stays"),
        pytest.param(EQUAL, False, EQUAL, id="another run's on the same migration stays"),
    ],
)
def test_release(store: Store, holder: Lock | None, released: bool, left: Lock | None) -> None:
    if holder:
        take(store, holder)
    assert release(store, UUID, "mine", "5e5e") is released
    assert held(store, UUID) == left
    assert release(store, UUID, "mine", "5e5e") is False


def test_what_was_released_can_be_taken_by_another(store: Store) -> None:
    take(store, MINE)
    release(store, UUID, "mine", "5e5e")
    take(store, OTHERS)
    assert held(store, UUID) == OTHERS


TAKE = """
import json, sys
from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.lock import Lock, take
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.store import Store
print("ready", flush=True)
sys.stdin.readline()
for line in sys.stdin:
    lock = Lock(**json.loads(line))
    try:
        take(Store(sys.argv[1]), lock)
        print("took", flush=True)
    except Refused as error:
        print(error.code, flush=True)
"""
ROUNDS = 30


@pytest.mark.parametrize("ids", [("a", "b", "c"), ("a", "a", "b")], ids=["three runs", "two calls of one run"])
def test_of_many_processes_exactly_one_run_wins(store: Store, ids: tuple[str, ...]) -> None:
    def uuid(number: int) -> str:
        return f"6c8f0f0e-0000-4000-8000-{number:012}"

    takers = [
        subprocess.Popen(
            [sys.executable, "-c", TAKE, str(store.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _one in ids
    ]
    orders = [
        "go\n" + "".join(json.dumps(asdict(replace(MINE, uuid=uuid(n), token=one))) + "\n" for n in range(ROUNDS))
        for one in ids
    ]
    for taker in takers:
        assert taker.stdout is not None
        assert taker.stdout.readline() == "ready\n"
    answers: dict[int, list[str]] = {}

    def talk(number: int) -> None:
        answers[number] = takers[number].communicate(orders[number], timeout=60)[0].split()

    talking = [threading.Thread(target=talk, args=(number,)) for number in range(len(ids))]
    for thread in talking:
        thread.start()
    for thread in talking:
        thread.join()
    assert [taker.returncode for taker in takers] == [0] * len(ids)
    for number in range(ROUNDS):
        holder = held(store, uuid(number))
        assert holder is not None
        for at, one in enumerate(ids):
            assert answers[at][number] == ("took" if one == holder.token else "BUSY")
    assert len(files(store)) == ROUNDS


def test_a_reader_never_sees_half_a_lock(store: Store) -> None:
    """A thread reads without pause while the lock comes and goes."""
    over = threading.Event()
    seen: set[Lock | None] = set()

    def read() -> None:
        while not over.is_set():
            seen.add(held(store, UUID))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _round in range(60):
            take(store, MINE)
            release(store, UUID, "mine", "5e5e")
    finally:
        over.set()
        reader.join()
    assert seen == {None, MINE}


def test_a_recovery_takes_it_away(store: Store) -> None:
    take(store, MINE)
    mine = replace(MINE, owner="ann@laptop", command="recover", token="6f6f")
    assert take_away(store, mine) == MINE
    assert held(store, UUID) == mine
    assert release(store, UUID, "mine", "5e5e") is False


def test_one_that_is_missing_is_taken(store: Store) -> None:
    assert take_away(store, MINE) is None
    assert held(store, UUID) == MINE


def test_another_migrations_is_not_taken_away(store: Store) -> None:
    take(store, OTHERS)
    with pytest.raises(Refused) as refusal:
        take_away(store, MINE)
    assert refusal.value.code == "BUSY"
    assert held(store, UUID) == OTHERS


def test_a_run_is_heard_of(store: Store) -> None:
    assert heard_at(store, UUID) == 0.0
    take(store, MINE)
    assert beat(store, UUID, "mine", "5e5e", 1_800_000_000.0) is True
    assert heard_at(store, UUID) == 1_800_000_000.0
    assert beat(store, UUID, "mine", "6f6f", 1_900_000_000.0) is False
    assert heard_at(store, UUID) == 1_800_000_000.0


def test_one_who_hangs_at_a_lock_does_not_hang_the_others(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_GUARD_S", 0.2)
    store.make(store.root)
    with (store.root / "locks.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        with pytest.raises(Refused) as refusal:
            take(store, MINE)
    assert refusal.value.code == "BUSY"
    take(store, MINE)
