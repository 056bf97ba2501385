# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong with one guest stays with it: it is undone, the others of the call go on, and the end says which.

Five guests of c1; the fixtures are one story, and each keeps what it saw.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from ansible_collections.kvmops.mobility.tests.e2e import lab, snapshot
from ansible_collections.kvmops.mobility.tests.e2e.lab import IMAGES, View
from ansible_collections.kvmops.mobility.tests.e2e.play import Run, play
from ansible_collections.kvmops.mobility.tests.e2e.snapshot import Snapshot

SIZE = {"vcpus": 2, "memory_mib": 512, "root_gib": 2, "dest": "c2"}
NEW = (2, 512, 2 * 2**30)
FINE = "e2e-fine"
DEAF = "e2e-deaf"
"""Ignores every polite shutdown."""
HUNG = "e2e-hung"
"""Runs and never answers."""
NOCOPY = "e2e-nocopy"
"""The migration user cannot get to its place on c2."""
NOSTART = "e2e-nostart"
"""Writes its console into a directory that c2 does not have."""
NAMES = (FINE, DEAF, HUNG, NOCOPY, NOSTART)
FAILING = {
    DEAF: ("GUEST_DID_NOT_STOP", DEAF),
    NOCOPY: ("COPY_FAILED", lab.ADDRESSES["c2"]),
    NOSTART: ("LIBVIRT_FAILED", NOSTART),
}
"""Each with its code and the subject of the message."""
LOCKED = f"{IMAGES}/e2e-locked"
SERIAL = "/var/lib/libvirt/boot/e2e-serial"
EACH = pytest.mark.parametrize("name", list(FAILING))


@dataclass(frozen=True)
class Stage:
    """A call, the hosts before and after it, and the guests after it."""

    run: Run
    before: Snapshot
    after: Snapshot
    views: Mapping[str, View]


@pytest.fixture(scope="module")
def guests() -> Iterator[Mapping[str, View]]:
    """The five, running on c1."""
    try:
        lab.parallel(_create, NAMES)
        yield lab.verify_all([name for name in NAMES if name != HUNG])
    finally:
        lab.destroy(*NAMES)
        lab.parallel(lambda host: lab.remote(host, "sweep", lab.PREFIX), lab.HOSTS)


def _create(name: str) -> None:
    special = {DEAF: ["--ignore-acpi"], HUNG: ["--hang"], NOCOPY: ["--off"], NOSTART: ["--off"]}
    lab.create(name, *special.get(name, ()))
    if name == NOCOPY:
        inside = {"make": [LOCKED], "move": {f"{IMAGES}/{name}": f"{LOCKED}/{name}"}}
        lab.remote("c1", "redefine", {"name": name, "replace": {f"{IMAGES}/{name}/": f"{LOCKED}/{name}/"}, **inside})
        lab.shell("c2", f"mkdir --mode=700 {LOCKED}")
    if name == NOSTART:
        log = {f"{IMAGES}/{name}/console.log": f"{SERIAL}/console.log"}
        lab.remote("c1", "redefine", {"name": name, "replace": log, "make": [SERIAL]})
    if name in (DEAF, NOSTART):
        lab.shell("c1", f"virsh -q autostart {name}")


@pytest.fixture(scope="module")
def mixed(guests: Mapping[str, View]) -> Stage:
    """Four in one call; three cannot be moved, each for another reason."""
    before = snapshot.take()
    stop = {"timeout_s": 8, "retry_interval_s": 2, "on_timeout": "abort"}
    run = play("resize", {"vm": [DEAF, NOCOPY, NOSTART, FINE], "kvmops_stop": stop, **SIZE})
    return Stage(run, before, snapshot.take(), lab.verify_all([FINE, *FAILING]))


@pytest.fixture(scope="module")
def forced(mixed: Stage) -> Stage:
    """The two that do not listen, with the plug pulled."""
    before = snapshot.take()
    stop = {"timeout_s": 3, "retry_interval_s": 1, "on_timeout": "force"}
    run = play("resize", {"vm": [DEAF, HUNG], "kvmops_stop": stop, **SIZE})
    return Stage(run, before, snapshot.take(), lab.verify_all([DEAF]))


@pytest.fixture(scope="module")
def status(forced: Stage) -> Run:
    """What status says then."""
    return play("status")


@pytest.fixture(scope="module")
def confirmed(status: Run) -> Stage:
    """Three are confirmed; one does not answer, one has lost a processor."""
    lab.shell("c2", f"virsh -q setvcpus {DEAF} 1 --guest")
    before = snapshot.take()
    run = play("confirm", {"vm": [HUNG, DEAF, FINE]})
    return Stage(run, before, snapshot.take(), {})


@pytest.fixture(scope="module")
def insisted(confirmed: Stage) -> Stage:
    """The one that does not answer, with force."""
    run = play("confirm", {"vm": HUNG, "force": True})
    return Stage(run, confirmed.after, snapshot.take(), {})


class TestMixed:
    """One that can be moved among three that cannot."""

    def test_the_one_that_can_is_moved(self, guests: Mapping[str, View], mixed: Stage) -> None:
        view = mixed.views[FINE]
        assert (view.host, view.size, view.state, view.problems) == ("c2", NEW, "running", ())
        assert view.sums == guests[FINE].sums

    def test_the_call_fails_and_its_last_lines_say_which(self, mixed: Stage) -> None:
        assert mixed.run.code != 0
        lines = mixed.run.last_lines()
        assert lines[FINE] == f"{FINE}: VERIFY_RESIZE, on c2"
        for name, (code, subject) in FAILING.items():
            assert lines[name].startswith(f"{name}: failed, on c1: {code}: {subject}: ")
        assert f"GUESTS_FAILED: 3 of 4 guests: {DEAF}, {NOCOPY}, {NOSTART}." in mixed.run.failures()[-1]

    def test_they_were_moved_at_the_same_time(self, mixed: Stage) -> None:
        assert mixed.run.code != 0
        journals = lab.remote("c1", "journals", [FINE, NOCOPY])
        spans = [(lines[0]["at"], lines[-1]["at"]) for lines in journals.values()]
        assert max(began for began, _ended in spans) < min(ended for _began, ended in spans)

    @EACH
    def test_a_failed_guest_runs_as_before_with_its_data(
        self, guests: Mapping[str, View], mixed: Stage, name: str
    ) -> None:
        assert mixed.views[name] == guests[name]
        assert (mixed.views[name].host, mixed.views[name].state) == ("c1", "running")

    @EACH
    def test_its_definition_state_and_autostart_are_as_before(self, mixed: Stage, name: str) -> None:
        mine = (f"c1: domain {name} ", f"c1: definition {name}")
        assert snapshot.difference(mixed.before, mixed.after, *mine) == []
        state = next(text for key, text in mixed.after.items() if key.startswith(mine[0]))
        assert f"autostart {name in (DEAF, NOSTART)}" in state

    @EACH
    def test_nothing_of_it_is_left_elsewhere(self, mixed: Stage, name: str) -> None:
        assert snapshot.of_guest(mixed.after, "c2", name) == []
        assert snapshot.mentioning(mixed.after, f"{name}_") == []
        other = [key for key in snapshot.mentioning(mixed.after, f"{name}.") if not key.endswith(".xml")]
        assert other == []
        assert snapshot.locks(mixed.after, name) == []

    @EACH
    def test_its_status_is_failed_and_no_definition_is_kept(self, mixed: Stage, name: str) -> None:
        receipt = mixed.run.receipt(name)
        assert receipt["status"] == "failed"
        assert receipt["where"] == "c1"
        assert receipt["error"].startswith(f"{FAILING[name][0]}: ")
        kept = f"/migrations/{receipt['migration']['id']}/definitions/"
        assert snapshot.mentioning(mixed.after, kept) == []


class TestForce:
    """on_timeout: force."""

    def test_both_are_moved(self, forced: Stage) -> None:
        assert forced.run.code == 0, forced.run.output
        for name in (DEAF, HUNG):
            assert forced.run.last_lines()[name] == f"{name}: VERIFY_RESIZE, on c2"
            assert "state 1," in next(text for key, text in forced.after.items() if f"c2: domain {name} " in key)

    def test_data_and_size(self, guests: Mapping[str, View], forced: Stage) -> None:
        view = forced.views[DEAF]
        assert (view.host, view.size, view.problems) == ("c2", NEW, ())
        assert view.sums == guests[DEAF].sums

    def test_status_lists_those_that_wait_and_only_them(self, status: Run) -> None:
        assert status.code == 0
        for name in (FINE, DEAF, HUNG):
            assert f"{name}  resize c1 -> c2  VERIFY_RESIZE  " in status.output
            assert f"kvmops.mobility.confirm -e vm={name}\n" in status.output
        assert NOCOPY not in status.output
        assert NOSTART not in status.output


class TestEvidence:
    """Confirm wants a sign of life, and the right size."""

    def test_those_without_it_are_named_with_a_code(self, confirmed: Stage) -> None:
        assert confirmed.run.code != 0
        lines = confirmed.run.last_lines()
        assert lines[HUNG].startswith(f"{HUNG}: VERIFY_RESIZE, on c2: CONFIRM_NEEDS_EVIDENCE: {HUNG}: ")
        assert lines[DEAF].startswith(f"{DEAF}: VERIFY_RESIZE, on c2: GUEST_SIZE_MISMATCH: {DEAF}: ")
        assert "1 vCPUs inside, not 2" in lines[DEAF]
        assert lines[FINE] == f"{FINE}: confirmed, on c2"

    @pytest.mark.parametrize("name", [HUNG, DEAF])
    def test_nothing_changed_for_them(self, confirmed: Stage, name: str) -> None:
        changed = snapshot.difference(confirmed.before, confirmed.after, name)
        assert [line for line in changed if "/journal.jsonl" not in line and "/receipt.json" not in line] == []
        assert snapshot.locks(confirmed.after, name) == []

    def test_force_confirms(self, insisted: Stage) -> None:
        assert insisted.run.code == 0, insisted.run.output
        assert insisted.run.last_lines()[HUNG] == f"{HUNG}: confirmed, on c2"
        assert "force=true" in insisted.run.output
        assert snapshot.of_guest(insisted.after, "c1", HUNG) == []
