# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every refusal that two hosts can provoke: its code, its subject in the message, and nothing changed.

The odd guests are made once and asked for together: once with --check, once for real.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kvmops.mobility.tests.e2e import lab, odd, snapshot
from ansible_collections.kvmops.mobility.tests.e2e.lab import IMAGES, PREFIX
from ansible_collections.kvmops.mobility.tests.e2e.odd import Odd
from ansible_collections.kvmops.mobility.tests.e2e.play import INVENTORY, Run, play
from ansible_collections.kvmops.mobility.tests.e2e.snapshot import Snapshot

SIZE = {"vcpus": 2, "memory_mib": 128, "root_gib": 1}
PLAIN = Odd("plain", "SAME_FLAVOR", images=lambda path: [odd.image(f"{path}/disk", "1G")])
BIG = Odd("big", "DISK_SHRINK", images=lambda path: [odd.image(f"{path}/disk", "2G")])
WITH_LOCALHOST = Path(__file__).resolve().parent / "inventories/localhost.yml"
NOBODY = f"{PREFIX}nobody"
FLAVORS = {
    "as.it.is": {"vcpus": 1, "memory_mib": 64, "root_gib": 1},
    "with.swap": {"vcpus": 1, "memory_mib": 64, "root_gib": 1, "swap_mib": 512},
}
BY_CODE = pytest.mark.parametrize("guest", odd.GUESTS, ids=[one.short for one in odd.GUESTS])


@dataclass(frozen=True)
class Refusals:
    """Two calls for the same guests, and the hosts before and after."""

    check: Run
    real: Run
    before: Snapshot
    between: Snapshot
    after: Snapshot


@pytest.fixture(scope="module")
def odd_guests() -> Iterator[None]:
    """All odd guests, and two that have nothing odd but a size."""
    try:
        odd.build((*odd.GUESTS, PLAIN, BIG))
        yield
    finally:
        lab.parallel(lambda host: lab.remote(host, "sweep", PREFIX), lab.HOSTS)


@pytest.fixture(scope="module")
def refusals(odd_guests: None) -> Refusals:
    """All of them, and some names that do not fit, in one call with --check and one without."""
    namesake = next(one for one in odd.GUESTS if one.short == "namesake")
    asked = {"vm": [NOBODY, namesake.name, *(one.subject for one in odd.GUESTS)], "dest": "c2", **SIZE}
    before = snapshot.take()
    check = play("resize", asked, "--check")
    between = snapshot.take()
    return Refusals(check, play("resize", asked), before, between, snapshot.take())


def test_nothing_changed_on_either_host(refusals: Refusals) -> None:
    assert snapshot.difference(refusals.before, refusals.between) == []
    assert snapshot.difference(refusals.between, refusals.after) == []


def test_the_runs_fail(refusals: Refusals) -> None:
    total = len(odd.GUESTS) + 2
    for run in (refusals.check, refusals.real):
        assert run.code != 0
        assert any(f"GUESTS_FAILED: {total} of {total} guests" in one for one in run.failures())


@BY_CODE
def test_code_and_subject(refusals: Refusals, guest: Odd) -> None:
    found = refusals.check.findings(guest.subject)
    assert set(found) == {guest.code, *guest.also}
    message = found[guest.code]
    assert guest.name in message
    assert guest.says in message


@BY_CODE
def test_the_real_run_refuses_the_same(refusals: Refusals, guest: Odd) -> None:
    assert refusals.real.findings(guest.subject) == refusals.check.findings(guest.subject)
    assert refusals.real.last_lines()[guest.subject].startswith(f"{guest.subject}: refused, nothing was changed: ")


def test_a_name_that_nobody_has_gets_those_that_exist(refusals: Refusals) -> None:
    found = refusals.check.findings(NOBODY)
    assert set(found) == {"GUEST_NOT_FOUND"}
    assert "asked: c1, c2" in found["GUEST_NOT_FOUND"]
    listed = found["GUEST_NOT_FOUND"].partition("Guests that exist: ")[2]
    assert f"{PREFIX}arrived" in listed


def test_a_name_that_two_guests_have_is_not_guessed(refusals: Refusals) -> None:
    namesake = next(one for one in odd.GUESTS if one.short == "namesake")
    found = refusals.check.findings(namesake.name)
    assert set(found) == {"GUEST_ON_TWO_HOSTS"}
    assert f"{namesake.uuid} on c1" in found["GUEST_ON_TWO_HOSTS"]


def test_foreign_paths_are_still_there(refusals: Refusals) -> None:
    for place in ("c1: path {}parked_resize/x", "c2: path {}arrived/x", "c2: path {}staged.0a.staging/x"):
        assert place.format(f"{IMAGES}/{PREFIX}") in refusals.after


@pytest.fixture(scope="module")
def by_size(odd_guests: None) -> Iterator[Mapping[str, Run]]:
    """What is wrong with the size that was asked for, with and without --check."""
    asked = {"flavor": "as.it.is", "kvmops_flavors": FLAVORS, "dest": "c2", "allow_managed": True}
    before = snapshot.take()
    check = play("resize", {"vm": [PLAIN.name, BIG.name, f"{PREFIX}nova"], **asked}, "--check")
    yield {"check": check, "real": play("resize", {"vm": [PLAIN.name, BIG.name], **asked})}
    assert snapshot.difference(before, snapshot.take()) == []


@pytest.mark.parametrize("mode", ["check", "real"])
def test_size_that_it_has_or_that_is_smaller(by_size: Mapping[str, Run], mode: str) -> None:
    run = by_size[mode]
    assert run.code != 0
    same, shrink = run.findings(PLAIN.name), run.findings(BIG.name)
    assert set(same) == {"SAME_FLAVOR"}
    assert PLAIN.name in same["SAME_FLAVOR"]
    assert "as.it.is" in same["SAME_FLAVOR"]
    assert set(shrink) == {"DISK_SHRINK"}
    assert f"{BIG.name}, disk vda" in shrink["DISK_SHRINK"]
    assert "2147483648 bytes" in shrink["DISK_SHRINK"]


def test_a_managed_guest_that_was_allowed_is_planned_with_a_warning(by_size: Mapping[str, Run]) -> None:
    check = by_size["check"]
    assert check.planned()[f"{PREFIX}nova"]["outcome"] == "planned"
    assert "Nova" in check.findings(f"{PREFIX}nova", "warn")["MANAGED_ALLOWED"]


DESTINATIONS: tuple[tuple[Mapping[str, Any], Mapping[str, str]], ...] = (
    ({**SIZE, "root_gib": 0, "dest": "c2"}, {"ROOT_TO_ZERO": "0 GiB"}),
    ({**SIZE, "dest": "c9"}, {"DEST_UNKNOWN": "c1, c2"}),
    ({**SIZE, "dest": "c1"}, {"DEST_IS_SOURCE": "c1 already"}),
    (
        {"vcpus": 9999, "memory_mib": 99999999, "root_gib": 9999999, "dest": "c2"},
        {
            "DEST_VCPUS_FULL": "asks for 9999 vCPUs",
            "DEST_MEMORY_FULL": "asks for 99999999 MiB",
            "DEST_DISK_FULL": "asks for 9999999 GiB",
            "VCPUS_OVER_MACHINE": "9999 vCPUs",
        },
    ),
    ({**SIZE, "dest": "auto", "kvmops_capacity": {"reserved_vcpus": 99}}, {"NO_DESTINATION": "c2: DEST_VCPUS_FULL"}),
)


@pytest.fixture(scope="module")
def by_destination(odd_guests: None) -> Iterator[list[Run]]:
    """One call for each destination or size."""
    before = snapshot.take()
    yield lab.parallel(lambda row: play("resize", {"vm": PLAIN.name, **row[0]}), DESTINATIONS, workers=1)
    assert snapshot.difference(before, snapshot.take()) == []


@pytest.mark.parametrize("number", range(len(DESTINATIONS)), ids=[next(iter(row[1])) for row in DESTINATIONS])
def test_destination_or_size_that_cannot_be(by_destination: list[Run], number: int) -> None:
    run, codes = by_destination[number], DESTINATIONS[number][1]
    assert run.code != 0
    found = run.findings(PLAIN.name)
    assert set(found) == set(codes)
    assert all(PLAIN.name in found[code] and text in found[code] for code, text in codes.items())


@dataclass(frozen=True)
class Wrong:
    """A call that is refused before any hypervisor is asked."""

    playbook: str
    code: str
    says: str
    variables: Mapping[str, Any]
    options: tuple[str, ...] = ()
    inventory: tuple[Path, ...] = (INVENTORY,)


CALLS = (
    Wrong("resize", "LIMIT_NOT_SUPPORTED", "--limit c1", SIZE, ("--limit", "c1")),
    Wrong("resize", "LIMIT_NOT_SUPPORTED", "localhost", SIZE, ("--limit", "localhost"), (INVENTORY, WITH_LOCALHOST)),
    Wrong("confirm", "LIMIT_NOT_SUPPORTED", "--limit c2", {}, ("--limit", "c2")),
    Wrong("resize", "TAGS_NOT_SUPPORTED", "--tags", SIZE, ("--tags", "x")),
    Wrong("resize", "TAGS_NOT_SUPPORTED", "--skip-tags", SIZE, ("--skip-tags", "x")),
    Wrong("resize", "FLAVOR_UNKNOWN", "m1.larg", {"flavor": "m1.larg"}),
    Wrong("resize", "FLAVOR_PART_UNMAPPED", "with.swap", {"flavor": "with.swap", "kvmops_flavors": FLAVORS}),
    Wrong("resize", "SIZE_MISSING", PLAIN.name, {}),
    Wrong("resize", "VALUE_INVALID", "vcpus", {"vcpus": "two"}),
    Wrong("resize", "VM_DUPLICATE", PLAIN.name, {"vm": [PLAIN.name, PLAIN.name], **SIZE}),
    Wrong("resize", "VM_MISSING", "vm", {"vm": "", **SIZE}),
    Wrong("resize", "DEST_SAME_UNSUPPORTED", PLAIN.name, {"dest": "same", **SIZE}),
    Wrong("migrate", "DEST_REQUIRED", PLAIN.name, {}),
    Wrong("migrate", "SIZE_NOT_ALLOWED", PLAIN.name, {"dest": "c2", **SIZE}),
    Wrong("confirm", "DEST_NOT_ALLOWED", "dest=c2", {"dest": "c2"}),
    Wrong("revert", "DATA_REQUIRED", PLAIN.name, {}),
    Wrong("revert", "DATA_REQUIRED", PLAIN.name, {"data": "keep"}),
)


def _call(wrong: Wrong) -> Run:
    asked = {"vm": PLAIN.name, **wrong.variables}
    return play(wrong.playbook, asked, *wrong.options, inventory=wrong.inventory)


@pytest.fixture(scope="module")
def by_call(odd_guests: None) -> Iterator[list[Run]]:
    """All of them, two at a time, since they ask no host."""
    before = snapshot.take()
    yield lab.parallel(_call, CALLS, workers=2)
    assert snapshot.difference(before, snapshot.take()) == []


@pytest.mark.parametrize("number", range(len(CALLS)), ids=[f"{one.playbook}-{one.code}" for one in CALLS])
def test_call_that_cannot_be(by_call: list[Run], number: int) -> None:
    run, wrong = by_call[number], CALLS[number]
    assert run.code != 0, run.output
    message = next(iter(run.failures()))
    assert message.startswith(f"{wrong.code}: ")
    assert wrong.says in message
    assert run.of("migration_plan") == ()


def test_limit_to_a_host_that_is_not_in_the_inventory() -> None:
    run = play("resize", {"vm": PLAIN.name, **SIZE}, "--limit", "localhost")
    assert run.code != 0
    assert "no hosts to target" in run.output


@pytest.mark.parametrize("playbook", ["confirm", "revert"])
def test_a_verdict_for_a_guest_that_never_moved(odd_guests: None, playbook: str) -> None:
    before = snapshot.take()
    run = play(playbook, {"vm": PLAIN.name, **({"data": "discard"} if playbook == "revert" else {})})
    assert run.code != 0
    assert PLAIN.name in run.findings(PLAIN.name)["MIGRATION_NOT_FOUND"]
    assert snapshot.difference(before, snapshot.take()) == []
