# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import asdict, replace

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._errors import Refused
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.lock import Lock, all_held, held, release, take
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.store import Store
from ansible_collections.kvmops.mobility.tests.unit.builders import OTHER_UUID, UUID

MINE = Lock(UUID, "mine", "root@control", "resize web1", 1_700_000_000.0)
OTHERS = replace(MINE, migration="others", owner="ann@laptop", command="migrate web1")
REVERTS = replace(MINE, owner="ann@laptop", command="revert web1")


def files(store: Store) -> list[str]:
    return sorted(one.name for one in (store.root / "locks").iterdir())


def test_a_lock_that_was_taken_is_held(store: Store) -> None:
    assert held(store, UUID) is None
    take(store, MINE)
    assert held(store, UUID) == MINE
    assert files(store) == [f"{UUID}.json"]
    assert store.lock(UUID).stat().st_mode & 0o777 == 0o600


def test_the_same_migration_takes_it_twice(store: Store) -> None:
    take(store, MINE)
    take(store, replace(MINE, since=MINE.since + 60))
    assert held(store, UUID) == MINE
    assert files(store) == [f"{UUID}.json"]


def test_another_migration_is_told_who_and_since_when(store: Store) -> None:
    take(store, OTHERS)
    with pytest.raises(Refused) as refusal:
        take(store, MINE)
    error = refusal.value
    assert (error.code, error.subject) == ("BUSY", UUID)
    for word in ("others", "ann@laptop", "migrate web1"):
        assert word in str(error)
    assert error.facts["holder"] == asdict(OTHERS)
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
        pytest.param(REVERTS, False, REVERTS, id="another command's on the same migration stays"),
    ],
)
def test_release(store: Store, holder: Lock | None, released: bool, left: Lock | None) -> None:
    if holder:
        take(store, holder)
    assert release(store, MINE) is released
    assert held(store, UUID) == left
    assert release(store, MINE) is False


def test_what_was_released_can_be_taken_by_another(store: Store) -> None:
    take(store, MINE)
    release(store, MINE)
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


@pytest.mark.parametrize("ids", [("a", "b", "c"), ("a", "a", "b")], ids=["three migrations", "two of one migration"])
def test_of_many_processes_exactly_one_migration_wins(store: Store, ids: tuple[str, ...]) -> None:
    def uuid(number: int) -> str:
        return f"6c8f0f0e-0000-4000-8000-{number:012}"

    takers = [
        subprocess.Popen(
            [sys.executable, "-c", TAKE, str(store.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _one in ids
    ]
    orders = [
        "go\n" + "".join(json.dumps(asdict(replace(MINE, uuid=uuid(n), migration=one))) + "\n" for n in range(ROUNDS))
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
            assert answers[at][number] == ("took" if one == holder.migration else "BUSY")
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
            release(store, MINE)
    finally:
        over.set()
        reader.join()
    assert seen == {None, MINE}
