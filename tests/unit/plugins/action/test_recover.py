# Copyright: (c) 2026, kvmops.mobility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin that decides what recover does."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.kvmops.mobility.plugins.action import migration_recover
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.journal import Entry, Event, Step
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.model import Migration
from ansible_collections.kvmops.mobility.plugins.module_utils._migration.plan import plan
from ansible_collections.kvmops.mobility.tests.unit.builders import UUID, request, site
from ansible_collections.kvmops.mobility.tests.unit.controller import action, over_the_wire, variables
from ansible_collections.kvmops.mobility.tests.unit.flows import CONFIRM, MOVE, journals, line, whole

HOLDER = {"owner": "ann@control", "command": "resize web1", "migration": "id-0"}
Hosts = dict[str, dict[str, Any]]
HANDED = (
    *whole(Step.CLAIM),
    line(Step.HAND_OVER, Event.BEGIN),
    line(Step.CLAIM, result={"definition_digests": {"a": "1"}, "definitions_directory": "/d"}),
    line(Step.HAND_OVER, result={"entries": [], "directory_owner": [0, 0], "copies": [], "flatten": [], "x": 1}),
)
COPIED = (*HANDED, line(Step.COPY, result={"digests": {"disk": "2"}}))
CLAIMED = whole(Step.CLAIM)


def a_migration() -> Migration:
    (only,) = plan(request(), site(), lambda: "id-0").guests
    assert only.migration is not None
    return only.migration


def found_on(
    role: str, entries: tuple[Entry, ...], state: str = "", lock: Any = "the dead run", **more: Any
) -> dict[str, Any]:
    """What the play registered on one hypervisor."""
    one = a_migration()
    told = {
        "id": one.id,
        "role": role,
        "record": {"migration": one.as_result(), "at": 5.0},
        "journal": [entry.as_result() for entry in entries],
        "lock": HOLDER if lock == "the dead run" else lock,
        "working": False,
        "copying": False,
        "idle_s": 3600.0,
        **more,
    }
    domains = [{"uuid": UUID, "state": state}] if state else []
    return {"kvmops_migrations": {"migrations": [told]}, "kvmops_domains": {"domains": domains}}


def found(
    source: tuple[Entry, ...], destination: tuple[Entry, ...], states: tuple[str, str], lock: Any = "the dead run"
) -> Hosts:
    return {
        "c1": found_on("source", source, states[0], lock),
        "c2": found_on("destination", destination, states[1], lock),
    }


def recover(hosts: Hosts, **arguments: Any) -> dict[str, Any]:
    return action(migration_recover.ActionModule, **arguments).run(task_vars=variables(hosts))


def test_one_is_planned(capsys: pytest.CaptureFixture[str]) -> None:
    made = recover(found(COPIED, CLAIMED, ("shut off", "")))
    (guest,) = made["guests"]
    assert (made["changed"], made["command"]) == (False, "recover")
    assert (guest["subject"], guest["outcome"], guest["host"]) == ("web1", "planned", f"guest-{UUID}")
    assert guest["holder"] == HOLDER
    assert guest["recovery"]["act"] == "undo"
    assert (guest["recovery"]["phase"], guest["recovery"]["on_source"], guest["recovery"]["on_destination"]) == (
        "move",
        True,
        True,
    )
    assert Migration.from_result(over_the_wire(guest["migration"])) == a_migration()
    assert guest["resume"] == {
        "definition_digests": {"a": "1"},
        "definitions_directory": "/d",
        "entries": [],
        "directory_owner": [0, 0],
        "copies": [],
        "flatten": [],
        "digests": {"disk": "2"},
    }
    text = "\n".join(guest["lines"])
    for words in (
        "web1: resize c1 -> c2, migrating (migration id-0)",
        "c1: the guest is shut off",
        "c2: the guest is not",
    ):
        assert words in text
    assert "migrating (migration id-0)" in capsys.readouterr().out


def test_what_both_sides_counted_is_handed_on() -> None:
    begun = line(Step.DIGEST, result={"changed": True})  # the one that was not waited for
    counted = line(Step.DIGEST, result={"contents": {"vda": "1"}})
    source = (*HANDED, begun, line(Step.COPY, result={"digests": {}}))
    there = (*CLAIMED, counted)
    resume = recover(found(source, there, ("shut off", "")))["guests"][0]["resume"]
    assert (resume.get("contents"), resume["contents_here"]) == (None, {"vda": "1"})
    resume = recover(found((*source, counted), there, ("shut off", "")))["guests"][0]["resume"]
    assert (resume["contents"], resume["contents_here"]) == ({"vda": "1"}, {"vda": "1"})


def test_what_was_copied_after_a_mirror_is_judged_as_a_copy() -> None:
    """The hand-over had called it mirrored, and counted what it sent in haste."""
    handed = line(Step.HAND_OVER, result={"mirrored": True, "digests": {"console.log": "1"}, "resume": False})
    mirrored = (*HANDED, handed)
    resume = recover(found(mirrored, CLAIMED, ("shut off", "")))["guests"][0]["resume"]
    assert (resume["mirrored"], resume["digests"]) == (True, {"console.log": "1"})
    begun = (*mirrored, line(Step.COPY, Event.BEGIN))
    resume = recover(found(begun, CLAIMED, ("shut off", "")))["guests"][0]["resume"]
    assert {"mirrored", "digests"} & set(resume) == set()
    copied = (*begun, line(Step.COPY, result={"digests": {"disk": "2"}}))
    resume = recover(found(copied, CLAIMED, ("shut off", "")))["guests"][0]["resume"]
    assert ("mirrored" in resume, resume["digests"], resume["resume"]) == (False, {"disk": "2"}, False)


def test_a_copy_that_is_resumed_goes_as_the_first_pass_found() -> None:
    first = line(Step.PRESYNC, result={"compress": True, "block_bytes": 4096, "complete": True})
    resume = recover(found((*HANDED, first), CLAIMED, ("shut off", "")))["guests"][0]["resume"]
    assert (resume["compress"], resume["block_bytes"]) == (True, 4096)


def test_one_is_asked_for_and_then_told() -> None:
    hosts = found(COPIED, (), ("shut off", ""))
    hosts["c2"] = {"kvmops_unusable": "no route to host"}
    (guest,) = recover(hosts)["guests"]
    assert (guest["outcome"], guest["recovery"]["act"]) == ("refused", "ask")
    assert [one["code"] for one in guest["findings"]] == ["RECOVER_NEEDS_YOU"]
    assert "  c2: no answer" in guest["lines"]
    (guest,) = recover(hosts, prefer="source")["guests"]
    assert (guest["outcome"], guest["recovery"]["on_destination"]) == ("planned", False)
    assert "  later: run recover again when c2 is back" in guest["lines"]


def test_a_libvirt_that_does_not_answer_is_no_guest_that_is_not_there() -> None:
    hosts = found(COPIED, CLAIMED, ("shut off", "running"))
    hosts["c2"]["kvmops_domains"] = {"failed": True, "msg": "libvirt is down"}
    (guest,) = recover(hosts)["guests"]
    assert guest["recovery"]["act"] == "ask"


def test_one_is_left_to_whom_it_belongs() -> None:
    hosts = found(COPIED, CLAIMED, ("shut off", ""))
    hosts["c1"]["kvmops_migrations"]["migrations"][0]["working"] = True
    (guest,) = recover(hosts)["guests"]
    assert [one["code"] for one in guest["findings"]] == ["BUSY"]
    (guest,) = recover(hosts, takeover=True)["guests"]
    assert guest["outcome"] == "planned"


@pytest.mark.parametrize(("quiet_s", "outcome"), [(None, "refused"), (60, "refused"), (5, "planned"), (0, "planned")])
def test_how_long_a_journal_has_to_be_silent(quiet_s: float | None, outcome: str) -> None:
    hosts = found(COPIED, CLAIMED, ("shut off", ""))
    hosts["c1"]["kvmops_migrations"]["migrations"][0]["idle_s"] = 10.0
    (guest,) = recover(hosts, quiet_s=quiet_s)["guests"]
    assert guest["outcome"] == outcome


def test_nothing_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    closed = found(*journals(MOVE, CONFIRM), ("", "running"), None)
    assert recover(closed)["guests"] == []
    assert "nothing to recover: no migration is open" in capsys.readouterr().out
    (guest,) = recover(closed, vm="web1")["guests"]
    assert (guest["outcome"], guest["recovery"]["act"]) == ("already", "nothing")
    assert recover(closed, vm=["db1"])["guests"] == []
    assert "no hypervisor that answered knows of a migration of ['db1']" in capsys.readouterr().out


def test_nothing_to_do_as_far_as_anybody_answered(capsys: pytest.CaptureFixture[str]) -> None:
    assert recover({"c1": {"kvmops_unusable": "off"}})["guests"] == []
    assert "no answer from c1" in capsys.readouterr().out


@pytest.mark.parametrize("vm", ["web1", UUID, ["web1"]])
def test_a_guest_that_is_named(vm: Any) -> None:
    (guest,) = recover(found(COPIED, CLAIMED, ("shut off", "")), vm=vm)["guests"]
    assert guest["subject"] == "web1"


def test_a_book_that_was_left_open_is_closed_in_the_phase_that_ended() -> None:
    confirmed, moved = journals(MOVE, CONFIRM), journals(MOVE)
    (guest,) = recover(found(confirmed[0], moved[1], ("", "running"), None))["guests"]
    assert (guest["recovery"]["act"], guest["recovery"]["phase"]) == ("close", "confirm")


def test_a_side_that_there_is_not() -> None:
    made = recover(found(COPIED, CLAIMED, ("shut off", "")), prefer="c1")
    assert (made["failed"], made["code"]) == (True, "VALUE_INVALID")


def test_of_a_side_that_cannot_be_read_nothing_is_decided(capsys: pytest.CaptureFixture[str]) -> None:
    hosts = found(CLAIMED, CLAIMED, ("running", ""))
    why = {"code": "RECORD_UNREADABLE", "message": "torn.", "remedy": "Mend it."}
    hosts["c2"]["kvmops_migrations"]["unreadable"] = [{"id": "id-0", "name": "", "uuid": "id-0", "problem": why}]
    hosts["c2"]["kvmops_migrations"]["migrations"] = []
    decided = recover(hosts)
    (only,) = decided["guests"]
    assert only["outcome"] == "refused"
    assert [one["code"] for one in only["findings"]] == ["RECORD_UNREADABLE"]
    assert "RECORD_UNREADABLE: migration id-0" in capsys.readouterr().out


def test_what_one_side_has_archived_is_closed_on_the_other() -> None:
    hosts = found(journals(MOVE)[0], journals(MOVE)[1], ("", "running"), lock=None)
    told = {"id": "id-0", "role": "source", "status": "confirmed", "closed": True, "name": "web1", "uuid": UUID}
    hosts["c1"]["kvmops_migrations"] = {"migrations": [], "closed": [told]}
    (only,) = recover(hosts)["guests"]
    assert (only["outcome"], only["recovery"]["act"], only["recovery"]["phase"]) == ("planned", "close", "confirm")
