# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The source of a live migration, from the start of its unit to an end told by where the guest is."""

from __future__ import annotations

import json

import pytest

from ansible_collections.kvmops.mobility.plugins.module_utils._flow import live as flow
from ansible_collections.kvmops.mobility.plugins.module_utils._flow import undo
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.domain import Domain
from ansible_collections.kvmops.mobility.plugins.module_utils._libvirt.hypervisor import Hypervisor
from ansible_collections.kvmops.mobility.plugins.module_utils._live import program
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Event, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.state import Status, derive_alone
from ansible_collections.kvmops.mobility.plugins.module_utils._plan import Plan
from ansible_collections.kvmops.mobility.plugins.module_utils._unit import process
from ansible_collections.kvmops.mobility.tests.unit.bed import ID, Bed
from ansible_collections.kvmops.mobility.tests.unit.builders import UUID
from ansible_collections.kvmops.mobility.tests.unit.lively import (
    BROKEN,
    MIGRATING,
    POST_COPY,
    UNIT,
    Side,
)
from ansible_collections.kvmops.mobility.tests.unit.units import FAILED, Units


@pytest.fixture
def here(bed: Bed, units: Units) -> Side:
    bed.guest()
    return Side(bed, units, "source")


def begin(here: Side) -> None:
    """The unit works, libvirt sends memory, and the first call is over."""

    def start(_name: str) -> None:
        here.travel.memory()
        here.tell()

    here.units.on_start = start
    assert here.migrate()["ended"] is False


def test_it_starts_a_unit_and_says_how_far_it_is(here: Side) -> None:
    here.units.on_start = lambda _name: here.tell(done=["0.5 s: downtime limit 50 ms"])
    found = here.migrate(port=2222, identity_file="/root/.ssh/k y", budget_mib_s=38)
    assert found["effects"] == ["autostart_off", "start", "live"]
    assert (found["ended"], found["succeeded"]) == (False, None)
    assert found["state"]["done"] == ["0.5 s: downtime limit 50 ms"]
    assert found["live_asked_at"] == 1_700_000_000.0
    assert here.units.command(UNIT)[-3:] == (program.__name__, str(here.bed.store.root), ID)
    ordered = json.loads((here.bed.store.migration(ID) / "live-order.json").read_text(encoding="utf-8"))
    assert ordered == {
        "uri": "qemu:///system",
        "peer_uri": "qemu+ssh://root@192.0.2.2:2222/system?no_tty=1&keyfile=%2Froot%2F.ssh%2Fk%20y",
        "migrate_uri": "tcp://192.0.2.2",
        "patience_s": 120.0,
        "budget_mib_s": 38,
    }
    assert derive_alone(here.bed.journal(), "source") is Status.MIGRATING


def test_later_calls_attach_and_leave_no_line(here: Side) -> None:
    begin(here)
    lines = len(here.bed.journal())
    assert here.migrate(started=True)["effects"] == ["live"]
    assert len(here.bed.journal()) == lines
    assert len(here.units.started) == 1


def test_another_run_attaches_and_leaves_a_line(here: Side) -> None:
    begin(here)
    lines = len(here.bed.journal())
    assert here.migrate()["effects"] == ["live"]
    assert len(here.bed.journal()) > lines
    assert len(here.units.calls) == 1


def test_a_call_without_a_line_leaves_the_end_to_the_next_one(here: Side) -> None:
    begin(here)
    here.tell(ended=True)
    here.leave()
    found = here.migrate(started=True)
    assert (found["ended"], found["succeeded"]) == (True, True)
    ends = [one for one in here.bed.journal() if (one.step, one.event, one.effect) == (Step.LIVE, Event.END, "")]
    assert ends[-1].result["succeeded"] is True
    assert UNIT not in here.units.shown


def test_an_end_within_the_first_call_is_told_at_once(here: Side) -> None:
    def start(_name: str) -> None:
        here.leave()
        here.tell(ended=True)

    here.units.on_start = start
    assert here.migrate()["succeeded"] is True


def test_a_guest_that_leaves_between_two_questions(here: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(here)
    here.tell(ended=True)
    find = Hypervisor.find

    def leaving(self: Hypervisor, name_or_uuid: str) -> Domain | None:
        found = find(self, name_or_uuid)
        here.leave()
        return found

    monkeypatch.setattr(Hypervisor, "find", leaving)
    now = flow.here(here.bed.context(**here.params()))
    assert (now.defined, now.active, now.paused, now.look()) == (False, False, None, None)


def test_a_guest_that_is_off_and_defined_may_have_shut_down_by_itself(here: Side) -> None:
    begin(here)
    here.tell(ended=True, error="domain is not running")
    here.bed.connection.lookupByName("web1").destroy()
    found = here.migrate(started=True)
    assert (found["ended"], found["succeeded"]) == (True, None)


def test_a_unit_that_died_is_followed_by_another(here: Side) -> None:
    begin(here)
    here.units.shown[UNIT] = FAILED
    assert here.migrate(started=True)["effects"] == ["watch", "live"]
    assert [one for one in here.units.calls if one[0] == "start"] == [("start", UNIT)] * 2
    pending = [one.effect for one in here.bed.journal() if one.undo]
    assert pending == ["autostart_off", "start"]  # what watches again made nothing that is to be taken back


@pytest.mark.parametrize(
    ("told", "aborted", "code", "words"),
    [
        ({"error": "Unable to connect"}, False, "LIVE_FAILED", "goes on here: Unable to connect"),
        ({}, False, "LIVE_FAILED", "libvirt did not say why"),
        ({"error": "operation aborted"}, True, "LIVE_ABORTED", "as was asked for"),
        ({"given_up": "it did not end within 9 s"}, False, "LIVE_NOT_CONVERGING", "did not end within 9 s"),
        ({"given_up": "it was asked for"}, True, "LIVE_ABORTED", "as was asked for"),
    ],
)
def test_a_guest_that_is_still_here(here: Side, told: dict[str, str], aborted: bool, code: str, words: str) -> None:
    begin(here)
    here.travel.end()
    here.tell(ended=True, **told)
    if aborted:
        here.book.abort()
    error = here.fails(code, lambda: here.migrate(started=True))
    assert words in error.message
    assert error.facts["state"]["ended"] is True
    assert here.bed.domain().state() == "running"


def test_a_guest_that_we_paused_runs_again(here: Side) -> None:
    begin(here)
    here.bed.connection.lookupByName("web1").suspend()
    here.travel.end()
    here.tell(ended=True, paused=True, error="lost")
    here.fails("LIVE_FAILED", lambda: here.migrate(started=True))
    assert here.bed.domain().state() == "running"


def test_a_guest_that_somebody_else_paused_stays_paused(here: Side) -> None:
    begin(here)
    here.bed.connection.lookupByName("web1").suspend()
    here.travel.end()
    here.tell(ended=True, error="lost")
    here.fails("LIVE_FAILED", lambda: here.migrate(started=True))
    assert here.bed.domain().state() == "paused"


@pytest.mark.parametrize(("state", "code"), [(BROKEN, "LIVE_LINK_BROKEN"), (MIGRATING, "LIVE_UNCERTAIN")])
def test_what_may_run_elsewhere_is_never_let_run(here: Side, state: tuple[int, int], code: str) -> None:
    begin(here)
    here.bed.connection.lookupByName("web1").suspend()
    here.travel.end()
    here.travel.state = state
    here.tell(ended=True, paused=True, error="Connection reset")
    error = here.fails(code, lambda: here.migrate(started=True))
    assert "recover" in error.remedy
    assert here.bed.domain().state() == "paused"


def test_a_new_run_goes_on_with_a_broken_link(here: Side) -> None:
    begin(here)
    here.travel.state = BROKEN
    here.units.shown[UNIT] = FAILED
    here.tell(ended=True)
    found = here.migrate(wait_s=3)
    assert found["effects"] == ["watch", "live"]
    assert found["ended"] is False  # it waits for the new unit's word, not for that of the one that saw it break


def test_an_old_libvirt_cannot_go_on(here: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(here)
    here.travel.state = BROKEN
    here.units.shown[UNIT] = FAILED
    here.tell(ended=True)
    monkeypatch.setattr(here.bed.connection, "getLibVersion", lambda: 8_004_000, raising=False)
    error = here.fails("LIVE_LINK_BROKEN", here.migrate)
    assert "8.5" in error.message


def test_an_abort_before_it_began_is_heard(here: Side) -> None:
    here.book.abort()
    here.fails("LIVE_ABORTED", here.migrate)
    assert here.units.started == {}


@pytest.mark.parametrize("was_paused", [True, False])
def test_another_state_than_planned_is_refused(bed: Bed, units: Units, was_paused: bool) -> None:
    bed.guest()
    side = Side(bed, units, "source", was_paused=was_paused)
    if not was_paused:
        bed.connection.lookupByName("web1").suspend()
    side.fails("STATE_CHANGED", side.migrate)


def test_a_migration_that_is_not_ours_is_not_taken_over(here: Side) -> None:
    here.travel.memory()
    here.fails("BUSY", here.migrate)


def test_a_cold_migration_is_none_of_these(bed: Bed, units: Units) -> None:
    bed.guest()
    side = Side(bed, units, "source")
    path = bed.store.migration(ID) / "record.json"
    kept = json.loads(path.read_text(encoding="utf-8"))
    kept["migration"]["live"] = None
    path.write_text(json.dumps(kept), encoding="utf-8")
    side.fails("NOT_LIVE", side.migrate)


# --- its undo ------------------------------------------------------------------------------------------------------


def test_undo_ends_job_and_unit_and_the_guest_goes_on(here: Side) -> None:
    begin(here)
    here.travel.on["abortJob"] = here.travel.end
    assert here.undo() == ["start", "autostart_off"]
    assert here.travel.methods == ["abortJob"]
    assert here.book.aborted()
    assert UNIT not in here.units.shown
    assert here.bed.domain().state() == "running"
    assert derive_alone(here.bed.journal(), "source") is Status.FAILED


def test_its_host_does_not_start_what_is_leaving(here: Side) -> None:
    begin(here)
    assert here.bed.domain().autostart() is False
    here.travel.end()
    here.undo()
    assert here.bed.domain().autostart() is True


@pytest.mark.parametrize(("rebooted", "sure"), [(False, True), (True, False), (True, True)])
def test_undo_starts_what_its_host_would_have_started_where_nobody_else_runs_it(
    here: Side, rebooted: bool, sure: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(here)
    here.travel.end()
    here.bed.connection.lookupByName("web1").destroy()
    if rebooted:
        monkeypatch.setattr(process, "_boot", lambda: "another")
    here.undo(only=["live"], power_on=sure)  # before anybody has seen to the destination
    assert here.bed.domain().is_off()
    here.undo(power_on=sure)
    assert here.bed.domain().is_off() is not (rebooted and sure)
    assert here.bed.domain().autostart() is True


def test_undo_hears_a_request_that_was_on_its_way(here: Side) -> None:
    begin(here)
    here.travel.end()
    here.units.on_stop = lambda _name: here.travel.memory()
    here.travel.on["abortJob"] = here.travel.end
    here.undo()
    assert here.travel.methods == ["abortJob"]


def test_undo_lets_a_guest_run_that_we_paused(here: Side) -> None:
    begin(here)
    here.book.force(by_pause=True)
    here.bed.connection.lookupByName("web1").suspend()
    here.travel.on["abortJob"] = here.travel.end
    here.undo()
    assert here.bed.domain().state() == "running"


@pytest.mark.parametrize("state", [POST_COPY, BROKEN])
def test_undo_comes_too_late_in_post_copy(here: Side, state: tuple[int, int]) -> None:
    begin(here)
    here.travel.state = state
    error = here.fails("ABORT_TOO_LATE", here.undo)
    assert "neither side has all of it" in error.message
    assert here.travel.asked == []


@pytest.mark.parametrize("defined", [False, True])
def test_it_had_left_when_its_source_lost_power(here: Side, defined: bool) -> None:
    """What the unit told last was never on disk; the guest is gone, or its definition came back."""
    begin(here)
    if defined:
        here.travel.end()
        here.bed.connection.lookupByName("web1").destroy()
    else:
        here.leave()
    lose_power(here)
    found = here.migrate()
    assert (found["ended"], found["succeeded"]) == (True, None if defined else True)
    assert len(here.units.started) == 1


def test_it_is_asked_for_again_when_only_the_unit_was_lost(here: Side) -> None:
    begin(here)
    here.travel.end()
    lose_power(here)  # of a host that came up with the guest: nobody does that, and nothing breaks by it
    assert here.migrate()["ended"] is False
    assert [one for one in here.units.calls if one[0] == "start"] == [("start", UNIT)] * 2


def lose_power(here: Side) -> None:
    """What was not synced is gone, and so is the unit."""
    (here.bed.store.migration(ID) / "live.json").unlink()
    here.units.shown.pop(UNIT)


def test_undo_when_it_has_left(here: Side) -> None:
    begin(here)
    here.leave()
    here.fails("GUEST_MAY_HAVE_RUN", here.undo)
    assert derive_alone(here.bed.journal(), "source") is Status.ERROR


def test_undo_when_it_went_on_there_and_is_off(here: Side) -> None:
    begin(here)
    here.travel.end()
    here.bed.connection.lookupByName("web1").destroy()
    here.book.switch()
    here.fails("GUEST_MAY_HAVE_RUN", here.undo)


def test_undo_of_a_guest_that_only_the_destination_knows_of(here: Side) -> None:
    begin(here)
    here.travel.end()
    here.travel.state = MIGRATING
    here.fails("GUEST_MAY_HAVE_RUN", here.undo)


def test_undo_of_a_guest_in_its_last_round(here: Side) -> None:
    begin(here)
    here.travel.state = MIGRATING

    def end() -> None:
        here.travel.end()
        here.travel.state = None

    here.travel.on["abortJob"] = end
    assert here.undo() == ["start", "autostart_off"]


def test_undo_waits_for_libvirt_to_clear_up(here: Side) -> None:
    begin(here)
    here.travel.stats = {"type": 4, "disk_total": 7}
    looks = iter(range(9))
    here.travel.on["jobStats"] = lambda: next(looks, None) is None and here.travel.end()
    assert here.undo() == ["start", "autostart_off"]
    assert here.travel.asked == []


def test_undo_of_a_job_that_libvirt_does_not_end(here: Side) -> None:
    begin(here)
    here.fails("LIVE_STUCK", here.undo)


def test_undo_that_is_overtaken_by_post_copy(here: Side) -> None:
    begin(here)
    here.travel.refusals["abortJob"] = "cannot abort migration in post-copy mode"

    def switch() -> None:
        if here.travel.asked:
            here.travel.state = POST_COPY

    here.travel.on["jobStats"] = switch
    here.fails("ABORT_TOO_LATE", here.undo)


def test_what_has_arrived_is_not_undone(here: Side) -> None:
    here.carry_out(Step.DEPART, lambda _context: Plan())
    error = here.fails("ILLEGAL_MOVE", here.undo)
    assert "another live migration" in error.remedy


def test_the_destination_is_not_undone_while_the_guest_is_active_there(bed: Bed, units: Units) -> None:
    bed.guest()
    side = Side(bed, units, "destination", copied=())
    bed.note(Step.CLAIM, "lock", {"kind": "unlock", "uuid": UUID})
    side.fails("GUEST_RUNS_HERE", lambda: undo.plan(bed.context()))
    bed.connection.lookupByName("web1").destroy()
    assert side.undo() == ["lock"]
